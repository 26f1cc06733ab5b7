# SPDX-License-Identifier: Apache-2.0
"""An approval gate for tests: real HTTP on loopback, that answers as it is told and remembers what it was asked."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class GateServer:
    """*answer* gets each question and returns status and body."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.questions: list[dict[str, Any]] = []
        self.answer: Callable[[dict[str, Any]], tuple[int, str]] = lambda _question: (200, '{"approved": true}')


@contextlib.contextmanager
def running_gate() -> Iterator[GateServer]:
    """Serve on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            gate.questions.append(question)
            status, body = gate.answer(question)
            with contextlib.suppress(OSError):  # the router may have stopped waiting
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(body.encode())

        def log_message(self, *_arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        gate = GateServer(f"http://127.0.0.1:{server.server_port}/approve")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield gate
        server.shutdown()
