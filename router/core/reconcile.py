# SPDX-License-Identifier: Apache-2.0
"""Comparing what came in with what was decided and what went out: signals, audit and intents of a range of signals.

The order is audit, then signals, then intents, each oldest first. What is kept in between are the decisions of the
range and the signals that were published. Pure: whoever reads the streams feeds it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from router.core.entry_id import order
from router.core.intent import chosen_intent, reduce_only_intent
from router.core.outcome import Reason
from router.core.policy import Choice
from router.core.signal import Ignored, Rejected, Signal, parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    Fields = Mapping[bytes, bytes]

#: Differences that are described; more are only counted.
MAX_DESCRIBED: Final = 1000
#: Characters of one value in such a description.
MAX_SHOWN: Final = 300
#: What a reduce-only signal can have become: it skips quality gate, capacity and ranking (design: policy 8).
_OF_REDUCE_ONLY: Final = {Reason.PUBLISHED, Reason.ID_PUBLISHED, Reason.ID_IN_WINDOW, Reason.HALTED}
_STALE: Final = {Reason.STALE.value, Reason.STALE_AT_COMMIT.value}
_CLOCK: Final = f"{Reason.REJECTED.value}:clock"

_Decisions = msgspec.json.Decoder(list[tuple[str, str]])


@dataclass(frozen=True)
class Bounds:
    """The range *since* to *until* of signal entries (included), and how far the streams reach.

    *cursor* and *pending* say what has not been decided yet; *first_signal* and *first_intent* are the oldest entries
    that trimming has left, None where nothing was trimmed.
    """

    since: str
    until: str
    cursor: str
    pending: frozenset[str] = frozenset()
    first_signal: str | None = None
    first_intent: str | None = None
    cap_usd: float | None = None

    def holds(self, entry_id: str) -> bool:
        """Whether *entry_id* is in the range."""
        return order(self.since) <= order(entry_id) <= order(self.until)

    def is_decided(self, entry_id: str) -> bool:
        """Whether the cursor is past *entry_id* and no older router has left it."""
        return order(entry_id) <= order(self.cursor) and entry_id not in self.pending


class Counts(msgspec.Struct):
    """What was compared, and below what could not be, and why."""

    signals: int = 0
    decisions: int = 0
    published: int = 0
    intents: int = 0
    not_yet_decided: int = 0
    before_the_audit: int = 0
    not_listed: int = 0
    signals_trimmed: int = 0
    intents_trimmed: int = 0
    read_again_as_stale: int = 0


#: Of an intent what neither signal nor policy decides.
_OF_THE_MOMENT: Final = {"timestamp", "release"}
_decode_intent = msgspec.json.Decoder(dict[str, Any]).decode


class Comparison:
    """Feed `audit`, `signal` and `intent`, in this order, then call `finish`; *differences* are lines for people."""

    def __init__(self, bounds: Bounds) -> None:
        self.counts = Counts()
        self.differences: list[str] = []
        self.different = 0
        self._bounds = bounds
        #: Where the oldest audit entry that is left begins; what lies before may have been audited and trimmed.
        self._audited_from: str | None = None
        self._decisions: dict[str, str] = {}
        #: Audit entry of the commit that published, by signal entry.
        self._committed: dict[str, str] = {}
        #: Audit entry of the oldest intent left, and how many intents its commit had published before it.
        self._first_left: tuple[tuple[int, int], int] | None = None
        #: How many intents each commit published, and the rank met last; a window publishes ranks 1 to n in turn.
        self._sizes: dict[str, int] = {}
        self._last_ranks: dict[str, int] = {}
        #: Stretches of the cursor, start excluded, whose entries are counted and not (all) listed.
        self._unlisted: deque[tuple[tuple[int, int], tuple[int, int]]] = deque()
        self._published: dict[str, Signal | None] = {}

    @property
    def compared(self) -> bool:
        """Whether there was anything to compare, or really nothing in the range."""
        c = self.counts
        missing = c.before_the_audit + c.signals_trimmed
        return self._audited_from is not None and (c.signals > c.before_the_audit or not missing)

    def audit(self, audit_id: str, fields: Fields) -> None:
        """Take the next entry of the audit stream."""
        if b"decisions" not in fields:
            return  # a halt or a resume
        try:
            start, end = fields[b"from"].decode(), fields[b"to"].decode()
            stretch = order(start), order(end)
            decisions = _Decisions.decode(fields[b"decisions"])
            unlisted = int(fields[b"unlisted"])
            for entry_id, _ in decisions:
                order(entry_id)
        except (KeyError, ValueError, msgspec.DecodeError, UnicodeDecodeError):
            self._differs(f"audit entry {audit_id} cannot be read")
            return
        self._audited_from = self._audited_from or start
        if unlisted:
            self._unlisted.append(stretch)
        self._sizes[audit_id] = sum(reason == Reason.PUBLISHED.value for _, reason in decisions)
        for entry_id, reason in decisions:
            if self._bounds.holds(entry_id):
                self._decided(entry_id, reason, audit_id)

    def _decided(self, entry_id: str, reason: str, audit_id: str) -> None:
        self.counts.decisions += 1
        before = self._decisions.get(entry_id)
        if before is None:
            self._decisions[entry_id] = reason
            if reason == Reason.PUBLISHED.value:
                self._committed[entry_id] = audit_id
        elif before == Reason.PUBLISHED.value and reason in _STALE:
            self.counts.read_again_as_stale += 1  # reduce-only, and the process died before the cursor had followed
        else:
            self._differs(f"signal {entry_id} is decided twice: {before}, {reason}")

    def signal(self, entry_id: str, fields: Fields) -> None:
        """Take the next entry of the signal stream in the range."""
        self.counts.signals += 1
        reason = self._decisions.pop(entry_id, None)
        if reason is None:
            self._undecided(entry_id)
            return
        parsed = parse(entry_id, fields)
        if not _fits(parsed, reason):
            self._differs(f"signal {entry_id} is {_kind(parsed)}, and was decided as {reason!r}")
        elif reason == Reason.PUBLISHED.value and isinstance(parsed, Signal):
            self._published[entry_id] = parsed

    def _undecided(self, entry_id: str) -> None:
        place = order(entry_id)
        while self._unlisted and self._unlisted[0][1] < place:  # signals and stretches both ascend
            self._unlisted.popleft()
        if self._unlisted and self._unlisted[0][0] < place:
            self.counts.not_listed += 1
        elif not self._bounds.is_decided(entry_id):
            self.counts.not_yet_decided += 1
        elif self._audited_from is None or place <= order(self._audited_from):
            self.counts.before_the_audit += 1
        else:
            self._differs(f"signal {entry_id} has no decision")

    def intent(self, intent_id: str, fields: Fields) -> None:
        """Take the next intent that may belong to a signal of the range."""
        self._close_signals()
        try:
            intent = _decode_intent(fields.get(b"data", b""))
            signal_id = str(intent.get("signal_id"))
            inside = self._bounds.holds(signal_id)
        except (ValueError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            if self._bounds.holds(intent_id):
                self._differs(f"intent {intent_id} names no signal")
            return
        if not inside:
            return
        self.counts.intents += 1
        if signal_id in self._published:
            if intent_id == self._bounds.first_intent:
                self._first_left = order(self._committed[signal_id]), _published_before(intent_id, intent)
            if (signal := self._published.pop(signal_id)) is not None:
                self._compare(intent_id, signal, intent)
            self._committed.pop(signal_id)
            self.counts.published += 1
        elif not self._excused(signal_id):
            self._differs(f"intent {intent_id} has no decision to publish signal {signal_id}, or is its second")

    def _compare(self, intent_id: str, signal: Signal, intent: dict[str, Any]) -> None:
        lines = _contents(signal, intent, self._bounds.cap_usd)
        if not lines and not signal.reduce_only:
            commit, rank = self._committed[signal.entry_id], intent["rank"]
            last, size = self._last_ranks.get(commit, 0), self._sizes[commit]
            if not last < rank <= size:
                lines = [f"rank {rank} comes after rank {last}, of {size} in its window"]
            self._last_ranks[commit] = rank
        for line in lines:
            self._differs(f"intent {intent_id} of signal {signal.entry_id}: {line}")

    def _excused(self, signal_id: str) -> bool:
        """Whether an intent may lack a decision: it came after the audit was read, or before the oldest one left."""
        before = self._audited_from is None or order(signal_id) <= order(self._audited_from)
        return not self._bounds.is_decided(signal_id) or before

    def finish(self) -> None:
        """Say what is left over: decisions without a signal, publications without an intent."""
        self._close_signals()
        # An audit entry may be a millisecond younger than the intents of its commit (Redis 7.0), so its time tells less
        # than whose it is; where that is not known, of the first intent's millisecond as many are gone as it counts.
        first, gone = (0, 0), 0
        if self._bounds.first_intent is not None:
            ms, sequence = order(self._bounds.first_intent)
            first, gone = self._first_left or ((ms, 0), sequence)
        for signal_id in self._published:
            committed = order(self._committed[signal_id])
            same = gone > 0 and (committed == first if self._first_left else committed[0] == first[0])
            if same or committed < first:
                gone -= same
                self.counts.intents_trimmed += 1
            else:
                self._differs(f"signal {signal_id} was decided as published, and there is no intent")

    def _close_signals(self) -> None:
        """Deal with decisions whose signal was not there, once all signals were taken."""
        first = self._bounds.first_signal
        for entry_id, reason in self._decisions.items():
            if first is None or order(entry_id) >= order(first):
                self._differs(f"signal {entry_id} was decided as {reason!r}, and is not in the stream")
                continue
            self.counts.signals_trimmed += 1
            if reason == Reason.PUBLISHED.value:
                self._published[entry_id] = None
        self._decisions = {}

    def _differs(self, line: str) -> None:
        self.different += 1
        if len(self.differences) < MAX_DESCRIBED:
            self.differences.append(line)


def _fits(parsed: Signal | Rejected | Ignored, reason: str) -> bool:
    """Whether an entry that reads as *parsed* can have been decided so; age and clock are looked at first."""
    if reason in _STALE or reason == _CLOCK:
        return True
    if isinstance(parsed, Rejected):
        return reason == f"{Reason.REJECTED.value}:{parsed.code.value}"
    if isinstance(parsed, Ignored):
        return reason == Reason.HOLD.value
    others = {each.value for each in Reason} - {Reason.REJECTED.value, Reason.HOLD.value}
    return reason in (others if not parsed.reduce_only else {each.value for each in _OF_REDUCE_ONLY})


def _kind(parsed: Signal | Rejected | Ignored) -> str:
    if isinstance(parsed, Rejected):
        return f"invalid ({parsed.code.value})"
    if isinstance(parsed, Ignored):
        return "a hold"
    return "reduce-only" if parsed.reduce_only else "valid"


def _contents(signal: Signal, intent: dict[str, Any], cap_usd: float | None) -> list[str]:
    """Return what of *intent* is not as the router makes it of *signal* at the rank that *intent* says."""
    rank = intent.get("rank")
    if signal.reduce_only:
        text = reduce_only_intent(signal, 0, "")
    elif type(rank) is int and rank > 0:
        text = chosen_intent(Choice(signal, rank), 0, "", cap_usd)
    else:
        return [f"rank is {_shown(rank)}, not a whole number from 1"]
    wanted = _decode_intent(text)
    names = [name for name in {**wanted, **intent} if name not in _OF_THE_MOMENT]
    return [
        f"{name if name in wanted else _shown(name)} is {_shown(intent.get(name))}, not {_shown(wanted.get(name))}"
        for name in names
        if intent.get(name) != wanted.get(name)
    ]


def _published_before(intent_id: str, intent: dict[str, Any]) -> int:
    """Return how many intents the commit of *intent* had published before it: by rank, else by its sequence number."""
    rank = intent.get("rank")
    return rank - 1 if type(rank) is int else order(intent_id)[1]


def _shown(value: object) -> str:
    """Return *value* for a line; anybody may have written anything, of any length."""
    return repr(value)[:MAX_SHOWN]
