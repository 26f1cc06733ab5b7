# SPDX-License-Identifier: Apache-2.0
"""Limits that a desk may set: intents per hour, repeats for one symbol and side, US dollars per intent."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tests.integration.commit_rig import CommitRig

if TYPE_CHECKING:
    from collections.abc import Callable

    Start = Callable[..., Any]

HALT, RECENT, REPEATS = "quantum:router:halt", "quantum:router:recent", "quantum:router:repeats"
HOUR_MS = 3_600_000


def now_ms() -> int:
    """The clock of Redis, which runs on this host."""
    return int(time.time() * 1000)


def test_the_limit_per_hour_holds_across_windows_and_routers(start_router: Start, market: Any) -> None:
    """Three an hour: two, then one, then none until an intent is older than 60 minutes; a restart changes nothing."""
    limit = {"ROUTER_MAX_INTENTS_PER_HOUR": "3"}
    first = start_router(**limit)
    first.wait_for("ACTIVE")
    market.burst()
    first.wait_for("BEST_OF_PUBLISH", COUNT=2)
    market.signal("EXIT", 0.9, reduce_only=True)
    market.burst()
    assert 1 == first.wait_for("BEST_OF_PUBLISH", COUNT=1)["ALLOWED"]
    first.stop()
    second = start_router(**limit)
    second.wait_for("ACTIVE")
    market.burst()
    line = second.wait_for("LIMIT_REACHED", scope="window")["MESSAGE"]
    assert "🔴 LIMIT_REACHED intents=3 max=3 per hour" == line
    market.signal("EXIT2", 0.9, reduce_only=True)
    market.audit()
    assert 5 == len(market.intents)
    oldest = market.client.zrange(RECENT, 0, 0)[0]
    market.client.zadd(RECENT, {oldest: now_ms() - HOUR_MS})
    market.burst()
    second.wait_for("BEST_OF_PUBLISH", COUNT=1)
    market.audit()
    assert oldest not in market.client.zrange(RECENT, 0, -1)


def test_without_limits_nothing_is_kept_for_them(start_router: Start, market: Any) -> None:
    """Both are off by default, and then cost nothing."""
    router = start_router()
    market.burst()
    router.wait_for("BEST_OF_PUBLISH", COUNT=2)
    market.audit()
    assert not market.client.exists(RECENT, REPEATS)


def test_the_intent_that_is_one_repeat_too_many_halts_the_router(start_router: Start, market: Any) -> None:
    """The third BTCUSDT BUY is published and halts in the same step; what follows is dealt with as halted."""
    router = start_router(ROUTER_REPEAT_LIMIT="3")
    router.wait_for("ACTIVE")
    for number in range(3):
        market.signal("BTCUSDT", 0.8)
        market.signal("ETHUSDT", 0.9, side="sell" if number % 2 else "buy")
        router.wait_for("BEST_OF_PUBLISH", number + 1, scope="window")
    reason = "3 intents for BTCUSDT BUY within 60 s"
    assert reason == router.wait_for("AUTO_HALTED")["REASON"]
    halted = market.client.hgetall(HALT)
    assert (reason, "test/router") == (halted["reason"], halted["who"])
    assert abs(now_ms() - int(halted["when"])) < 10_000
    market.burst()
    router.wait_for("HALTED", scope="window")
    market.audit()
    assert 6 == len(market.intents)


def test_repeats_further_apart_than_the_window_halt_nothing(start_router: Start, market: Any) -> None:
    """Old ones are forgotten, other symbols, the other side and reduce-only signals are no repeats."""
    market.client.zadd(REPEATS, {f"BTCUSDT BUY {i}-0": now_ms() - 2_000 for i in range(5)})
    router = start_router(ROUTER_REPEAT_LIMIT="2", ROUTER_REPEAT_WINDOW_SEC="2")
    router.wait_for("ACTIVE")
    market.signal("BTCUSDT", 0.8)
    market.signal("ETHUSDT", 0.8)
    for _ in range(3):
        market.signal("BTCUSDT", 0.8, reduce_only=True)
    router.wait_for("BEST_OF_PUBLISH", scope="window")
    market.signal("BTCUSDT", 0.8, side="sell")
    router.wait_for("BEST_OF_PUBLISH", 2, scope="window")
    market.audit()
    assert not router.events("AUTO_HALTED")
    assert 3 == market.client.zcard(REPEATS)


def test_no_intent_is_larger_than_the_cap_in_dollars(start_router: Start, market: Any) -> None:
    """Position and quantity are capped after the boost; a reduce-only signal keeps its size, for it closes."""
    start_router(ROUTER_MAX_POSITION_USD="120")
    market.signal("BIG", 0.9, position_size_usd=100, quantity=5000)
    market.signal("SMALL", 0.8, position_size_usd=10)
    market.signal("EXIT", 0.8, position_size_usd=900, reduce_only=True)
    market.audit()
    sizes = {i["symbol"]: (i["position_size_usd"], i.get("quantity")) for i in market.intents}
    assert {"BIG": (120.0, 120.0), "SMALL": (11.0, None), "EXIT": (900.0, None)} == sizes


def test_the_last_window_is_kept_for_people(start_router: Start, market: Any) -> None:
    """Each window's commit writes what came of it, published or not."""
    router = start_router()
    router.wait_for("ACTIVE")
    market.burst()
    router.wait_for("BEST_OF_PUBLISH", scope="window")
    market.audit()
    facts = market.client.hgetall("quantum:router:last_window")
    assert abs(now_ms() - int(facts.pop("at_ms"))) < 10_000
    expected = {
        "event": "BEST_OF_PUBLISH",
        "count": "2",
        "allowed": "2",
        "candidates": "9",
        "denied": "0",
        "open": "0",
        "in_flight": "0",
    }
    assert expected == facts
    market.client.delete("quantum:state:open_orders")
    market.burst()
    router.wait_for("CAPACITY_UNKNOWN", scope="window")
    facts = market.client.hgetall("quantum:router:last_window")
    assert ("CAPACITY_UNKNOWN", "0", "") == (facts["event"], facts["count"], facts["open"])


def test_the_commit_itself_holds_the_limit_per_hour(redis_server: Any) -> None:
    """What another wrote between decision and commit counts: nothing is done, and it is decided anew."""
    rig = CommitRig(redis_server, max_intents_per_hour=2)
    rig.client.zadd(RECENT, {"1-0": now_ms() - 1000, "2-0": now_ms() - 2000})
    before = rig.photograph()
    assert "CHANGED" == rig.try_commit().status
    assert before == rig.photograph()
    assert 2 == rig.scripts.observe().capacity.hour_intents
    assert "OK" == rig.try_commit(reduce_only=True).status
    assert 2 == rig.client.zcard(RECENT)
