# SPDX-License-Identifier: Apache-2.0
"""Why each candidate of a window was published or not, for the audit. A pure function of the decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from router.core.outcome import Reason
from router.core.policy import Event

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from router.core.policy import Decision
    from router.core.signal import Signal

#: Events under which nothing is published, whatever the candidates are.
_SILENT: Final = {
    Event.HALTED: Reason.HALTED,
    Event.CAPACITY_UNKNOWN: Reason.CAPACITY_UNKNOWN,
    Event.CAPACITY_FULL: Reason.CAPACITY_FULL,
    Event.LIMIT_REACHED: Reason.LIMIT_REACHED,
}


def explain(candidates: Iterable[Signal], decision: Decision) -> Iterator[tuple[str, Reason]]:
    """Yield the entry id of each of *candidates* with its reason, as *decision* has chosen."""
    chosen = {choice.signal.entry_id for choice in decision.choices}
    symbols = {choice.signal.symbol for choice in decision.choices}
    for signal in candidates:
        if signal.entry_id in chosen:
            reason = Reason.PUBLISHED
        elif decision.event in _SILENT:
            reason = _SILENT[decision.event]
        elif signal.entry_id in decision.denied:
            reason = Reason.APPROVAL_DENIED
        elif signal.confidence < decision.least:
            reason = Reason.TARGET_REACHED
        elif signal.symbol in symbols or not chosen:
            reason = Reason.SYMBOL_OUTRANKED
        else:
            reason = Reason.OUTRANKED
        yield signal.entry_id, reason
