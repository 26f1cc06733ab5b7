# SPDX-License-Identifier: Apache-2.0
"""The running router on a real Redis: what it publishes, and what it says."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Start = Callable[..., Any]

KILL = "quantum:kill"
HALT = "quantum:router:halt"


def test_a_burst_of_thirteen_gives_the_best_two_boosted_by_rank(start_router: Start, market: Any) -> None:
    """One window, one outcome line, two intents: the best with 130 % of its size, the second with 110 %."""
    router = start_router()
    router.wait_for("ACTIVE")
    market.burst()
    line = router.wait_for("BEST_OF_PUBLISH", scope="window")["MESSAGE"]
    assert line.startswith("📤 BEST_OF_PUBLISH count=2 allowed=2 open=0 slots=10 top=[")
    assert [("S12USDT", 130.0, 1), ("S11USDT", 110.0, 2)] == [
        (i["symbol"], i["position_size_usd"], i["rank"]) for i in market.intents
    ]
    assert "Trade Intent published: S12USDT BUY" in router.log
    assert "💰 SIZE_BOOST rank=1 factor=1.30" in router.log
    market.audit()


@pytest.mark.parametrize(
    ("open_orders", "line", "published"),
    [
        ("10", "🔴 CAPACITY_FULL open=10 max=10", 0),
        ("3", "⏸️ TARGET_REACHED open=3 target=3 (awaiting super-signal)", 0),
        ("1", "📤 BEST_OF_PUBLISH count=2 allowed=2 open=1 slots=9 top=[", 2),
        (None, "🔴 CAPACITY_UNKNOWN: quantum:state:open_orders missing → fail-closed", 0),
        ("ten", "🔴 CAPACITY_UNKNOWN: quantum:state:open_orders not a count → fail-closed", 0),
        ("-1", "🔴 CAPACITY_UNKNOWN: quantum:state:open_orders not a count → fail-closed", 0),
    ],
)
def test_each_capacity_state_publishes_what_the_guide_says(
    start_router: Start, market: Any, open_orders: str | None, line: str, published: int
) -> None:
    """The guide's four states, and counts that are none, with the guide's own lines."""
    if open_orders is None:
        market.client.delete("quantum:state:open_orders")
    else:
        market.client.set("quantum:state:open_orders", open_orders)
    router = start_router()
    router.wait_for("ACTIVE")
    market.burst()
    market.audit()
    assert published == len(market.intents)
    assert line in router.log


def test_capacity_of_another_type_is_unknown(start_router: Start, market: Any) -> None:
    """A list where the count should be publishes nothing and stops nothing."""
    market.client.delete("quantum:state:open_orders")
    market.client.rpush("quantum:state:open_orders", 1)
    router = start_router()
    market.burst()
    router.wait_for("CAPACITY_UNKNOWN", scope="window")
    market.audit()
    assert not market.intents


def test_a_super_signal_passes_at_the_target(start_router: Start, market: Any) -> None:
    """With the target reached, the one best signal of super confidence is published."""
    market.set_open_orders(3)
    router = start_router()
    market.burst()
    market.signal("SUPER", 0.93)
    assert "count=1 allowed=1 open=3 slots=7" in router.wait_for("BEST_OF_PUBLISH", scope="window")["MESSAGE"]
    assert ["SUPER"] == [intent["symbol"] for intent in market.intents]


def test_a_reduce_only_signal_is_published_at_once_whatever_capacity_says(start_router: Start, market: Any) -> None:
    """It skips quality gate, capacity and boost, waits for no window and is remembered as published."""
    market.set_open_orders(99)
    router = start_router(CANDIDATE_WINDOW_SEC="3", ROUTER_LEASE_TTL_SEC="1")
    router.wait_for("ACTIVE")
    market.signal("KEPT", 0.8)
    market.signal("BTCUSDT", 0.1, reduce_only=True, correlation_id="exit")
    market.signal("BTCUSDT", 0.1, reduce_only=True, correlation_id="exit")
    router.wait_for("INTENT_PUBLISHED", reduce_only=True)
    assert not router.events("CAPACITY_FULL", scope="window")
    router.wait_for("CAPACITY_FULL", scope="window")
    market.audit()
    assert [(True, 100.0)] == [(i["reduce_only"], i["position_size_usd"]) for i in market.intents]
    assert {"published": 1, "duplicate": 1, "not_chosen": 1} == market.outcomes
    assert not market.client.exists("quantum:router:inflight")


@pytest.mark.parametrize("switch", ["REDUCE", "STOP", "go", "1"])
def test_the_desk_s_kill_switch_halts_and_reduce_lets_only_exits_pass(
    start_router: Start, market: Any, switch: str
) -> None:
    """REDUCE lets reduce-only signals pass; anything but missing, empty, 0 and GO halts everything."""
    market.client.set(KILL, switch)
    router = start_router()
    market.burst()
    market.signal("EXIT", 0.9, reduce_only=True)
    assert f"by={KILL}" in router.wait_for("HALTED", scope="window")["MESSAGE"]
    market.audit()
    assert (["EXIT"] if switch == "REDUCE" else []) == [intent["symbol"] for intent in market.intents]
    assert market.outcomes["halted"] >= 7


def test_our_own_halt_halts_and_its_end_resumes(start_router: Start, market: Any) -> None:
    """While the halt key exists nothing is published; afterwards the next window is."""
    market.client.hset(HALT, mapping={"reason": "test", "who": "me"})
    router = start_router()
    market.burst()
    assert "🔴 HALTED state=halted by=quantum:router:halt" in router.wait_for("HALTED", scope="window")["MESSAGE"]
    assert not market.intents
    market.client.delete(HALT)
    market.client.set(KILL, "GO")
    market.burst()
    router.wait_for("BEST_OF_PUBLISH", scope="window")
    market.audit()


def test_an_id_published_before_leaves_the_ranking_and_the_next_best_takes_its_rank(
    start_router: Start, market: Any
) -> None:
    """A known dedup key counts as duplicate; the symbol's second signal is published as rank 1."""
    market.client.set("quantum:dedup:trade_intent:known", "1", ex=300)
    router = start_router()
    router.wait_for("ACTIVE")
    market.signal("AAA", 0.99, correlation_id="known")
    market.signal("AAA", 0.85)
    market.signal("BBB", 0.80)
    market.audit()
    assert [("AAA", 0.85, 1), ("BBB", 0.80, 2)] == [(i["symbol"], i["confidence"], i["rank"]) for i in market.intents]
    assert {"published": 2, "duplicate": 1} == market.outcomes


def test_candidates_that_grew_stale_in_their_window_do_not_silence_the_fresh_ones(
    start_router: Start, market: Any
) -> None:
    """Forty that are better, and too old at the close, leave the ranking at once; the best fresh ones are published."""
    router = start_router(CANDIDATE_WINDOW_SEC="2", ROUTER_SIGNAL_MAX_AGE_SEC="5")
    router.wait_for("ACTIVE")
    seconds, microseconds = market.client.time()
    old_ms = seconds * 1000 + microseconds // 1000 - 3_500
    for i in range(40):
        market.signal(f"OLD{i}", 0.95, entry_id=f"{old_ms + i}-0")
    fresh = [market.signal(f"NEW{i}", 0.85) for i in range(5)]
    market.audit()
    assert fresh[:2] == [intent["signal_id"] for intent in market.intents]
    assert {"published": 2, "not_chosen": 3, "stale": 40} == market.outcomes
    assert not router.events("CAPACITY_UNKNOWN")


def test_a_dedup_key_of_another_type_keeps_only_its_own_signal_back(start_router: Start, market: Any) -> None:
    """What stands there cannot be read: that id counts as published, and the others are."""
    market.client.hset("quantum:dedup:trade_intent:odd", "field", "1")
    router = start_router()
    router.wait_for("ACTIVE")
    market.signal("ODD", 0.99, correlation_id="odd")
    market.signal("AAA", 0.85)
    market.signal("BBB", 0.80)
    market.audit()
    assert ["AAA", "BBB"] == [intent["symbol"] for intent in market.intents]
    assert {"published": 2, "duplicate": 1} == market.outcomes


def test_of_reduce_only_signals_with_one_id_the_one_that_is_out_already_counts_as_published(
    start_router: Start, market: Any
) -> None:
    """The first was published, the process died before its cursor followed, and the second came meanwhile."""
    first = market.signal(reduce_only=True, correlation_id="exit")
    market.client.set("quantum:dedup:trade_intent:exit", first, ex=300)
    market.signal(reduce_only=True, correlation_id="exit")
    market.signal()
    start_router().wait_for("BEST_OF_PUBLISH", scope="window")
    assert {"published": 2, "duplicate": 1} == market.outcomes


def test_bad_entries_become_rejects_and_never_stop_the_router(start_router: Start, market: Any) -> None:
    """Garbage is counted, kept with a code in the stream of rejects, and passed."""
    router = start_router()
    router.wait_for("ACTIVE")
    for fields in ({"payload": "{"}, {"payload": "[]"}, {"payload": b"\xff\xfe"}, {"other": "x"}):
        market.client.xadd("quantum:stream:ai.decision.made", fields)
    market.signal(side="hold")
    market.audit()
    assert {"rejected": 4, "ignored": 1} == market.outcomes
    rejects = market.client.xrange("quantum:stream:router.rejected")
    assert ["payload", "payload", "payload", "symbol"] == [fields["code"] for _, fields in rejects]


def test_a_backlog_of_stale_signals_is_jumped_over_and_counted(start_router: Start, market: Any) -> None:
    """Old entries are skipped at once; the fresh ones among them are routed; the lag is true."""
    old_ms = int(time.time() * 1000) - 60_000
    for i in range(1500):
        market.signal(entry_id=f"{old_ms}-{i + 1}")
    market.burst()
    router = start_router()
    assert 1500 == router.wait_for("BACKLOG_SKIPPED")["STALE"]
    market.audit()
    assert 2 == len(market.intents)
    assert 1500 == market.outcomes["stale"]


def test_a_signal_from_a_clock_far_ahead_is_rejected(start_router: Start, market: Any) -> None:
    """An entry id more than the maximum age in the future cannot be trusted with an age."""
    start_router()
    market.signal(entry_id=f"{int(time.time() * 1000) + 60_000}-1")
    market.audit()
    assert {"rejected": 1} == market.outcomes
    assert "clock" == market.client.xrange("quantum:stream:router.rejected")[0][1]["code"]


def test_what_an_older_router_left_pending_is_cleared(start_router: Start, market: Any) -> None:
    """Stale pending entries are acknowledged and not published; fresh ones join the first window; none stay pending."""
    stream = "quantum:stream:ai.decision.made"
    old_ms = int(time.time() * 1000) - 60_000
    market.client.xgroup_create(stream, "router", "0", mkstream=True)
    stale = {market.signal("OLD", 0.99, entry_id=f"{old_ms}-{i + 1}") for i in range(2300)}
    fresh = {market.signal(f"NEW{i}", 0.8) for i in range(3)}
    market.client.xreadgroup("router", "legacy", {stream: ">"}, count=5000)
    later = market.signal("LATER", 0.95)
    assert len(stale) + len(fresh) == market.group["pending"]
    router = start_router()
    event = router.wait_for("PENDING_ADOPTED")
    assert (2300, 3) == (event["STALE"], event["FRESH"])
    market.audit()
    published = {intent["signal_id"] for intent in market.intents}
    assert 2 == len(published)
    assert later in published
    assert published <= fresh | {later}


def test_every_key_stands_behind_the_prefix(start_router: Start, redis_server: Any, market: Any) -> None:
    """With a prefix nothing is read or written outside it, overridden names included."""
    market.client.flushall()
    prefixed = type(market)(redis_server.client, "acct2:")
    prefixed.set_open_orders(0)
    start_router(ROUTER_KEY_PREFIX="acct2:", ROUTER_INTENT_STREAM="quantum:stream:trade.intent")
    prefixed.burst()
    prefixed.audit()
    assert 2 == len(prefixed.intents)
    assert {"acct2:"} == {key[:6] for key in market.client.scan_iter()}


def test_in_flight_intents_take_slots_until_execution_acknowledges_them(start_router: Start, market: Any) -> None:
    """Between publication and opening the router counts what it published; an acknowledgement frees the slot."""
    stream, group = "quantum:stream:trade.intent", "quantum:group:execution:trade.intent"
    market.client.xgroup_create(stream, group, "0", mkstream=True)
    router = start_router()
    market.burst()
    router.wait_for("BEST_OF_PUBLISH", scope="window")
    market.burst()
    assert "open=0 slots=8" in router.wait_for("BEST_OF_PUBLISH", 2, scope="window")["MESSAGE"]
    market.burst()
    router.wait_for("TARGET_REACHED", scope="window")
    assert 3 == len(market.intents)
    given = market.client.xreadgroup(group, "execution", {stream: ">"})[0][1]
    market.client.xack(stream, group, *[entry_id for entry_id, _ in given])
    market.burst()
    assert "open=0 slots=10" in router.wait_for("BEST_OF_PUBLISH", 3, scope="window")["MESSAGE"]


def test_an_intent_delivered_long_ago_no_longer_counts_as_in_flight(start_router: Start, market: Any) -> None:
    """One that execution was given and never acknowledged falls out after the in-flight TTL."""
    stream, group = "quantum:stream:trade.intent", "quantum:group:execution:trade.intent"
    market.client.xgroup_create(stream, group, "0", mkstream=True)
    router = start_router(ROUTER_INFLIGHT_TTL_SEC="1", TARGET_OPEN_ORDERS="2", MAX_OPEN_ORDERS="2")
    market.burst()
    router.wait_for("BEST_OF_PUBLISH", scope="window")
    market.client.xreadgroup(group, "execution", {stream: ">"})
    router.wait_for("CAPACITY_FULL", scope="state")
    router.wait_for("CAPACITY_AVAILABLE", 2)
    assert 0 == market.client.scard("quantum:router:inflight")


def test_trimming_what_execution_has_not_been_given_is_logged(start_router: Start, market: Any) -> None:
    """Intents that fall off the stream before execution saw them are named in a warning."""
    stream = "quantum:stream:trade.intent"
    market.client.xgroup_create(stream, "quantum:group:execution:trade.intent", "0", mkstream=True)
    pipe = market.client.pipeline()
    for _ in range(10_200):
        pipe.xadd(stream, {"data": "{}"})
    pipe.execute()
    router = start_router()
    market.burst()
    assert router.wait_for("INTENTS_TRIMMED")["UNDELIVERED"] >= 100


def test_an_operator_who_sets_the_count_and_waits_ten_seconds_sees_the_line(start_router: Start, market: Any) -> None:
    """With the default window a new count is told within it, and the state that publishes nothing again within 10 s."""
    market.set_open_orders(11)
    router = start_router(CANDIDATE_WINDOW_SEC="3")
    router.wait_for("CAPACITY_FULL", OPEN=11)
    market.set_open_orders(10)
    assert "open=10 max=10" in router.wait_for("CAPACITY_FULL", OPEN=10)["MESSAGE"]
    told_s = time.monotonic()
    router.wait_for("CAPACITY_FULL", 2, within_s=12, OPEN=10)
    assert time.monotonic() - told_s <= 10
