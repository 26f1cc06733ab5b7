# SPDX-License-Identifier: Apache-2.0
"""A host whose router is not ours, before anything was deployed there: this file comes before those that deploy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.infra.conftest import Playbooks
    from tests.infra.desk import Desk
    from tests.infra.endings import Fault


@pytest.mark.fault(25, "check mode on a host that was never deployed to", phase="preflight", outcome="refused")
def test_check_mode_on_a_virgin_host(desk: Desk, playbooks: Playbooks, fault: Fault) -> None:
    """Check mode says what would be done, and not a file of the host differs afterwards."""
    assert not desk.host.file("/opt/quantum-router").exists
    before, listing = desk.runs(), desk.listing()
    checked = playbooks.deploy("--check", "--diff")
    assert 0 == checked.code
    assert checked.last_line.startswith("check_mode=true would_change=true ")
    assert (before, listing) == (desk.runs(), desk.listing())
    fault.ends()
