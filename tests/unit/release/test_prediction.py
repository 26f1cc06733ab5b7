# SPDX-License-Identifier: Apache-2.0
"""What check mode says of a rollback is what the rollback then does."""

from __future__ import annotations

import importlib
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.quantum.router.plugins.module_utils.release.adoption import adopt
from ansible_collections.quantum.router.plugins.module_utils.release.confirmation import confirm
from ansible_collections.quantum.router.plugins.module_utils.release.errors import ReleaseError
from ansible_collections.quantum.router.plugins.module_utils.release.rollback import rollback
from ansible_collections.quantum.router.plugins.module_utils.release.systemctl import Completed

from tests.unit.release.steps import activate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ansible_collections.quantum.router.plugins.module_utils.release.host import Host

    from tests.unit.release.conftest import FakeSystemctl

#: The module's part for state=rolled_back; all of the module would act on the machine that tests it.
ROLLED_BACK = vars(importlib.import_module("ansible_collections.quantum.router.plugins.modules.router_release"))[
    "_rolled_back"
]

A, B = "1.0.0-aaaaaaaaaaaa", "1.0.0-bbbbbbbbbbbb"
NOTHING: dict[str, Any] = {
    "to": None,
    "deployment": None,
    "reason": "",
    "capacity_delta": 0,
    "force": False,
    "verdict": {},
}


def roll_back(host: Host, *, check_mode: bool, **given: Any) -> tuple[dict[str, Any], list[str]]:
    """The module's answer, and its warnings."""
    warnings: list[str] = []
    module = SimpleNamespace(check_mode=check_mode, params={**NOTHING, **given}, warn=warnings.append)
    answer = ROLLED_BACK(module, host)
    return {name: answer[name] for name in ("changed", "from", "to", "active", "diff")}, warnings


def predicted(host: Host, photograph: Callable[[Path], Any], **given: Any) -> dict[str, Any]:
    """Assert that check mode changes nothing and says what is then done; returns that."""
    before = photograph(host.layout.root)
    said = roll_back(host, check_mode=True, **given)
    assert before == photograph(host.layout.root)
    assert roll_back(host, check_mode=False, **given) == said
    return said[0]


@pytest.fixture
def proven(legacy: Path, host: Host, stage: Callable[[str], Path]) -> Host:
    """A host with A and then B over a legacy router, both confirmed."""
    assert legacy.is_file()
    adopt(host)
    for release, deployment in ((A, "d1"), (B, "d2")):
        stage(release)
        activate(host, release, deployment)
        confirm(host, deployment, {})
    return host


def test_each_rollback_is_predicted(proven: Host, photograph: Callable[[Path], Any]) -> None:
    """From release to release, to the old router, and to a release that was asked for."""
    assert {"from": B, "to": A, "active": True}.items() <= predicted(proven, photograph).items()
    assert predicted(proven, photograph)["to"].startswith("legacy-")
    assert predicted(proven, photograph, to=A)["active"]
    assert not predicted(proven, photograph, to=A)["changed"]
    assert not predicted(proven, photograph, deployment="d1")["changed"]


def test_unit_that_stays_stopped_is_predicted(
    legacy: Path,
    host: Host,
    systemctl: FakeSystemctl,
    stage: Callable[[str], Path],
    photograph: Callable[[Path], Any],
) -> None:
    """A unit that did not run when it was adopted does not after a rollback: check mode knows."""
    assert legacy.is_file()
    systemctl.facts.update(ActiveState="inactive", MainPID="0")
    stage(A)
    adopt(host)
    activate(host, A, "d1")
    assert {"changed": True, "active": False}.items() <= predicted(host, photograph, deployment="d1").items()


def test_rollback_that_is_only_finished_is_predicted(
    proven: Host, systemctl: FakeSystemctl, photograph: Callable[[Path], Any]
) -> None:
    """Where the last one did not come to its end the next one ends it, and goes no further back."""
    systemctl.fails = {"systemctl restart": Completed(1, "", "Job failed")}
    with pytest.raises(ReleaseError, match="did not start"):
        rollback(proven)
    systemctl.fails = {}
    assert {"from": B, "to": A, "diff": []}.items() <= predicted(proven, photograph).items()


def test_release_that_is_passed_over_is_predicted(proven: Host, photograph: Callable[[Path], Any]) -> None:
    """What was touched under a pending deployment is named by check mode too."""
    activate(proven, A, "d3")
    (proven.layout.release(B) / "environment").chmod(0o666)
    assert predicted(proven, photograph, deployment="d3")["to"].startswith("legacy-")


def test_refusal_is_predicted(proven: Host) -> None:
    """What the rollback would refuse check mode refuses, in the same words."""
    (proven.layout.release(A) / "environment").chmod(0o666)
    said = set()
    for check_mode in (True, False):
        with pytest.raises(ReleaseError) as error:
            roll_back(proven, check_mode=check_mode)
        said.add(str(error.value))
    assert 1 == len(said)


@pytest.mark.parametrize(("end", "outcome"), [("confirm", "confirmed"), ("rollback", "rolled back")])
def test_how_a_deployment_ended_before_is_told(proven: Host, end: str, outcome: str) -> None:
    """Who comes second learns what the end was, in a word for programs and in a line for people."""
    activate(proven, A, "d3")
    bob = replace(proven, who="bob")
    confirm(bob, "d3", {}, by_hand=True, force=True) if end == "confirm" else rollback(bob)
    module = SimpleNamespace(check_mode=False, params={**NOTHING, "deployment": "d3"}, warn=print)
    answer = ROLLED_BACK(module, proven)
    assert (False, outcome) == (answer["changed"], answer["outcome"])
    assert answer["ended"].startswith(f"deployment d3 was {outcome} at ")
