# SPDX-License-Identifier: Apache-2.0
"""Everything read since the last commit: counted outcomes, rejects, and the open window's candidates.

Each entry passes `take` once and is counted in exactly one outcome. Candidates get theirs when the window is decided.
"""

from __future__ import annotations

import enum
from collections import Counter
from typing import TYPE_CHECKING, Final

from router.core.entry_id import age_ms
from router.core.policy import rank_key
from router.core.signal import Ignored, RejectCode, Rejected, Signal, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from router.config import Settings

#: Symbols that one window keeps; the worst beyond are dropped as not chosen (design: policy 4).
MAX_SYMBOLS: Final = 1024
#: Signals of one symbol that are kept, in case the best of them turn out to be published already.
MAX_PER_SYMBOL: Final = 32
#: Candidates above which those that cannot matter are dropped before the window closes.
PRUNE_ABOVE: Final = 4096
#: Rejects that make a commit due (design: policy 9), and that are kept for it: one read may bring as many again.
REJECTS_DUE: Final = 1000
MAX_REJECTS: Final = 2 * REJECTS_DUE


class Outcome(str, enum.Enum):
    """What became of a signal entry; every entry gets exactly one."""

    PUBLISHED = "published"
    NOT_CHOSEN = "not_chosen"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"
    IGNORED = "ignored"
    STALE = "stale"
    HALTED = "halted"


class Window:
    """The state between two commits. *cursor* is the entry up to which it holds what was read."""

    def __init__(self, cursor: str, settings: Settings) -> None:
        self.cursor = cursor
        #: Local time at which the first candidate came, None while the window is not open.
        self.opened_s: float | None = None
        self.outcomes: Counter[Outcome] = Counter()
        self.rejects: list[Rejected] = []
        #: The best signal of each dedup id.
        self.candidates: dict[str, Signal] = {}
        #: Entries behind the cursor that an older router left pending; the commit acknowledges them.
        self.adopted: list[str] = []
        #: Number of entries that the cursor passed.
        self.passed = 0
        self._prune_above = PRUNE_ABOVE
        self._settings = settings

    def take(self, entry_id: str, fields: Mapping[bytes, bytes], now_ms: int, now_s: float) -> Signal | None:
        """Take the next entry, at Redis time *now_ms* and local time *now_s*, and move the cursor to it.

        Returns the signal when it is reduce-only: the caller publishes it at once and counts it with `count`.
        """
        self.cursor = entry_id
        self.passed += 1
        return self._sort(entry_id, fields, now_ms, now_s)

    def adopt(self, entry_id: str, fields: Mapping[bytes, bytes] | None, now_ms: int, now_s: float) -> Signal | None:
        """Take an entry that an older router left pending; like `take`, but the cursor is past it already.

        *fields* is None when the stream no longer holds the entry: it is acknowledged and has no outcome.
        """
        self.adopted.append(entry_id)
        return None if fields is None else self._sort(entry_id, fields, now_ms, now_s)

    def count(self, outcome: Outcome, n: int = 1) -> None:
        """Count *n* entries under *outcome*."""
        if n:
            self.outcomes[outcome] += n

    def drop(self, dedup_ids: Iterable[str], outcome: Outcome) -> None:
        """Take the candidates with *dedup_ids* out of the ranking and count them under *outcome*."""
        for dedup_id in dedup_ids:
            del self.candidates[dedup_id]
            self.count(outcome)

    def close(self) -> None:
        """Drop what cannot matter: the worst symbols above 1,024, and of each symbol all but its best 32 signals."""
        kept: Counter[str] = Counter()
        worse = []
        for signal in sorted(self.candidates.values(), key=rank_key):
            crowded_out = len(kept) >= MAX_SYMBOLS and signal.symbol not in kept
            if crowded_out or kept[signal.symbol] >= MAX_PER_SYMBOL:
                worse.append(signal.dedup_id)
            else:
                kept[signal.symbol] += 1
        self.drop(worse, Outcome.NOT_CHOSEN)

    def _sort(self, entry_id: str, fields: Mapping[bytes, bytes], now_ms: int, now_s: float) -> Signal | None:
        max_age_ms = self._settings.max_age_s * 1000
        age = age_ms(entry_id, now_ms)
        if age > max_age_ms:
            self.count(Outcome.STALE)
            return None
        if age < -max_age_ms:
            self._reject(Rejected(entry_id, RejectCode.CLOCK, f"entry id is {-age} ms ahead of Redis' clock"))
            return None
        signal = parse(entry_id, fields)
        if isinstance(signal, Rejected):
            self._reject(signal)
        elif isinstance(signal, Ignored):
            self.count(Outcome.IGNORED)
        elif signal.reduce_only:
            return signal
        elif signal.confidence < self._settings.min_confidence:
            self.count(Outcome.NOT_CHOSEN)
        else:
            self._keep(signal, now_ms, now_s)
        return None

    def _reject(self, rejected: Rejected) -> None:
        self.count(Outcome.REJECTED)
        if len(self.rejects) < MAX_REJECTS:
            self.rejects.append(rejected)

    def _keep(self, signal: Signal, now_ms: int, now_s: float) -> None:
        """Keep the best signal of an id; one that will be stale when the window closes only for want of another."""
        if self.opened_s is None:
            self.opened_s = now_s
        known = self.candidates.get(signal.dedup_id)
        if known is not None:
            self.count(Outcome.DUPLICATE)
            closes_ms = now_ms + int((self.opened_s + self._settings.window_s - now_s) * 1000)
            if self._worth(known, closes_ms) < self._worth(signal, closes_ms):
                return
        self.candidates[signal.dedup_id] = signal
        if len(self.candidates) > self._prune_above:
            self.close()
            self._prune_above = max(PRUNE_ABOVE, 2 * len(self.candidates))

    def _worth(self, signal: Signal, closes_ms: int) -> tuple[bool, tuple[float, float, tuple[int, int]]]:
        """Sort key, best first."""
        return age_ms(signal.entry_id, closes_ms) > self._settings.max_age_s * 1000, rank_key(signal)
