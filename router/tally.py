# SPDX-License-Identifier: Apache-2.0
"""What the router has done since it started, as plain numbers: telemetry counts here, metrics and status read it.

Only the thread that does the work writes. Others may read at any time, since no dict here changes its keys.
"""

from __future__ import annotations

import enum
import time
from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from router.core.entry_id import order
from router.core.outcome import Outcome
from router.core.policy import Event
from router.core.signal import RejectCode
from router.failures import EXIT_CODES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from router.redis_io.scripts import Commit, Observation, Reply

#: Upper bounds in seconds for what takes about a millisecond: a window's close, a commit.
QUICK_S: Final = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0)
#: Upper bounds in seconds from a signal's entry to its intent: a window, some queueing, the maximum age.
SIGNAL_TO_INTENT_S: Final = (0.005, 0.05, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 30.0)
#: "Not yet": compares false with every threshold, so that no alert fires on it.
NEVER: Final = float("nan")


class Role(enum.Enum):
    """What this process is at the moment."""

    STARTING = "starting"
    CUT_OFF = "cut off: Redis cannot be used, trying again"
    ACTIVE = "active"
    STANDBY = "standby"


class Distribution:
    """How many values fell below each of *bounds_s*; the last count is of those above all."""

    def __init__(self, bounds_s: tuple[float, ...]) -> None:
        self.bounds_s = bounds_s
        self.counts = [0] * (len(bounds_s) + 1)
        self.sum_s = 0.0

    def add(self, value_s: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds_s, value_s)] += 1
        self.sum_s += value_s


class Tally:
    """The numbers, all of them there from the start. *lines* names every log line; `_at_s` is the host's wall clock."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.started_at_s = time.time()
        self.role = Role.STARTING
        self.redis_up = False
        #: The newest look at Redis, None before the first.
        self.seen: Observation | None = None
        #: Name of the last window's outcome, how many intents it published and of how many candidates.
        self.last_window: tuple[str, int, int] | None = None
        self.lines = dict.fromkeys(lines, 0)
        #: Those of them that could not be written.
        self.lines_lost = 0
        self.outcomes = {outcome.value: 0 for outcome in Outcome}
        self.rejects = {code.value: 0 for code in RejectCode}
        self.windows = {event.value: 0 for event in Event}
        self.intents = {"chosen": 0, "reduce_only": 0}
        self.trimmed = 0
        #: Ends with an error by exit code, those of the processes before this one included.
        self.failures = dict.fromkeys(EXIT_CODES, 0)
        self.close_s = Distribution(QUICK_S)
        self.commit_s = Distribution(QUICK_S)
        self.signal_to_intent_s = Distribution(SIGNAL_TO_INTENT_S)
        self.turned_s = time.monotonic()
        self.turned_at_s = self.started_at_s
        self.read_at_s = self.committed_at_s = self.window_at_s = NEVER

    def turned(self) -> None:
        """Note that the loop that does the work is alive."""
        self.turned_s, self.turned_at_s = time.monotonic(), time.time()

    def read(self) -> None:
        """Note that signals were read."""
        self.read_at_s = time.time()

    def committed(self, commit: Commit, reply: Reply, took_s: float) -> None:
        """Count what *commit*, which Redis took, dealt with and published."""
        self.commit_s.add(took_s)
        self.committed_at_s = time.time()
        for outcome, n in commit.outcomes.items():
            self.outcomes[outcome] += n
        for _, code, _ in commit.rejects:
            self.rejects[code] += 1
        self.intents["reduce_only" if commit.reduce_only else "chosen"] += len(reply.intents)
        self.trimmed += reply.trimmed
        for intent, intent_id in zip(commit.intents, reply.intents, strict=True):
            self.signal_to_intent_s.add((order(intent_id)[0] - order(intent.signal_id)[0]) / 1000)

    def window(self, event: Event, published: int, candidates: int, took_s: float) -> None:
        """Count a window that ended as *event*, *took_s* after it was due to close."""
        self.windows[event.value] += 1
        self.last_window = (event.value, published, candidates)
        self.window_at_s = time.time()
        self.close_s.add(took_s)
