# SPDX-License-Identifier: Apache-2.0
"""The market of the lab as functions of a random generator: signals in bursts, and what goes wrong when.

The feed of the lab's hosts (`molecule/shared/host/feed.py`) sends the same signals: there this module stands alone, so
at run time it imports the standard library only.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from router.core.window import Entry
    from router.simulation.orders import Span

#: Every simulation begins then: 2026-01-01, 00:00 UTC.
BEGIN_MS: Final = 1_767_225_600_000
#: Seconds between two bursts, and how much more or less it may be; a burst takes up to 10 ms (as in the field).
PERIOD_S: Final = 4.0
JITTER_S: Final = 0.3
BURST_MS: Final = 10
#: Seconds that something is out of order.
FAULT_S: Final = (10.0, 60.0)
FAULTS: Final = ("the router is dead", "execution stands still", "open_orders is missing")
PRICES_USD: Final = {
    "BTCUSDT": 94000.0,
    "ETHUSDT": 3300.0,
    "BNBUSDT": 920.0,
    "SOLUSDT": 140.0,
    "XRPUSDT": 2.1,
    "ADAUSDT": 0.39,
    "DOGEUSDT": 0.14,
    "AVAXUSDT": 13.6,
    "LINKUSDT": 13.4,
    "DOTUSDT": 2.2,
    "LTCUSDT": 75.0,
    "TRXUSDT": 0.31,
    "ATOMUSDT": 2.5,
}


@dataclass(frozen=True)
class Fault:
    """Something is out of order between two times, in milliseconds since 1970."""

    what: str
    span: Span


def signals(rng: random.Random, lasts_ms: int) -> list[Entry]:
    """Return the entries of *lasts_ms* from the beginning, in the order of their ids."""
    entries: list[Entry] = []
    at_ms = BEGIN_MS
    while at_ms < BEGIN_MS + lasts_ms:
        entries += _burst(rng, at_ms, len(entries))
        at_ms += round(1000 * (PERIOD_S + rng.uniform(-JITTER_S, JITTER_S)))
    return entries


def faults(rng: random.Random, count: int, lasts_ms: int) -> list[Fault]:
    """Return *count* faults of any kind at any times of *lasts_ms*, in their order."""
    found = []
    for _ in range(count):
        begin_ms = BEGIN_MS + rng.randrange(lasts_ms)
        found.append(Fault(rng.choice(FAULTS), (begin_ms, begin_ms + round(1000 * rng.uniform(*FAULT_S)))))
    return sorted(found, key=lambda fault: fault.span)


def spans_of(found: Sequence[Fault], what: str) -> list[Span]:
    """Return when it was so, in order and apart."""
    spans: list[Span] = []
    for begin, end in (fault.span for fault in found if fault.what == what):
        if spans and begin <= spans[-1][1]:
            spans[-1] = spans[-1][0], max(spans[-1][1], end)
        else:
            spans.append((begin, end))
    return spans


def confidence(rng: random.Random) -> float:
    """Half of the signals between 0.75 and 0.90, one in 26 above, the rest below the router's quality gate."""
    draw = rng.random()
    if draw < 1 / 26:
        return round(rng.uniform(0.90, 0.98), 4)
    if draw < 0.55:
        return round(rng.uniform(0.75, 0.8999), 4)
    return round(rng.uniform(0.45, 0.7499), 4)


def signal(rng: random.Random, symbol: str) -> dict[str, Any]:
    """Return the attributes of one signal; one in 50 is a hold, one in 200 invalid (a negative size)."""
    draw = rng.random()
    side = "hold" if draw < 1 / 50 else rng.choice(("buy", "sell"))
    price = PRICES_USD[symbol] * rng.uniform(0.99, 1.01)
    away = 0.02 if side == "sell" else -0.02
    size_usd = float(rng.randrange(100, 1000, 50))
    return {
        "symbol": symbol,
        "side": side,
        "confidence": confidence(rng),
        "position_size_usd": -size_usd if draw > 1 - 1 / 200 else size_usd,
        "leverage": rng.choice((1, 2, 3, 5)),
        "entry_price": round(price, 6),
        "stop_loss": round(price * (1 + away), 6),
        "take_profit": round(price * (1 - 2 * away), 6),
        "regime": rng.choice(("trending", "ranging", "volatile", "unknown")),
        "rl_gate_pass": rng.random() < 0.4,
        "model": "lab-ensemble",
    }


def _burst(rng: random.Random, at_ms: int, number: int) -> list[Entry]:
    """Return a signal for each symbol, in any order, within 10 ms."""
    symbols = rng.sample(sorted(PRICES_USD), len(PRICES_USD))
    times = sorted(at_ms + rng.randrange(BURST_MS) for _ in symbols)
    entries: list[Entry] = []
    for place, (symbol, ms) in enumerate(zip(symbols, times, strict=True)):
        moment = datetime.fromtimestamp(ms / 1000, timezone.utc).isoformat()
        trace_id = f"simulated-{number + place}"
        fields = {
            "event_type": "ai.decision.made",
            "payload": json.dumps(signal(rng, symbol) | {"timestamp": moment}),
            "timestamp": moment,
            "source": "simulation",
            "trace_id": trace_id,
            "correlation_id": trace_id,
        }
        entries.append((f"{ms}-{place}".encode(), [text.encode() for pair in fields.items() for text in pair]))
    return entries
