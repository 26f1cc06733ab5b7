# SPDX-License-Identifier: Apache-2.0
"""The verdict over a deployment, pure: what a host showed before and after in, pass, fail or inconclusive out.

A soak is judged again and again, and each look at chance is a chance to be wrong. So a bound is not held at its
confidence at every judgement: each spends a share of the error, and all shares of a soak make one (`error_spent`).
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

import msgspec

from router.core.policy import TradingState
from router.printable import printable
from router.proof import own
from router.proof.advice import advise
from router.proof.criteria import CRITERIA, Criterion, Finding, Status, Thresholds

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from router.proof.evidence import Snapshot, Soaked

#: Characters of a detail that are kept.
DETAIL_MAX: Final = 1000
#: Part of the error that the first judgement which may pass spends: nearly every soak ends there.
FIRST_SHARE: Final = 0.5
_WORST_FIRST: Final = (Status.FAILED, Status.INCONCLUSIVE, Status.PASSED)
#: What nobody can tell where no signal came.
_OF_SIGNALS: Final = frozenset({"reduction", "not silent", "features"})
_SWITCHED_OFF: Final = Finding(Status.SKIPPED, "switched off on purpose")


class Action(str, enum.Enum):
    """What is to be done with a release."""

    CONFIRM = "confirm"
    HOLD = "hold"
    ROLLBACK = "rollback"


class Verdict(msgspec.Struct, frozen=True):
    """The worst of all criteria, and what a person needs to believe it.

    *reduction* is the estimate, 0..1, None where it was not measured; *line_counts* reads
    `intents/signals before → after`. *action* and *note*, why it is that one ("" for a pass), are there once `act` has
    decided.
    """

    verdict: Status
    reduction: float | None
    line_counts: str
    criteria: list[Criterion]
    advice: list[str] = []
    action: Action | None = None
    note: str = ""

    @property
    def why(self) -> str:
        """One line: the criteria that decided, worst kind only."""
        return "; ".join(f"{c.name}: {c.detail}" for c in self.criteria if c.status is self.verdict)


def judge(before: Snapshot, after: Soaked, thresholds: Thresholds | None = None, off: Collection[str] = ()) -> Verdict:
    """Judge the deployment between *before* and *after*; the worst criterion wins, skipped ones do not count.

    Those named in *off* were switched off and are skipped. With none left that counts the verdict is inconclusive.
    """
    # A detail may quote Redis, a process or the lease, and goes to terminals, reports and a deployment's last line.
    criteria = [
        Criterion(name, found.status, printable(found.detail, DETAIL_MAX), found.numbers)
        for name, found in _findings(before, after, thresholds or Thresholds(), off)
    ]
    statuses = {criterion.status for criterion in criteria}
    return Verdict(
        verdict=next((status for status in _WORST_FIRST if status in statuses), Status.INCONCLUSIVE),
        reduction=_measured_reduction(criteria),
        line_counts=f"{before.intents}/{before.signals} → {after.intents}/{after.signals}",
        criteria=criteria,
        advice=advise(before, after),
    )


def act(verdict: Verdict, before: Snapshot, after: Soaked, on_inconclusive: Action, *, drilled: bool) -> Verdict:
    """Return *verdict* with what is to be done about it; *on_inconclusive* is what the desk wants when nobody knows.

    One exception: where no signal came at all, before and after, no intent either since, and nothing else is open, a
    release that was *drilled* is confirmed. It has shown in the drill what it does, and a quiet market is no reason to
    keep the old one.
    """
    if verdict.verdict is Status.PASSED:
        action, note = Action.CONFIRM, ""
    elif verdict.verdict is Status.FAILED:
        action, note = Action.ROLLBACK, verdict.why
    elif drilled and _nothing_came(verdict, before, after):
        action, note = Action.CONFIRM, "no signal came: the reduction was not measured; the drill passed"
    else:
        action, note = on_inconclusive, verdict.why
    return msgspec.structs.replace(verdict, action=action, note=note)


def certain(verdict: Verdict, elapsed_s: float, min_s: float, max_s: float) -> bool:
    """Say whether a soak may end *elapsed_s* after its start with *verdict*.

    A pass needs *min_s*; an inconclusive verdict goes on to *max_s*. A fail ends at once, before *min_s* even: a
    departure from "never before the minimum", since waiting would trade on with a router that is known to be bad.
    """
    if verdict.verdict is Status.FAILED:
        return True
    return elapsed_s >= (min_s if verdict.verdict is Status.PASSED else max_s)


def error_spent(elapsed_s: float, min_s: float, max_s: float) -> float:
    """Return the part (0..1) of the error that judgements up to *elapsed_s* may have spent together.

    Nothing before *min_s*, half of it there, the rest evenly over the time to *max_s*: an error-spending function (Lan
    and DeMets 1983, Biometrika 70:659). What a judgement may spend is the difference to the one before it. The chance
    to be wrong at any of them is at most the sum (Boole's inequality), however they depend on each other.
    """
    if elapsed_s < min_s:
        return 0.0
    if elapsed_s >= max_s:
        return 1.0
    return FIRST_SHARE + (1 - FIRST_SHARE) * (elapsed_s - min_s) / (max_s - min_s)


def _findings(
    before: Snapshot, after: Soaked, limits: Thresholds, off: Collection[str]
) -> Iterator[tuple[str, Finding]]:
    for name, examine in CRITERIA.items():
        yield name, _SWITCHED_OFF if name in off else examine(before, after, limits)
    for answer in after.answers:
        yield answer.name, own.finding(answer)


def _nothing_came(verdict: Verdict, before: Snapshot, after: Soaked) -> bool:
    """Say whether the lack of signals, and nothing else, left the verdict open."""
    came = before.signals + sum(look.signals_since_last for look in after.looks)
    unknown = {c.name for c in verdict.criteria if c.status is Status.INCONCLUSIVE}
    quiet = not came and not after.intents and bool(after.looks)
    return quiet and unknown <= _OF_SIGNALS and after.trading_state is TradingState.ACTIVE


def _measured_reduction(criteria: list[Criterion]) -> float | None:
    """Return the estimate of the criterion, an increase shown as 0."""
    estimate = next((c.numbers.get("estimate") for c in criteria if c.name == "reduction"), None)
    return None if estimate is None else max(0.0, round(estimate, 4))
