# SPDX-License-Identifier: Apache-2.0
"""A controller that dies or is cut off, at every phase: the host decides alone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.infra.controller import deploying, transition_held
from tests.infra.desk import eventually
from tests.infra.endings import LOCK_S, MARKER

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from tests.infra.conftest import Playbooks
    from tests.infra.desk import Desk
    from tests.infra.endings import Fault

pytestmark = pytest.mark.long

#: Seconds until the guard fires: longer than a start may take, and where the verdict is awaited than the soak too.
SOON_S, AFTER_VERDICT_S = 12, 50
#: systemd's accuracy, and the restart.
UNDOING_S = 15.0


def pending(desk: Desk) -> None:
    """Return as soon as a deployment is pending: its activation has begun."""
    desk.run(f"timeout 120 sh -c 'until test -e {MARKER}; do sleep 0.02; done'")


@pytest.mark.parametrize(
    "phase",
    [
        pytest.param(
            "preflight",
            marks=pytest.mark.fault(15, "the controller is killed", phase="preflight", outcome="refused"),
        ),
        pytest.param("lock", marks=pytest.mark.fault(15, "the controller is killed", phase="lock", outcome="refused")),
        pytest.param(
            "stage", marks=pytest.mark.fault(15, "the controller is killed", phase="stage", outcome="refused")
        ),
        pytest.param(
            "recon", marks=pytest.mark.fault(15, "the controller is killed", phase="recon", outcome="refused")
        ),
        pytest.param(
            "check", marks=pytest.mark.fault(15, "the controller is killed", phase="check", outcome="refused")
        ),
        pytest.param(
            "drill", marks=pytest.mark.fault(15, "the controller is killed", phase="drill", outcome="refused")
        ),
        pytest.param(
            "backup", marks=pytest.mark.fault(15, "the controller is killed", phase="backup", outcome="refused")
        ),
    ],
)
def test_killed_before_activation(desk: Desk, playbooks: Playbooks, fault: Fault, phase: str) -> None:
    """Nothing live was touched, and the lock that it has left ends by itself."""
    with deploying(playbooks, _router_lock_s=LOCK_S) as controller:
        controller.reaches_phase(phase)
        time.sleep(0.5)  # into the task
        controller.kill()
    fault.ends()
    # A drill that has begun goes on to its end.
    assert eventually(lambda: ("", "") == desk.left_of_drills(), 30.0)


@pytest.mark.parametrize(
    ("phase", "guard_s"),
    [
        pytest.param(
            "activate",
            SOON_S,
            marks=pytest.mark.fault(15, "the controller is killed", phase="activate", outcome="back"),
        ),
        pytest.param(
            "soak",
            SOON_S,
            marks=pytest.mark.fault(15, "the controller is killed", phase="soak", outcome="back"),
        ),
        pytest.param(
            "judge",
            AFTER_VERDICT_S,
            marks=pytest.mark.fault(15, "the controller is killed", phase="judge", outcome="back"),
        ),
    ],
)
def test_killed_after_activation(desk: Desk, playbooks: Playbooks, fault: Fault, phase: str, guard_s: int) -> None:
    """Nobody confirms the release, so the host's guard puts back what ran before."""
    with deploying(playbooks, _router_guard_s=guard_s, router_soak_max=25) as controller:
        if phase == "activate":
            pending(desk)
        else:
            controller.reaches_phase(phase)
        fault.strikes()
        controller.kill()
    fault.ends(within_s=guard_s + UNDOING_S)


@pytest.mark.fault(15, "the controller is killed", phase="confirm", outcome="proven")
def test_killed_while_confirming(desk: Desk, playbooks: Playbooks, fault: Fault) -> None:
    """A confirmation that has come to the host is carried out there."""
    with deploying(playbooks) as controller:
        controller.reaches_phase("judge")
        with transition_held(desk) as somebody_waits:
            somebody_waits()
            controller.kill()
    fault.ends(within_s=UNDOING_S)


@pytest.mark.fault(15, "the controller is killed", phase="rollback", outcome="back")
def test_killed_while_rolling_back(playbooks: Playbooks, bad_wheel: Callable[[str], str], fault: Fault) -> None:
    """What the controller has begun to undo, or was about to, the guard brings to its end."""
    wheel = bad_wheel("exits-at-start-when-live")
    with deploying(playbooks, router_artifact=wheel, _router_guard_s=SOON_S) as controller:
        controller.reaches_phase("rollback")
        time.sleep(0.5)
        fault.strikes()
        controller.kill()
    fault.ends(within_s=SOON_S + UNDOING_S)


@pytest.mark.fault(15, "the controller is killed", phase="report", outcome="proven")
def test_killed_after_confirmation(playbooks: Playbooks, fault: Fault) -> None:
    """A release that was confirmed stays, whoever is there to hear of it."""
    with deploying(playbooks) as controller:
        controller.reaches_phase("report")
        controller.kill()
    fault.ends()


@pytest.mark.fault(16, "SSH is cut during the activation", phase="activate", outcome="back")
def test_ssh_cut(desk: Desk, playbooks: Playbooks, lab: ModuleType, fault: Fault) -> None:
    """The host goes back alone; the controller notices, fails, and says that the host does so."""
    name = desk.run("hostname")
    pid = lab.podman("inspect", "--format={{.State.Pid}}", name).strip()
    sudo = lab.elevation(root=lab.is_root())
    rule = ("INPUT", "--protocol", "tcp", "--dport", "22", "--jump", "DROP")
    iptables = (*sudo, "nsenter", f"--target={pid}", "--net", "iptables", "--wait")
    with deploying(playbooks, _router_guard_s=SOON_S) as controller:
        pending(desk)
        fault.strikes()
        lab.call(*iptables, "--insert", *rule)
        try:
            undone = f"timeout {SOON_S + UNDOING_S:.0f} sh -c 'while test -e {MARKER}; do sleep 0.1; done'"
            lab.podman("exec", name, "sh", "-c", undone)
            run = controller.ends()
        finally:
            lab.call(*iptables, "--delete", *rule)
    assert "unreachable: " in run.reason
    assert "the host undoes it by itself unless it was confirmed" in run.reason
    fault.ends(run)
