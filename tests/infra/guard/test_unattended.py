# SPDX-License-Identifier: Apache-2.0
"""Deployments that nobody ends: the host undoes them by itself. And two that want the same host.

The tests tell one story in order: the first deployment is killed, the next ones find its release staged already.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.infra.controller import deploying
from tests.infra.desk import eventually
from tests.infra.endings import JOURNAL, MARKER

if TYPE_CHECKING:
    from tests.infra.conftest import Playbooks
    from tests.infra.desk import Desk
    from tests.infra.endings import Fault

#: Seconds until the guard fires, where a test waits for it; a start and a look at the host take less.
SOON_S = 25
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


def activated(desk: Desk) -> None:
    """Return when the deployment under way has been activated."""
    assert eventually(lambda: desk.host.file(MARKER).exists and "activated" == last_entry(desk)["action"], 210.0)


@pytest.mark.fault(20, "the host is frozen", phase="lock", outcome="refused")
def test_frozen(desk: Desk, playbooks: Playbooks, fault: Fault) -> None:
    """A frozen host refuses, says who froze it and why, and is touched by nothing; a freeze is ended by that name."""
    message = 'it\'s the "year end"'
    assert 0 == playbooks.run("quantum.router.freeze", router_message=message).code
    listing = desk.listing()
    refused = playbooks.deploy()
    assert 0 != refused.code
    assert "the host is frozen by " in refused.reason
    assert f": {message}; make unfreeze" in refused.reason
    assert listing == desk.listing()
    assert 0 == playbooks.run("quantum.router.unfreeze").code
    fault.ends(refused)


@pytest.mark.fault(15, "the controller is killed", phase="soak", outcome="back")
def test_controller_killed_a_second_one_refused_and_a_late_confirmation(
    desk: Desk, playbooks: Playbooks, fault: Fault
) -> None:
    """A second deployment is refused with the name of the first. Killed, that is undone by the host, and stays so."""
    with deploying(playbooks, _router_guard_s=SOON_S) as controller:
        activated(desk)
        deployment = json.loads(desk.run(f"cat {MARKER}"))["deployment"]
        second = playbooks.deploy()
        assert 0 != second.code
        assert "the host is locked by " in second.reason
        assert deployment in second.reason
        fault.strikes()
        controller.kill()
    fault.ends(within_s=UNDONE_S)
    entry = last_entry(desk)
    assert ("rolled back", deployment) == (entry["action"], entry["deployment"])
    assert f"guard: not confirmed within {SOON_S} s" == entry["reason"]
    assert entry["seconds"] > SOON_S

    late = desk.host.run(f"router-release confirm --deployment {deployment}")
    told = f"router-release: too late: deployment {deployment} was rolled back at "
    assert (1, True) == (late.rc, late.stderr.startswith(told)), late.stderr
    assert entry["reason"] in late.stderr
    assert fault.before["process"] == desk.command_line()


@pytest.mark.fault(17, "the host is rebooted while a deployment is pending", phase="soak", outcome="back")
def test_rebooted_while_pending(desk: Desk, playbooks: Playbooks, fault: Fault) -> None:
    """A stale lock stops no deployment. A host that goes down with one pending comes back with the old router."""
    desk.run("router-release lock --message 'left behind' --seconds 1 && sleep 1")
    booted = "systemctl show --property=UserspaceTimestampMonotonic"
    with deploying(playbooks) as controller:
        activated(desk)
        last_boot = desk.run(booted)
        fault.strikes()
        desk.run("systemd-run --quiet --on-active=1 --timer-property=AccuracySec=100ms systemctl reboot")
        assert 0 != controller.ends(60).code
    assert eventually(lambda: answer(desk, booted) not in ("", last_boot), 60.0)
    assert eventually(lambda: "running" == answer(desk, "systemctl is-system-running"), 60.0)
    fault.ends()
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
    assert {"rolled back"} == set(actions)
