# SPDX-License-Identifier: Apache-2.0
"""Counting signals and intents in their streams by pages, so that no stream is ever held in memory."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from router.core.entry_id import order
from router.core.signal import RejectCode, Rejected, Signal, flag, parse
from router.proof.evidence import Pace

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

    from router.config import Settings

Fields = dict[bytes, bytes]

#: Entries that one reply may hold.
PAGE: Final = 1000
#: Counts that a pace has at most; a longer time has longer steps.
PACE_MAX: Final = 600
_CODES: Final = frozenset(code.value for code in RejectCode)


class _Marks(msgspec.Struct):
    """What the count asks of an intent; a foreign router may write anything there."""

    reduce_only: Any = None
    release: Any = None
    size_boost: Any = None


class Pages:
    """The entries of a stream from *since_ms* (Redis' clock, included) on; remembers where it stands."""

    def __init__(self, client: redis.Redis, stream: str, since_ms: int) -> None:
        self._client = client
        self._stream = stream
        self._start = str(max(0, since_ms))

    def until(self, until_ms: int) -> Iterator[tuple[str, Fields]]:
        """Yield what follows the last entry yielded, up to *until_ms* (included)."""
        page: list[Any] = [None] * PAGE
        while len(page) == PAGE:
            reply = self._client.xrange(self._stream, self._start, str(until_ms), count=PAGE)
            page = cast("list[tuple[bytes, Fields]]", reply)
            for raw_id, fields in page:
                entry_id = raw_id.decode()
                self._start = f"({entry_id}"
                yield entry_id, fields


class SignalTally:
    """Counts signals: *tradeable* ones, those *eligible* below the target, and the *confident* ones at the target.

    *seconds* has the tradeable ones of each second (of Redis' clock, since 1970).
    What came before *since_ms* counts only among the *invalid* ones, which no router takes, and the *offered* and
    *reduce_only* ones, each of which a router may publish once: tradeable, and reduce-only.
    """

    def __init__(self, pages: Pages, settings: Settings, since_ms: int = 0) -> None:
        self.tradeable = 0
        self.seconds: Counter[int] = Counter()
        self.eligible = 0
        self.confident = 0
        self.invalid = 0
        self.offered = 0
        self.reduce_only = 0
        self._pages = pages
        self._settings = settings
        self._since_ms = since_ms

    def advance(self, until_ms: int) -> None:
        """Count what came up to *until_ms* (included)."""
        for entry_id, fields in self._pages.until(until_ms):
            signal = parse(entry_id, fields)
            self.invalid += isinstance(signal, Rejected)
            if not isinstance(signal, Signal):
                continue
            if signal.reduce_only:
                self.reduce_only += 1
                continue
            self.offered += 1
            at_ms = order(entry_id)[0]
            if at_ms >= self._since_ms:
                self.tradeable += 1
                self.seconds[at_ms // 1000] += 1
                self.eligible += signal.confidence >= self._settings.min_confidence
                self.confident += signal.confidence >= self._settings.super_confidence


class IntentTally:
    """Counts intents that are not reduce-only; *times_ms* are those of the ones that name no other release.

    *seconds* has all of them of each second (of Redis' clock, since 1970).
    *boosted* counts those of them with a boosted size, *foreign* the others. An intent without a release counts as
    *release*'s own, so that leaving it out hides nothing. *reduce_only* counts those that are, whatever they name.
    """

    def __init__(self, pages: Pages, release: str | None = None) -> None:
        self.count = 0
        self.seconds: Counter[int] = Counter()
        self.times_ms: list[int] = []
        self.boosted = 0
        self.foreign = 0
        self.reduce_only = 0
        self._pages = pages
        self._release = release

    def advance(self, until_ms: int) -> None:
        """Count what came up to *until_ms* (included)."""
        for entry_id, fields in self._pages.until(until_ms):
            try:
                marks = msgspec.json.decode(fields.get(b"data", b"{}"), type=_Marks)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                marks = _Marks()
            if flag(marks.reduce_only):
                self.reduce_only += 1
                continue
            at_ms = order(entry_id)[0]
            self.count += 1
            self.seconds[at_ms // 1000] += 1
            named = marks.release if isinstance(marks.release, str) else ""
            if named in {"", self._release}:
                self.times_ms.append(at_ms)
                self.boosted += isinstance(marks.size_boost, (int, float)) and marks.size_boost > 1
            else:
                self.foreign += 1


class RejectTally:
    """Counts what the stream of rejects got, by reason code; a code that no router of ours has counts as `other`."""

    def __init__(self, pages: Pages) -> None:
        self.codes: Counter[str] = Counter()
        self._pages = pages

    def advance(self, until_ms: int) -> None:
        """Count what came up to *until_ms* (included)."""
        for _entry_id, fields in self._pages.until(until_ms):
            code = fields.get(b"code", b"").decode("ascii", "replace")
            self.codes[code if code in _CODES else "other"] += 1


def pace(signals: Counter[int], intents: Counter[int], since_ms: int, until_ms: int) -> Pace:
    """Return the counts of each second between two times as a pace: every one of them, in as many steps as it has."""
    first = since_ms // 1000
    seconds = max(1, until_ms // 1000 - first + 1)
    step_s = -(-seconds // PACE_MAX)
    steps = -(-seconds // step_s)

    def stepped(counts: Counter[int]) -> list[int]:
        folded = [0] * steps
        for second, count in counts.items():
            # The host's clock may have moved against Redis' meanwhile, and the ends with it.
            folded[min(max(0, second - first) // step_s, steps - 1)] += count
        return folded

    return Pace(step_s, stepped(signals), stepped(intents))
