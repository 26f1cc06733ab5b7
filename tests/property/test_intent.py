# SPDX-License-Identifier: Apache-2.0
"""What execution is given, to the letter."""

from __future__ import annotations

import json

from router.core.intent import chosen_intent, reduce_only_intent
from router.core.policy import Choice
from router.core.signal import Signal, parse

NOW_MS = 1_700_000_000_123
FACTS = {
    "symbol": "btcusdt", "side": "sell", "confidence": 0.8, "position_size_usd": 100, "quantity": 50, "leverage": 3,
    "entry_price": 2.5, "stop_loss": 2, "take_profit": 3, "stop_loss_pct": 1.5, "take_profit_pct": 4, "regime": "bull",
    "trace_id": "t", "correlation_id": "c",
}  # fmt: skip
COMMON = {
    "symbol": "BTCUSDT", "action": "SELL", "side": "SELL", "confidence": 0.8, "leverage": 3.0, "entry_price": 2.5,
    "stop_loss": 2.0, "take_profit": 3.0, "stop_loss_pct": 1.5, "take_profit_pct": 4.0,
    "timestamp": "2023-11-14T22:13:20.123+00:00", "source": "ai_strategy_router", "signal_id": "1-2", "trace_id": "t",
    "correlation_id": "c", "score": 0.81, "release": "r",
}  # fmt: skip


def signal(**changes: object) -> Signal:
    """The signal of FACTS with *changes*."""
    parsed = parse("1-2", {b"payload": json.dumps({**FACTS, **changes}).encode()})
    assert isinstance(parsed, Signal)
    return parsed


def test_a_chosen_signal_is_boosted_capped_and_says_its_rank() -> None:
    """Both sizes take the boost, each up to the cap; reduce_only is always there."""
    expected = {
        **COMMON, "position_size_usd": 120.0, "quantity": 65.0, "reduce_only": False, "rank": 1, "size_boost": 1.3,
    }  # fmt: skip
    assert expected == json.loads(chosen_intent(Choice(signal(), 1), NOW_MS, "r", 120))


def test_a_reduce_only_signal_keeps_its_sizes_and_has_no_rank() -> None:
    """What frees capacity is passed on as it came."""
    expected = {
        **COMMON, "position_size_usd": 100.0, "quantity": 50.0, "reduce_only": True, "size_boost": 1.0,
    }  # fmt: skip
    assert expected == json.loads(reduce_only_intent(signal(reduce_only=True), NOW_MS, "r"))


def test_what_the_producer_left_out_is_left_out() -> None:
    """Only sizes, side, confidence and what the router adds are there for sure."""
    bare = signal(**dict.fromkeys(FACTS.keys() - {"symbol", "side", "confidence", "quantity"}))
    intent = json.loads(chosen_intent(Choice(bare, 2), NOW_MS, "r", None))
    absent = FACTS.keys() - {"symbol", "side", "confidence", "quantity"}
    assert not absent & intent.keys()
    assert (55.0, 0.8, 2) == (intent["quantity"], intent["score"], intent["rank"])
