# SPDX-License-Identifier: Apache-2.0
"""The verdict over a deployment, pure: what a host showed before and after in, pass, fail or inconclusive out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from router.printable import printable
from router.proof.advice import advise
from router.proof.criteria import CRITERIA, Criterion, Status, Thresholds

if TYPE_CHECKING:
    from router.proof.evidence import Snapshot, Soaked

#: Characters of a detail that are kept.
DETAIL_MAX: Final = 1000
_WORST_FIRST: Final = (Status.FAILED, Status.INCONCLUSIVE, Status.PASSED)


class Verdict(msgspec.Struct, frozen=True):
    """The worst of all criteria, and what a person needs to believe it.

    *reduction* is the estimate, 0..1, None where it was not measured; *line_counts* reads
    `intents/signals before → after`.
    """

    verdict: Status
    reduction: float | None
    line_counts: str
    criteria: list[Criterion]
    advice: list[str] = []

    @property
    def why(self) -> str:
        """One line: the criteria that decided, worst kind only."""
        return "; ".join(f"{c.name}: {c.detail}" for c in self.criteria if c.status is self.verdict)


def judge(before: Snapshot, after: Soaked, thresholds: Thresholds | None = None) -> Verdict:
    """Judge the deployment between *before* and *after*; the worst criterion wins, skipped ones do not count."""
    limits = thresholds or Thresholds()
    criteria = []
    for name, examine in CRITERIA.items():
        found = examine(before, after, limits)
        # A detail may quote Redis, a process or the lease, and goes to terminals, reports and a deployment's last line.
        criteria.append(Criterion(name, found.status, printable(found.detail, DETAIL_MAX), found.numbers))
    statuses = {criterion.status for criterion in criteria}
    return Verdict(
        verdict=next((status for status in _WORST_FIRST if status in statuses), Status.INCONCLUSIVE),
        reduction=_measured_reduction(criteria),
        line_counts=f"{before.intents}/{before.signals} → {after.intents}/{after.signals}",
        criteria=criteria,
        advice=advise(before, after),
    )


def certain(verdict: Verdict, elapsed_s: float, min_s: float, max_s: float) -> bool:
    """Say whether a soak may end *elapsed_s* after its start with *verdict*.

    A pass needs *min_s*; an inconclusive verdict goes on to *max_s*. A fail ends at once, before *min_s* even: a
    departure from "never before the minimum", since waiting would trade on with a router that is known to be bad.
    """
    if verdict.verdict is Status.FAILED:
        return True
    return elapsed_s >= (min_s if verdict.verdict is Status.PASSED else max_s)


def _measured_reduction(criteria: list[Criterion]) -> float | None:
    """Return the estimate of the criterion, an increase shown as 0."""
    estimate = next((c.numbers.get("estimate") for c in criteria if c.name == "reduction"), None)
    return None if estimate is None else max(0.0, round(estimate, 4))
