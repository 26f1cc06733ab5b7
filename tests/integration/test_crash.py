# SPDX-License-Identifier: Apache-2.0
"""The promise under faults: every entry exactly one outcome, none published twice, none lost."""

from __future__ import annotations

import contextlib
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from router.config import Settings
from router.errors import FencedError
from router.redis_io.client import connect
from router.redis_io.group import Group
from router.redis_io.keys import catalogue
from tests.integration.conftest import SIGNALS, eventually
from tests.integration.fault_proxy import Fault, FaultProxy

if TYPE_CHECKING:
    from collections.abc import Callable

    Start = Callable[..., Any]

CRASH_AT = str(Path(__file__).with_name("crash_at.py"))
RUN = ("run", "--holder", "test/router")


@pytest.mark.parametrize(
    ("when", "method", "number"),
    [
        ("before", "acquire", 1),
        ("after", "acquire", 1),
        ("before", "observe", 1),
        ("before", "read", 1),
        ("after-entries", "read", 0),
        ("before", "renew", 1),
        ("after", "renew", 1),
        ("after", "observe", 2),
        ("before", "commit", 1),
        ("after", "commit", 1),
        ("before", "commit", 2),
        ("after", "commit", 2),
    ],
)
def test_a_kill_at_any_step_of_a_window_loses_and_repeats_nothing(
    start_router: Start, market: Any, when: str, method: str, number: int
) -> None:
    """SIGKILL before or after each call, with a reduce-only signal and a full burst under way; then a new process."""
    doomed = start_router(CRASH_AT, "SIGKILL", when, method, str(number), *RUN)
    market.signal("EXIT", 0.5, reduce_only=True)
    market.burst()
    assert -signal.SIGKILL == doomed.wait()
    start_router()
    market.audit()
    assert ["EXIT", "S12USDT", "S11USDT"] == [intent["symbol"] for intent in market.intents]


@pytest.mark.parametrize("fault", [Fault.CUT, Fault.TRUNCATE])
def test_a_commit_whose_reply_is_lost_is_asked_again_and_done_once(
    start_router: Start, redis_server: Any, market: Any, fault: Fault
) -> None:
    """Redis published, the connection broke before or within the reply: the same commit gets the stored reply."""
    proxy = FaultProxy(str(redis_server.socket))
    proxy.ask(fault, b"S12USDT")
    router = start_router(url=proxy.url)
    market.burst()
    router.wait_for("BEST_OF_PUBLISH", scope="window", count=1)
    market.audit()
    proxy.close()
    assert {fault: 1} == proxy.happened
    assert 2 == len(market.intents) == len(router.events("INTENT_PUBLISHED"))


@pytest.mark.parametrize("ending", ["shutdown", "kill"])
def test_a_restart_of_redis_in_the_middle_of_a_window_loses_nothing(
    start_router: Start, redis_server: Any, market: Any, ending: str
) -> None:
    """The router says so, keeps its process, and routes the window once Redis is back."""
    redis_server.client.config_set("appendfsync", "always")
    router = start_router(CANDIDATE_WINDOW_SEC="1")
    router.wait_for("ACTIVE")
    market.burst()
    time.sleep(0.3)
    redis_server.stop(kill=ending == "kill")
    router.wait_for("REDIS_UNAVAILABLE")
    redis_server.start()
    market.audit()
    assert 2 == len(market.intents)
    assert router.process.poll() is None


def test_two_routers_publish_what_one_would_and_the_standby_takes_over(start_router: Start, market: Any) -> None:
    """The second stands by, routes after the first is killed, and nothing is repeated or lost."""
    first = start_router(holder="a/router")
    first.wait_for("ACTIVE")
    second = start_router(holder="b/router")
    second.wait_for("STANDBY")
    market.burst()
    first.wait_for("BEST_OF_PUBLISH", scope="window")
    market.burst()
    first.send(signal.SIGKILL)
    second.wait_for("ACTIVE")
    second.wait_for("BEST_OF_PUBLISH", scope="window")
    market.audit()
    assert 4 == len(market.intents)


def test_a_router_that_slept_past_its_lease_is_fenced(start_router: Start, market: Any) -> None:
    """Stopped longer than the lease with a window open: it publishes nothing more and ends with 75."""
    sleeper = start_router(holder="a/router", CANDIDATE_WINDOW_SEC="1")
    sleeper.wait_for("ACTIVE")
    market.burst()
    time.sleep(0.5)
    sleeper.send(signal.SIGSTOP)
    other = start_router(holder="b/router")
    other.wait_for("BEST_OF_PUBLISH", scope="window")
    sleeper.send(signal.SIGCONT)
    assert 75 == sleeper.wait()
    market.audit()
    assert 2 == len(market.intents)


def test_the_same_holder_retakes_its_lease_at_once(start_router: Start, market: Any) -> None:
    """A restart after a crash does not wait for the lease to expire."""
    start_router(ROUTER_LEASE_TTL_SEC="6").wait_for("ACTIVE")
    restarted = start_router(ROUTER_LEASE_TTL_SEC="6")
    restarted.wait_for("ACTIVE")
    assert not restarted.events("STANDBY")
    assert market.client.pttl("quantum:router:lease") > 0


def test_a_foreign_reader_on_our_group_fences_and_what_it_took_is_adopted(start_router: Start, market: Any) -> None:
    """Somebody's XREADGROUP moves the cursor: exit 75; the next start routes what was left pending."""
    router = start_router(CANDIDATE_WINDOW_SEC="1")
    router.wait_for("ACTIVE")
    eventually(lambda: market.group, "the group, which comes after the lease")
    market.burst()
    market.client.xreadgroup("router", "foreign", {"quantum:stream:ai.decision.made": ">"}, count=5)
    assert 75 == router.wait()
    assert "foreign reader" in router.log
    start_router()
    market.audit()
    assert 2 == len(market.intents)


def test_a_group_that_is_removed_stops_the_router_loudly(start_router: Start, market: Any) -> None:
    """The group is missing while running: exit 75 and a line that says so."""
    router = start_router()
    router.wait_for("ACTIVE")
    stream = "quantum:stream:ai.decision.made"
    eventually(lambda: market.group, "the group, which comes after the lease")
    market.client.xgroup_destroy(stream, "router")
    market.signal()
    assert 75 == router.wait()
    assert "GROUP_MISSING" in router.log


def test_a_group_that_is_removed_while_the_router_starts_is_no_trouble_with_redis(redis_server: Any) -> None:
    """Between making the group and asking for what it left pending there is time to remove it: exit 75 as well."""
    settings = Settings(redis_url=redis_server.url)
    keys = catalogue(settings)
    with contextlib.closing(connect(settings)) as client:
        group = Group(client, settings, keys)
        group.ensure()
        client.xgroup_destroy(keys.signals, settings.group)
        with pytest.raises(FencedError, match="GROUP_MISSING"):
            group.pending_stale(now_ms=round(time.time() * 1000))


def test_flushed_scripts_are_loaded_again(start_router: Start, market: Any) -> None:
    """SCRIPT FLUSH is repaired without a word."""
    router = start_router()
    router.wait_for("ACTIVE")
    market.client.script_flush()
    market.burst()
    router.wait_for("BEST_OF_PUBLISH", scope="window")
    market.audit()
    assert 2 == len(market.intents)


def test_sigterm_ends_in_under_a_second_and_leaves_an_open_window_to_the_next(start_router: Start, market: Any) -> None:
    """Exit 0, lease given back, nothing of the window lost."""
    router = start_router(CANDIDATE_WINDOW_SEC="3")
    router.wait_for("ACTIVE")
    market.burst()
    time.sleep(0.3)
    assert 0 == router.stop()
    assert not market.client.exists("quantum:router:lease")
    start_router()
    market.audit()
    assert 2 == len(market.intents)


@pytest.mark.parametrize("hung_s", [0.0, 1.0])
def test_sigterm_ends_in_under_a_second_while_redis_hangs(
    start_router: Start, redis_server: Any, market: Any, hung_s: float
) -> None:
    """What is under way is abandoned, for the next router reads it again."""
    router = start_router()
    router.wait_for("ACTIVE")
    market.burst()
    redis_server.send(signal.SIGSTOP)
    time.sleep(hung_s)
    assert 0 == router.stop()
    redis_server.send(signal.SIGCONT)
    assert "no lease given back" in router.log
    start_router()
    market.audit()


def test_a_standby_ends_in_under_a_second(start_router: Start) -> None:
    """It has no lease to give back."""
    start_router(holder="a").wait_for("ACTIVE")
    standby = start_router(holder="b")
    standby.wait_for("STANDBY")
    assert 0 == standby.stop()


def test_a_window_of_known_ids_keeps_the_lease(start_router: Start, market: Any) -> None:
    """Thousands of ids that were published before leave the ranking at once; the best new signal is published."""
    pipe = market.client.pipeline()
    for i in range(3000):
        pipe.set(f"quantum:dedup:trade_intent:known{i}", "1", ex=300)
    pipe.execute()
    router = start_router(ROUTER_LEASE_TTL_SEC="0.5")
    router.wait_for("ACTIVE")
    for i in range(3000):
        market.signal(f"S{i % 300}", 0.95, correlation_id=f"known{i}")
    market.signal("NEW", 0.8)
    market.audit()
    assert ["NEW"] == [intent["symbol"] for intent in market.intents]
    assert 3000 == market.outcomes["duplicate"]


def test_a_start_that_counts_for_long_keeps_the_lease(start_router: Start, redis_server: Any, market: Any) -> None:
    """A fresh backlog is counted page by page, each as slow as Redis is: together longer than the lease lasts."""
    market.client.xgroup_create(SIGNALS, "router", "0", mkstream=True)
    with market.client.pipeline() as pipeline:
        for _ in range(6000):
            pipeline.xadd(SIGNALS, {"payload": "{}"})
        pipeline.execute()
    proxy = FaultProxy(str(redis_server.socket))
    for _ in range(6):
        proxy.ask(Fault.DELAY, b"XRANGE", delay_s=0.3)
    router = start_router(url=proxy.url, ROUTER_SIGNAL_MAX_AGE_SEC="60")
    market.audit()
    proxy.close()
    assert {Fault.DELAY: 6} == proxy.happened
    assert router.process.poll() is None
    assert {"rejected": 6000} == market.outcomes


def test_out_of_memory_publishes_nothing_and_recovers(start_router: Start, redis_server: Any, market: Any) -> None:
    """A server out of memory refuses the commit whole; with memory again the signals are routed."""
    router = start_router()
    router.wait_for("ACTIVE")
    market.burst()
    redis_server.client.config_set("maxmemory", "1")
    router.wait_for("REDIS_UNAVAILABLE")
    assert not market.intents
    redis_server.client.config_set("maxmemory", "0")
    market.audit()
    assert 2 == len(market.intents)


def test_a_key_of_a_wrong_type_refuses_the_commit_before_anything_is_published(
    start_router: Start, market: Any
) -> None:
    """The script proves that nothing can fail before its first write; with the key mended the window is routed."""
    router = start_router()
    router.wait_for("ACTIVE")
    market.audit()
    market.client.set("quantum:router:outcomes", "not a hash")
    market.burst()
    refused = router.wait_for("REDIS_UNAVAILABLE")["MESSAGE"]
    assert "quantum:router:outcomes is a string, not a hash" in refused
    assert not market.intents
    market.client.delete("quantum:router:outcomes")
    market.audit()
    assert 2 == len(market.intents)
