# SPDX-License-Identifier: Apache-2.0
"""A guard whose rollback fails: the host says so and tries again, until it works."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.infra.controller import deploying
from tests.infra.desk import STATE, eventually
from tests.infra.endings import MARKER
from tests.infra.guard.test_unattended import SOON_S, UNDONE_S, activated, last_entry

if TYPE_CHECKING:
    from tests.infra.conftest import Playbooks
    from tests.infra.desk import Desk


def test_undo_that_fails_is_tried_again(desk: Desk, playbooks: Playbooks) -> None:
    """While the backup cannot be read the guard fails loudly and comes again; once it can, the old router is back."""
    old = desk.command_line()
    with deploying(playbooks, _router_guard_s=SOON_S) as controller:
        activated(desk)
        controller.kill()
        backups = desk.run(f"ls {STATE}/adopted")
        desk.run(f"mv {STATE}/adopted {STATE}/adopted.away")
    try:
        assert eventually(lambda: "undo failed" == last_entry(desk)["action"], UNDONE_S)
        trouble = desk.run("router-release status | grep ^trouble=")
        assert trouble.startswith("trouble=attempt ")
        assert trouble.endswith("; the host tries again by itself")
        loud = desk.run("journalctl --no-pager --priority=2..2 --output=cat --unit='quantum-router-guard-*'")
        assert "attempt 1 of 7 to undo deployment" in loud
        assert "quantum-router-guard-" in desk.run("systemctl --failed --plain --no-legend")
        found = playbooks.run("quantum.router.verify")
        assert 0 != found.code
        assert "; the host tries again by itself" in found.output
    finally:
        desk.run(f"mv {STATE}/adopted.away {STATE}/adopted")
    assert backups == desk.run(f"ls {STATE}/adopted")
    assert eventually(lambda: not desk.host.file(MARKER).exists, 150.0)
    assert "rolled back" == last_entry(desk)["action"]
    assert last_entry(desk)["reason"].startswith("guard: attempt ")
    assert old == desk.command_line()
    assert desk.publishes()
    assert "" == desk.run("systemctl --failed --plain --no-legend")
    assert "" == desk.run("systemctl list-units --all --plain --no-legend 'quantum-router-guard-*'")
