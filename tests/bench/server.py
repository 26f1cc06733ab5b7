# SPDX-License-Identifier: Apache-2.0
"""Where things run: a redis-server of our own on one core, whatever reads from it on another."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any, Final

import hiredis
import redis

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_CORES: Final = sorted(os.sched_getaffinity(0))
#: The server never shares its core with a reader, unless the machine has but one.
SERVER_CORE: Final = _CORES[0]
CLIENT_CORE: Final = _CORES[-1]


def start_on(core: int, command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start *command* as a process that stays on *core*, with all its threads."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})  # inherited by the child
    try:
        return subprocess.Popen(command, **options)
    finally:
        os.sched_setaffinity(0, before)


def end(process: subprocess.Popen[bytes]) -> None:
    """End *process* if it still runs, by force when it does not listen."""
    process.terminate()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout=5)


class Wire:
    """A bare connection to the server on *port*: bytes out, replies in."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = hiredis.Reader()

    def send(self, commands: bytes) -> None:
        """Send *commands*, whole."""
        self._socket.sendall(commands)

    def ask(self, *words: str | int | bytes) -> None:
        """Send one command."""
        pack: Any = hiredis.pack_command  # its types know no tuple of more than one
        self.send(pack(words))

    def reply(self) -> Any:
        """Return the next reply; raise what Redis refuses."""
        while (reply := self._reader.gets()) is False:
            self._reader.feed(self._socket.recv(1 << 16))
        if isinstance(reply, Exception):
            raise reply
        return reply

    def close(self) -> None:
        """Leave the server."""
        self._socket.close()


class Server:
    """A running redis-server without persistence on a loopback port. *client* is a connection of the harness."""

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.port = port
        self.process = process
        self.url = f"redis://127.0.0.1:{port}/0"
        self.client: Any = redis.Redis(port=port, protocol=2)

    def connect(self) -> Wire:
        """Return a bare connection, for what is faster without a client library."""
        return Wire(self.port)

    def clear(self, *, keep: Sequence[str] = ()) -> None:
        """Remove every key except those in *keep*."""
        kept = {key.encode() for key in keep}
        for key in self.client.scan_iter(count=1000):
            if key not in kept:
                self.client.unlink(key)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Server]:
    """Run a server in *folder*; it ends with the block."""
    program = shutil.which("redis-server")
    if program is None:
        raise FileNotFoundError("redis-server is missing: run make setup")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    options = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", "", "--appendonly", "no"]
    process = start_on(SERVER_CORE, [program, *options], stdout=subprocess.DEVNULL)
    server = Server(port, process)
    try:
        _wait_until_it_answers(server)
        yield server
    finally:
        server.client.close()
        end(process)


def _wait_until_it_answers(server: Server) -> None:
    for _ in range(500):
        with contextlib.suppress(redis.ConnectionError):
            if server.client.ping():
                return
        time.sleep(0.01)
    raise TimeoutError(f"redis-server does not answer on port {server.port}")
