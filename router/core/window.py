# SPDX-License-Identifier: Apache-2.0
"""Everything read since the last commit: counted outcomes, rejects, and the open window's candidates.

Each entry passes `take` once and gets exactly one outcome. Candidates get theirs when the window is decided.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections import Counter
from typing import TYPE_CHECKING, Final

from router.core.entry_id import age_ms
from router.core.outcome import Outcome, Reason
from router.core.policy import Rank, rank_key
from router.core.sieve import Sieve
from router.core.signal import Ignored, RejectCode, Rejected, Signal, parse, signal_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from router.config import Settings

#: Symbols that one window keeps; the worst beyond are dropped as not chosen (design: policy 4).
MAX_SYMBOLS: Final = 1024
#: Signals of one symbol that are kept, in case the best of them turn out to be published already.
MAX_PER_SYMBOL: Final = 32
#: Rejects that make a commit due (design: policy 9), and that are kept for it: one read may bring as many again.
REJECTS_DUE: Final = 1000
MAX_REJECTS: Final = 2 * REJECTS_DUE
#: Decisions that one commit lists for the audit; more are counted.
MAX_DECISIONS: Final = 10_000

_HOLD: Final = frozenset({"hold", "HOLD"})

#: An entry as Redis sends it: id, and names and values of its fields in turn.
Entry = tuple[bytes, list[bytes]]


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
        #: Number of entries that the cursor passed, and of those whose id lies too far in the future.
        self.passed = self.from_future = 0
        #: For the audit, the reason (and a rejection's code) of each entry that has its outcome; None without an audit.
        self.decisions: list[tuple[str, str]] | None = [] if settings.audit_max else None
        #: Decisions beyond those that are listed.
        self.unlisted = 0
        #: The candidates of each symbol, best first; where no more are kept the worst is the floor in the sieve.
        self._rankings: dict[str, list[tuple[Rank, Signal]]] = {}
        self._sieve = Sieve(settings.min_confidence)
        self._settings = settings

    def take(self, entries: Sequence[Entry], now_ms: int, now_s: float) -> list[Signal]:
        """Take the next *entries*, at Redis time *now_ms* and local time *now_s*, and move the cursor to the last.

        Returns the reduce-only signals among them: the caller publishes these at once and settles them.
        """
        if not entries:
            return []
        self.cursor = entries[-1][0].decode()
        self.passed += len(entries)
        # Ids ascend, so when the ends are neither stale nor from the future none is.
        oldest, newest, max_age_ms = entries[0][0].decode(), self.cursor, self._settings.max_age_s * 1000
        all_fresh = age_ms(oldest, now_ms) <= max_age_ms and age_ms(newest, now_ms) >= -max_age_ms
        if all_fresh and self.decisions is None:
            return self._take_quickly(entries, now_ms, now_s)
        sorted_out = (self._sort(entry_id.decode(), flat, now_ms, now_s) for entry_id, flat in entries)
        return [signal for signal in sorted_out if signal is not None]

    def adopt(self, entry_id: str, flat: list[bytes] | None, now_ms: int, now_s: float) -> Signal | None:
        """Take an entry that an older router left pending; like `take`, but the cursor is past it already.

        *flat* is None when the stream no longer holds the entry: it is acknowledged and has no outcome.
        """
        self.adopted.append(entry_id)
        return None if flat is None else self._sort(entry_id, flat, now_ms, now_s)

    def settle(self, entry_id: str, reason: Reason, code: str = "") -> None:
        """Give an entry its outcome: count it, and note *reason* (with the *code* of a rejection) for the audit.

        What is published is listed by the very commit that publishes it.
        """
        self.outcomes[reason.outcome] += 1
        if self.decisions is None or reason is Reason.PUBLISHED:
            return
        if len(self.decisions) < MAX_DECISIONS:
            self.decisions.append((entry_id, f"{reason.value}:{code}" if code else reason.value))
        else:
            self.unlisted += 1

    def ranked(self) -> Iterator[Signal]:
        """Yield the candidates best first; the first few cost little, however many there are."""
        return (signal for _, signal in heapq.merge(*self._rankings.values()))

    def drop(self, dedup_ids: Iterable[str], reason: Reason) -> None:
        """Take the candidates with *dedup_ids* out of the ranking, for *reason*."""
        for dedup_id in dedup_ids:
            signal = self.candidates.pop(dedup_id)
            ranking = self._rankings[signal.symbol]
            del ranking[bisect_left(ranking, (rank_key(signal), signal))]
            self._sieve.drop_floor(signal.symbol)
            self.settle(signal.entry_id, reason)

    def expire(self, now_ms: int) -> None:
        """Take the candidates that are too old at Redis time *now_ms* out of the ranking."""
        max_age_ms = self._settings.max_age_s * 1000
        old = [s.dedup_id for s in self.candidates.values() if age_ms(s.entry_id, now_ms) > max_age_ms]
        self.drop(old, Reason.STALE_AT_COMMIT)

    def drop_worst_symbols(self) -> None:
        """Drop all symbols but the best 1,024: when the window is decided, or when it holds more than twice those."""
        by_best = sorted((ranking[0], symbol) for symbol, ranking in self._rankings.items() if ranking)
        for _, symbol in by_best[MAX_SYMBOLS:]:
            self.drop([signal.dedup_id for _, signal in self._rankings[symbol]], Reason.CROWDED_OUT)
        self._rankings = {symbol: self._rankings[symbol] for _, symbol in by_best[:MAX_SYMBOLS]}

    def _take_quickly(self, entries: Sequence[Entry], now_ms: int, now_s: float) -> list[Signal]:
        """Sort entries that are neither stale nor audited; most are not good enough, and those cost least."""
        through, passed_over = self._sieve.sift(entries)
        if passed_over:
            self.outcomes[Outcome.NOT_CHOSEN] += passed_over
        reduce_only = []
        for entry_id, flat, attributes in through:
            if attributes is None or attributes.reduce_only or attributes.side in _HOLD:
                if (signal := self._sort(entry_id.decode(), flat, now_ms, now_s)) is not None:
                    reduce_only.append(signal)
            else:
                self._consider(signal_of(entry_id.decode(), attributes), now_ms, now_s)
        return reduce_only

    def _sort(self, entry_id: str, flat: list[bytes], now_ms: int, now_s: float) -> Signal | None:
        max_age_ms = self._settings.max_age_s * 1000
        age = age_ms(entry_id, now_ms)
        if age > max_age_ms:
            self.settle(entry_id, Reason.STALE)
            return None
        if age < -max_age_ms:
            self.from_future += 1
            self._reject(Rejected(entry_id, RejectCode.CLOCK, f"entry id is {-age} ms ahead of Redis' clock"))
            return None
        signal = parse(entry_id, dict(zip(flat[::2], flat[1::2], strict=True)))
        if isinstance(signal, Rejected):
            self._reject(signal)
        elif isinstance(signal, Ignored):
            self.settle(entry_id, Reason.HOLD)
        elif signal.reduce_only:
            return signal
        elif signal.confidence < self._settings.min_confidence:
            self.settle(entry_id, Reason.LOW_CONFIDENCE)
        else:
            self._consider(signal, now_ms, now_s)
        return None

    def _reject(self, rejected: Rejected) -> None:
        self.settle(rejected.entry_id, Reason.REJECTED, rejected.code.value)
        if len(self.rejects) < MAX_REJECTS:
            self.rejects.append(rejected)

    def _consider(self, signal: Signal, now_ms: int, now_s: float) -> None:
        """Keep the best 32 of a symbol, and the best of an id; one soon to be stale only for want of another."""
        if self.opened_s is None:
            self.opened_s = now_s
        rank = rank_key(signal)
        if -rank[0] < self._sieve.floors.get(signal.symbol, 0.0):
            self.settle(signal.entry_id, Reason.CROWDED_OUT)
            return
        known = self.candidates.get(signal.dedup_id)
        if known is not None:
            closes_ms = now_ms + int((self.opened_s + self._settings.window_s - now_s) * 1000)
            if self._worth(known, closes_ms) < self._worth(signal, closes_ms):
                self.settle(signal.entry_id, Reason.ID_IN_WINDOW)
                return
            self.drop([known.dedup_id], Reason.ID_IN_WINDOW)
        self._keep(signal, rank)

    def _keep(self, signal: Signal, rank: Rank) -> None:
        self.candidates[signal.dedup_id] = signal
        ranking = self._rankings.setdefault(signal.symbol, [])
        insort(ranking, (rank, signal))
        if len(ranking) > MAX_PER_SYMBOL:
            worst = ranking.pop()[1]
            del self.candidates[worst.dedup_id]
            self.settle(worst.entry_id, Reason.CROWDED_OUT)
        if len(ranking) == MAX_PER_SYMBOL:
            self._sieve.raise_floor(signal.symbol, -ranking[-1][0][0])
        if len(self._rankings) > 2 * MAX_SYMBOLS:
            self.drop_worst_symbols()

    def _worth(self, signal: Signal, closes_ms: int) -> tuple[bool, Rank]:
        """Sort key, best first."""
        return age_ms(signal.entry_id, closes_ms) > self._settings.max_age_s * 1000, rank_key(signal)
