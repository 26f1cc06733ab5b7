# SPDX-License-Identifier: Apache-2.0
"""The audit stream: every entry that a commit deals with, with its reason, written by the commit itself."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from router.core.outcome import Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    Start = Callable[..., Any]

AUDIT, OPEN_ORDERS = "quantum:stream:router.audit", "quantum:state:open_orders"
ON = {"ROUTER_AUDIT_MAX": "1000"}


def audited(market: Any) -> list[tuple[str, str]]:
    """All decisions of the audit, oldest first."""
    entries = [fields for _, fields in market.client.xrange(AUDIT)]
    return [(entry_id, reason) for entry in entries for entry_id, reason in json.loads(entry.get("decisions", "[]"))]


def outcomes_by_reason(market: Any) -> dict[str, int]:
    """What the outcomes would be by the audit's reasons."""
    return dict(Counter(Reason(reason.partition(":")[0]).outcome.value for _, reason in audited(market)))


def test_every_entry_is_audited_once_with_its_reason(start_router: Start, market: Any) -> None:
    """Each way through a window has its own reason, and the reasons add up to the outcomes."""
    market.client.set("quantum:dedup:trade_intent:known", "1", ex=300)
    router = start_router(**ON)
    router.wait_for("ACTIVE")
    expected = {
        market.signal("AAA", 0.95): "published",
        market.signal("AAA", 0.94): "symbol_outranked",
        market.signal("BBB", 0.93): "published",
        market.signal("CCC", 0.85): "outranked",
        market.signal("DDD", 0.2): "low_confidence",
        market.signal("EEE", 0.99, correlation_id="known"): "id_published",
        market.signal("FFF", 0.80, correlation_id="twice"): "id_in_window",
        market.signal("FFF", 0.81, correlation_id="twice"): "outranked",
        market.signal("GGG", 0.9, side="hold"): "hold",
        market.signal("HHH", 7): "rejected:confidence",
        market.signal("III", 0.1, reduce_only=True): "published",
    }
    router.wait_for("BEST_OF_PUBLISH", scope="window")
    market.audit()
    assert sorted(expected.items()) == sorted(audited(market))
    assert market.outcomes == outcomes_by_reason(market)
    entries = {fields["event"]: fields for _, fields in market.client.xrange(AUDIT)}
    assert {"REDUCE_ONLY", "BEST_OF_PUBLISH"} == set(entries)
    window = entries["BEST_OF_PUBLISH"]
    assert ("0", "0", "2", "0") == tuple(window[name] for name in ("open", "in_flight", "allowed", "unlisted"))
    assert max(expected) == window["to"]


def test_a_window_that_publishes_nothing_says_why_for_each(start_router: Start, market: Any) -> None:
    """Halted, unknown, full, limited and at the target each have their reason."""
    router = start_router(**ON, ROUTER_MAX_INTENTS_PER_HOUR="1")
    router.wait_for("ACTIVE")
    steps: list[tuple[str, str, Callable[[], Any]]] = [
        ("HALTED", "halted", lambda: market.client.set("quantum:kill", "1")),
        ("CAPACITY_UNKNOWN", "capacity_unknown", lambda: market.client.delete("quantum:kill", OPEN_ORDERS)),
        ("CAPACITY_FULL", "capacity_full", lambda: market.set_open_orders(10)),
        ("TARGET_REACHED", "target_reached", lambda: market.set_open_orders(3)),
        ("BEST_OF_PUBLISH", "published", lambda: market.set_open_orders(0)),
        ("LIMIT_REACHED", "limit_reached", lambda: None),
    ]  # fmt: skip
    for event, reason, prepare in steps:
        prepare()
        entry_id = market.signal("BTCUSDT", 0.8)
        router.wait_for(event, scope="window")
        assert (entry_id, reason) == audited(market)[-1]
    market.audit()
    assert market.outcomes == outcomes_by_reason(market)


def test_what_is_skipped_at_the_start_is_audited_too(start_router: Start, market: Any) -> None:
    """The jump over a stale backlog is an entry with its stretch and number, old pending entries are listed."""
    stream, old_ms = "quantum:stream:ai.decision.made", int(time.time() * 1000) - 60_000
    pending = [market.signal(entry_id=f"{old_ms}-{i}") for i in (1, 2)]
    market.client.xgroup_create(stream, "router", "0")
    market.client.xreadgroup("router", "legacy", {stream: ">"})
    skipped = [market.signal(entry_id=f"{old_ms}-{i}") for i in (3, 4, 5)]
    router = start_router(**ON)
    router.wait_for("PENDING_ADOPTED")
    low = market.signal("LOW", 0.1)
    market.audit()
    entries = [fields for _, fields in market.client.xrange(AUDIT)]
    jumped = entries[0]
    assert ("BACKLOG_SKIPPED", pending[1], skipped[2], "3") == tuple(
        jumped[k] for k in ("event", "from", "to", "unlisted")
    )
    assert "NO_WINDOW" == entries[-1]["event"]
    assert [(pending[0], "stale"), (pending[1], "stale"), (low, "low_confidence")] == audited(market)


def test_more_decisions_than_are_listed_are_counted_and_the_published_are_listed(
    start_router: Start, market: Any
) -> None:
    """A flood of candidates makes the entry no longer than 10,000 decisions; a line says so; the best came last."""
    router = start_router(**ON, CANDIDATE_WINDOW_SEC="2", ROUTER_LEASE_TTL_SEC="3")
    router.wait_for("ACTIVE")
    pipe = market.client.pipeline()
    for i in range(12_000):
        good = f'{{"symbol":"S{i % 400}","side":"buy","confidence":0.8,"quantity":1}}'
        pipe.xadd("quantum:stream:ai.decision.made", {"payload": good})
    pipe.execute()
    best = market.signal("BEST", 0.9)
    router.wait_for("BEST_OF_PUBLISH", scope="window")
    market.audit()
    unlisted = sum(event["UNLISTED"] for event in router.events("AUDIT_TRUNCATED"))
    assert unlisted > 0
    assert 12_001 == len(audited(market)) + unlisted
    assert (best, "published") in audited(market)


def test_the_audit_is_trimmed_and_off_by_default(start_router: Start, market: Any) -> None:
    """It keeps about as many entries as the setting says; without it there is no such key."""
    off = start_router()
    market.burst()
    off.wait_for("BEST_OF_PUBLISH", scope="window")
    assert not market.client.exists(AUDIT)
    off.stop()
    pipe = market.client.pipeline()
    for _ in range(1000):
        pipe.xadd(AUDIT, {"event": "OLD"})
    pipe.execute()
    on = start_router(ROUTER_AUDIT_MAX="100")
    market.burst()
    on.wait_for("BEST_OF_PUBLISH", scope="window")
    assert 100 <= market.client.xlen(AUDIT) <= 250


def test_an_automatic_halt_is_audited(start_router: Start, market: Any) -> None:
    """In the step that publishes the one too many, with the reason."""
    router = start_router(**ON, ROUTER_REPEAT_LIMIT="1")
    market.signal()
    router.wait_for("AUTO_HALTED")
    entry = next(fields for _, fields in market.client.xrange(AUDIT) if fields["event"] == "AUTO_HALTED")
    assert ("1 intents for BTCUSDT BUY within 60 s", "test/router") == (entry["reason"], entry["who"])
