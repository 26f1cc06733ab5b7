# SPDX-License-Identifier: Apache-2.0
"""A proxy between the router and Redis that spoils chosen requests: one fault for each one asked for."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import socket
import struct
import threading
from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

#: Most bytes that are passed on at once; a request or reply of the router's fits.
CHUNK = 1 << 20


class Fault(enum.Enum):
    """What happens to a request or to its reply; all but DELAY end the connection."""

    #: The reply is held back for a while.
    DELAY = "delay"
    #: Redis has answered, the reply is thrown away.
    CUT = "cut before the reply"
    #: Redis has answered, half of the reply's first bytes arrive.
    TRUNCATE = "truncate the reply"
    #: Redis never sees the request; the client gets a reset instead.
    RESET = "reset"


@dataclass(frozen=True)
class _Asked:
    """A fault that awaits the next request that holds *marker*."""

    fault: Fault
    marker: bytes
    delay_s: float


class _Link:
    """One client's connection: both ends, and the fault that awaits the next reply."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server
        self.asked: _Asked | None = None

    def close(self, *, reset: bool = False) -> None:
        """Close both ends; with *reset* the client gets RST instead of what is under way."""
        self.server.close()
        if reset and not self.client.is_closing():
            linger = struct.pack("ii", 1, 0)  # on, 0 s: see socket(7)
            self.client.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.client.transport.abort()
        else:
            self.client.close()


class FaultProxy:
    """Listens on a TCP port of loopback, in its own thread, and passes everything on to the unix socket *target*."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._asked: deque[_Asked] = deque()
        self._links: set[_Link] = set()
        #: Faults that have happened.
        self.happened: Counter[Fault] = Counter()
        self._loop = asyncio.new_event_loop()
        self._server: Any = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def ask(self, fault: Fault, marker: bytes = b"", delay_s: float = 0.0) -> None:
        """Spoil the next request that holds *marker*; of several that are asked for, the oldest comes first."""
        self._asked.append(_Asked(fault, marker, delay_s))

    def forget(self) -> None:
        """Ask no more for what has not begun yet."""
        self._asked.clear()

    def close(self) -> None:
        """Close every connection and end the thread."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(timeout=5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        self._loop.close()

    async def _close(self) -> None:
        self._server.close()
        for link in self._links:
            link.close()
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)

    async def _serve(self, from_client: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        try:
            from_server, server = await asyncio.open_unix_connection(self._target)
        except OSError:  # Redis is down: the client learns it by losing its connection
            client.close()
            return
        link = _Link(client, server)
        self._links.add(link)
        await asyncio.gather(
            self._requests(link, from_client), self._replies(link, from_server), return_exceptions=True
        )
        self._links.discard(link)

    async def _requests(self, link: _Link, from_client: asyncio.StreamReader) -> None:
        with contextlib.closing(link):
            while chunk := await from_client.read(CHUNK):
                if self._asked and self._asked[0].marker in chunk:
                    link.asked = self._asked.popleft()
                    if link.asked.fault is Fault.RESET:
                        self.happened[Fault.RESET] += 1
                        link.close(reset=True)
                        return
                link.server.write(chunk)
                await link.server.drain()

    async def _replies(self, link: _Link, from_server: asyncio.StreamReader) -> None:
        with contextlib.closing(link):
            while chunk := await from_server.read(CHUNK):
                asked, link.asked = link.asked, None
                if asked is None:
                    link.client.write(chunk)
                    await link.client.drain()
                    continue
                self.happened[asked.fault] += 1
                if asked.fault is not Fault.DELAY:
                    link.client.write(chunk[: len(chunk) // 2] if asked.fault is Fault.TRUNCATE else b"")
                    return
                await asyncio.sleep(asked.delay_s)
                link.client.write(chunk)
