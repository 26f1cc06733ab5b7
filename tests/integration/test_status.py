# SPDX-License-Identifier: Apache-2.0
"""`router status`: the truth about a real router, for a person and for a script, whatever stands in Redis."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.conftest import INTENTS, OPEN_ORDERS, SIGNALS, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    Start = Callable[..., Any]

LEASE, HALT, LAST_WINDOW = "quantum:router:lease", "quantum:router:halt", "quantum:router:last_window"
COMMAND = [sys.executable, "-m", "router", "status"]


def environment(server: Any) -> dict[str, str]:
    """The environment of a command on *server*."""
    return {**os.environ, "ROUTER_REDIS_URL": server.url}


def ask(server: Any, *options: str, **environ: str) -> tuple[int, str]:
    """Return exit code and output of `router status`."""
    settings = environment(server) | environ
    done = subprocess.run([*COMMAND, *options], env=settings, capture_output=True, text=True, timeout=20, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def test_a_routing_router_is_shown_with_all_its_numbers(start_router: Start, redis_server: Any, market: Any) -> None:
    """Exit 0; holder, release, capacity, lag, rates and outcomes are what Redis and the streams have."""
    start_router().wait_for("ACTIVE")
    market.burst()
    market.audit()
    code, text = ask(redis_server)
    assert 0 == code
    for part in (
        "routing, CAPACITY_AVAILABLE",
        "test/router, release 1.0.0, epoch 1",
        "0 of 10, target 3, in flight 0",
        "lag       0, pending 0",
        "4.3 signals and 0.7 intents a minute",
        "published 2, not_chosen 11",
    ):
        assert part in text
    code, text = ask(redis_server, "--json")
    seen = json.loads(text)
    assert (0, "", 13) == (code, seen["problem"], sum(seen["outcomes"].values()))


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (lambda redis: redis.delete(LEASE), "not routing: no router holds the lease"),
        (lambda redis: redis.set("quantum:kill", "1"), "not routing: halted by quantum:kill"),
        (lambda redis: redis.set("quantum:kill", "REDUCE"), "not routing: only what reduces passes, by quantum:kill"),
        (lambda redis: redis.delete(OPEN_ORDERS), f"not routing: capacity unknown, {OPEN_ORDERS} is missing"),
        (
            lambda redis: redis.hset(HALT, mapping={"reason": "odd fills", "who": "ann", "when": 1795375051120}),
            "halt      odd fills (by ann, 2026-11-22 19:17:31 UTC)",
        ),
    ],
)
def test_what_stops_routing_is_named_with_exit_1(
    redis_server: Any, market: Any, spoil: Callable[[Any], Any], line: str
) -> None:
    """Halted, reduce-only, capacity unknown, nobody there: a script sees it, and a person reads why."""
    redis_server.client.hset(LEASE, mapping={"holder": "a", "epoch": 1, "release": "r"})
    assert 0 == ask(redis_server)[0]
    spoil(market.client)
    code, text = ask(redis_server)
    assert 1 == code
    assert line in text


@pytest.mark.parametrize("environ", [{"ROUTER_EXECUTION_GROUP": "typo"}, {"ROUTER_INFLIGHT_TTL_SEC": "1"}])
def test_a_look_with_other_settings_leaves_what_is_in_flight(redis_server: Any, environ: dict[str, str]) -> None:
    """Who only looks takes nothing out of the count that holds the cap, whatever settings the looker has."""
    client, group = redis_server.client, "quantum:group:execution:trade.intent"
    client.xgroup_create(INTENTS, group, mkstream=True)
    intents = {client.xadd(INTENTS, {"data": "{}"}) for _ in range(3)}
    client.sadd("quantum:router:inflight", *intents)
    client.xreadgroup(group, "execution", {INTENTS: ">"}, count=1)
    time.sleep(1.1)
    ask(redis_server, **environ)
    assert intents == client.smembers("quantum:router:inflight")
    assert "in flight 3" in ask(redis_server)[1]


def test_the_last_window_is_told_with_its_age(redis_server: Any) -> None:
    """The commit leaves it there for people."""
    assert "window    none yet" in ask(redis_server)[1]
    window = {"event": "BEST_OF_PUBLISH", "count": 2, "allowed": 2, "candidates": 13, "at_ms": int(time.time() * 1000)}
    redis_server.client.hset(LAST_WINDOW, mapping=window)
    assert "window    BEST_OF_PUBLISH, 2 of 13 candidates (allowed 2), " in ask(redis_server)[1]
    redis_server.client.hset(LAST_WINDOW, mapping={"count": 0, "denied": 13})
    assert "0 of 13 candidates (allowed 2, 13 denied by the gate), " in ask(redis_server)[1]


def test_nothing_that_others_wrote_steers_the_terminal(redis_server: Any) -> None:
    """Escapes, line breaks and rubbish in every hash are shown, not obeyed, and stop nothing."""
    evil = "\x1b]0;x\x07\r\n\x9b2J" + "9" * 5000
    for key, names in (
        (LEASE, ("holder", "release")),
        (HALT, ("reason", "who", "when")),
        (LAST_WINDOW, ("event", "at_ms")),
    ):
        redis_server.client.hset(key, mapping=dict.fromkeys(names, evil))
    redis_server.client.hset("quantum:router:outcomes", mapping={"published": evil, "stale": 3})
    code, text = ask(redis_server)
    assert 1 == code
    assert all(c.isprintable() for c in text.replace("\n", ""))
    assert 8 == len(text.splitlines())
    assert "outcomes  stale 3" in text


def test_a_key_of_another_type_is_said_so_and_hides_nothing_else(redis_server: Any) -> None:
    """A halt that somebody made with SET halts, and is shown; lease, last window and outcomes go on being asked."""
    redis_server.client.hset(LEASE, mapping={"holder": "a", "epoch": 1, "release": "r"})
    redis_server.client.set(OPEN_ORDERS, 4)
    redis_server.client.set(HALT, "1")
    code, text = ask(redis_server)
    assert 1 == code
    for line in (
        f"state     not routing: halted by {HALT}",
        "halt      (wrong type)",
        "router    a, release r, epoch 1",
    ):
        assert line in text.splitlines()
    for key in (LEASE, LAST_WINDOW, "quantum:router:outcomes"):
        redis_server.client.delete(key)
        redis_server.client.rpush(key, "1")
    code, text = ask(redis_server)
    assert 1 == code
    for line in (
        "router    (wrong type)",
        "window    (wrong type)",
        "outcomes  (wrong type)",
        "halt      (wrong type)",
    ):
        assert line in text.splitlines()
    assert "open      4 of 10, target 3, in flight 0" in text
    wrong = {"lease", "halt", "last_window", "outcomes"}
    assert wrong == set(json.loads(ask(redis_server, "--json")[1])["wrong_types"])


def test_redis_away_is_one_line_and_exit_69(redis_server: Any) -> None:
    """As every command says it."""
    redis_server.stop()
    code, text = ask(redis_server)
    assert (69, 1) == (code, len(text.strip().splitlines()))


def test_rates_count_a_flood_by_its_newest_thousand(redis_server: Any) -> None:
    """A look costs the same however fast the signals come."""
    now_ms = int(time.time() * 1000)
    for i in range(1500):
        redis_server.client.xadd(SIGNALS, {"payload": "{}"}, id=f"{now_ms - 15_000 + i * 10}-0")
    redis_server.client.xadd(INTENTS, {"data": "{}"}, id=f"{now_ms - 181_000}-0")
    seen = json.loads(ask(redis_server, "--json")[1])
    assert 4_000 < seen["signals_per_minute"] <= 6_000
    assert 0 == seen["intents_per_minute"]


def test_watch_goes_on_through_an_outage_and_ends_with_0(redis_server: Any, tmp_path: Any) -> None:
    """Without a terminal there are no escape codes, only one look after the other."""
    log = tmp_path / "watch.log"
    with log.open("wb") as stream:
        watch = subprocess.Popen([*COMMAND, "--watch"], env=environment(redis_server), stdout=stream)
    eventually(lambda: log.read_text(encoding="utf-8").count("not routing: no router") >= 2, "two looks")
    redis_server.stop()
    eventually(lambda: "state     Redis at " in log.read_text(encoding="utf-8"), "the outage is shown")
    redis_server.start()
    watch.send_signal(signal.SIGINT)
    assert 0 == watch.wait(timeout=5)
    assert "\x1b" not in log.read_text(encoding="utf-8")


def test_watch_redraws_a_terminal(redis_server: Any) -> None:
    """Each look begins at the top of an empty screen."""
    main, terminal = pty.openpty()
    watch = subprocess.Popen([*COMMAND, "--watch"], env=environment(redis_server), stdout=terminal)
    os.close(terminal)
    shown = b""
    while shown.count(b"\x1b[H\x1b[2J") < 2:
        shown += os.read(main, 4096)
    watch.send_signal(signal.SIGINT)
    assert 0 == watch.wait(timeout=5)
    os.close(main)


def test_watch_ends_when_nobody_reads(redis_server: Any) -> None:
    """`router status --watch | head -1` is no error."""
    watch = subprocess.Popen(
        [*COMMAND, "--watch", "--json"], env=environment(redis_server), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert watch.stdout
    assert watch.stderr
    assert "problem" in json.loads(watch.stdout.readline())
    watch.stdout.close()
    assert b"" == watch.stderr.read()
    assert 0 == watch.wait(timeout=5)
    watch.stderr.close()
