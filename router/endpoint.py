# SPDX-License-Identifier: Apache-2.0
"""/metrics, /healthz and /readyz on a loopback address, served beside the work and never in its way.

Clients are few and brief: eight at a time, five seconds each, whatever they send or leave unread.
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Final, cast

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from router.errors import ConfigError
from router.metrics import registry
from router.tally import Role

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.config import Settings
    from router.tally import Tally

#: Clients served at once; more are turned away.
MAX_CLIENTS: Final = 8
#: Seconds a client may take in all.
PATIENCE_S: Final = 5.0
_TEXT: Final = "text/plain; charset=utf-8"

Answer = tuple[HTTPStatus, str, bytes]


def serve(settings: Settings, tally: Tally, release: str) -> socketserver.BaseServer:
    """Serve *tally* on the address of the settings, in a thread that ends with the process; return the server.

    Raises:
        ConfigError: nobody can listen there.
    """
    host, _, port = settings.metrics_listen.rpartition(":")
    try:
        family, _, _, _, address = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
        server = _Server(family, address, _pages(settings, tally, release))
    except OSError as error:
        problem = f"cannot listen there: {error.strerror}; free the port or name another"
        raise ConfigError([f"ROUTER_METRICS_LISTEN={settings.metrics_listen!r} {problem}"]) from None
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server


def unhealthy(tally: Tally, settings: Settings, now_s: float) -> str:
    """Say why the process is not alive at the local time *now_s*; empty when it is.

    The work loop must have turned within two lease TTLs and a window: a router that others would have replaced is hung.
    """
    silent_s = now_s - tally.turned_s
    limit_s = 2 * settings.lease_ttl_s + settings.window_s
    return f"the work loop has not turned for {silent_s:.1f} s" if silent_s > limit_s else ""


def unready(tally: Tally, settings: Settings, now_s: float) -> str:
    """Say why this router neither routes nor stands by at the local time *now_s*; empty when it does."""
    if tally.role in {Role.ACTIVE, Role.STANDBY}:
        return unhealthy(tally, settings, now_s)
    return str(tally.role.value)


def _pages(settings: Settings, tally: Tally, release: str) -> dict[str, Callable[[], Answer]]:
    own = registry(tally, settings, release)

    def state(why_not: Callable[[Tally, Settings, float], str], fine: Callable[[], str]) -> Answer:
        problem = why_not(tally, settings, time.monotonic())
        status = HTTPStatus.SERVICE_UNAVAILABLE if problem else HTTPStatus.OK
        return status, _TEXT, f"{problem or fine()}\n".encode()

    return {
        "/metrics": lambda: (HTTPStatus.OK, CONTENT_TYPE_PLAIN_0_0_4, generate_latest(own)),
        "/healthz": lambda: state(unhealthy, lambda: "alive"),
        "/readyz": lambda: state(unready, lambda: tally.role.value),
    }


class _Server(socketserver.ThreadingTCPServer):
    """A thread a client, but only so many, and none for longer than a scrape takes."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, family: int, address: Any, pages: dict[str, Callable[[], Answer]]) -> None:  # noqa: ANN401 - as
        # getaddrinfo gives it
        self.address_family = family
        self.pages = pages
        self._since_s: dict[Any, float] = {}
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's signature
        if len(self._since_s) >= MAX_CLIENTS:
            self.shutdown_request(request)
            return
        self._since_s[request] = time.monotonic()
        super().process_request(request, client_address)

    def service_actions(self) -> None:
        """Cut off who takes too long; called by the server's own loop twice a second."""
        late_s = time.monotonic() - PATIENCE_S
        for request in [r for r, since_s in self._since_s.copy().items() if since_s < late_s]:
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - socketserver's signature
        self._since_s.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's signature
        """Say nothing: a client that hangs up or stalls is no event of the router's."""


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD for a known path; anything else gets its status and no words of the client's own."""

    server_version = "quantum-router"
    sys_version = ""
    timeout = PATIENCE_S
    error_message_format = "%(code)d\n"
    error_content_type = _TEXT

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        pages = cast("_Server", self.server).pages
        page = pages.get(self.path.partition("?")[0])
        known = f"there are {', '.join(pages)}\n".encode()
        status, kind, body = page() if page else (HTTPStatus.NOT_FOUND, _TEXT, known)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Answer with *code* and its usual phrase: http.server's own messages repeat what the client sent."""
        super().send_error(code)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 - http.server's signature
        """Say nothing: a scrape is no event."""
