# SPDX-License-Identifier: Apache-2.0
"""The service's own session on recorded entries, in no time: who reads finds the clock moved on to the next entry."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from router.core.entry_id import order
from router.log import Log
from router.redis_io.keys import catalogue
from router.redis_io.reader import COUNT
from router.redis_io.scripts import Lease
from router.session import Session
from router.simulation.ledger import Clock, Ledger
from router.telemetry import Telemetry
from router.tenure import Tenure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from router.config import Settings
    from router.core.window import Entry
    from router.simulation.orders import Orders, Span

_LEASE: Final = Lease("simulation", "1")


class Stream:
    """Entries in the order of their ids, as group and as reader of a session that *ledger* keeps the cursor of."""

    def __init__(self, entries: Sequence[Entry], ledger: Ledger, clock: Clock) -> None:
        self._entries = entries
        self._places = [order(entry_id.decode()) for entry_id, _ in entries]
        self._ledger = ledger
        self._clock = clock
        self._max_age_ms = int(ledger.settings.max_age_s * 1000)

    def read(self, after: str, wait_s: float) -> list[Entry]:
        """Return what has come after the id *after*; wait for it by moving the clock on."""
        clock, first = self._clock, self._read_at(after)
        comes_ms = self._places[first][0] if first < len(self._places) else None
        if comes_ms is None or comes_ms > clock.now_ms:
            # At least a millisecond: a session that found nothing due must find a later time.
            due_ms = clock.now_ms + max(1, math.ceil(wait_s * 1000))
            all_committed = after == self._ledger.cursor  # nothing can become due before the next entry
            if comes_ms is None or not (all_committed or comes_ms <= due_ms):
                clock.now_ms = due_ms
                return []
            clock.now_ms = comes_ms
        last = bisect_left(self._places, (clock.now_ms + 1, 0), lo=first)
        return list(self._entries[first : min(last, first + COUNT)])

    def ensure(self) -> tuple[str, int | None]:
        """Return where the last commit left the cursor."""
        return self._ledger.cursor, self._read_at(self._ledger.cursor)

    def newest_stale(self, now_ms: int) -> str | None:
        """Return the newest entry that is too old."""
        place = bisect_left(self._places, (now_ms - self._max_age_ms, 0))
        return self._entries[place - 1][0].decode() if place else None

    def entries_read_at(self, cursor: str, between_pages: Callable[[], None]) -> int:  # noqa: ARG002 - as the group's
        """Return how many entries there are up to *cursor*."""
        return self._read_at(cursor)

    def pending_stale(self, now_ms: int) -> list[str]:  # noqa: ARG002 - as the group's
        """No older router has left anything."""
        return []

    def pending_fresh(self) -> Iterable[tuple[str, list[bytes] | None]]:
        """No older router has left anything."""
        return ()

    def _read_at(self, cursor: str) -> int:
        return bisect_right(self._places, order(cursor))


def route(entries: Sequence[Entry], settings: Settings, orders: Orders, down: Sequence[Span] = ()) -> Ledger:
    """Route *entries*, in the order of their ids, with *settings*; return what came of it.

    The router is dead in each of the spans *down* (in order): what it had not committed is read again after it. No
    approval gate is asked: whatever *settings* say of one, every signal is approved.
    """
    clock = Clock(order(entries[0][0].decode())[0] if entries else 0)
    ledger = Ledger(settings, orders, clock)
    stream = Stream(entries, ledger, clock)
    last = entries[-1][0].decode() if entries else ledger.cursor
    deaths = list(down)
    session = _session(stream, ledger, clock)
    while ledger.cursor != last:
        if deaths and clock.now_ms >= deaths[0][0]:
            clock.now_ms = max(clock.now_ms, deaths.pop(0)[1])
            session = _session(stream, ledger, clock)
        session.step()
    return ledger


def _session(stream: Stream, ledger: Ledger, clock: Clock) -> Session:
    """Return a session that has started."""
    settings = replace(ledger.settings, strategy_url="")
    telemetry = Telemetry(Log(lambda _record: None), settings, catalogue(settings))
    tenure = Tenure(settings, ledger, _LEASE, telemetry, clock.monotonic_s, lambda: None)
    session = Session(settings, tenure, group=stream, reader=stream, release="simulation", telemetry=telemetry)
    session.start()
    return session
