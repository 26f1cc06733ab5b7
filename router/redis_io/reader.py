# SPDX-License-Identifier: Apache-2.0
"""Reading signals from a cursor on, below the client's reply handling, on a connection of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import redis

    from router.core.window import Entry

#: Entries per read: beyond 1,000 the rate no longer grows.
COUNT: Final = 1000
#: How long Redis waits for an entry; far below the socket time-out, so that an idle stream is no broken connection.
BLOCK_S: Final = 0.25


class Reader:
    """Reads a stream one read ahead: while a reply is worked on, Redis makes the next."""

    def __init__(self, client: redis.Redis, stream: str) -> None:
        self._pool = client.connection_pool
        self._connection: Any = self._pool.get_connection()  # redis-py types these calls as nothing
        self._stream = stream
        self._asked_after: str | None = None

    def read(self, after: str, wait_s: float) -> list[Entry]:
        """Return up to 1,000 entries after the id *after*; waits at most *wait_s*, and never above 0.25 s, for them.

        The same read may be repeated.
        """
        if self._asked_after != after:
            if self._asked_after is not None:
                self._connection.read_response(disable_decoding=True)
            self._ask(after)
        if not self._connection.can_read(timeout=max(0.0, min(wait_s, BLOCK_S))):
            return []
        reply = self._connection.read_response(disable_decoding=True)
        entries: list[Entry] = reply[0][1] if reply else []
        self._ask(entries[-1][0].decode() if entries else after)
        return entries

    def _ask(self, after: str) -> None:
        self._asked_after = after
        block_ms = int(BLOCK_S * 1000)
        self._connection.send_command("XREAD", "COUNT", COUNT, "BLOCK", block_ms, "STREAMS", self._stream, after)

    def close(self) -> None:
        """Close the connection, so that a reply still under way is never taken for another read's."""
        self._connection.disconnect()
        self._pool.release(self._connection)
