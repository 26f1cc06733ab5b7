# SPDX-License-Identifier: Apache-2.0
"""`router halt` and `router resume`: a person's own switch, that needs no router to answer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Start = Callable[..., Any]
    Command = Callable[..., subprocess.CompletedProcess[str]]

HALT, KILL, AUDIT = "quantum:router:halt", "quantum:kill", "quantum:stream:router.audit"


@pytest.fixture
def command(redis_server: Any) -> Command:
    """Run a command of the router on the test's server; keyword arguments are environment variables."""

    def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ROUTER_", "SUDO_"))}
        return subprocess.run(
            [sys.executable, "-m", "router", *arguments],
            env={**inherited, "ROUTER_REDIS_URL": redis_server.url, **environ},
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )

    return run


def test_a_halt_takes_effect_within_one_window_and_ends_with_resume(
    start_router: Start, market: Any, command: Command
) -> None:
    """From the moment the command returns nothing is published; after resume the next window is."""
    router = start_router()
    router.wait_for("ACTIVE")
    halted = command("halt", "--reason", "fat finger", SUDO_USER="alice")
    assert (0, "") == (halted.returncode, halted.stderr)
    market.burst()
    market.signal("EXIT", 0.9, reduce_only=True)
    line = router.wait_for("HALTED", scope="window")
    assert ("alice", "fat finger") == (line["WHO"].partition("@")[0], line["REASON"])
    market.audit()
    assert not market.intents
    assert command("resume").stdout.startswith("resumed; was halted by ")
    market.burst()
    router.wait_for("BEST_OF_PUBLISH", scope="window")
    market.audit()


def test_a_router_that_hangs_publishes_nothing_after_a_halt(start_router: Start, market: Any, command: Command) -> None:
    """Stopped in the middle of a window, halted, continued: what it had in hand is dealt with as halted."""
    router = start_router(CANDIDATE_WINDOW_SEC="1", ROUTER_LEASE_TTL_SEC="8", ROUTER_SIGNAL_MAX_AGE_SEC="30")
    router.wait_for("ACTIVE")
    market.burst()
    time.sleep(0.3)
    router.send(signal.SIGSTOP)
    assert 0 == command("halt", "--reason", "it hangs").returncode
    router.send(signal.SIGCONT)
    router.wait_for("HALTED", scope="window")
    market.audit()
    assert not market.intents
    assert market.outcomes["halted"] > 0


def test_the_first_halt_stays_and_says_who_and_why(market: Any, command: Command) -> None:
    """Halting twice keeps the first; JSON has all of it; the person is the one behind sudo."""
    first = json.loads(command("halt", "--reason", "first", "--json", SUDO_USER="alice").stdout)
    assert (True, "first", HALT) == (first["new"], first["reason"], first["key"])
    assert first["who"].startswith("alice@")
    assert abs(time.time() * 1000 - first["when_ms"]) < 10_000
    second = command("halt", "--reason", "second")
    assert 0 == second.returncode
    assert second.stdout.startswith(f"{HALT}: halted already by alice@")
    assert second.stdout.endswith(": first\n")
    assert {"reason": "first", "who": first["who"], "when": str(first["when_ms"])} == market.client.hgetall(HALT)
    resumed = json.loads(command("resume", "--json").stdout)
    assert {"resumed": True, "state": "active", "halt": {k: first[k] for k in ("reason", "who", "when_ms")}} == resumed
    assert "was not halted\n" == command("resume").stdout


@pytest.mark.parametrize("reason", ["", "  ", "a\nb", "a\x1b[2J", "x" * 201])
def test_a_reason_that_says_nothing_or_breaks_a_line_is_refused(market: Any, command: Command, reason: str) -> None:
    """Usage error, nothing halted."""
    refused = command("halt", "--reason", reason)
    assert (64, "") == (refused.returncode, refused.stdout)
    assert "1 to 200 characters that print" in refused.stderr
    assert not market.client.exists(HALT)


def test_a_halt_needs_a_reason(command: Command) -> None:
    """Without --reason it is a usage error."""
    assert 64 == command("halt").returncode


@pytest.mark.parametrize(("switch", "words"), [("STOP", "nothing is published"), ("REDUCE", "only reduce-only")])
def test_the_desk_s_switch_is_never_touched_and_resume_says_that_it_still_holds(
    market: Any, command: Command, switch: str, words: str
) -> None:
    """A resume that changes nothing for trading says so on standard error."""
    market.client.set(KILL, switch)
    assert 0 == command("halt", "--reason", "ours").returncode
    resumed = command("resume")
    assert 0 == resumed.returncode
    assert f"warning: {KILL} says" in resumed.stderr
    assert words in resumed.stderr
    assert switch == market.client.get(KILL)


def test_resume_lets_repeats_be_counted_anew(start_router: Start, market: Any, command: Command) -> None:
    """After an automatic halt and a resume it takes the whole number of repeats again."""
    router = start_router(ROUTER_REPEAT_LIMIT="2")
    router.wait_for("ACTIVE")
    for number in (1, 2):
        market.signal("BTCUSDT", 0.8)
        router.wait_for("BEST_OF_PUBLISH", number, scope="window")
    router.wait_for("AUTO_HALTED")
    assert "2 intents for BTCUSDT BUY within 60 s" in command("resume").stdout
    for number in (3, 4):
        assert number - 2 >= len(router.events("AUTO_HALTED"))
        market.signal("BTCUSDT", 0.8)
        router.wait_for("BEST_OF_PUBLISH", number, scope="window")
    router.wait_for("AUTO_HALTED", 2)
    market.audit()


def test_a_halt_works_while_redis_is_out_of_memory(market: Any, command: Command) -> None:
    """When everything else is refused, stopping still works."""
    market.client.config_set("maxmemory", "1mb")
    halted = command("halt", "--reason", "memory", ROUTER_AUDIT_MAX="100")
    assert (0, "") == (halted.returncode, halted.stderr)
    assert market.client.exists(HALT)


def test_halts_and_resumes_are_audited(market: Any, command: Command) -> None:
    """With an audit each is an entry with reason and person; a second halt that changes nothing is none."""
    for arguments in (("halt", "--reason", "one"), ("halt", "--reason", "two"), ("resume",), ("resume",)):
        assert 0 == command(*arguments, ROUTER_AUDIT_MAX="100", SUDO_USER="bob").returncode
    entries = [fields for _, fields in market.client.xrange(AUDIT)]
    assert [("HALT", "one"), ("RESUME", "one")] == [(entry["event"], entry["reason"]) for entry in entries]
    assert all(entry["who"].startswith("bob@") for entry in entries)


def test_an_audit_that_cannot_be_written_keeps_nobody_from_halting(market: Any, command: Command) -> None:
    """The key of the audit is something else: halt and resume do what they say, and say so."""
    market.client.set(AUDIT, "1")
    done = command("halt", "--reason", "x", ROUTER_AUDIT_MAX="10")
    assert (0, 1) == (done.returncode, market.client.exists(HALT))
    done = command("resume", ROUTER_AUDIT_MAX="10")
    assert (0, 0) == (done.returncode, market.client.exists(HALT))


def test_a_halt_key_of_another_type_halts_and_can_be_resumed(market: Any, command: Command) -> None:
    """Whatever somebody wrote there, it halts until it is removed."""
    market.client.set(HALT, "by hand")
    assert command("halt", "--reason", "more").stdout.startswith(f"{HALT}: halted already by ")
    assert command("resume").stdout.startswith("resumed")
    assert not market.client.exists(HALT)


@pytest.mark.parametrize("when", ["1795375051120123456", "1795375051", "now", "\x1b[2J", ""])
def test_a_halt_with_an_odd_time_is_told_without_one(market: Any, command: Command, when: str) -> None:
    """A person wrote it by hand, in nanoseconds or in words: halting again and resuming do without it."""
    market.client.hset(HALT, mapping={"reason": "by hand", "who": "ann", "when": when})
    assert f"{HALT}: halted already by ann: by hand\n" == command("halt", "--reason", "more").stdout
    resumed = command("resume")
    assert (0, "resumed; was halted by ann: by hand\n", "") == (resumed.returncode, resumed.stdout, resumed.stderr)
