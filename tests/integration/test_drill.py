# SPDX-License-Identifier: Apache-2.0
"""The drill on a real Redis, with releases as real processes: the good one passes, each bad one fails in one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from router.config import load
from router.errors import ConfigError
from router.proof.drill import keys as drill_keys
from router.proof.drill.run import Drilled, drill
from router.redis_io.client import connect
from tests.integration.candidates import Process
from tests.integration.conftest import FAST, INTENTS, OPEN_ORDERS, eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.conftest import Market, RedisServer

RELEASE = "1.0.0-0123456789ab"
DEPLOYMENT = "20260101T120000Z-1a2b"
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

    def run(kind: str = "good", deployment: str = DEPLOYMENT, **environ: str) -> Drilled:
        settings = {**FAST, "ROUTER_REDIS_URL": redis_server.url, "ROUTER_LOG_FORMAT": "text", **environ}
        candidate = Process(kind, RELEASE, tmp_path, settings)
        loaded = load(settings)
        done = drill(connect(loaded), loaded, RELEASE, deployment, candidate)
        assert candidate.process is None or candidate.process.poll() is not None
        sys.stdout.write(candidate.log() if candidate.process else "")
        return done

    return run


def drill_s_keys(server: RedisServer) -> list[str]:
    """Everything in Redis that is a drill's."""
    return sorted(server.client.scan_iter(match="quantum-drill:*"))


def everything(server: RedisServer) -> dict[str, Any]:
    """Every key with what it holds."""
    return {key: server.client.dump(key) for key in server.client.scan_iter()}


def test_a_good_release_does_in_each_state_what_the_guide_says(
    redis_server: RedisServer, drilled: Callable[..., Drilled]
) -> None:
    """The four states of the guide and the super signal, each line among them; a window each, and no key stays."""
    done = drilled()
    assert (True, None) == (done.passed, done.problem)
    assert GUIDE == [(each.name, each.open_orders, each.event, each.expected) for each in done.states]
    assert all(each.seen == each.expected for each in done.states)
    assert all(0.4 <= each.seconds < 2 for each in done.states)
    assert [] == list(redis_server.client.scan_iter())


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("does-not-import", "expected it to get ready within 8 s, seen: exit status 1: "),
        ("exits-at-start", "expected it to get ready within 8 s, seen: exit status 1: "),
        ("never-ready", "expected it to get ready within 8 s, seen: start operation timed out"),
        ("dies", "open_orders 10: expected the release to go on, seen it end: exit status 1: "),
        ("hangs", "open_orders 10: expected the signals to be dealt with within 5.4 s, seen the cursor before them"),
        ("silent", "open_orders 3: expected BEST_OF_PUBLISH and 1 intent (DRILLSUPER10USDT BUY), seen 0 intents"),
        ("floods", "open_orders 10: expected CAPACITY_FULL and 0 intents, seen 11 intents (DRILLFULL"),
        ("reduce-only", "expected intent 1 with reduce_only=False, seen reduce_only=True (DRILLSUPER10USDT BUY)"),
        ("another-stream", "open_orders 3: expected BEST_OF_PUBLISH and 1 intent (DRILLSUPER10USDT BUY), seen 0"),
        ("says-only", "open_orders 3: expected BEST_OF_PUBLISH and 1 intent (DRILLSUPER10USDT BUY), seen 0 intents"),
        ("says-nothing", "expected the line '🔴 CAPACITY_FULL open=10 max=10' in its log, seen none such"),
        ("no-boost", "expected intent 1 with position_size_usd=130.0, seen position_size_usd=100.0"),
        ("worst-first", "expected intent 1 with symbol='DRILLSUPER10USDT', seen symbol='DRILLSUPER9USDT'"),
        ("publishes-again-later", "expected 3 intents in all states together, seen 4 in the end"),
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


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("ignores-the-prefix", "live key quantum:router:epoch changed while the drill ran and no router held the lease"),
        ("trades-on-the-side", "the release published the live intent "),
        ("halts-the-desk", "live key quantum:router:halt changed while the drill ran: if a person did that, deploy"),
    ],
)
def test_a_release_that_touches_live_keys_fails(drilled: Callable[..., Drilled], kind: str, words: str) -> None:
    """However well it does in the drill."""
    assert words in str(drilled(kind).problem)
