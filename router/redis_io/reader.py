# SPDX-License-Identifier: Apache-2.0
"""Reading signals from a cursor, below the client's reply handling, on a connection of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import redis

#: Entries per read: beyond 1,000 the rate no longer grows.
COUNT: Final = 1000
#: Longest wait for an entry; far below the socket time-out, so that an idle stream is no broken connection.
MAX_BLOCK_S: Final = 0.25


class Reader:
    """Reads a stream from any entry on. It keeps no state: the same read may be repeated."""

    def __init__(self, client: redis.Redis, stream: str) -> None:
        self._pool = client.connection_pool
        self._connection: Any = self._pool.get_connection()  # redis-py types these calls as nothing
        self._stream = stream

    def read(self, after: str, wait_s: float) -> list[tuple[str, dict[bytes, bytes]]]:
        """Return up to 1,000 entries after the id *after*; waits at most *wait_s* (0.001 to 0.25 s) for the first."""
        block_ms = max(1, int(min(wait_s, MAX_BLOCK_S) * 1000))  # 0 would wait for ever
        self._connection.send_command("XREAD", "COUNT", COUNT, "BLOCK", block_ms, "STREAMS", self._stream, after)
        reply = self._connection.read_response(disable_decoding=True)
        if not reply:
            return []
        return [(entry_id.decode(), _pairs(flat)) for entry_id, flat in reply[0][1]]

    def close(self) -> None:
        """Close the connection, so that a reply still under way is never taken for another read's."""
        self._connection.disconnect()
        self._pool.release(self._connection)


def _pairs(flat: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
