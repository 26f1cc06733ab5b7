# SPDX-License-Identifier: Apache-2.0
"""What happens on the host while a good release is watched."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.infra.controller import deploying
from tests.infra.desk import UNIT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.infra.conftest import Playbooks
    from tests.infra.desk import Desk
    from tests.infra.endings import Fault

pytestmark = pytest.mark.long

OPEN_ORDERS = "quantum:state:open_orders"
SIGNALS = "quantum:stream:ai.decision.made"


@contextmanager
def stopped(desk: Desk, service: str) -> Iterator[None]:
    """A service of the host that does not run meanwhile."""
    desk.run(f"systemctl stop {service}")
    try:
        yield
    finally:
        desk.run(f"systemctl start {service}")


@pytest.mark.fault(11, "Redis is stopped during the soak", phase="soak", outcome="back")
def test_redis_stopped(desk: Desk, playbooks: Playbooks, fault: Fault) -> None:
    """The router from before is back and active while Redis is still away, and publishes as soon as it answers."""
    with deploying(playbooks) as controller:
        controller.reaches_phase("soak")
        fault.strikes()
        with stopped(desk, "redis-server"):
            run = controller.ends()
            assert (fault.before["process"], "active") == (desk.command_line(), desk.runs()["ActiveState"])
    assert "rolled_back=true" in run.last_line
    fault.ends(run)


@pytest.mark.fault(12, "the capacity key is deleted during the soak", phase="soak", outcome="back")
def test_capacity_key_deleted(desk: Desk, playbooks: Playbooks, fault: Fault) -> None:
    """A release that cannot know how many orders are open is not proven."""
    with stopped(desk, "lab-execution"), deploying(playbooks) as controller:
        controller.reaches_phase("soak")
        fault.strikes()
        assert "1" == desk.redis("DEL", OPEN_ORDERS)
        run = controller.ends()
    assert "open orders missing" in run.reason
    assert "rolled_back=true" in run.last_line
    fault.ends(run)


@pytest.mark.fault(31, "no signal comes at all", phase="judge", outcome="proven")
def test_no_signals(desk: Desk, playbooks: Playbooks, fault: Fault) -> None:
    """In a market without a signal the drill is what there is: confirmed, and the line says what was not measured."""
    with stopped(desk, "lab-signal-feed"):
        # The baseline begins with the process that runs.
        desk.run(f"systemctl restart {UNIT} && sleep 6")
        run = playbooks.deploy(router_soak_max=15)
    assert "intents/signals 0/0 → 0/0" in run.last_line
    assert "no signal came: the reduction was not measured; the drill passed" in run.last_line
    fault.ends(run)


@pytest.mark.fault(32, "trading is halted during the soak", phase="soak", outcome="back")
def test_halted(desk: Desk, playbooks: Playbooks, fault: Fault) -> None:
    """What publishes nothing since it is told to proves nothing: it goes back, and the halt stays."""
    with deploying(playbooks, router_soak_max=15) as controller:
        controller.reaches_phase("soak")
        fault.strikes()
        desk.redis("SET", "quantum:kill", "HALT")
        try:
            run = controller.ends()
            assert "HALT" == desk.redis("GET", "quantum:kill")
        finally:
            desk.redis("DEL", "quantum:kill")
    assert run.last_line.startswith("verdict=inconclusive ")
    assert "rolled_back=true" in run.last_line
    fault.ends(run)
