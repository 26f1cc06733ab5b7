# SPDX-License-Identifier: Apache-2.0
"""The consumer group whose last-delivered id is the cursor: made, asked and rid of what an older router left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import redis

from router.errors import GroupMissingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from router.config import Settings
    from router.redis_io.keys import Keys

Fields = dict[bytes, bytes]

#: Pending entries that are acknowledged by one script (10,000 would hold Redis for 6 ms).
PAGE: Final = 1000
#: Fresh entries that are counted at start to tell the true lag; with more, it shows once the router has caught up.
MAX_COUNTED: Final = 100_000


class Group:
    """The router's group on the stream of signals."""

    def __init__(self, client: redis.Redis, settings: Settings, keys: Keys) -> None:
        self._client = client
        self._stream = keys.signals
        self._name = settings.group
        self._max_age_ms = int(settings.max_age_s * 1000)

    def ensure(self) -> tuple[str, int | None]:
        """Make the group at the stream's beginning if it is missing; return its cursor and the entries read so far."""
        try:
            self._client.xgroup_create(self._stream, self._name, "0", mkstream=True)
        except redis.ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise
        groups = self._client.xinfo_groups(self._stream)
        group = next((g for g in groups if g["name"] == self._name.encode()), None)
        if group is None:
            raise GroupMissingError(self._name)
        return group["last-delivered-id"].decode(), group["entries-read"]

    def newest_stale(self, now_ms: int) -> str | None:
        """Return the id of the newest entry older than the maximum age at *now_ms*, None when there is none."""
        before = str(now_ms - self._max_age_ms - 1)
        # Backwards from an id before all entries, Redis looks at every one of them: a second for three million.
        if not self._client.xrange(self._stream, "-", before, count=1):
            return None
        entries = cast("list[tuple[bytes, Fields]]", self._client.xrevrange(self._stream, before, "-", count=1))
        return entries[0][0].decode() if entries else None

    def entries_read_at(self, cursor: str, between_pages: Callable[[], None]) -> int:
        """Return how many entries the stream has had up to *cursor*, -1 when too many follow it to be counted.

        That may take a second, and longer on a busy host: *between_pages* keeps the lease meanwhile.
        """
        stream = self._client.xinfo_stream(self._stream)
        end = stream["last-generated-id"].decode()
        counted = 0
        while counted <= MAX_COUNTED:
            page = cast("list[tuple[bytes, Fields]]", self._client.xrange(self._stream, f"({cursor}", end, count=PAGE))
            counted += len(page)
            if len(page) < PAGE:
                return cast("int", stream["entries-added"]) - counted
            cursor = page[-1][0].decode()
            between_pages()
        return -1

    def pending_stale(self, now_ms: int) -> list[str]:
        """Return up to 1,000 ids of pending entries that are older than the maximum age."""
        return self._pending(str(now_ms - self._max_age_ms - 1))

    def pending_fresh(self) -> Iterator[tuple[str, list[bytes] | None]]:
        """Yield up to 1,000 pending entries, oldest first: names and values in turn, None for one that is gone."""
        for entry_id in self._pending("+"):
            entries = cast("list[tuple[bytes, Fields]]", self._client.xrange(self._stream, entry_id, entry_id))
            yield entry_id, [text for pair in entries[0][1].items() for text in pair] if entries else None

    def _pending(self, until: str) -> list[str]:
        try:
            rows = self._client.xpending_range(self._stream, self._name, min="-", max=until, count=PAGE)
        except redis.ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise
            raise GroupMissingError(self._name) from None
        return [row["message_id"].decode() for row in cast("list[dict[str, bytes]]", rows)]
