# SPDX-License-Identifier: Apache-2.0
"""What a window may publish: score, allowance, choice and size (design: policy 2 to 6). Pure functions."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from router.core.entry_id import order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from router.config import Settings
    from router.core.signal import Signal

#: Score added for a signal that passed the producer's reinforcement-learning gate, and for a known market regime.
RL_GATE_BONUS: Final = 0.02
REGIME_BONUS: Final = 0.01
#: No score exceeds the confidence by more, rounding included.
MAX_BONUS: Final = RL_GATE_BONUS + REGIME_BONUS + 1e-8
#: Size factor by rank; other ranks keep their size.
SIZE_BOOST: Final = {1: 1.30, 2: 1.10}


class TradingState(enum.Enum):
    """What the desk allows: everything, only reduce-only signals, or nothing."""

    ACTIVE = "active"
    REDUCE = "reduce"
    HALTED = "halted"


class Event(str, enum.Enum):
    """The outcome of a window, as it is logged."""

    HALTED = "HALTED"
    CAPACITY_UNKNOWN = "CAPACITY_UNKNOWN"
    CAPACITY_FULL = "CAPACITY_FULL"
    LIMIT_REACHED = "LIMIT_REACHED"
    TARGET_REACHED = "TARGET_REACHED"
    BEST_OF_PUBLISH = "BEST_OF_PUBLISH"


@dataclass(frozen=True)
class Capacity:
    """What is known about room for orders: *open_orders* is None when it is unknown.

    *hour_intents* are those of the last 60 minutes, 0 without a limit on them.
    """

    state: TradingState
    open_orders: int | None
    in_flight: int
    hour_intents: int = 0


@dataclass(frozen=True)
class Allowance:
    """How many intents a window may publish, under which event; *slots* is None when capacity is unknown."""

    event: Event
    limit: int
    super_only: bool = False
    slots: int | None = None


@dataclass(frozen=True)
class Choice:
    """A signal chosen for publication at *rank* (1 = best)."""

    signal: Signal
    rank: int

    @property
    def boost(self) -> float:
        """The factor that its sizes are to be multiplied by, which the rank decides."""
        return SIZE_BOOST.get(self.rank, 1.0)


@dataclass(frozen=True)
class Decision:
    """What a window does: publish *choices* (best first) out of *limit* allowed, logged as *event*.

    *least* is the confidence that a choice needed; *denied* are the entry ids of the signals that the approval gate
    kept from being chosen.
    """

    event: Event
    limit: int
    slots: int | None
    choices: tuple[Choice, ...]
    least: float = 0.0
    denied: frozenset[str] = frozenset()


def score(signal: Signal) -> float:
    """Confidence plus bonuses, rounded so that equal sums compare equal."""
    return score_of(signal.confidence, signal.rl_gate_pass, signal.regime_known)


def score_of(confidence: float, rl_gate_pass: bool, regime_known: bool) -> float:  # noqa: FBT001 - as `bonuses` has them
    """Return the score of a signal with these attributes, before it is made."""
    return round(confidence + RL_GATE_BONUS * rl_gate_pass + REGIME_BONUS * regime_known, 9)


#: Sorts best first.
Rank = tuple[float, float, tuple[int, int]]


def rank_key(signal: Signal) -> Rank:
    """Sort key, best first: score, then confidence, then the older entry. No two entries share one."""
    return -score(signal), -signal.confidence, order(signal.entry_id)


def allowance(capacity: Capacity, settings: Settings) -> Allowance:
    """Return what *capacity* leaves a window, by the policy's order: halt, unknown, full, hour, target, best-of."""
    if capacity.state is not TradingState.ACTIVE:
        return Allowance(Event.HALTED, 0)
    if capacity.open_orders is None:
        return Allowance(Event.CAPACITY_UNKNOWN, 0)
    taken = capacity.open_orders + capacity.in_flight
    slots = settings.max_open_orders - taken
    if slots <= 0:
        return Allowance(Event.CAPACITY_FULL, 0, slots=slots)
    per_hour = settings.max_intents_per_hour
    hour_left = settings.max_new_per_cycle if per_hour is None else per_hour - capacity.hour_intents
    if hour_left <= 0:
        return Allowance(Event.LIMIT_REACHED, 0, slots=slots)
    if taken >= settings.target_open_orders:
        return Allowance(Event.TARGET_REACHED, 1, super_only=True, slots=slots)
    limit = min(settings.target_open_orders - taken, slots, settings.max_new_per_cycle, hour_left)
    return Allowance(Event.BEST_OF_PUBLISH, limit, slots=slots)


def decide(
    ranked: Iterable[Signal],
    capacity: Capacity,
    settings: Settings,
    approve: Callable[[Signal], bool] | None = None,
) -> Decision:
    """Choose what *capacity* allows of candidates *ranked* best first, one per dedup id: at most one per symbol.

    With *approve* only what it approves; it is asked best first, and no more often than needed. A super-confident
    signal that passes at the target counts as BEST_OF_PUBLISH.
    """
    allowed = allowance(capacity, settings)
    least = settings.super_confidence if allowed.super_only else 0.0
    settled: set[str] = set()
    chosen: list[Signal] = []
    denied = set()
    for signal in ranked if allowed.limit else ():
        if len(chosen) == allowed.limit:
            break
        if signal.symbol in settled:
            continue
        if signal.confidence >= least and approve is not None and not approve(signal):
            denied.add(signal.entry_id)
            continue
        settled.add(signal.symbol)
        if signal.confidence >= least:
            chosen.append(signal)
    event = Event.BEST_OF_PUBLISH if chosen else allowed.event
    limit = 0 if event is Event.TARGET_REACHED else allowed.limit
    choices = tuple(Choice(signal, rank) for rank, signal in enumerate(chosen, start=1))
    return Decision(event, limit, allowed.slots, choices, least, frozenset(denied))


def boosted(size_usd: float | None, boost: float, cap_usd: float | None) -> float | None:
    """Multiply a size by *boost*, at most *cap_usd*; None stays None. Rounded to 1e-8 USD."""
    if size_usd is None:
        return None
    value = size_usd * boost
    return round(min(value, cap_usd) if cap_usd is not None else value, 8)
