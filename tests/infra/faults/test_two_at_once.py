# SPDX-License-Identifier: Apache-2.0
"""Two that want the same host at the same time, and what one has left behind."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.infra.controller import deploying, transition_held
from tests.infra.desk import STATE
from tests.infra.endings import MARKER

if TYPE_CHECKING:
    from pathlib import Path

    from tests.infra.conftest import Playbooks
    from tests.infra.desk import Desk
    from tests.infra.endings import Fault

pytestmark = pytest.mark.long


@pytest.mark.fault(18, "two deployments at once", phase="lock", outcome="proven")
def test_two_deployments(playbooks: Playbooks, tmp_path: Path, fault: Fault) -> None:
    """One gets the host and proves its release, the other is refused with the name of the first."""
    with deploying(playbooks) as one, deploying(playbooks, router_report_dir=str(tmp_path)) as another:
        runs = [one.ends(), another.ends()]
    (proven,) = (run for run in runs if run.code == 0)
    (refused,) = (run for run in runs if run.code != 0)
    assert "the host is locked by " in refused.reason
    fault.ends(proven)


@pytest.mark.fault(19, "a stale lock", phase="lock", outcome="proven")
def test_stale_lock(desk: Desk, playbooks: Playbooks, fault: Fault) -> None:
    """A lock whose time is up stops nobody, and the journal tells whose it was."""
    desk.run("router-release lock --message 'left behind' --seconds 1 && sleep 1")
    run = playbooks.deploy()
    taken = json.loads(desk.run(f"grep 'lock taken over' {STATE}/journal.jsonl | tail -n 1"))
    assert "left behind" in taken["was"]
    fault.ends(run)


def guard(desk: Desk) -> str:
    """The unit that undoes the pending deployment."""
    return f"quantum-router-guard-{json.loads(desk.run(f'cat {MARKER}'))['deployment']}.service"


@pytest.mark.fault(27, "the guard fires while the controller confirms", phase="confirm", outcome="back")
def test_guard_before_confirmation(desk: Desk, playbooks: Playbooks, fault: Fault) -> None:
    """The guard has begun: the confirmation comes too late, and the deployment fails."""
    with deploying(playbooks) as controller:
        controller.reaches_phase("judge")
        with controller.halted():
            fault.strikes()
            desk.run(f"systemctl start --no-block {guard(desk)}")
            # The state is changed, the restart is under way.
            undoing = f'until grep -q "pending.: null" {STATE}/state.json; do sleep 0.02; done'
            desk.run(f"timeout 10 sh -c '{undoing}'")
        run = controller.ends()
    assert "guard: not confirmed within " in run.reason
    fault.ends(run)


@pytest.mark.fault(27, "the guard fires while the controller confirms", phase="confirm", outcome="proven")
def test_guard_after_confirmation(desk: Desk, playbooks: Playbooks, fault: Fault) -> None:
    """The confirmation has the host first: the guard, which has begun, finds nothing to undo."""
    with deploying(playbooks) as controller:
        controller.reaches_phase("judge")
        with transition_held(desk) as somebody_waits:
            somebody_waits()
            fires = guard(desk)
            started = f'until test "$(systemctl show --property=MainPID --value {fires})" != 0; do sleep 0.02; done'
            desk.run(f"systemctl start --no-block {fires} && {started} && systemctl kill --signal=STOP {fires}")
        run = controller.ends()
    desk.run(f"systemctl kill --signal=CONT {fires}")
    desk.run(f"timeout 20 sh -c 'while systemctl is-active --quiet {fires}; do sleep 0.1; done'")
    fault.ends(run)
