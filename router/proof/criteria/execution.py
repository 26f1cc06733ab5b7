# SPDX-License-Identifier: Apache-2.0
"""Criteria of what the intents do to execution: its trades a minute, and how far it is behind."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec

from router.proof import bounds
from router.proof.criteria.finding import TOO_EARLY, Finding, Status, Thresholds, confidence_now

if TYPE_CHECKING:
    from router.proof.evidence import Governor, Snapshot, Soaked

#: Part of the looks that must know the lag.
_KNOWN: Final = 2 / 3


def governor(before: Snapshot, after: Soaked, limits: Thresholds) -> Finding:
    """Execution opens no more trades a minute than before.

    Before is the time from the baseline to the first look, after the time from there to the last. They are compared as
    rates, by the exact bound that the reduction has too, so that a trade more or less proves nothing. Trades of one
    window come together and count as one. A market that brings more signals a minute may bring more trades by as much.
    Without an intent or a trade before there is no pace to compare with: the first look may come after the first trades
    that the release itself brought.
    """
    looks = [look for look in after.looks if look.error is None]
    seen = [before.governor, *(look.governor for look in looks)]
    if all(each.count is None and each.yesterday is None for each in seen):
        return Finding(Status.SKIPPED, "execution keeps no count of trades")
    if not looks:
        return Finding(Status.INCONCLUSIVE, "no look saw the count of trades")
    first, last = looks[0], looks[-1]
    earlier, later = trades(before.governor, first.governor), trades(first.governor, last.governor)
    earlier_ms, later_ms = first.at_ms - before.taken_at_ms, last.at_ms - first.at_ms
    numbers = {"before": [earlier, earlier_ms], "after": [later, later_ms]}
    confidence = confidence_now(after, limits)
    if confidence is None or earlier_ms <= 0 or later_ms <= 0:
        return msgspec.structs.replace(TOO_EARLY, numbers=numbers)
    if earlier is None or later is None:
        return Finding(Status.INCONCLUSIVE, "the count of trades vanished, or was set back", numbers)
    status, detail = _compared((earlier, earlier_ms), (later, later_ms), before, after, confidence)
    return Finding(status, detail, numbers)


def _compared(
    earlier: tuple[int, int], later: tuple[int, int], before: Snapshot, after: Soaked, confidence: float
) -> tuple[Status, str]:
    """Compare trades in so many ms before and after."""
    shown = " and ".join(f"{count} trades in {ms / 1000:.0f} s" for count, ms in (earlier, later))
    if later[0] and not (earlier[0] and before.intents):
        return Status.SKIPPED, f"{shown}: nothing to compare with"
    at_once, busier = max(1, after.settings.max_new_per_cycle), _busier(before, after)
    was = bounds.Rate(math.ceil(earlier[0] / at_once), earlier[1])
    now = bounds.Rate(later[0] // at_once, int(later[1] * busier))
    above = bounds.is_above(was, now, confidence)
    return Status.FAILED if above else Status.PASSED, f"{shown}, at {busier:.1f} times the signals a minute"


def trades(first: Governor, last: Governor) -> int | None:
    """Return the trades between two readings, summed over a midnight (UTC); None where that cannot be told.

    A count that is not there yet is one of no trade, since counting is what makes it.
    """
    if first.day is None or last.day is None:
        return None
    if first.day == last.day:
        began, ended, since_midnight = first.count, last.count, 0
    elif first.day + 1 == last.day:
        began, ended, since_midnight = first.count, last.yesterday, last.count or 0
    else:
        return None
    if ended is None:
        return since_midnight if began is None else None
    return None if ended < (began or 0) else ended - (began or 0) + since_midnight


def _busier(before: Snapshot, after: Soaked) -> float:
    """Return by which factor signals come more often than before; 1 where they do not, or it cannot be told."""
    if not before.signals:
        return 1.0
    earlier, later = (each.signals / max(1.0, each.window_seconds) for each in (before, after))
    return max(1.0, later / earlier)


def execution_lag(before: Snapshot, after: Soaked, _limits: Thresholds) -> Finding:
    """The intents that execution has not been given yet do not become more and more.

    The lag goes up with each window and down as execution works, so one look says nothing. Growing is: even the lowest
    lag of the last third of the looks lies above the highest of the first third, by more than one window may add.
    """
    looks = [look for look in after.looks if look.error is None]
    if before.execution.pending is None and all(look.execution.pending is None for look in looks):
        return Finding(Status.SKIPPED, "no group of execution reads the intents")
    known = [lag for look in looks if (lag := look.execution.lag) is not None]
    numbers = {"looks": len(looks), "known": len(known), "before": before.execution.lag}
    if not after.error_share:
        return msgspec.structs.replace(TOO_EARLY, numbers=numbers)
    third = len(known) // 3
    if not third or len(known) < _KNOWN * len(looks) or looks[-1].execution.lag is None:
        return Finding(Status.INCONCLUSIVE, f"Redis knew the lag at {len(known)} of {len(looks)} looks", numbers)
    highest, lowest = max(known[:third]), min(known[-third:])
    numbers |= {"highest_at_first": highest, "lowest_at_last": lowest, "last": known[-1]}
    if lowest > highest + after.settings.max_new_per_cycle:
        return Finding(Status.FAILED, f"at most {highest} at first, at least {lowest} at last", numbers)
    return Finding(Status.PASSED, f"at most {highest} at first, down to {lowest} at last, now {known[-1]}", numbers)
