# SPDX-License-Identifier: Apache-2.0
"""Deployments that must undo themselves: the host runs afterwards what it ran before, and one line says why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.infra.conftest import Desk, Playbooks, Run

State = dict[str, str]
UNIT = "/etc/systemd/system/quantum-ai-strategy-router.service"
PLACES = (UNIT, f"{UNIT}.d", "/etc/systemd/system/*.wants/quantum-ai-*", "/home/qt/quantum_trader")


@pytest.fixture
def legacy_state(desk: Desk) -> Callable[[], State]:
    """Take down what runs on the host, whichever process it is: unit, script, drop-ins, enablement, command line."""
    return lambda: {"files": desk.files(*PLACES), "process": desk.command_line(), **desk.runs_apart_from_process()}


def assert_reported(run: Run, report: dict[str, Any], phase: str, *words: str) -> None:
    """Assert that a failed run and its report say why in one line with these words, and in which phase it failed."""
    assert 0 != run.code
    assert run.last_line.startswith("verdict=fail ")
    assert all(word in run.reason for word in words), run.reason
    assert "Traceback" not in run.reason
    assert ("fail", run.reason) == (report["verdict"], report["reason"])
    assert phase == next(part["name"] for part in report["phases"] if part["status"] == "failed")


def test_does_not_import(
    desk: Desk, playbooks: Playbooks, bad_wheel: Callable[[str], str], legacy_state: Callable[[], State]
) -> None:
    """A release that does not import is found out before anything live is touched: the old process goes on."""
    before, pid = legacy_state(), desk.runs()["MainPID"]
    run = playbooks.deploy(router_artifact=bad_wheel("does-not-import"))
    assert_reported(run, playbooks.report, "check", "No module named 'router.no_such_module'")
    assert not playbooks.report["rolled_back"]
    assert (before, pid) == (legacy_state(), desk.runs()["MainPID"])
    assert desk.publishes()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (
            "exits-at-start",
            ("drill: expected it to get ready within 8 s, seen: ", "the fault of this wheel: cannot start"),
        ),
        ("never-ready", ("drill: expected it to get ready within 8 s, seen: ", "timed out")),
        ("silent", ("drill: open_orders 3: expected BEST_OF_PUBLISH and 1 intent (DRILLSUPER", "seen 0 intents")),
        ("floods", ("drill: open_orders 10: expected CAPACITY_FULL and 0 intents, seen 11 intents (DRILLFULL",)),
    ],
)
def test_fails_its_drill(
    desk: Desk,
    playbooks: Playbooks,
    bad_wheel: Callable[[str], str],
    legacy_state: Callable[[], State],
    kind: str,
    words: tuple[str, ...],
) -> None:
    """A release that does not start, get ready, publish, or choose stops at the drill: the old process goes on."""
    before, pid = legacy_state(), desk.runs()["MainPID"]
    run = playbooks.deploy(router_artifact=bad_wheel(kind))
    report = playbooks.report
    assert_reported(run, report, "drill", *words)
    assert not report["rolled_back"]
    assert not report["drill"]["passed"]
    assert (before, pid) == (legacy_state(), desk.runs()["MainPID"])
    assert ("", "") == desk.left_of_drills()
    assert desk.publishes()


@pytest.mark.parametrize(
    ("kind", "phase", "words"),
    [
        ("exits-at-start-when-live", "activate", ("the fault of this wheel: cannot start",)),
        ("never-ready-when-live", "activate", ("did not get ready within 8 s",)),
        ("silent-when-live", "judge", ("nothing published, while", "eligible signals met free slots")),
        ("floods-when-live", "judge", ("intents within 0.9 s, at most 2 allowed",)),
    ],
)
def test_goes_back(
    desk: Desk,
    playbooks: Playbooks,
    bad_wheel: Callable[[str], str],
    legacy_state: Callable[[], State],
    kind: str,
    phase: str,
    words: tuple[str, ...],
) -> None:
    """A release that does so only after its drill is replaced by what ran before, byte for byte."""
    before = legacy_state()
    run = playbooks.deploy(router_artifact=bad_wheel(kind))
    report = playbooks.report
    assert_reported(run, report, phase, *words)
    assert "rolled_back=true" in run.last_line
    assert report["rolled_back"]
    assert before == legacy_state()
    assert "active" == before["ActiveState"]
    assert desk.publishes()
    assert report["release"] in desk.run("router-release list | grep bad")


def test_redis_stopped(desk: Desk, playbooks: Playbooks) -> None:
    """Without Redis nothing on the host is touched, and the old router publishes once Redis is back."""
    before, listing = desk.runs(), desk.listing()
    desk.run("systemctl stop redis-server")
    try:
        run = playbooks.deploy()
        assert (before, listing) == (desk.runs(), desk.listing())
    finally:
        desk.run("systemctl start redis-server")
    assert_reported(run, playbooks.report, "preflight", "Redis at 127.0.0.1:6379 can't be reached", "start it or")
    assert desk.publishes()
    assert before == desk.runs()
