# SPDX-License-Identifier: Apache-2.0
"""An execution service that works intents off one by one, and the stream that they wait in. No clock of its own."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

from router.redis_io.scripts import INTENTS_MAX

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from router.simulation.orders import Span

#: Entries of a node of a stream: trimming `~` takes whole ones (Redis, stream-node-max-entries).
NODE: Final = 100
#: Placing and holding an order take this much less or more of their mean.
SPREAD: Final = (0.8, 1.2)


@dataclass
class Execution:
    """Takes an intent, places an order in about *place_s*, raises the count, acknowledges; closes it after *hold_s*.

    It does nothing in the times *stopped* (in order and apart); in the times *unknown* the count is missing.
    """

    rng: random.Random
    place_s: float
    hold_s: float
    stopped: Sequence[Span] = ()
    unknown: Sequence[Span] = ()
    #: When each slot was taken: from the intent until its order closed.
    spans: list[Span] = field(default_factory=list)
    #: When each order was open.
    open_spans: list[Span] = field(default_factory=list)
    published_ms: list[int] = field(default_factory=list)
    delivered_ms: list[int] = field(default_factory=list)
    #: Entries that the stream holds, and the most that it ever held.
    length: int = 0
    longest: int = 0
    #: Intents that were trimmed away before execution was given them.
    lost: int = 0
    _waiting: deque[int] = field(default_factory=deque)
    _free_ms: int = 0
    #: When the orders that are placed will be open, and when those will close.
    _opening: deque[tuple[int, int]] = field(default_factory=deque)
    _closing: list[int] = field(default_factory=list)

    def publish(self, now_ms: int) -> None:
        """Append an intent to the stream, which is trimmed by whole nodes once it has 10,000 beyond."""
        self._advance(now_ms)
        self._waiting.append(now_ms)
        self.published_ms.append(now_ms)
        self.length += 1
        self.longest = max(self.longest, self.length)
        if self.length >= INTENTS_MAX + NODE:
            self.length -= NODE
            while len(self._waiting) > self.length:
                self._waiting.popleft()
                self.lost += 1

    def count(self, now_ms: int) -> tuple[int | None, int]:
        """Return open orders (None: the count is missing) and intents in flight."""
        self._advance(now_ms)
        missing = any(begin <= now_ms < end for begin, end in self.unknown)
        return None if missing else len(self._closing), len(self._waiting) + len(self._opening)

    def _advance(self, now_ms: int) -> None:
        """Do what was to be done up to *now_ms*."""
        while self._waiting and (taken_ms := self._awake(max(self._free_ms, self._waiting[0]))) <= now_ms:
            published_ms = self._waiting.popleft()
            opens_ms = self._free_ms = taken_ms + round(1000 * self.place_s * self.rng.uniform(*SPREAD))
            closes_ms = opens_ms + round(1000 * self.hold_s * self.rng.uniform(*SPREAD))
            self.delivered_ms.append(taken_ms)
            self.spans.append((published_ms, closes_ms))
            self.open_spans.append((opens_ms, closes_ms))
            self._opening.append((opens_ms, closes_ms))
        while self._opening and self._opening[0][0] <= now_ms:
            heappush(self._closing, self._opening.popleft()[1])
        while self._closing and self._closing[0] <= now_ms:
            heappop(self._closing)

    def _awake(self, at_ms: int) -> int:
        """Return the first time from *at_ms* on at which it works."""
        for begin, end in self.stopped:
            if begin <= at_ms < end:
                return end
        return at_ms
