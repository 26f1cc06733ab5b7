# SPDX-License-Identifier: Apache-2.0
"""What the scripts of `router.redis_io` keep in Redis, in memory: dedup ids, limits, the cursor, and what went out.

A test holds it against the scripts on a real Redis (`tests/integration/test_replay_command.py`). Nothing else decides
here: windows, ranking and choice are the service's own.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from router.core.entry_id import age_ms
from router.core.policy import Capacity, TradingState
from router.redis_io.scripts import Observation, Reply

if TYPE_CHECKING:
    from router.config import Settings
    from router.core.signal import Signal
    from router.redis_io.scripts import Commit, Intent, Lease
    from router.simulation.orders import Orders

HOUR_MS: Final = 3_600_000


class Clock:
    """Time that only moves when it is told to; *now_ms* since 1970."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = self.began_ms = now_ms

    def monotonic_s(self) -> float:
        """Return seconds since the beginning."""
        return (self.now_ms - self.began_ms) / 1000


@dataclass(frozen=True)
class Committed:
    """A commit that was made: when, where the cursor was then, and what it published."""

    at_ms: int
    cursor: str
    intents: tuple[Intent, ...]
    reduce_only: bool

    @property
    def published(self) -> list[str]:
        """The entries of the signals that it published."""
        return [intent.signal_id for intent in self.intents]


@dataclass
class Ledger:
    """The store of a session with *settings*, whose open orders are *orders* and whose time is *clock*'s."""

    settings: Settings
    orders: Orders
    clock: Clock
    cursor: str = "0-0"
    commits: list[Committed] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    #: How many windows ended with which event.
    events: Counter[str] = field(default_factory=Counter)
    #: Why the router has halted itself; as in Redis, until a person resumes.
    halted: str = ""
    #: Dedup id -> the signal's entry, and until when it is known.
    _known: dict[str, tuple[str, int]] = field(default_factory=dict)
    _recent: deque[int] = field(default_factory=deque)
    _repeats: deque[tuple[int, str]] = field(default_factory=deque)

    def renew(self, lease: Lease) -> bool:  # noqa: ARG002 - as the store has it
        """Nobody else wants the lease."""
        return True

    def observe(self, *, forget: bool = False) -> Observation:  # noqa: ARG002 - as the store has it
        """Return what is known of this moment."""
        open_orders, in_flight = self.orders.count(self.clock.now_ms)
        state = TradingState.HALTED if self.halted else TradingState.ACTIVE
        text, problem = (None, "missing") if open_orders is None else (str(open_orders), "")
        capacity = Capacity(state, open_orders, in_flight, len(self._hour()))
        return Observation(self.clock.now_ms, text, problem, "repeats" if self.halted else "", capacity)

    def published(self, signals: list[Signal]) -> list[tuple[Signal, bool]]:
        """Return those of *signals* whose id is known as published, and whether by that very entry."""
        found = [(signal, self._publisher(signal.dedup_id)) for signal in signals]
        return [(signal, by == signal.entry_id) for signal, by in found if by is not None]

    def commit(self, lease: Lease, commit_id: str, cursor: str, commit: Commit) -> Reply:  # noqa: ARG002 - as the store
        """Do what commit.lua does, in its order."""
        if refusal := self._refusal(commit):
            return refusal
        now_ms = self.clock.now_ms
        for intent in commit.intents:
            self._known[intent.dedup_id] = intent.signal_id, now_ms + int(self.settings.dedup_ttl_s * 1000)
            if not commit.reduce_only:
                self.orders.publish(now_ms)
        self.cursor = commit.cursor_to or self.cursor
        self.outcomes.update(commit.outcomes)
        if commit.last_window:
            self.events[commit.last_window["event"]] += 1
        self.commits.append(Committed(now_ms, self.cursor, commit.intents, commit.reduce_only))
        halted = "" if commit.reduce_only else self._count_against_limits(commit.intents)
        ids = [f"{now_ms}-{place}" for place, _ in enumerate(commit.intents)]
        return Reply("OK", intents=ids, halted=halted)

    def _refusal(self, commit: Commit) -> Reply | None:
        """Return why nothing is done, None when the decision still holds."""
        known = [(place, self._publisher(intent.dedup_id)) for place, intent in enumerate(commit.intents, start=1)]
        duplicates = [(place, by == commit.intents[place - 1].signal_id) for place, by in known if by is not None]
        if own := [each for each in duplicates if each[1]]:
            return Reply("DUPLICATE", duplicates=own)
        if commit.intents and self.halted:
            return Reply("HALTED")
        per_hour = None if commit.reduce_only else self.settings.max_intents_per_hour
        if per_hour is not None and len(self._hour()) + len(commit.intents) > per_hour:
            return Reply("CHANGED")
        max_age_ms, now_ms = int(self.settings.max_age_s * 1000), self.clock.now_ms
        ages = [(place, age_ms(each.signal_id, now_ms)) for place, each in enumerate(commit.intents, start=1)]
        if stale := [place for place, age in ages if age > max_age_ms]:
            return Reply("STALE", stale=stale)
        return Reply("DUPLICATE", duplicates=duplicates) if duplicates else None

    def _publisher(self, dedup_id: str) -> str | None:
        """Return the entry that published *dedup_id* within the dedup TTL."""
        entry_id, until_ms = self._known.get(dedup_id, ("", 0))
        return entry_id if self.clock.now_ms < until_ms else None

    def _hour(self) -> deque[int]:
        while self._recent and self._recent[0] <= self.clock.now_ms - HOUR_MS:
            self._recent.popleft()
        return self._recent

    def _count_against_limits(self, intents: tuple[Intent, ...]) -> str:
        """Note *intents*; return why they halt the router, "" when they do not."""
        now_ms, s = self.clock.now_ms, self.settings
        if s.max_intents_per_hour is not None:
            self._recent.extend([now_ms] * len(intents))
        if s.repeat_limit is None:
            return ""
        while self._repeats and self._repeats[0][0] <= now_ms - int(s.repeat_window_s * 1000):
            self._repeats.popleft()
        self._repeats.extend((now_ms, intent.what) for intent in intents)
        counts = Counter(what for _, what in self._repeats)
        repeated = [i.what for i in intents if counts[i.what] >= s.repeat_limit]
        if repeated:
            self.halted = f"{counts[repeated[0]]} intents for {repeated[0]} within {s.repeat_window_s:g} s"
        return self.halted
