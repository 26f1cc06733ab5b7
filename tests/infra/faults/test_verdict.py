# SPDX-License-Identifier: Apache-2.0
"""Releases that say more than they do, numbers that decide nothing, and criteria of one's own."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.infra.desk import STATE, UNIT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.infra.conftest import Playbooks
    from tests.infra.desk import Desk
    from tests.infra.endings import Fault

#: Longer than the least time of a soak, and not much.
SOAK_MAX_S = 14


def own(script: str) -> dict[str, Any]:
    """A criterion of one's own that is a shell script."""
    return {"orders agree": {"command": ["sh", "-c", script], "timeout_s": 5}}


@pytest.fixture
def put_back(desk: Desk, playbooks: Playbooks) -> Iterator[None]:
    """Leave the old router to whoever comes next."""
    before = desk.command_line()
    yield
    assert 0 == playbooks.roll_back().code
    assert before == desk.command_line()


@pytest.mark.long
@pytest.mark.fault(7, "a silent release", phase="judge", outcome="back")
@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("publishes-elsewhere", r"features: the log claims \d+ intents, 0 are in the stream"),
        ("publishes-reduce-only", r"not flooding: \d+ reduce-only intents, while only 0 such signals came"),
        ("only-logs", r"features: the log claims \d+ intents, 0 are in the stream"),
    ],
)
def test_log_is_not_believed(
    playbooks: Playbooks, bad_wheel: Callable[[str], str], fault: Fault, kind: str, reason: str
) -> None:
    """To another stream, as reduce-only, or in the log alone: none of these intents is where it has to be."""
    run = playbooks.deploy(router_artifact=bad_wheel(f"{kind}-when-live"))
    assert re.search(reason, run.reason)
    assert playbooks.report["after"]["events"]["BEST_OF_PUBLISH"] > 0
    assert "rolled_back=true" in run.last_line
    fault.ends(run)


@pytest.mark.usefixtures("put_back")
def test_held_until_a_person_decides(desk: Desk, playbooks: Playbooks) -> None:
    """A command that cannot tell leaves it open: the release runs on, the run fails, and `make confirm` ends it."""
    run = playbooks.deploy(
        router_on_inconclusive="hold",
        router_soak_max=SOAK_MAX_S,
        router_criteria=own('echo "$RELEASE"; exit 2'),
        router_criteria_off=["governor"],
    )
    report = playbooks.report
    assert 0 != run.code
    assert run.last_line.startswith("verdict=inconclusive ")
    assert " held=true " in run.last_line
    told = f"orders agree: exit status 2: {report['release']}: decide within 3600 s, make confirm or make rollback"
    assert told == run.reason
    assert ("hold", False) == (report["action"], report["rolled_back"])
    assert ["switched off on purpose"] == [c["detail"] for c in report["criteria"] if c["name"] == "governor"]
    assert report["release"] in desk.command_line()
    pending = json.loads(desk.run(f"cat {STATE}/pending.json"))
    assert report["deployment"] == pending["deployment"]
    timers = desk.run("systemctl list-timers --all --no-legend 'quantum-router-guard-*'")
    assert 1 == len(timers.splitlines())

    assert 0 == playbooks.run("quantum.router.confirm").code
    assert "" == desk.run("systemctl list-timers --all --no-legend 'quantum-router-guard-*'")
    again = playbooks.deploy()
    assert 0 == again.code
    assert again.last_line.endswith("unchanged=true by_hand=true")


def test_own_criterion_fails(desk: Desk, playbooks: Playbooks) -> None:
    """A command that says no is a fail like any other, run by root on the host with what it is told."""
    before = desk.command_line()
    run = playbooks.deploy(router_criteria=own('echo "$(id -un) $UNIT $SINCE_MS"; exit 1'))
    report = playbooks.report
    assert 0 != run.code
    assert run.reason.startswith(f"orders agree: exit status 1: root {UNIT} 1")
    assert report["rolled_back"]
    (found,) = (c for c in report["criteria"] if c["status"] == "fail")
    assert ("orders agree", {"exit_status": 1}) == (found["name"], found["numbers"])
    assert before == desk.command_line()
