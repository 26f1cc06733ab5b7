# SPDX-License-Identifier: Apache-2.0
"""A host with a release that was proven: edited, undone and done again. One story, in order."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING

import pytest

from tests.infra.controller import deploying
from tests.infra.desk import STATE, UNIT
from tests.infra.endings import UNITS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.infra.conftest import Playbooks
    from tests.infra.desk import Desk
    from tests.infra.endings import Fault

pytestmark = pytest.mark.long

FILE, RELEASES = f"{UNITS}/{UNIT}", "/opt/quantum-router/releases"
#: As in module_utils/release/state.py.
KEEP_FAILED = 3


@pytest.fixture(scope="module")
def proven(desk: Desk, playbooks: Playbooks) -> Iterator[str]:
    """A release that passed its proof and runs; at the end the router from before runs again."""
    assert 0 == playbooks.deploy().code
    yield desk.live()
    if desk.live():
        desk.run("router-release rollback")


@pytest.mark.fault(30, "a unit that was masked or edited by hand", phase="preflight", outcome="proven")
def test_edited_by_hand(desk: Desk, playbooks: Playbooks, proven: str, fault: Fault) -> None:
    """A unit that is not the release's any more is drift: the same release is installed and proven afresh."""
    desk.run(f"sed -i 's/^Restart=always/Restart=no/' {FILE} && systemctl daemon-reload")
    run = playbooks.deploy()
    assert "unchanged=true" not in run.last_line
    assert "" == desk.run(f"diff {FILE} {RELEASES}/{proven}/unit")
    fault.ends(run)


@pytest.mark.fault(23, "a rollback of a rollback, past a bad release", phase="rollback", outcome="back")
def test_rollback_of_a_rollback(
    desk: Desk, playbooks: Playbooks, bad_wheel: Callable[[str], str], proven: str, fault: Fault
) -> None:
    """A bad release is never returned to unasked, and one that was left can be returned to by its name."""
    assert "rolled_back=true" in playbooks.deploy(router_artifact=bad_wheel("exits-at-start-when-live")).last_line
    bad = playbooks.report["release"]
    assert proven == desk.live()
    assert f"rolled_back=true from={proven} to=legacy-" in playbooks.roll_back().last_line
    refused = playbooks.roll_back(router_release_to=bad)
    assert (True, True) == (refused.code != 0, f"release {bad} failed its proof" in refused.reason)
    assert "" == desk.live()

    fault.strikes()
    assert 0 == playbooks.roll_back(router_release_to=proven).code
    fault.ends()
    assert f"rolled_back=true from={proven} to=legacy-" in playbooks.roll_back().last_line
    assert desk.publishes()


def test_a_rollback_is_done_though_the_router_before_is_not_seen_to_publish(
    desk: Desk, playbooks: Playbooks, proven: str
) -> None:
    """It hangs, or has reasons of its own: its bytes are back and it is active, and the last line says the rest."""
    if desk.live() != proven:
        assert 0 == playbooks.roll_back(router_release_to=proven).code
    # Stopped as soon as it is there; a process that is stopped is active to systemd.
    hang = "until pkill -STOP -f '[a]i_strategy_router.py'; do sleep 0.1; done"
    desk.run(f"systemd-run --quiet --unit=hang sh -c {shlex.quote(hang)}")
    try:
        back = playbooks.roll_back()
    finally:
        desk.run("pkill -CONT -f '[a]i_strategy_router.py'; systemctl stop hang 2> /dev/null || true")
    assert 0 == back.code
    assert re.search(rf"^rolled_back=true from={proven} to=legacy-\S+ active=true published=0 ", back.last_line)
    assert desk.publishes()


@pytest.mark.fault(21, "a tampered release or wheel", phase="rollback", outcome="refused")
def test_rollback_to_a_tampered_release(desk: Desk, playbooks: Playbooks, proven: str, fault: Fault) -> None:
    """What is not as it was staged is not returned to."""
    desk.run(f"echo '# added' >> {RELEASES}/{proven}/unit")
    run = playbooks.roll_back(router_release_to=proven)
    desk.run(f"sed -i '$d' {RELEASES}/{proven}/unit")
    assert f"release {proven} is not what was staged (unit has another content): choose another" in run.reason
    fault.ends(run)


@pytest.mark.fault(26, "old releases are removed while there are many", phase="confirm", outcome="proven")
def test_pruned(desk: Desk, playbooks: Playbooks, fault: Fault) -> None:
    """While it is pending and when it is confirmed: it stays, what it replaced stays, and few of those that failed."""
    for number in range(12):
        folder = f"{RELEASES}/0.9.0-{number:012x}"
        desk.run(f"mkdir -p {folder} && echo '{{\"files\": {{}}}}' > {folder}/manifest.json")
    with deploying(playbooks) as controller:
        controller.reaches_phase("soak")
        desk.run("router-release prune")
        run = controller.ends()
    fault.ends(run)
    state = json.loads(desk.run(f"cat {STATE}/state.json"))
    legacy, release = state["known_good"][-2:]
    assert legacy in desk.run(f"ls {STATE}/adopted").split()
    staged = {path.split("/")[-2] for path in desk.run(f"ls {RELEASES}/*/manifest.json").splitlines()}
    assert release in staged
    assert len(staged - {*state["known_good"], *state["withdrawn"]}) <= KEEP_FAILED
