# SPDX-License-Identifier: Apache-2.0
"""The lab's desk is what the field has: a feed in bursts of 13 symbols, a router that publishes all of it."""

from __future__ import annotations

import json
import random
from collections import Counter
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType

NOW = datetime(2026, 1, 19, 12, 17, tzinfo=timezone.utc)
SIGNALS = 13_000


def signals(feed: ModuleType) -> list[dict[str, Any]]:
    """A thousand bursts."""
    rng = random.Random(1)
    return [feed.signal(rng, symbol) for _ in range(SIGNALS // 13) for symbol in feed.PRICES_USD]


def test_a_burst_has_several_good_signals_and_now_and_then_a_super_one(feed: ModuleType) -> None:
    """Best-of has something to choose from: about half pass 0.75, about one in two bursts has one at 0.90."""
    confidences = [signal["confidence"] for signal in signals(feed)]
    assert 0.50 < sum(each >= 0.75 for each in confidences) / SIGNALS < 0.60
    assert 0.03 < sum(each >= 0.90 for each in confidences) / SIGNALS < 0.05


def test_holds_and_invalid_signals_are_few(feed: ModuleType) -> None:
    """The baseline stays above 0.9 intents a signal."""
    sides = Counter(signal["side"] for signal in signals(feed))
    assert 0 < sides["hold"] < SIGNALS * 0.03
    assert 0 < sum(signal["position_size_usd"] < 0 for signal in signals(feed)) < SIGNALS * 0.01


def test_an_entry_has_the_fields_of_the_wire_contract(feed: ModuleType) -> None:
    """The payload is a JSON object; the others are beside it."""
    entry = feed.fields(feed.signal(random.Random(1), "BTCUSDT"), NOW, "trace")
    assert set(entry) == {"payload", "event_type", "timestamp", "source", "trace_id", "correlation_id"}
    assert json.loads(entry["payload"])["symbol"] == "BTCUSDT"


def test_the_legacy_router_takes_both_forms(legacy: ModuleType) -> None:
    """Flat fields and a payload give the same intent."""
    flat = {"symbol": "btcusdt", "action": "buy", "confidence": "0.5", "quantity": "100"}
    expected = {"symbol": "BTCUSDT", "action": "BUY", "side": "BUY", "confidence": 0.5, "position_size_usd": 100.0}
    assert expected.items() <= legacy.to_intent(flat).items()
    assert expected.items() <= legacy.to_intent({"payload": json.dumps(flat)}).items()


def test_the_legacy_router_drops_only_what_it_cannot_trade(legacy: ModuleType) -> None:
    """Holds and broken entries give no intent, and no exception."""
    hold = {"symbol": "BTCUSDT", "side": "hold", "confidence": "0.5", "quantity": "1"}
    assert legacy.to_intent(hold) is None
    assert legacy.to_intent({"payload": "["}) is None
    assert legacy.to_intent({"payload": "[]"}) is None
    assert legacy.to_intent({}) is None
