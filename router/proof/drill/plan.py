# SPDX-License-Identifier: Apache-2.0
"""Which capacity states a release is put through, with which signals and settings. Pure; follows any settings."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from router.config import as_environment, load
from router.core.policy import Capacity, Event, TradingState, allowance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.config import Settings

#: A longer window is shortened to this in the drill: it decides when a window closes, and nothing else.
LONGEST_WINDOW_S: Final = 3.0
#: Candidates of a state beyond those that it may publish; with the best two and the one too weak 13 by default.
SPARE: Final = 8
BEST: Final = 2
_SIZE_USD: Final = 100.0


@dataclass(frozen=True)
class State:
    """One state: what the count of open orders says (None: the key is missing), and the signals that then come.

    *signals* are the fields of the entries, as the engine writes them.
    """

    name: str
    open_orders: int | None
    signals: tuple[dict[str, str], ...]


def overrides(settings: Settings, prefix: str, free_port: int) -> dict[str, str]:
    """Return what a drill sets otherwise than the release's own *settings*, as environment; empty means the default.

    Its keys stand behind *prefix*. Metrics, if any, are served on another port, for their own is the live router's. The
    approval gate is the desk's: it is not asked about signals that nobody made, nor may the outcome hang on it. No
    symbol comes twice, so a limit on repeats has nothing to limit; but one of 1 would halt the release at its first.
    """
    return {
        "ROUTER_KEY_PREFIX": prefix,
        "CANDIDATE_WINDOW_SEC": f"{min(settings.window_s, LONGEST_WINDOW_S):.15g}",
        "ROUTER_METRICS_LISTEN": f"127.0.0.1:{free_port}" if settings.metrics_listen else "",
        "ROUTER_STRATEGY_URL": "",
        "ROUTER_REPEAT_LIMIT": "",
    }


def drilled(settings: Settings, changed: Mapping[str, str]) -> Settings:
    """Return the settings that the release has in the drill, where *changed* overrides its own."""
    return load({**as_environment(settings), **changed})


def plan(settings: Settings, mark: str) -> list[State]:
    """Return the states for *settings* (the drill's), in the guide's order; each id of a signal begins with *mark*.

    A state is left out where the settings know no such state: no target below the cap, none above 0, or no confidence
    between the quality gate and that of a super signal.
    """
    target = settings.target_open_orders
    below = max(0, target - settings.max_new_per_cycle)
    ordinary_exist = settings.min_confidence < settings.super_confidence
    asked = [
        ("full", settings.max_open_orders, True, Event.CAPACITY_FULL),
        ("target", target, False, Event.TARGET_REACHED if ordinary_exist else None),
        ("super", target, True, Event.TARGET_REACHED),
        ("below", below, True, Event.BEST_OF_PUBLISH),
        ("unknown", None, True, Event.CAPACITY_UNKNOWN),
    ]
    states = []
    for name, open_orders, with_best, event in asked:
        allowed = allowance(Capacity(TradingState.ACTIVE, open_orders, 0), settings)
        if allowed.event is event:
            confidences = _confidences(settings, allowed.limit + SPARE, with_best=with_best)
            signals = (_signal(mark, name, place, each) for place, each in enumerate(confidences))
            states.append(State(name, open_orders, tuple(signals)))
    return states


def _confidences(settings: Settings, count: int, *, with_best: bool) -> list[float]:
    """Return *count* confidences below that of a super signal (if there are any), the best two, and one too weak."""
    least, most = settings.min_confidence, settings.super_confidence
    ordinary = _spread(least, most, count)
    best_count = BEST if ordinary else count
    best = _spread(most, 1.0, best_count) or [1.0] * best_count
    too_weak = [least / 2] if least / 2 < least else []
    return ordinary + (best if with_best else []) + too_weak


def _spread(low: float, high: float, count: int) -> list[float]:
    """Return *count* numbers from *low* to below *high*, none falling; no number where the two are equal."""
    highest = math.nextafter(high, low)
    return [min(low + (high - low) * i / count, highest) for i in range(count)] if low < high else []


def _signal(mark: str, name: str, place: int, confidence: float) -> dict[str, str]:
    """Return an entry whose bonuses, side and kind of size vary with its *place*, so that ranking needs all of them."""
    own_id = f"{mark}{name}-{place}"
    payload: dict[str, Any] = {
        "symbol": f"DRILL{name.upper()}{place}USDT",
        "side": ("buy", "sell")[place % 2],
        "confidence": confidence,
        ("position_size_usd", "quantity")[place // 2 % 2]: _SIZE_USD,
        "leverage": 2,
        "entry_price": 100.0,
        "stop_loss": 98.0,
        "take_profit": 104.0,
        "regime": ("trending", "unknown")[place // 3 % 2],
        "rl_gate_pass": place % 3 == 0,
    }
    ids = {"trace_id": own_id, "correlation_id": own_id}
    return {"event_type": "ai.decision.made", "payload": json.dumps(payload), "source": "quantum-drill", **ids}
