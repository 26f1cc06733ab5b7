# SPDX-License-Identifier: Apache-2.0
"""The drill on a real Redis, with releases as real processes: the good one passes, each bad one fails in one line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from router.config import load
from router.errors import ConfigError
from router.proof.drill.run import Drilled, drill
from router.redis_io.client import connect
from tests.integration.candidates import Process
from tests.integration.conftest import FAST, RENAMED, eventually, run_router

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.conftest import Market, RedisServer

RELEASE = "1.0.0-0123456789ab"
DEPLOYMENT = "20260101T120000Z-1a2b"
#: A drill waits for five windows.
QUICK = {**FAST, "CANDIDATE_WINDOW_SEC": "0.2"}
#: The name, the count of open orders, the event and the number of intents of each state with the default settings.
GUIDE = [
    ("full", 10, "CAPACITY_FULL", 0),
    ("target", 3, "TARGET_REACHED", 0),
    ("super", 3, "BEST_OF_PUBLISH", 1),
    ("below", 1, "BEST_OF_PUBLISH", 2),
    ("unknown", None, "CAPACITY_UNKNOWN", 0),
]


@pytest.fixture
def drilled(redis_server: RedisServer, tmp_path: Path) -> Callable[..., Drilled]:
    """Drill a release of some kind with some settings."""

    def run(kind: str = "good", deployment: str = DEPLOYMENT, folder: str = "", **environ: str) -> Drilled:
        settings = {**QUICK, "ROUTER_REDIS_URL": redis_server.url, "ROUTER_LOG_FORMAT": "text", **environ}
        (tmp_path / folder).mkdir(exist_ok=True)
        candidate = Process(kind, RELEASE, tmp_path / folder, settings)
        loaded = load(settings)
        done = drill(connect(loaded), loaded, RELEASE, deployment, candidate)
        assert candidate.process is None or candidate.process.poll() is not None
        sys.stdout.write(candidate.log() if candidate.process else "")
        return done

    return run


def drill_s_keys(server: RedisServer) -> list[str]:
    """Everything in Redis that is a drill's."""
    return sorted(server.client.scan_iter(match="quantum-drill:*"))


def test_a_good_release_does_in_each_state_what_the_guide_says(
    redis_server: RedisServer, drilled: Callable[..., Drilled]
) -> None:
    """The four states of the guide and the super signal, each line among them; a window each, and no key stays."""
    done = drilled()
    assert (True, None) == (done.passed, done.problem)
    assert GUIDE == [(each.name, each.open_orders, each.event, each.expected) for each in done.states]
    assert all(each.seen == each.expected for each in done.states)
    assert all(0.2 <= each.seconds < 2 for each in done.states)
    assert [] == list(redis_server.client.scan_iter())


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("does-not-import", "expected it to get ready within 8 s, seen: exit status 1: "),
        ("exits-at-start", "expected it to get ready within 8 s, seen: exit status 1: "),
        ("never-ready", "expected it to get ready within 8 s, seen: start operation timed out"),
        ("dies", "open_orders 10: expected the release to go on, seen it end: exit status 1: "),
        ("hangs", "open_orders 10: expected the signals to be dealt with within 5.2 s, seen the cursor before them"),
        ("silent", "open_orders 3: expected BEST_OF_PUBLISH and 1 intent (DRILLSUPER10USDT BUY), seen 0 intents"),
        ("floods", "open_orders 10: expected CAPACITY_FULL and 0 intents, seen 11 intents (DRILLFULL"),
        ("reduce-only", "expected intent 1 with reduce_only=False, seen reduce_only=True (DRILLSUPER10USDT BUY)"),
        ("another-stream", "open_orders 3: expected BEST_OF_PUBLISH and 1 intent (DRILLSUPER10USDT BUY), seen 0"),
        ("says-only", "open_orders 3: expected BEST_OF_PUBLISH and 1 intent (DRILLSUPER10USDT BUY), seen 0 intents"),
        ("says-nothing", "expected the line '🔴 CAPACITY_FULL open=10 max=10' in its log, seen none such"),
        ("no-boost", "expected intent 1 with quantity=130.0, seen quantity=100.0 (DRILLSUPER10USDT BUY)"),
        ("worst-first", "expected intent 1 with symbol='DRILLSUPER10USDT', seen symbol='DRILLSUPER9USDT'"),
    ],
)
def test_a_bad_release_fails_in_one_line(
    redis_server: RedisServer, drilled: Callable[..., Drilled], kind: str, words: str
) -> None:
    """What was expected and what was seen is told, at the first state that shows it; no key of it stays."""
    done = drilled(kind)
    assert not done.passed
    assert words in str(done.problem)
    assert 1 == len(str(done.problem).splitlines())
    assert [] == list(redis_server.client.scan_iter())


def test_what_is_published_late_is_found(drilled: Callable[..., Drilled]) -> None:
    """An intent that comes once its state is over is one too many in the end, or on a slow machine in that state."""
    problem = str(drilled("publishes-again-later").problem)
    in_the_end = "expected 3 intents in all states together, seen 4 in the end"
    assert problem in (
        in_the_end,
        "open_orders missing: expected CAPACITY_UNKNOWN and 0 intents, seen 1 intent (None None)",
    )


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("ignores-the-prefix", "the release took the live lease quantum:router:lease"),
        ("trades-on-the-side", "the release published the live intent "),
        ("halts-the-desk", "live key quantum:router:halt changed while the drill ran: if a person did that, deploy"),
        ("forgets-the-count", "live key quantum:state:open_orders is no count any more since the drill ran: make capa"),
        ("goes-back", "live key quantum:stream:ai.decision.made (group router) went back while the drill ran: if a pe"),
    ],
)
def test_a_release_that_touches_live_keys_fails(
    redis_server: RedisServer, drilled: Callable[..., Drilled], kind: str, words: str
) -> None:
    """However well it does in the drill."""
    redis_server.client.set("quantum:state:open_orders", 3)
    redis_server.client.xadd("quantum:stream:ai.decision.made", {"event_type": "ai.decision.made"})
    redis_server.client.xgroup_create("quantum:stream:ai.decision.made", "router", "$")
    assert words in str(drilled(kind).problem)


@pytest.mark.parametrize(
    "environ",
    [
        {"ROUTER_STRATEGY_URL": "http://127.0.0.1:1/approve", "ROUTER_LOG_FORMAT": "json"},
        {"ROUTER_MAX_INTENTS_PER_HOUR": "1", "ROUTER_REPEAT_LIMIT": "1", "ROUTER_AUDIT_MAX": "100"},
        {"ROUTER_KEY_PREFIX": "desk2:", "ROUTER_SIGNAL_STREAM": "decisions", "ROUTER_INTENT_STREAM": "intents"},
        {"TARGET_OPEN_ORDERS": "0", "MIN_CONFIDENCE": "0", "SUPER_CONFIDENCE": "1"},
        {"MAX_OPEN_ORDERS": "1", "TARGET_OPEN_ORDERS": "1", "ROUTER_MAX_POSITION_USD": "50"},
        {"MIN_CONFIDENCE": "1", "SUPER_CONFIDENCE": "1", "ROUTER_GROUP": "r2"},
        {"MAX_OPEN_ORDERS": "500", "TARGET_OPEN_ORDERS": "400", "MAX_NEW_PER_CYCLE": "300"},
    ],
    ids=["gate that nobody serves", "limits", "other keys", "no target", "target is the cap", "only super", "many"],
)
def test_a_good_release_passes_with_any_settings(drilled: Callable[..., Drilled], environ: dict[str, str]) -> None:
    """What is expected follows the settings; what the desk would be asked or halted by is left out."""
    done = drilled(**environ)
    assert (True, None) == (done.passed, done.problem)
    assert any(each.seen for each in done.states)


def test_the_live_router_goes_on_beside_it(
    redis_server: RedisServer, drilled: Callable[..., Drilled], market: Market, start_router: Callable[..., Any]
) -> None:
    """It keeps lease, epoch and group, publishes as before, and what it does is no fault of the release's."""
    metrics = {"ROUTER_METRICS_LISTEN": "127.0.0.1:19108"}
    router = start_router(**metrics)
    router.wait_for("ACTIVE")
    market.burst()
    before = redis_server.client.hget("quantum:router:epoch", "epoch")
    done = drilled(**metrics)
    assert (True, None) == (done.passed, done.problem)
    market.burst()
    market.audit()
    assert before == redis_server.client.hget("quantum:router:epoch", "epoch")
    assert "test/router" == redis_server.client.hget("quantum:router:lease", "holder")
    assert 1 == len(router.events("ACTIVE"))
    assert not drill_s_keys(redis_server)


def test_two_hosts_may_drill_at_once_on_one_redis(redis_server: RedisServer, drilled: Callable[..., Drilled]) -> None:
    """Neither removes the other's keys, nor sees its intents."""
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(drilled, "good", name, folder=name) for name in ("one", "two")]
        assert [None, None] == [run.result().problem for run in runs]
    assert not drill_s_keys(redis_server)


def test_what_a_drill_left_behind_goes_with_the_next(
    redis_server: RedisServer, drilled: Callable[..., Drilled]
) -> None:
    """Unless that one still runs, or may: it says for how long it can take."""
    client = redis_server.client
    client.set("quantum-drill:dead:quantum:state:open_orders", 1)
    client.set("quantum-drill:odd", 1)
    client.set("quantum-drill:alive:running", 1)
    client.set("quantum-drill:alive:quantum:state:open_orders", 1)
    client.set("quantum-drills", 1)
    assert drilled().passed
    assert ["quantum-drill:alive:quantum:state:open_orders", "quantum-drill:alive:running"] == drill_s_keys(
        redis_server
    )
    assert "1" == client.get("quantum-drills")


def start_command(server: RedisServer, folder: Path, kind: str, *words: str) -> subprocess.Popen[str]:
    """Start `router drill`, a release of *kind* being drilled."""
    environ = {**os.environ, **QUICK, "ROUTER_REDIS_URL": server.url}
    command = [sys.executable, "-m", "tests.integration.drill_command", kind, "drill", "--deployment", DEPLOYMENT]
    command += ["--release", RELEASE, "--release-dir", str(folder), *words]
    return subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def test_the_command_tells_the_states_and_ends_with_0(redis_server: RedisServer, tmp_path: Path) -> None:
    """As lines for people; as JSON on standard output and in the record when asked."""
    command = start_command(
        redis_server, tmp_path, "good", "--json", "--record", str(tmp_path / "deployment/drill.json")
    )
    told, errors = command.communicate(timeout=30)
    assert (0, "") == (command.returncode, errors)
    done = json.loads(told)
    assert done == json.loads((tmp_path / "deployment/drill.json").read_text(encoding="utf-8"))
    assert (True, None, RELEASE, DEPLOYMENT) == tuple(
        done[name] for name in ("passed", "problem", "release", "deployment")
    )
    assert [list(state) for state in GUIDE] == [
        [state[name] for name in ("name", "open_orders", "event", "expected")] for state in done["states"]
    ]


def test_the_command_ends_with_1_and_one_line_for_a_bad_release(redis_server: RedisServer, tmp_path: Path) -> None:
    """The states so far are told all the same."""
    command = start_command(redis_server, tmp_path, "silent")
    told, errors = command.communicate(timeout=30)
    assert 1 == command.returncode
    assert errors.startswith("open_orders 3: expected BEST_OF_PUBLISH and 1 intent ")
    assert 1 == errors.count("\n")
    assert ["ok", "ok", "FAILED"] == [line.split()[0] for line in told.splitlines()]


def test_a_drill_that_is_told_to_end_clears_up(redis_server: RedisServer, tmp_path: Path) -> None:
    """SIGTERM, as from a controller that goes away: neither a key nor the release stays."""
    command = start_command(redis_server, tmp_path, "good")
    eventually(lambda: redis_server.client.exists(f"quantum-drill:{DEPLOYMENT}:quantum:router:outcomes"), "a window")
    command.terminate()
    command.communicate(timeout=10)
    assert 128 + signal.SIGTERM == command.returncode
    assert not drill_s_keys(redis_server)
    with pytest.raises(ProcessLookupError):
        os.killpg(command.pid, 0)


def test_a_drill_that_is_killed_leaves_nothing_to_the_one_after_it(
    redis_server: RedisServer, tmp_path: Path, drilled: Callable[..., Drilled]
) -> None:
    """SIGKILL for the drill and its release: what systemd runs then, or else the next drill, removes the keys."""
    for clear in (True, False):
        command = start_command(redis_server, tmp_path, "good")
        eventually(
            lambda: redis_server.client.exists(f"quantum-drill:{DEPLOYMENT}:quantum:router:outcomes"), "a window"
        )
        os.killpg(command.pid, signal.SIGKILL)
        command.communicate(timeout=10)
        assert drill_s_keys(redis_server)
        left_ms = redis_server.client.pttl(f"quantum-drill:{DEPLOYMENT}:running")
        assert 0 < left_ms < 120_000
        if clear:
            assert 0 == run_router(redis_server.url, "drill", "--deployment", DEPLOYMENT, "--clear").returncode
        else:
            redis_server.client.pexpire(f"quantum-drill:{DEPLOYMENT}:running", 1)
            assert drilled(deployment="next").passed
        assert not drill_s_keys(redis_server)


def test_live_keys_with_a_drill_s_name_are_refused(redis_server: RedisServer, drilled: Callable[..., Drilled]) -> None:
    """The next drill would remove them."""
    for environ in ({"ROUTER_KEY_PREFIX": "quantum-drill:"}, {"ROUTER_SIGNAL_STREAM": "quantum-drill:x"}):
        with pytest.raises(ConfigError, match="begins with quantum-drill:, which is a drill's"):
            drilled(**environ)
    assert not drill_s_keys(redis_server)


@pytest.mark.parametrize("renamed", [{}, RENAMED], ids=["as shipped", "prefix and other names"])
def test_the_user_of_a_deployment_may_drill(
    redis_server: RedisServer,
    login: Callable[..., dict[str, str]],
    drilled: Callable[..., Drilled],
    renamed: dict[str, str],
) -> None:
    """The release in the drill logs in as that user too; nothing is refused to either."""
    settings = login("deployment", **renamed)
    done = drilled(ROUTER_REDIS_URL=settings.pop("url"), **settings)
    assert (True, None) == (done.passed, done.problem)
    assert [] == redis_server.client.acl_log()


def test_the_user_of_the_service_alone_may_not(login: Callable[..., dict[str, str]]) -> None:
    """The rights that are missing are named with the rule that gives them."""
    settings = login()
    url = settings.pop("url")
    words = ("drill", "--deployment", DEPLOYMENT, "--clear")
    refused = run_router(url, *words, **settings)
    assert 69 == refused.returncode
    assert "may not SCAN: ACL SETUSER desk +scan" in refused.stderr
