# SPDX-License-Identifier: Apache-2.0
"""`router replay` against the service itself, on a real Redis, and as the command that a person runs."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
import redis

from router.config import load
from router.proof.drill.expectation import without_time
from router.redis_io.keys import catalogue
from router.simulation.drive import route
from router.simulation.orders import Fixed
from router.simulation.recording import of_stream
from tests.integration.conftest import FAST, OPEN_ORDERS, PASSWORD, SIGNALS, Market, run_router

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.conftest import RedisServer, RouterProcess

#: All that reading a recording takes; the name of the connection is redis-py's.
READING = ["+xrange", "+time", "+client|setname"]
AT_NOTHING = ["--open-orders", "0", "--json"]


def mixed_burst(market: Market, rng: random.Random) -> None:
    """Everything that a producer may send, in one go, so that no window's end falls into it."""
    pipeline = market.client.pipeline(transaction=False)
    for _ in range(rng.randrange(1, 25)):
        payload = {
            "symbol": f"S{rng.randrange(8)}",
            "side": rng.choice(["buy", "sell", "buy", "hold"]),
            "confidence": rng.choice([0.6, 0.76, 0.8, 0.85, 0.92, 7]),
            "position_size_usd": 100,
            "rl_gate_pass": rng.random() < 0.3,
            "reduce_only": rng.random() < 0.1,
            "correlation_id": f"c{rng.randrange(60)}",
        }
        pipeline.xadd(SIGNALS, {"payload": json.dumps(payload)})
    pipeline.execute()


@pytest.mark.parametrize(
    ("seed", "open_orders", "more"),
    [(1, 0, {}), (2, 3, {}), (3, 10, {}), (4, 1, {"ROUTER_REPEAT_LIMIT": "2", "ROUTER_MAX_POSITION_USD": "120"})],
    ids=["below the target", "at the target", "at the cap", "halts itself"],
)
def test_the_service_publishes_what_a_replay_of_its_signals_says(
    redis_server: RedisServer,
    start_router: Callable[..., RouterProcess],
    market: Market,
    seed: int,
    open_orders: int,
    more: dict[str, str],
) -> None:
    """The same intents, field by field, in the same order, and the same outcome for as many entries."""
    rng = random.Random(seed)
    market.set_open_orders(open_orders)
    environ = {"ROUTER_MAX_INTENTS_PER_HOUR": "7", "TARGET_OPEN_ORDERS": "2", "MAX_NEW_PER_CYCLE": "2", **more}
    router = start_router(**environ)
    router.wait_for("ACTIVE")
    for _ in range(6):
        mixed_burst(market, rng)
        time.sleep(0.6)
    market.audit()
    router.stop()

    settings = load({**FAST, **environ})
    with redis.Redis(unix_socket_path=str(redis_server.socket), protocol=2) as client:
        entries = of_stream(client, catalogue(settings), 0, 1 << 62)
    ledger = route(entries, settings, Fixed(open_orders))
    replayed = [json.loads(intent.data) for each in ledger.commits for intent in each.intents]
    assert [_comparable(each) for each in market.intents] == [_comparable(each) for each in replayed]
    assert market.outcomes == {name: n for name, n in ledger.outcomes.items() if n}


def _comparable(intent: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in without_time(intent).items() if name != "release"}


@pytest.fixture
def recorded(market: Market) -> Market:
    """Three bursts of the last hours, a quarter of an hour apart, and a hold."""
    now_ms = int(time.time() * 1000)
    for burst in range(3):
        for place in range(13):
            entry_id = f"{now_ms - 3_000_000 + burst * 900_000}-{place}"
            market.signal(f"S{place}USDT", round(0.76 + place / 100, 2), entry_id)
    market.signal(side="hold", entry_id=f"{now_ms - 1000}-0")
    return market


@pytest.mark.usefixtures("recorded")
def test_a_replay_only_reads(redis_server: RedisServer, tmp_path: Path) -> None:
    """With the right to read the signals and no other; nothing in Redis changes, whatever is asked."""
    secret = tmp_path / "password"
    secret.write_text(PASSWORD, encoding="utf-8")
    desk: Any = redis_server.client
    desk.execute_command("ACL", "SETUSER", "analyst", "on", f">{PASSWORD}", f"%R~{SIGNALS}", *READING)
    before = sorted(desk.keys()), desk.xinfo_stream(SIGNALS, full=True)
    url = f"unix://analyst@{redis_server.socket}"
    done = run_router(url, "replay", "--since", "2h", *AT_NOTHING, ROUTER_REDIS_PASSWORD_FILE=str(secret))
    assert (0, "") == (done.returncode, done.stderr)
    assert 6 == json.loads(done.stdout)["rows"][0]["published"]
    assert before == (sorted(desk.keys()), desk.xinfo_stream(SIGNALS, full=True))
    assert [] == desk.acl_log()
    refused = run_router(url, "halt", "--reason", "x", ROUTER_REDIS_PASSWORD_FILE=str(secret))
    assert 69 == refused.returncode


def test_several_settings_are_a_row_each(redis_server: RedisServer, recorded: Market) -> None:
    """A table for people, with the assumption under it that every figure rests on."""
    done = run_router(
        redis_server.url, "replay", "--since", "2h", "--settings", "now:", "--settings", "one:MAX_NEW_PER_CYCLE=1",
        "--settings", "wide:MAX_NEW_PER_CYCLE=3,TARGET_OPEN_ORDERS=5", CANDIDATE_WINDOW_SEC="3",
    )  # fmt: skip
    assert (0, "") == (done.returncode, done.stderr)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("39 signals in 40 entries from 20")
    assert "settings  published  of signals  mean score  missed better    at cap" == lines[1]
    assert ["now", "6", "15.4%", "0.875", "0", "0", "s", "0.0%"] == lines[2].split()
    assert [["one", "3"], ["wide", "9"]] == [line.split()[:2] for line in lines[3:5]]
    assert lines[5:] == [
        "Open orders are not recorded. Assumed: none at first, then each intent is an order 0.15 s after it, for 60 s."
    ]
    assert recorded.intents == []


def test_a_recording_gives_the_same_without_redis(redis_server: RedisServer, recorded: Market, tmp_path: Path) -> None:
    """What --save keeps is what --file reads, also from standard input."""
    assert recorded.client.ping()
    path = tmp_path / "signals.jsonl"
    live = run_router(redis_server.url, "replay", "--since", "2h", "--save", str(path), *AT_NOTHING)
    assert 40 == len(path.read_text(encoding="utf-8").splitlines())
    away = run_router("redis://127.0.0.1:1/0", "replay", "--file", str(path), *AT_NOTHING)
    assert (0, live.stdout, "") == (away.returncode, away.stdout, away.stderr)
    command = [sys.executable, "-m", "router", "replay", "--file", "-", *AT_NOTHING]
    piped = subprocess.run(command, input=path.read_bytes(), capture_output=True, check=False, timeout=20)
    assert 6 == json.loads(piped.stdout)["rows"][0]["published"]


def test_nothing_recorded_is_told(redis_server: RedisServer) -> None:
    """Figures that are unknown show as such, and a message asks whether it was the right place to look."""
    done = run_router(redis_server.url, "replay", "--since", "1m")
    assert 0 == done.returncode
    assert ["now", "0", "-", "-", "0", "-"] == done.stdout.splitlines()[2].split()
    assert "there are no signals in the recording" in done.stderr


def test_wrong_settings_are_named_as_the_service_names_them(tmp_path: Path) -> None:
    """All of them at once, whatever they came by, and with exit code 78."""
    recording, environment = tmp_path / "signals.jsonl", tmp_path / "environment"
    recording.write_text("", encoding="utf-8")
    environment.write_text("#\nQUANTUM_ROUTER_RELEASE=x\nMIN_CONFIDENCE='2'\nMAX_OPEN_ORDERS\nA B\n", encoding="utf-8")
    wrong = ["--settings", "a:MAX_OPEN_ORDERS=x,MAX_OPN_ORDERS=3", "--settings", f"b:{environment}"]
    done = run_router("", "replay", "--file", str(recording), *wrong)
    assert (78, "") == (done.returncode, done.stdout)
    assert [
        "a: MAX_OPEN_ORDERS='x' must be a whole number from 1 to 100000",
        "a: MAX_OPN_ORDERS is not a setting: did you mean MAX_OPEN_ORDERS?",
        "b: line 5 is no NAME=VALUE: A B",
        "b: MAX_OPEN_ORDERS is no NAME=VALUE",
        "b: MIN_CONFIDENCE='2' must be a number from 0 to 1",
    ] == done.stderr.splitlines()
    service = run_router("", "check", MAX_OPEN_ORDERS="x")
    alone = run_router("", "replay", "--file", str(recording), "--settings", "MAX_OPEN_ORDERS=x")
    assert service.stderr.splitlines()[0] == alone.stderr.splitlines()[0]


@pytest.mark.parametrize(
    ("words", "line", "told"),
    [
        ([], "", "give either --since, to read the stream, or --file, to read a recording"),
        (["--since", "1h", "--file", "x"], "", "give either --since"),
        (["--file", "{}", "--until", "1h"], "", "--until has no effect on --file"),
        (["--file", "/nowhere"], "", "--file: cannot read /nowhere: No such file or directory"),
        (["--file", "{}", "--settings", "/nowhere"], "", "--settings: cannot read /nowhere"),
        (["--file", "{}", "--html", "/nowhere/x"], "", "cannot write /nowhere/x: No such file or directory"),
        (["--file", "{}"], "rubbish", "line 1: rubbish is no entry: write {"),
        (["--file", "{}"], "[" * 100_000, "line 1: [[["),
        (["--file", "{}"], '{"id":"1-0"}', "is no entry"),
        (["--file", "{}"], '{"id":"1-0","fields":{"a":1}}', "is no entry"),
        (["--file", "{}"], '{"id":"999999999999999-0","fields":{}}', "is no entry"),
        (["--file", "{}"], '{"id":"2-0","fields":{}}\n{"id":"1-9","fields":{}}', "id 1-9 is not after 2-0"),
        (["--file", "-", "--settings", "-"], "", "standard input can be read only once"),
    ],
)
def test_what_a_user_gets_wrong_is_told_in_words(tmp_path: Path, words: list[str], line: str, told: str) -> None:
    """Exit 64, the thing and the way out, never a traceback."""
    path = tmp_path / "signals.jsonl"
    path.write_text(line, encoding="utf-8")
    done = run_router("", "replay", *[word.replace("{}", str(path)) for word in words])
    assert (64, "") == (done.returncode, done.stdout)
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_the_page_shows_the_same_figures_and_no_markup_of_others(recorded: Market, tmp_path: Path) -> None:
    """A label that is hostile is shown as it was written; the page loads nothing and runs nothing."""
    url = f"unix://{recorded.client.connection_pool.connection_kwargs['path']}"
    path = tmp_path / "page.html"
    hostile = tmp_path / "<script>alert('x')<"
    hostile.write_text("MAX_NEW_PER_CYCLE=1\n", encoding="utf-8")
    settings = ["--settings", "now:", "--settings", hostile.name]
    command = [sys.executable, "-m", "router", "replay", "--since", "2h", *settings, "--html", str(path)]
    done = subprocess.run(
        command, env={"ROUTER_REDIS_URL": url}, cwd=tmp_path, capture_output=True, text=True, timeout=20, check=False
    )
    assert (0, "") == (done.returncode, done.stderr)
    page = path.read_text(encoding="utf-8")
    assert "<td>&lt;script&gt;alert(&#x27;x&#x27;)&lt;</td><td>3</td>" in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    for cell in done.stdout.splitlines()[2].split()[:5]:
        assert f"<td>{cell}</td>" in page


def test_the_count_of_open_orders_is_left_alone(redis_server: RedisServer, recorded: Market) -> None:
    """It says nothing about the past."""
    recorded.client.delete(OPEN_ORDERS)
    done = run_router(redis_server.url, "replay", "--since", "2h", *AT_NOTHING)
    assert 6 == json.loads(done.stdout)["rows"][0]["published"]
