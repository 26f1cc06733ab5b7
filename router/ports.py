# SPDX-License-Identifier: Apache-2.0
"""What a session asks of the world, as protocols: `router.redis_io` is real, `router.simulation` in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from router.core.signal import Signal
    from router.core.window import Entry
    from router.redis_io.scripts import Commit, Lease, Observation, Reply


class Store(Protocol):
    """State that is read in one instant and changed in one step; see `router.redis_io.scripts.Scripts`."""

    def renew(self, lease: Lease) -> bool:
        """Extend *lease* by its TTL; False when it is gone or another's."""
        ...

    def observe(self, *, forget: bool = False) -> Observation:
        """Read time, trading state, intents in flight and open orders in one instant."""
        ...

    def published(self, signals: list[Signal]) -> list[tuple[Signal, bool]]:
        """Return those of *signals* whose id is known as published, and whether by that very entry."""
        ...

    def commit(self, lease: Lease, commit_id: str, cursor: str, commit: Commit) -> Reply:
        """Commit from *cursor* on, or learn why nothing was done."""
        ...


class CursorGroup(Protocol):
    """The group whose last-delivered id is the cursor; see `router.redis_io.group.Group`."""

    def ensure(self) -> tuple[str, int | None]:
        """Return the cursor and the entries read so far."""
        ...

    def newest_stale(self, now_ms: int) -> str | None:
        """Return the id of the newest entry older than the maximum age at *now_ms*, None when there is none."""
        ...

    def entries_read_at(self, cursor: str, between_pages: Callable[[], None]) -> int:
        """Return how many entries the stream has had up to *cursor*, -1 when too many follow it."""
        ...

    def pending_stale(self, now_ms: int) -> list[str]:
        """Return ids of pending entries that are older than the maximum age."""
        ...

    def pending_fresh(self) -> Iterable[tuple[str, list[bytes] | None]]:
        """Return pending entries, oldest first."""
        ...


class SignalReader(Protocol):
    """The stream of signals; see `router.redis_io.reader.Reader`."""

    def read(self, after: str, wait_s: float) -> list[Entry]:
        """Return the entries after the id *after*; wait for them for *wait_s* at most."""
        ...
