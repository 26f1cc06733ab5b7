# SPDX-License-Identifier: Apache-2.0
"""The intent that execution trades on: one JSON object (design: wire contract)."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final

import msgspec

from router.core.policy import boosted, score

if TYPE_CHECKING:
    from router.core.policy import Choice
    from router.core.signal import Signal

SOURCE: Final = "ai_strategy_router"

_encode = msgspec.json.Encoder().encode


def chosen_intent(choice: Choice, now_ms: int, release: str, max_position_usd: float | None) -> str:
    """Return the JSON of a chosen signal, its sizes boosted by rank and capped at *max_position_usd*."""
    signal, boost = choice.signal, choice.boost
    sizes = [boosted(size, boost, max_position_usd) for size in (signal.position_size_usd, signal.quantity)]
    return _json(signal, sizes, now_ms, {"rank": choice.rank, "size_boost": boost, "release": release})


def reduce_only_intent(signal: Signal, now_ms: int, release: str) -> str:
    """Return the JSON of a reduce-only signal: sizes as they came, no rank."""
    sizes = [signal.position_size_usd, signal.quantity]
    return _json(signal, sizes, now_ms, {"rank": None, "size_boost": 1.0, "release": release})


def _json(signal: Signal, sizes: list[float | None], now_ms: int, audit: dict[str, float | str | None]) -> str:
    position_size_usd, quantity = sizes
    moment = datetime.fromtimestamp(now_ms / 1000, timezone.utc)
    fields = {
        "symbol": signal.symbol,
        "action": signal.side,
        "side": signal.side,
        "confidence": signal.confidence,
        "position_size_usd": position_size_usd,
        "quantity": quantity,
        "leverage": signal.leverage,
        "entry_price": signal.entry_price,
        "stop_loss": signal.stop_loss,
        "take_profit": signal.take_profit,
        "stop_loss_pct": signal.stop_loss_pct,
        "take_profit_pct": signal.take_profit_pct,
        "reduce_only": signal.reduce_only,
        "timestamp": moment.isoformat(timespec="milliseconds"),
        "source": SOURCE,
        "signal_id": signal.entry_id,
        "trace_id": signal.trace_id,
        "correlation_id": signal.correlation_id,
        "score": score(signal),
        **audit,
    }
    return _encode({name: value for name, value in fields.items() if value is not None}).decode()
