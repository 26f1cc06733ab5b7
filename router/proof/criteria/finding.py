# SPDX-License-Identifier: Apache-2.0
"""What a criterion is: its outcome, the thresholds that it goes by, and what several of them ask alike."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.proof.evidence import Soaked


class Status(str, enum.Enum):
    """The outcome of a criterion; *skipped* does not count in the verdict."""

    PASSED = "pass"
    FAILED = "fail"
    INCONCLUSIVE = "inconclusive"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Thresholds:
    """What counts as enough. The defaults are the role's, where each is a variable: `router_` before its name."""

    #: reduction of intents per signal that a deployment must show
    reduction_min: float = 0.80
    #: reduction that its one-sided lower bound must reach
    reduction_proven: float = 0.50
    #: intents per signal from which a baseline counts as publishing everything
    publish_everything: float = 0.9
    #: confidence of each one-sided bound, over all judgements of a soak together
    confidence: float = 0.95
    #: part of a window in which no more than one window's intents may appear; below 1 since commits jitter
    flood_window: float = 0.9
    #: seconds beyond a window after which a signal must have been decided
    decision_margin_s: float = 2.0


#: Least and most of each threshold; the role has the same.
RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "reduction_min": (0, 1),
    "reduction_proven": (0, 1),
    "publish_everything": (0, 1),
    "confidence": (0.5, 0.9999),
    "flood_window": (0.1, 1),
    "decision_margin_s": (0, 60),
}


class Criterion(msgspec.Struct, frozen=True):
    """One criterion's outcome, as it stands in the report."""

    name: str
    status: Status
    detail: str
    numbers: dict[str, Any]


class Finding(msgspec.Struct, frozen=True):
    """What a criterion found; the table of them adds the name."""

    status: Status
    detail: str
    numbers: dict[str, Any] = {}


def not_active(after: Soaked) -> str:
    """Say why few intents prove nothing, while trading was not active or is not known to have been."""
    if after.trading_state is None:
        return "whether trading was halted is not known"
    if (after.events or {}).get("AUTO_HALTED"):
        return "the router halted itself, and stays halted until a person runs `router resume` (see `router status`)"
    return f"trading was {after.trading_state.value}"


def confidence_now(after: Soaked, limits: Thresholds) -> float | None:
    """Return the confidence that a bound needs at this judgement so that all judgements together have the one asked.

    None while it is too early for any: see `judge.error_spent`.
    """
    return 1 - (1 - limits.confidence) * after.error_share if after.error_share else None


TOO_EARLY: Final = Finding(Status.INCONCLUSIVE, "not tested before the least time of a soak")
