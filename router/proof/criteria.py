# SPDX-License-Identifier: Apache-2.0
"""The criteria of a deployment's verdict, one pure function each (design: deployment, verdict table).

Rules: what is not known is never a pass. A detail is one line for a person; the numbers behind it stand beside it.

Look here first: CRITERIA at the end is the whole list. A new criterion is a function and a row there.
"""

from __future__ import annotations

import enum
import posixpath
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from router.core.policy import TradingState
from router.proof import bounds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from router.proof.evidence import Look, Policy, Service, Snapshot, Soaked


class Status(str, enum.Enum):
    """The outcome of a criterion; *skipped* does not count in the verdict."""

    PASSED = "pass"
    FAILED = "fail"
    INCONCLUSIVE = "inconclusive"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Thresholds:
    """What counts as enough. The defaults are the role's."""

    #: reduction of intents per signal that a deployment must show
    reduction_min: float = 0.80
    #: reduction that its one-sided lower bound must reach
    reduction_proven: float = 0.50
    #: intents per signal from which a baseline counts as publishing everything
    publish_everything: float = 0.9
    #: confidence of each one-sided bound
    confidence: float = 0.95
    #: part of a window in which no more than one window's intents may appear; below 1 since commits jitter
    flood_window: float = 0.9
    #: seconds beyond a window after which a signal must have been decided
    decision_margin_s: float = 2.0


class Criterion(msgspec.Struct, frozen=True):
    """One criterion's outcome, as it stands in the report."""

    name: str
    status: Status
    detail: str
    numbers: dict[str, Any]


class Finding(msgspec.Struct, frozen=True):
    """What one function below found; the table adds the name."""

    status: Status
    detail: str
    numbers: dict[str, Any] = {}


def service(_before: Snapshot, after: Soaked, _limits: Thresholds) -> Finding:
    """Active under one PID without a restart in every look, running from the release, which holds the lease."""
    if not after.looks:
        return Finding(Status.INCONCLUSIVE, "no look was taken")
    first, last = after.looks[0].service, after.looks[-1].service
    numbers = {"main_pid": last.main_pid, "restarts": last.restarts, "looks": len(after.looks)}
    for look in after.looks:
        problem = _service_problem(look, first, after)
        if problem:
            return Finding(Status.FAILED, problem, numbers | {"at_ms": look.at_ms})
    if all(look.error for look in after.looks):
        return Finding(Status.INCONCLUSIVE, "the lease was never seen: Redis did not answer", numbers)
    return Finding(Status.PASSED, f"active, PID {last.main_pid}, no restart, release {after.release.id}", numbers)


def _service_problem(look: Look, first: Service, after: Soaked) -> str | None:
    """Return what is wrong with the service at *look*, None when all is well."""
    seen, release = look.service, after.release
    command = posixpath.normpath(seen.cmdline[0]) if seen.cmdline else "nothing"
    lease = f"the lease is held by {seen.lease_release or 'nobody'}, not by release {release.id}"
    checks = (
        (
            (seen.active_state, seen.sub_state) == ("active", "running"),
            f"the unit is {seen.active_state}/{seen.sub_state}",
        ),
        (bool(seen.main_pid), "the unit has no main process"),
        (seen.main_pid == first.main_pid, f"the main PID changed from {first.main_pid} to {seen.main_pid}"),
        (seen.restarts is not None, "systemd's restart count is not known"),
        (seen.restarts == first.restarts, f"restarts went from {first.restarts} to {seen.restarts}"),
        (seen.exe == release.exe, f"the process runs {seen.exe}, not {release.exe}"),
        (command.startswith(release.dir.rstrip("/") + "/"), f"started as {command}, outside {release.dir}"),
        (look.error is not None or seen.lease_release == release.id, lease),
    )
    return next((problem for good, problem in checks if not good), None)


def reduction(before: Snapshot, after: Soaked, limits: Thresholds) -> Finding:
    """Intents per signal fell by enough, and by enough beyond chance. Only a publish-everything baseline tells."""
    numbers: dict[str, Any] = {
        "before": [before.intents, before.signals],
        "after": [after.intents, after.signals],
    }
    if after.trading_state is not TradingState.ACTIVE:
        return Finding(Status.INCONCLUSIVE, _not_active(after), numbers)
    if before.signals and before.intents / before.signals < limits.publish_everything:
        ratio = before.intents / before.signals
        return Finding(Status.SKIPPED, f"the baseline was selective already: {ratio:.2f} intents per signal", numbers)
    found = bounds.reduction(
        bounds.Rate(before.intents, before.signals), bounds.Rate(after.intents, after.signals), limits.confidence
    )
    if found is None:
        side = "before" if not before.signals else "since the activation"
        return Finding(Status.INCONCLUSIVE, f"no signals {side}: not measured", numbers)
    numbers |= found._asdict()
    shown = f"{found.estimate:.1%}, {found.lower:.1%} to {found.upper:.1%} at {limits.confidence:.0%} each way"
    if found.upper < limits.reduction_min:
        return Finding(Status.FAILED, f"{shown}: below {limits.reduction_min:.0%}", numbers)
    if found.estimate >= limits.reduction_min and found.lower >= limits.reduction_proven:
        return Finding(Status.PASSED, shown, numbers)
    return Finding(Status.INCONCLUSIVE, f"{shown}: too few to tell", numbers)


#: What the router logs when the approval gate or the limit per hour kept signals from being published.
_HOLDS_BACK: Final = ("APPROVAL_DENIED", "LIMIT_REACHED")


def not_silent(_before: Snapshot, after: Soaked, limits: Thresholds) -> Finding:
    """Intents appeared, or else nothing that had to be published came in.

    Signals count against a silent router when every look from the one before them until their window was surely over
    had room for them. What the desk's own gate or limits held back proves nothing, either way.
    """
    if after.trading_state is not TradingState.ACTIVE:
        return Finding(Status.INCONCLUSIVE, _not_active(after))
    missed = _signals_that_met_free_slots(after.looks, after.settings, limits.decision_margin_s)
    numbers = {"intents": len(after.intents_ms), "eligible_with_free_slots": missed}
    if after.intents_ms:
        return Finding(Status.PASSED, f"{len(after.intents_ms)} intents published", numbers)
    held_back = {name: n for name in _HOLDS_BACK if (n := (after.events or {}).get(name))}
    if missed and held_back:
        told = ", ".join(f"{name} {n} times" for name, n in held_back.items())
        return Finding(Status.INCONCLUSIVE, f"nothing published: the router logged {told}", numbers | held_back)
    if missed:
        return Finding(Status.FAILED, f"nothing published, while {missed} eligible signals met free slots", numbers)
    return Finding(Status.INCONCLUSIVE, "no eligible signal met free slots", numbers)


def _signals_that_met_free_slots(looks: Sequence[Look], policy: Policy, margin_s: float) -> int:
    """Count the eligible signals that had room throughout, up to a decision that is surely past."""
    decided_after_ms = (policy.window_s + margin_s) * 1000
    rooms = [_room(look, policy) for look in looks]
    times = [look.at_ms for look in looks]
    met = 0
    for index in range(1, len(looks)):
        look = looks[index]
        end = bisect_right(times, look.at_ms + decided_after_ms)
        if end == len(looks):
            break
        room = min(rooms[index - 1 : end + 1])
        met += (0, look.super_since_last, look.eligible_since_last)[room]
    return met


def _room(look: Look, policy: Policy) -> int:
    """Return 2 below the target, 1 below the cap (room for super-confident signals only), 0 when full or unknown."""
    if look.open_orders is None or look.in_flight is None:
        return 0
    taken = look.open_orders + look.in_flight
    return (taken < policy.max_open_orders) + (taken < min(policy.target_open_orders, policy.max_open_orders))


def not_flooding(_before: Snapshot, after: Soaked, limits: Thresholds) -> Finding:
    """No span of 0.9 windows, both ends included, holds more intents than one window may publish."""
    allowed = after.settings.max_new_per_cycle
    span_ms = limits.flood_window * after.settings.window_s * 1000
    times = sorted(after.intents_ms)
    most, at_ms = max(
        ((bisect_right(times, start + span_ms) - index, start) for index, start in enumerate(times)), default=(0, None)
    )
    numbers = {"most": most, "allowed": allowed, "span_ms": span_ms, "at_ms": at_ms}
    if most > allowed:
        return Finding(Status.FAILED, f"{most} intents within {span_ms / 1000:g} s, at most {allowed} allowed", numbers)
    if not after.looks:
        return Finding(Status.INCONCLUSIVE, "no look was taken", numbers)
    return Finding(Status.PASSED, f"at most {most} intents within {span_ms / 1000:g} s, {allowed} allowed", numbers)


def capacity_known(_before: Snapshot, after: Soaked, _limits: Thresholds) -> Finding:
    """Open orders were readable at every look, and the router never had to say that they were not."""
    failed = [look for look in after.looks if look.error is not None]
    unknown = [look for look in after.looks if look.error is None and look.open_orders is None]
    said = None if after.events is None else after.events.get("CAPACITY_UNKNOWN", 0)
    numbers = {"looks": len(after.looks), "failed": len(failed), "unknown": len(unknown), "events": said}
    if failed:
        detail = f"{failed[0].error} ({len(failed)} of {len(after.looks)} looks)"
        return Finding(Status.FAILED, detail, numbers)
    if unknown:
        detail = f"open orders missing or malformed at {len(unknown)} of {len(after.looks)} looks"
        return Finding(Status.FAILED, detail, numbers)
    if said:
        return Finding(Status.FAILED, f"the router logged CAPACITY_UNKNOWN {said} times", numbers)
    if said is None or not after.looks:
        missing = "no look was taken" if not after.looks else "the journal could not be read"
        return Finding(Status.INCONCLUSIVE, missing, numbers)
    return Finding(Status.PASSED, f"known at all {len(after.looks)} looks", numbers)


def _not_active(after: Soaked) -> str:
    if after.trading_state is None:
        return "whether trading was halted is not known"
    if (after.events or {}).get("AUTO_HALTED"):
        return "the router halted itself, and stays halted until a person runs `router resume` (see `router status`)"
    return f"trading was {after.trading_state.value}"


#: Name -> function, in the order of the report. The only list of criteria there is.
CRITERIA: Final[Mapping[str, Callable[[Snapshot, Soaked, Thresholds], Finding]]] = {
    "service": service,
    "reduction": reduction,
    "not silent": not_silent,
    "not flooding": not_flooding,
    "capacity known": capacity_known,
}
