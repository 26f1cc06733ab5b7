# SPDX-License-Identifier: Apache-2.0
"""Deployments that nobody ends: the host undoes them by itself. And two that want the same host.

The tests tell one story in order: the first deployment is killed, the next ones find its release staged already.
"""

from __future__ import annotations

import json
import os
import re
import signal
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from tests.infra.conftest import STATE, UNIT, eventually

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from tests.infra.conftest import Desk, Playbooks

UNIT_FILE = f"/etc/systemd/system/{UNIT}"
PLACES = (UNIT_FILE, f"{UNIT_FILE}.d", f"/etc/systemd/system/*.wants/{UNIT}", "/home/qt/quantum_trader")
MARKER, LOCK, JOURNAL = f"{STATE}/pending.json", f"{STATE}/lock.json", f"{STATE}/journal.jsonl"
#: Seconds until the guard fires, where a test waits for it; a start and a look at the host take less.
SOON_S = 10
#: What follows is no part of the role's own time: systemd's accuracy, and the restart.
UNDONE_S = SOON_S + 15.0


def last_entry(desk: Desk) -> dict[str, Any]:
    """The newest line of the journal."""
    entry: dict[str, Any] = json.loads(desk.run(f"tail -n 1 {JOURNAL}"))
    return entry


def answer(desk: Desk, command: str) -> str:
    """What a host says that may be down: nothing then."""
    try:
        return str(desk.host.run(command).stdout).strip()
    except RuntimeError:
        return ""


@pytest.fixture(scope="module")
def legacy_state(desk: Desk) -> Callable[[], dict[str, str]]:
    """Take down what runs on the host, whichever process it is."""
    return lambda: {"files": desk.files(*PLACES), "process": desk.command_line(), **desk.runs_apart_from_process()}


@pytest.fixture(scope="module")
def before(legacy_state: Callable[[], dict[str, str]]) -> dict[str, str]:
    """What ran before the first deployment."""
    return legacy_state()


def is_as_before(desk: Desk, before: dict[str, str], now: dict[str, str]) -> None:
    """Assert that the old router is back byte for byte and publishes, and that nothing of the deployment is left."""
    assert before == now
    assert "active" == now["ActiveState"]
    assert desk.publishes()
    assert not desk.host.file(MARKER).exists
    assert not desk.host.file(LOCK).exists
    assert "" == desk.run("systemctl list-units --all --plain --no-legend 'quantum-router-guard-*'")


@contextmanager
def deploying(playbooks: Playbooks, desk: Desk, **variables: Any) -> Iterator[subprocess.Popen[str]]:
    """A controller with a deployment that has been activated; killed at the end, with all that it started."""
    with playbooks.start("site.yml", **variables) as process:
        try:
            assert eventually(lambda: process.poll() is not None or desk.host.file(MARKER).exists, 150.0)
            assert eventually(lambda: "activated" == last_entry(desk)["action"], 60.0)
            yield process
        finally:
            kill(process)


def kill(process: subprocess.Popen[str]) -> None:
    """End a controller and all its children at once, as a lost machine would."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def test_frozen(desk: Desk, playbooks: Playbooks, before: dict[str, str]) -> None:
    """A frozen host refuses, says who froze it and why, and is touched by nothing; a freeze is ended by that name."""
    message = 'it\'s the "year end"'
    assert 0 == playbooks.run("quantum.router.freeze", router_message=message).code
    listing, pid = desk.listing(), desk.runs()["MainPID"]
    refused = playbooks.deploy()
    assert 0 != refused.code
    assert "the host is frozen by " in refused.reason
    assert f": {message}; make unfreeze" in refused.reason
    assert (listing, pid) == (desk.listing(), desk.runs()["MainPID"])
    assert 0 == playbooks.run("quantum.router.unfreeze").code
    assert before["process"] == desk.command_line()


def test_controller_killed_a_second_one_refused_and_a_late_confirmation(
    desk: Desk, playbooks: Playbooks, before: dict[str, str], legacy_state: Callable[[], dict[str, str]]
) -> None:
    """A second deployment is refused with the name of the first. Killed, that is undone by the host, and stays so."""
    with deploying(playbooks, desk, _router_guard_s=SOON_S) as controller:
        deployment = json.loads(desk.run(f"cat {MARKER}"))["deployment"]
        second = playbooks.deploy()
        assert 0 != second.code
        assert "the host is locked by " in second.reason
        assert deployment in second.reason
        kill(controller)
    assert eventually(lambda: not desk.host.file(MARKER).exists, UNDONE_S)
    is_as_before(desk, before, legacy_state())
    entry = last_entry(desk)
    assert ("rolled back", deployment) == (entry["action"], entry["deployment"])
    assert f"guard: not confirmed within {SOON_S} s" == entry["reason"]
    assert entry["seconds"] > SOON_S

    late = desk.host.run(f"router-release confirm --deployment {deployment}")
    told = f"router-release: too late: deployment {deployment} was rolled back at "
    assert (1, True) == (late.rc, late.stderr.startswith(told)), late.stderr
    assert entry["reason"] in late.stderr
    assert before == legacy_state()


def test_rebooted_while_pending(
    desk: Desk, playbooks: Playbooks, before: dict[str, str], legacy_state: Callable[[], dict[str, str]]
) -> None:
    """A stale lock stops no deployment. A host that goes down with one pending comes back with the old router."""
    desk.run("router-release lock --message 'left behind' --seconds 1 && sleep 1")
    booted = "systemctl show --property=UserspaceTimestampMonotonic"
    with deploying(playbooks, desk) as controller:
        last_boot = desk.run(booted)
        desk.run("systemd-run --quiet --on-active=1 --timer-property=AccuracySec=100ms systemctl reboot")
        assert 0 != controller.wait(60)
    assert eventually(lambda: answer(desk, booted) not in ("", last_boot), 60.0)
    assert eventually(lambda: "running" == answer(desk, "systemctl is-system-running"), 60.0)
    is_as_before(desk, before, legacy_state())
    entry = last_entry(desk)
    assert ("rolled back", None) == (entry["action"], entry["problem"])
    assert "the host restarted before anybody confirmed it" == entry["reason"]
    (taken,) = (json.loads(line) for line in desk.run(f"grep 'lock taken over' {JOURNAL}").splitlines())
    assert "left behind" in taken["was"]
    assert taken["deployment"] == entry["deployment"]


def test_history(desk: Desk, playbooks: Playbooks) -> None:
    """What happened is told as a table, by make and on the host alike."""
    shown = playbooks.run("quantum.router.history")
    assert 0 == shown.code
    table = desk.run("router-release history").splitlines()
    assert shown.output.strip().splitlines()[-len(table) :] == table
    actions = [re.split(" {2,}", line)[2] for line in table[1:]]
    assert ["rolled back", "rolled back"] == actions
