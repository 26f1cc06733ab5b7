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
    from collections.abc import Mapping

    from router.config import Settings

#: Symbols that one window keeps; the worst beyond are dropped as not chosen (design: policy 4).
MAX_SYMBOLS: Final = 1024
#: Rejects that one commit writes; more are counted, but not kept (design: policy 9 commits every 1,000).
MAX_REJECTS: Final = 1000


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
        self.opened_s: float | None = None
        self.outcomes: Counter[Outcome] = Counter()
        self.rejects: list[Rejected] = []
        self.candidates: dict[str, Signal] = {}
        self.symbols_dropped = 0
        self._symbols: dict[str, set[str]] = {}
        self._settings = settings

    @property
    def entries(self) -> int:
        """Number of entries dealt with or kept as candidates."""
        return self.outcomes.total() + len(self.candidates)

    def take(self, entry_id: str, fields: Mapping[bytes, bytes], now_ms: int, now_s: float) -> Signal | None:
        """Take the next entry, at Redis time *now_ms* and local time *now_s*, and move the cursor to it.

        Returns the signal when it is reduce-only: the caller publishes it at once and counts it with `count`.
        """
        self.cursor = entry_id
        return self._sort(entry_id, fields, now_ms, now_s)

    def take_adopted(self, entry_id: str, fields: Mapping[bytes, bytes], now_ms: int, now_s: float) -> Signal | None:
        """Take an entry behind the cursor that an older router left pending; the cursor stays."""
        return self._sort(entry_id, fields, now_ms, now_s)

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
            self._keep(signal, now_s)
        return None

    def count(self, outcome: Outcome, n: int = 1) -> None:
        """Count *n* entries under *outcome*."""
        if n:
            self.outcomes[outcome] += n

    def drop(self, dedup_ids: set[str], outcome: Outcome) -> None:
        """Take the candidates with *dedup_ids* out of the ranking and count them under *outcome*."""
        for dedup_id in dedup_ids:
            signal = self.candidates.pop(dedup_id)
            self._forget_symbol(signal)
            self.count(outcome)

    def _reject(self, rejected: Rejected) -> None:
        self.count(Outcome.REJECTED)
        if len(self.rejects) < MAX_REJECTS:
            self.rejects.append(rejected)

    def _keep(self, signal: Signal, now_s: float) -> None:
        """Keep the best signal per dedup id, of at most 1,024 symbols."""
        if self.opened_s is None:
            self.opened_s = now_s
        known = self.candidates.get(signal.dedup_id)
        if known is not None:
            self.count(Outcome.DUPLICATE)
            if rank_key(known) < rank_key(signal):
                return
            self._forget_symbol(known)
        self.candidates[signal.dedup_id] = signal
        self._symbols.setdefault(signal.symbol, set()).add(signal.dedup_id)
        if len(self._symbols) > MAX_SYMBOLS:
            self._drop_worst_symbol()

    def _forget_symbol(self, signal: Signal) -> None:
        ids = self._symbols[signal.symbol]
        ids.discard(signal.dedup_id)
        if not ids:
            del self._symbols[signal.symbol]

    def _drop_worst_symbol(self) -> None:
        worst = max(self._symbols, key=lambda symbol: min(rank_key(self.candidates[i]) for i in self._symbols[symbol]))
        self.symbols_dropped += 1
        self.drop(set(self._symbols[worst]), Outcome.NOT_CHOSEN)
