# SPDX-License-Identifier: Apache-2.0
"""A host that never had a router: check mode, converge, idempotence and check mode once more have just run there."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.infra.conftest import Desk, Playbooks

UNIT = "quantum-ai-strategy-router.service"


def changes(lines: list[str]) -> list[str]:
    """What one run of the deployment changed: tasks with their items."""
    task, changed = "", []
    for line in lines:
        if found := re.match(r"TASK \[quantum\.router\.router : (.*)\] \**$", line):
            task = found[1]
        elif line.startswith("changed: "):
            changed.append(f"{task} {line.partition('=> ')[2]}")
    return changed


@pytest.fixture(scope="module")
def runs() -> list[list[str]]:
    """What each of the four deployments so far wrote to Ansible's log; each is a process of its own."""
    log = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], "ansible.log").read_text(encoding="utf-8")
    processes: dict[str, list[str]] = {}
    for process, line in re.findall(r"^\S+ \S+ p=(\d+) u=\S+ n=ansible \w+\| (.*)$", log, re.MULTILINE):
        processes.setdefault(process, []).append(line)
    deployments = [lines for lines in processes.values() if any(line.startswith("PLAY [Deploy") for line in lines)]
    return deployments[-4:]


def test_check_mode_predicts(runs: list[list[str]]) -> None:
    """On a fresh host check mode tells exactly the changes that the deployment then makes."""
    checked, converged, _, _ = runs
    assert changes(converged) == changes(checked)
    assert changes(converged)
    assert checked[-1].startswith("check_mode=true would_change=true ")


def test_second_run_changes_nothing(runs: list[list[str]]) -> None:
    """The same release again changes nothing, check mode says so as well, and both name the verdict that stands."""
    _, converged, again, checked = runs
    assert [] == changes(again) == changes(checked)
    assert "unchanged=true" not in converged[-1]
    assert again[-1].endswith("unchanged=true")
    assert checked[-1].startswith("check_mode=true would_change=false ")


def test_judged_with_nothing_before(playbooks: Playbooks) -> None:
    """A first installation passes on what it does itself: no router was there to reduce anything of."""
    report = playbooks.report
    assert ("pass", None, None) == (report["verdict"], report["previous"], report["reduction"])
    assert {"reduction": "skipped"}.items() <= {c["name"]: c["status"] for c in report["criteria"]}.items()
    assert 0 == report["before"]["intents"]
    assert 0 < report["after"]["intents"]


def test_runs_now_and_after_a_reboot(desk: Desk) -> None:
    """The unit is active, ready and enabled, and publishes."""
    assert {"ActiveState": "active", "UnitFileState": "enabled", "Type": "notify"}.items() <= desk.runs().items()
    assert desk.publishes()


def test_service_user_can_do_nothing_else(desk: Desk) -> None:
    """The service has a user of its own, without home and shell."""
    user = desk.host.user("quantum-router")
    assert ("/nonexistent", "/usr/sbin/nologin", "quantum-router") == (user.home, user.shell, user.group)
    assert not desk.host.file("/nonexistent").exists


def test_rollback_of_the_first_installation(desk: Desk, playbooks: Playbooks) -> None:
    """A rollback with nothing to return to stops the router and removes its unit; another one has nothing to do."""
    assert 0 == playbooks.roll_back().code
    assert "not-found" == desk.run(f"systemctl show --property=LoadState --value {UNIT}")
    assert not desk.host.file(f"/etc/systemd/system/multi-user.target.wants/{UNIT}").exists

    again = playbooks.roll_back()
    assert 0 != again.code
    assert again.reason.startswith("nothing to return to: ")
