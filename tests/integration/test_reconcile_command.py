# SPDX-License-Identifier: Apache-2.0
"""`router reconcile` on what a real router leaves on a real Redis."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.test_crash import CRASH_AT, RUN

if TYPE_CHECKING:
    from collections.abc import Callable

    Start = Callable[..., Any]
    Reconcile = Callable[..., subprocess.CompletedProcess[str]]

SIGNALS, INTENTS, AUDIT = (
    "quantum:stream:ai.decision.made",
    "quantum:stream:trade.intent",
    "quantum:stream:router.audit",
)
ON = {"ROUTER_AUDIT_MAX": "10000", "ROUTER_MAX_POSITION_USD": "120"}


@pytest.fixture
def reconcile(redis_server: Any) -> Reconcile:
    """Run the command on the test's server."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("ROUTER_")}
        return subprocess.run(
            [sys.executable, "-m", "router", "reconcile", *(arguments or ("--since", "1h"))],
            env={**inherited, **ON, "ROUTER_REDIS_URL": redis_server.url},
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )

    return run


@pytest.fixture
def routed(start_router: Start, market: Any) -> Any:
    """A market after windows with every kind of signal, a kill in the middle of one, and a backlog."""
    old_ms = int(time.time() * 1000) - 60_000
    for i in range(20):
        market.signal(entry_id=f"{old_ms}-{i + 1}")
    first = start_router(**ON)
    first.wait_for("ACTIVE")
    market.burst()
    first.wait_for("BEST_OF_PUBLISH", scope="window")
    market.signal("EXIT", 0.9, reduce_only=True)
    market.signal("HHH", 7)
    market.signal("GGG", side="hold")
    first.wait_for("INTENT_PUBLISHED", reduce_only=True)
    market.signal("WAITS", 0.8)
    first.process.kill()
    first.process.wait()
    second = start_router(**ON)
    second.wait_for("ACTIVE")
    market.burst()
    market.audit()
    second.stop()
    return market


def test_what_a_router_leaves_is_equal_even_after_a_kill(routed: Any, reconcile: Reconcile) -> None:
    """Exit 0, with counts that are the streams', and the skipped backlog shown."""
    done = reconcile("--since", "1h", "--json")
    found = json.loads(done.stdout)
    assert (0, [], "") == (done.returncode, found["differences"], done.stderr)
    assert routed.client.xlen(SIGNALS) == found["counts"]["signals"]
    assert 20 == found["counts"]["not_listed"]
    assert len(routed.intents) == found["counts"]["intents"] == found["counts"]["published"] > 0


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", [1, 2])
def test_a_kill_around_a_commit_leaves_books_that_are_equal(
    start_router: Start, market: Any, reconcile: Reconcile, when: str, number: int
) -> None:
    """The first commit publishes a reduce-only signal, the second a window; what is read again is not audited again."""
    doomed = start_router(CRASH_AT, "SIGKILL", when, "commit", str(number), *RUN, **ON)
    market.signal("EXIT", 0.5, reduce_only=True)
    market.burst()
    doomed.wait()
    router = start_router(**ON)
    market.audit()
    router.stop()
    done = reconcile()
    assert (0, "") == (done.returncode, done.stderr), done.stdout


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda c: c.xdel(INTENTS, c.xrange(INTENTS)[1][0]), "there is no intent"),
        (lambda c: c.xdel(SIGNALS, c.xrange(SIGNALS)[25][0]), "is not in the stream"),
        (lambda c: c.xdel(AUDIT, c.xrange(AUDIT)[-2][0]), "has no decision"),
        (lambda c: c.xadd(INTENTS, c.xrange(INTENTS)[0][1]), "is its second"),
        (lambda c: c.xadd(INTENTS, {"data": '{"symbol":"FORGED"}'}), "names no signal"),
    ],
    ids=["intent deleted", "signal deleted", "audit entry deleted", "intent doubled", "intent forged"],
)
def test_a_record_that_does_not_fit_is_named_and_fails(
    routed: Any, reconcile: Reconcile, spoil: Callable[[Any], Any], words: str
) -> None:
    """Exit 1 and a line for the difference."""
    spoil(routed.client)
    done = reconcile()
    assert 1 == done.returncode
    assert words in done.stdout
    assert all(line.startswith(("signals=", "difference: ")) for line in done.stdout.splitlines())


def test_a_range_that_was_never_audited_cannot_be_compared(market: Any, reconcile: Reconcile) -> None:
    """Exit 2 says that silence is no proof, and that an older router's intents are no difference."""
    market.signal()
    market.client.xadd(INTENTS, {"data": '{"symbol":"LEGACY"}'})
    done = reconcile()
    assert 2 == done.returncode
    assert "nothing could be compared" in done.stderr


def test_trimmed_streams_are_compared_as_far_as_they_reach(routed: Any, reconcile: Reconcile) -> None:
    """Trimming is shown and is no difference."""
    routed.client.xtrim(SIGNALS, maxlen=5, approximate=False)
    routed.client.xtrim(INTENTS, maxlen=1, approximate=False)
    done = reconcile("--since", "1h", "--json")
    found = json.loads(done.stdout)
    assert (0, []) == (done.returncode, found["differences"])
    assert found["counts"]["signals_trimmed"] > 0
    assert found["counts"]["intents_trimmed"] > 0


def test_the_range_may_be_given_in_each_form(routed: Any, reconcile: Reconcile) -> None:
    """A time of day, milliseconds and so long ago name the same moments."""
    ids = [entry_id for entry_id, _ in routed.client.xrange(SIGNALS)]
    last_ms = int(ids[-1].partition("-")[0])
    moment = datetime.fromtimestamp(last_ms / 1000, timezone.utc).isoformat(timespec="milliseconds")
    for since in (str(last_ms), moment, moment.replace("+00:00", "Z")):
        done = reconcile("--since", since, "--until", str(last_ms), "--json")
        assert 0 == done.returncode, done.stdout
        assert sum(i.startswith(f"{last_ms}-") for i in ids) == json.loads(done.stdout)["counts"]["signals"]
    assert 0 == json.loads(reconcile("--since", "2h ago", "--until", "1h", "--json").stdout)["counts"]["signals"]


@pytest.mark.parametrize(
    "arguments", [[], ["--since", "yesterday"], ["--since", "2026-01-31T12:00:00"], ["--since", "1m", "--until", "1h"]]
)
def test_a_time_that_is_none_is_a_usage_error(reconcile: Reconcile, arguments: list[str]) -> None:
    """Also one without an offset, and a range that ends before it begins."""
    assert 64 == reconcile(*arguments or ["--json"]).returncode
