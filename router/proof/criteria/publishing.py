# SPDX-License-Identifier: Apache-2.0
"""Criteria of what a release publishes: fewer intents, not none, not too many at once, and the best ones."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import msgspec

from router.core.policy import TradingState
from router.proof import bounds
from router.proof.criteria.finding import TOO_EARLY, Finding, Status, Thresholds, confidence_now, not_active

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.proof.evidence import Look, Policy, Snapshot, Soaked


def reduction(before: Snapshot, after: Soaked, limits: Thresholds) -> Finding:
    """Intents per signal fell by enough, and by enough beyond chance. Only a publish-everything baseline tells."""
    numbers: dict[str, Any] = {
        "before": [before.intents, before.signals],
        "after": [after.intents, after.signals],
    }
    if after.trading_state is not TradingState.ACTIVE:
        return Finding(Status.INCONCLUSIVE, not_active(after), numbers)
    if before.signals and before.intents / before.signals < limits.publish_everything:
        ratio = before.intents / before.signals
        return Finding(Status.SKIPPED, f"the baseline was selective already: {ratio:.2f} intents per signal", numbers)
    confidence = confidence_now(after, limits)
    if confidence is None:
        return msgspec.structs.replace(TOO_EARLY, numbers=numbers)
    return _measured(before, after, limits, confidence, numbers)


def _measured(
    before: Snapshot, after: Soaked, limits: Thresholds, confidence: float, numbers: dict[str, Any]
) -> Finding:
    found = bounds.reduction(
        bounds.Rate(before.intents, before.signals), bounds.Rate(after.intents, after.signals), confidence
    )
    if found is None:
        side = "before" if not before.signals else "since the activation"
        return Finding(Status.INCONCLUSIVE, f"no signals {side}: not measured", numbers)
    numbers |= {**found._asdict(), "confidence": confidence}
    shown = f"{found.estimate:.1%}, {found.lower:.1%} to {found.upper:.1%} at {confidence:.2%} each way"
    if found.upper < limits.reduction_min:
        return Finding(Status.FAILED, f"{shown}: below {limits.reduction_min:.0%}", numbers)
    if found.estimate >= limits.reduction_min and found.lower >= limits.reduction_proven:
        return Finding(Status.PASSED, shown, numbers)
    return Finding(Status.INCONCLUSIVE, f"{shown}: too few to tell", numbers)


#: What the router logs when the approval gate or the limit per hour kept signals from being published.
_HOLDS_BACK: Final = ("APPROVAL_DENIED", "LIMIT_REACHED")


#: Windows in which a router that has published may miss every signal before it counts as silent: those that came in
#: one or two may all have been known already.
_SILENT_WINDOWS: Final = 3


def not_silent(_before: Snapshot, after: Soaked, limits: Thresholds) -> Finding:
    """Intents appeared and went on appearing, or else nothing that had to be published came in.

    Signals count against a silent router when every look from the one before them until their window was surely over
    had room for them. What the desk's own gate or limits held back proves nothing, either way.
    """
    if after.trading_state is not TradingState.ACTIVE:
        return Finding(Status.INCONCLUSIVE, not_active(after))
    met = _signals_that_met_free_slots(after.looks, after.settings, limits.decision_margin_s)
    missed = sum(met.values())
    numbers = {"intents": len(after.intents_ms), "eligible_with_free_slots": missed}
    held_back = _held_back(after)
    if after.intents_ms:
        later = {at_ms: count for at_ms, count in met.items() if count and at_ms >= max(after.intents_ms)}
        span_ms = max(later) - min(later) if later else 0
        if span_ms >= _SILENT_WINDOWS * after.settings.window_s * 1000 and not held_back:
            told = f"nothing more published, while {sum(later.values())} eligible signals met free slots"
            return Finding(Status.FAILED, f"{told} for {span_ms / 1000:g} s", numbers)
        return Finding(Status.PASSED, f"{len(after.intents_ms)} intents published", numbers)
    if missed and held_back:
        told = ", ".join(f"{name} {n} times" for name, n in held_back.items())
        return Finding(Status.INCONCLUSIVE, f"nothing published: the router logged {told}", numbers | held_back)
    if missed:
        return Finding(Status.FAILED, f"nothing published, while {missed} eligible signals met free slots", numbers)
    return Finding(Status.INCONCLUSIVE, "no eligible signal met free slots", numbers)


def _held_back(after: Soaked) -> dict[str, int]:
    """Return how often the log says that the desk's own gate or limits kept signals back."""
    return {name: n for name in _HOLDS_BACK if (n := (after.events or {}).get(name))}


def _signals_that_met_free_slots(looks: Sequence[Look], policy: Policy, margin_s: float) -> dict[int, int]:
    """Count the eligible signals that had room throughout, up to a decision that is surely past.

    By the time in ms of the look before them.
    """
    decided_after_ms = (policy.window_s + margin_s) * 1000
    rooms = [_room(look, policy) for look in looks]
    times = [look.at_ms for look in looks]
    met: dict[int, int] = {}
    for index in range(1, len(looks)):
        look = looks[index]
        end = bisect_right(times, look.at_ms + decided_after_ms)
        if end == len(looks):
            break
        room = min(rooms[index - 1 : end + 1])
        met[looks[index - 1].at_ms] = (0, look.super_since_last, look.eligible_since_last)[room]
    return met


def _room(look: Look, policy: Policy) -> int:
    """Return 2 below the target, 1 below the cap (room for super-confident signals only), 0 when full or unknown."""
    if look.open_orders is None or look.in_flight is None:
        return 0
    taken = look.open_orders + look.in_flight
    return (taken < policy.max_open_orders) + (taken < min(policy.target_open_orders, policy.max_open_orders))


def not_flooding(_before: Snapshot, after: Soaked, limits: Thresholds) -> Finding:
    """No span of 0.9 windows, both ends included, holds more intents than one window may publish.

    No intent names another release either: nobody but this one may publish now, and no label takes an intent out of it.
    None comes out of nothing: each, reduce-only or not, has a signal of its kind that came, or may have waited at the
    activation. And they do not go on coming while look after look has no free slot, or trading is not active.
    """
    allowed = after.settings.max_new_per_cycle
    span_ms = limits.flood_window * after.settings.window_s * 1000
    times = sorted(after.intents_ms)
    most, at_ms = max(
        ((bisect_right(times, start + span_ms) - index, start) for index, start in enumerate(times)), default=(0, None)
    )
    without_room, chance = _published_without_room(after.looks, _windows(times, span_ms), after.settings)
    confidence = confidence_now(after, limits)
    numbers: dict[str, Any] = {"most": most, "allowed": allowed, "span_ms": span_ms, "at_ms": at_ms}
    numbers |= {"foreign": after.foreign, "offered": after.offered, "without_room": without_room, "chance": chance}
    numbers["reduce_only"] = [after.reduce_only, after.reduce_only_offered]
    wrong = (
        (after.foreign, f"{after.foreign} intents name another release"),
        (most > allowed, f"{most} intents within {span_ms / 1000:g} s, at most {allowed} allowed"),
        (after.intents > after.offered, f"{after.intents} intents, while only {after.offered} signals came"),
        (
            after.reduce_only > after.reduce_only_offered,
            f"{after.reduce_only} reduce-only intents, while only {after.reduce_only_offered} such signals came",
        ),
        (
            confidence is not None and chance < 1 - confidence,
            f"published {without_room} times while look after look had no free slot",
        ),
    )
    problem = next((said for bad, said in wrong if bad), None)
    if problem:
        return Finding(Status.FAILED, problem, numbers)
    if not after.looks:
        return Finding(Status.INCONCLUSIVE, "no look was taken", numbers)
    return Finding(Status.PASSED, f"at most {most} intents within {span_ms / 1000:g} s, {allowed} allowed", numbers)


def _windows(times_ms: Sequence[int], span_ms: float) -> list[int]:
    """Return the first of *times_ms* in each window that published: a look may seem to come between two of one."""
    firsts: list[int] = []
    for at_ms in times_ms:
        if not firsts or at_ms > firsts[-1] + span_ms:
            firsts.append(at_ms)
    return firsts


def _published_without_room(looks: Sequence[Look], times_ms: Sequence[int], policy: Policy) -> tuple[int, float]:
    """Return how often windows published in a run of looks none of which had room, and at most how likely that is.

    A good release may publish into a slot that has become free since the look before, so one such time proves nothing:
    execution closes an order, the window takes its slot, and the next look finds all full again. But a slot waits for
    the end of a window, and a look may come upon it there; that none does, again and again, is ever less likely. Any
    run may be the unlikely one: its chance counts as often as a window published between two looks, wherever.
    """
    known = [look for look in looks if look.error is None]
    published, without_room, chance, least, worst = 0, 0, 1.0, 1.0, 0
    for earlier, later in pairwise(known):
        came = bisect_right(times_ms, later.at_ms) > bisect_right(times_ms, earlier.at_ms)
        published += came
        if not (_is_shut(earlier, policy) and _is_shut(later, policy)):
            without_room, chance = 0, 1.0
        elif came:
            without_room, chance = without_room + 1, chance * _unseen(later.at_ms - earlier.at_ms, policy)
            least, worst = min((least, worst), (chance, without_room))
    return worst, min(1.0, published * least) if worst else 1.0


def _is_shut(look: Look, policy: Policy) -> bool:
    """Say whether a window that ends at this very moment may publish nothing."""
    return look.trading_state is not TradingState.ACTIVE or not _room(look, policy)


def _unseen(gap_ms: int, policy: Policy) -> float:
    """Return at most how likely it is that looks so far apart miss a slot that the end of a window finds.

    The larger of two: a slot that waits for that end, from any time in the window on, and one that is there for a
    moment only, so that what comes first of looks and ends finds it.
    """
    window_ms = policy.window_s * 1000
    return gap_ms / (window_ms + gap_ms) if gap_ms <= window_ms else 1 - window_ms / (2 * gap_ms)


def features(_before: Snapshot, after: Soaked, limits: Thresholds) -> Finding:
    """The log says that the best were published and boosted, the stream has them so, and the log claims no more.

    Asked of a release as soon as an intent of its own is old enough to have been logged, or good signals met free
    slots.
    The log alone proves nothing, and neither does the stream: an operator reads the one, execution trades on the other.
    """
    if after.trading_state is not TradingState.ACTIVE:
        return Finding(Status.INCONCLUSIVE, not_active(after))
    if after.said is None or after.events is None:
        return Finding(Status.INCONCLUSIVE, "the journal could not be read")
    windows, claimed, boosts = after.said.publishing_windows, after.said.claimed, after.events.get("SIZE_BOOST", 0)
    there = len(after.intents_ms)
    numbers = {"BEST_OF_PUBLISH": windows, "SIZE_BOOST": boosts, "claimed": claimed, "intents": there}
    numbers["boosted"] = after.boosted
    if claimed > there:
        return Finding(Status.FAILED, f"the log claims {claimed} intents, {there} are in the stream", numbers)
    logged_by_ms = (after.looks[-1].at_ms if after.looks else 0) - limits.decision_margin_s * 1000
    settled = any(at_ms <= logged_by_ms for at_ms in after.intents_ms)
    missed = any(_signals_that_met_free_slots(after.looks, after.settings, limits.decision_margin_s).values())
    if not settled and (not missed or _held_back(after)):
        return Finding(Status.INCONCLUSIVE, "no signal that allowed them", numbers)
    missing = {
        "BEST_OF_PUBLISH with a count in the log": windows,
        "SIZE_BOOST in the log": boosts,
        "boosted intent in the stream": after.boosted,
    }
    absent = [name for name, count in missing.items() if not count]
    if absent:
        return Finding(Status.FAILED, f"no {', no '.join(absent)}", numbers)
    return Finding(Status.PASSED, f"{windows} BEST_OF_PUBLISH, {boosts} SIZE_BOOST, {after.boosted} boosted", numbers)
