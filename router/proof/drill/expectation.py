# SPDX-License-Identifier: Apache-2.0
"""What the policy says of a state of the drill, and how what a release did differs from that. Pure.

The router's own code says it: its window, its policy, its intent, its wording of the log. No rule is repeated here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from router.core.entry_id import order
from router.core.intent import chosen_intent
from router.core.policy import Capacity, TradingState, decide
from router.core.window import Entry, Window
from router.log import Log
from router.printable import printable
from router.redis_io.keys import catalogue
from router.redis_io.scripts import Observation, Reply
from router.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from router.config import Settings
    from router.core.policy import Decision, Event
    from router.proof.drill.plan import State

#: Intents that a line names; of more it gives the number.
NAMED: Final = 3
#: Of an intent what nobody decides.
_OF_THE_MOMENT: Final = "timestamp"

Intent = dict[str, Any]


@dataclass(frozen=True)
class Expected:
    """The outcome that a state must have: the event, the intents best first, and the lines that an operator greps."""

    event: Event
    intents: tuple[Intent, ...]
    lines: tuple[str, ...]


def expect(state: State, entries: Sequence[Entry], settings: Settings, release: str) -> Expected:
    """Return what *release* must do in *state* with *entries*, its signals as the stream holds them.

    *settings* are the drill's. Nothing is in flight there, since no execution reads its intents.
    """
    window = Window("0-0", settings)
    window.take(entries, now_ms=order(entries[-1][0].decode())[0], now_s=0.0)
    window.drop_worst_symbols()
    capacity = Capacity(TradingState.ACTIVE, state.open_orders, in_flight=0)
    decision = decide(window.ranked(), capacity, settings)
    texts = (chosen_intent(choice, 0, release, settings.max_position_usd) for choice in decision.choices)
    lines = _lines(decision, capacity, window, settings)
    return Expected(decision.event, tuple(without_time(msgspec.json.decode(text)) for text in texts), lines)


def without_time(intent: Intent) -> Intent:
    """Return *intent* as it can be compared."""
    return {name: value for name, value in intent.items() if name != _OF_THE_MOMENT}


def difference(expected: Expected, seen: Sequence[Intent]) -> str | None:
    """Return how *seen*, the intents of a state, differ from what was *expected*; None when they are the same."""
    if len(expected.intents) != len(seen):
        wanted = f"{expected.event.value} and {_count(len(expected.intents))}{_names(expected.intents)}"
        return f"expected {wanted}, seen {_count(len(seen))}{_names(seen)}"
    for place, (wanted_intent, intent) in enumerate(zip(expected.intents, seen, strict=True), start=1):
        for name, value in wanted_intent.items():
            if intent.get(name) != value:
                shown = printable(repr(intent.get(name)), 80)
                return f"expected intent {place} with {name}={value!r}, seen {name}={shown}{_names(seen)}"
    return None


def _count(number: int) -> str:
    return f"{number} intent{'' if number == 1 else 's'}"


def _names(intents: Sequence[Mapping[str, Any]]) -> str:
    names = [printable(f"{each.get('symbol')} {each.get('side')}", 40) for each in intents[:NAMED]]
    more = ["..."] if len(intents) > NAMED else []
    return f" ({', '.join(names + more)})" if names else ""


def _lines(decision: Decision, capacity: Capacity, window: Window, settings: Settings) -> tuple[str, ...]:
    """Return what the router logs of a window with this *decision*."""
    records: list[Mapping[str, Any]] = []
    missing = capacity.open_orders is None
    seen = Observation(0, None if missing else str(capacity.open_orders), "missing" if missing else "", "", capacity)
    reply = Reply("OK", intents=["0-0"] * len(decision.choices))
    Telemetry(Log(records.append), settings, catalogue(settings)).window(decision, seen, reply, window, now_s=0.0)
    return tuple(str(record["MESSAGE"]) for record in records)
