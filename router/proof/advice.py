# SPDX-License-Identifier: Apache-2.0
"""What the numbers suggest to tune, and which risks remain. Pure; it never decides anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.proof.evidence import Snapshot, Soaked

#: Part of the looks at or above the target from which the target, not the signals, limits trading.
MOSTLY: Final = 0.8
#: Signals below which the bounds of a reduction stay wide.
FEW_SIGNALS: Final = 50


def advise(before: Snapshot, after: Soaked) -> list[str]:
    """Return one line for each thing that a person should know beyond the verdict, most urgent first."""
    return [*_risks(after), *_tuning(before, after)]


def _risks(after: Soaked) -> Iterator[str]:
    known = [look.open_orders for look in after.looks if look.open_orders is not None]
    most, cap = max(known, default=0), after.settings.max_open_orders
    if most > cap:
        yield f"risk: {most} orders were open with a cap of {cap}: from others, or from the old router"
    if after.execution.lag is None:
        yield "risk: execution's lag is unknown: without its group intents in flight can't be counted against the cap"
    elif after.execution.lag > after.settings.max_open_orders:
        yield f"risk: execution is {after.execution.lag} intents behind: it still works off old ones"
    if after.safe_mode not in {None, "", "0"}:
        yield f"risk: safe mode is on ({after.safe_mode:.40})"


def _tuning(before: Snapshot, after: Soaked) -> Iterator[str]:
    policy = after.settings
    known = [look.open_orders for look in after.looks if look.open_orders is not None]
    at_target = sum(count >= policy.target_open_orders for count in known)
    if known and at_target >= MOSTLY * len(known):
        share = at_target / len(known)
        yield (
            f"tune: at or above TARGET_OPEN_ORDERS={policy.target_open_orders} in {share:.0%} of the looks: "
            "only super signals passed; raise it if more trades are wanted"
        )
    if after.signals and not after.eligible:
        yield f"tune: no signal reached MIN_CONFIDENCE={policy.min_confidence:g}: lower it if they should have"
    if min(before.signals, after.signals) < FEW_SIGNALS:
        yield f"tune: {before.signals} and {after.signals} signals are few: a longer router_soak_min narrows the bounds"
