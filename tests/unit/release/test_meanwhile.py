# SPDX-License-Identifier: Apache-2.0
"""Two who work on the same host, and one whose inventory has changed since: nobody undoes what they do not mean."""

from __future__ import annotations

import contextlib
import importlib
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.quantum.router.plugins.module_utils.release import staging, store, tool
from ansible_collections.quantum.router.plugins.module_utils.release.adoption import adopt
from ansible_collections.quantum.router.plugins.module_utils.release.confirmation import confirm
from ansible_collections.quantum.router.plugins.module_utils.release.errors import ReleaseError
from ansible_collections.quantum.router.plugins.module_utils.release.layout import UNIT
from ansible_collections.quantum.router.plugins.module_utils.release.rollback import rollback
from ansible_collections.quantum.router.plugins.module_utils.release.systemctl import Completed

from tests.unit.release.steps import activate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ansible_collections.quantum.router.plugins.module_utils.release.host import Host

    from tests.unit.release.conftest import FakeSystemctl

A, B = "1.0.0-aaaaaaaaaaaa", "1.0.0-bbbbbbbbbbbb"
#: The module's parts; all of the module would act on the machine that tests it.
MODULE = vars(importlib.import_module("ansible_collections.quantum.router.plugins.modules.router_release"))


@pytest.fixture
def proven(host: Host, stage: Callable[[str], Path]) -> Host:
    """A host on which A is known good, and nothing ran before."""
    stage(A)
    activate(host, A, "d1")
    confirm(host, "d1", {})
    return host


@pytest.fixture
def comes_first(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Have something done while the next transition waits for its turn."""
    locked = store.locked

    def make(work: Callable[[], object]) -> None:
        @contextlib.contextmanager
        def late(*given: Any) -> Iterator[None]:
            monkeypatch.undo()
            work()
            with locked(*given):
                yield

        monkeypatch.setattr(store, "locked", late)

    return make


class PowerCutError(BaseException):
    """The process dies there."""


def test_who_waited_for_another_rollback_goes_no_further(
    proven: Host, stage: Callable[[str], Path], comes_first: Callable[..., None]
) -> None:
    """The guard undoes B while a person asks for the same: A stays, and the person is told."""
    stage(B)
    activate(proven, B, "d2")
    comes_first(lambda: rollback(proven, deployment="d2", reason="guard"))
    done = rollback(proven)
    assert (False, A, A) == (done.changed, done.origin, done.target)
    assert (f"another rollback came first: {A} is back in place of {B}",) == done.warnings
    assert A == store.load(proven.layout).live == proven.layout.live()


def test_who_waited_for_one_that_had_its_files_back_goes_no_further(
    proven: Host,
    stage: Callable[[str], Path],
    comes_first: Callable[..., None],
    systemctl: FakeSystemctl,
) -> None:
    """The state says A already, and only the start is missing: that is the same rollback still."""
    stage(B)
    activate(proven, B, "d2")

    def cut(argv: Any, timeout_s: float, environment: Any = None) -> Any:
        if tuple(argv[:2]) == ("systemctl", "restart"):
            raise PowerCutError
        return systemctl(argv, timeout_s, environment)

    with pytest.raises(PowerCutError):
        rollback(replace(proven, run=cut), deployment="d2", reason="guard")
    assert A == store.load(proven.layout).live
    comes_first(lambda: rollback(proven, deployment="d2", reason="guard"))
    done = rollback(proven)
    assert (False, A) == (done.changed, done.target)
    assert A == store.load(proven.layout).live == proven.layout.live()


def test_a_rollback_that_waited_and_failed_meanwhile_is_finished(
    proven: Host, stage: Callable[[str], Path], comes_first: Callable[..., None], systemctl: FakeSystemctl
) -> None:
    """What the other left half done is what is meant."""
    stage(B)
    activate(proven, B, "d2")

    def fails() -> None:
        systemctl.fails["systemctl restart"] = Completed(1, "", "")
        with pytest.raises(ReleaseError, match=f"rolled back to {A}, but"):
            rollback(proven, deployment="d2", reason="guard")
        systemctl.fails.clear()

    comes_first(fails)
    done = rollback(proven)
    assert (True, A, True) == (done.changed, done.target, done.active)
    assert A == store.load(proven.layout).live


def test_a_deployment_that_began_meanwhile_is_not_undone_unasked(
    proven: Host, stage: Callable[[str], Path], comes_first: Callable[..., None]
) -> None:
    """Who wanted away from A is asked again now that B is pending."""
    stage(B)
    comes_first(lambda: activate(proven, B, "d2"))
    with pytest.raises(ReleaseError, match="deployment d2 began while this rollback waited: again"):
        rollback(proven)
    assert B == store.load(proven.layout).live


def test_another_unit_than_that_of_the_releases_is_refused(proven: Host, stage: Callable[[str], Path]) -> None:
    """A mistyped router_unit would start a second router beside the one that goes on."""
    stage(B)
    other = replace(proven, unit="my-router.service")
    said = f"router_unit=my-router.service is not the unit of this host's releases, {UNIT} is: give that"
    with pytest.raises(ReleaseError, match=said):
        activate(other, B, "d2")
    assert not (proven.layout.units / "my-router.service").exists()
    assert A == store.load(proven.layout).live


def test_another_unit_than_that_of_the_backup_is_refused(
    legacy: Path, host: Host, stage: Callable[[str], Path], systemctl: FakeSystemctl
) -> None:
    """Neither is another unit adopted besides the one that a rollback returns to."""
    assert legacy.is_file()
    stage(A)
    adopt(host)
    activate(host, A, "d1")
    confirm(host, "d1", {})
    systemctl.facts["ExecStart"] = "{ path=/bin/x ; argv[]=/bin/x ; ignore_errors=no ; pid=1 }"
    with pytest.raises(ReleaseError, match="is not the unit of this host's releases"):
        adopt(replace(host, unit="my-router.service"))


def test_a_rollback_is_that_of_the_unit_that_was_deployed(
    proven: Host, stage: Callable[[str], Path], systemctl: FakeSystemctl
) -> None:
    """Whatever unit the inventory names by now: what trades is what gives way."""
    stage(B)
    activate(proven, B, "d2")
    confirm(proven, "d2", {})
    given: dict[str, Any] = {"to": None, "deployment": None, "reason": "", "force": False, "verdict": {}}
    module = SimpleNamespace(check_mode=False, params=given, warn=print)
    answer = MODULE["_rolled_back"](module, replace(proven, unit="my-router.service"))
    assert (True, B, A) == (answer["changed"], answer["from"], answer["to"])
    assert not (proven.layout.units / "my-router.service").exists()
    assert ("systemctl", "restart", UNIT) in systemctl.calls
    assert A == proven.layout.live()


def test_the_tools_of_a_pending_deployment_are_left_alone(
    proven: Host, stage: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Another checkout's tool may not know how to undo it; the same tool again is no change."""
    stage(B)
    tool.install(proven)
    activate(proven, B, "d2")
    mine = proven.layout.tool.read_bytes()
    deployer = proven.layout.deployers / "0123456789ab"
    (deployer / "venv").mkdir(parents=True)
    monkeypatch.setattr(staging, "deployer_venv", lambda *_given: deployer / "venv")
    monkeypatch.setattr(staging, "stage_deployer", lambda *_given: False)
    monkeypatch.setattr(MODULE["manifest"], "verify", lambda _folder: [])
    given = {"wheel": tmp_path / "w", "wheelhouse": tmp_path / "h"}
    module = SimpleNamespace(check_mode=False, params=given)
    assert {"changed": False, "venv": str(deployer / "venv")} == MODULE["_deployer"](module, proven)
    monkeypatch.setattr(tool, "interpreter", lambda: "/usr/bin/other")
    with pytest.raises(ReleaseError, match="deployment d2 is not judged yet, and needs the tools that it came with"):
        MODULE["_deployer"](module, proven)
    assert mine == proven.layout.tool.read_bytes()
    confirm(proven, "d2", {})
    assert MODULE["_deployer"](module, proven)["changed"]
