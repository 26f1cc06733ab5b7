# SPDX-License-Identifier: Apache-2.0
"""Building a release from local files."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.quantum.router.plugins.module_utils.release import (
    cli,
    durable,
    identity,
    manifest,
    rebuild,
    staging,
)
from ansible_collections.quantum.router.plugins.module_utils.release.errors import ReleaseError
from ansible_collections.quantum.router.plugins.module_utils.release.systemctl import Completed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ansible_collections.quantum.router.plugins.module_utils.release.host import Host

UNIT_TEXT = "ExecStart=/usr/bin/env /opt/quantum-router/releases/${QUANTUM_ROUTER_RELEASE}/venv/bin/python\n"
ENVIRONMENT_TEXT = "QUANTUM_ROUTER_RELEASE=@RELEASE@\n"


class Builder:
    """Stands for python and pip: makes the venv's folder and records each command; `breaks` makes pip fail.

    `said` is what compileall says of sources that it cannot compile.
    """

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.breaks = False
        self.said = ""

    def __call__(
        self, argv: Sequence[str], timeout_s: float, environment: Mapping[str, str] | None = None
    ) -> Completed:
        """Record the command and make what it would make."""
        assert timeout_s > 0
        assert environment is None
        self.calls.append(list(argv))
        if "venv" in argv:
            library = Path(argv[-1]) / "lib"
            library.mkdir(parents=True)
            (library / "router.py").write_text("x = 1\n")
        if "install" in argv and self.breaks:
            return Completed(1, "", "WARNING: odd\nERROR: no matching distribution\nhint: look\n")
        if "compileall" in argv and self.said:
            return Completed(1, self.said, "")
        return Completed(0, "", "")


@pytest.fixture
def builder() -> Builder:
    """The recording python and pip."""
    return Builder()


@pytest.fixture
def inputs(make_wheel: Callable[..., Path], tmp_path: Path) -> tuple[str, Path, Path]:
    """Release id, wheel (under another name) and wheelhouse."""
    wheel = make_wheel("renamed artifact.whl", {"router/__init__.py": ""})
    wheelhouse = tmp_path / "cp311-x86_64.zip"
    with zipfile.ZipFile(wheelhouse, "w") as archive:
        archive.writestr("runtime.txt", "redis==1 --hash=sha256:0\n")
        archive.writestr("pip-25.0-py3-none-any.whl", "pip")
    release = identity.release_id(wheel, identity.read_lock(wheelhouse), UNIT_TEXT, ENVIRONMENT_TEXT)
    return release, wheel, wheelhouse


def test_release_is_built_whole(host: Host, builder: Builder, inputs: tuple[str, Path, Path]) -> None:
    """The environment names the release, files have their modes, and the manifest covers them all."""
    release = inputs[0]
    host = replace(host, run=builder)
    assert staging.stage_release(host, *inputs, UNIT_TEXT, ENVIRONMENT_TEXT)
    tree = host.layout.release(release)
    assert UNIT_TEXT == (tree / "unit").read_text()
    assert f"QUANTUM_ROUTER_RELEASE={release}\n" == (tree / "environment").read_text()
    modes = [(tree / name).stat().st_mode & 0o777 for name in ("", "unit", "environment")]
    assert [0o755, 0o644, 0o640] == modes
    assert [] == manifest.verify(tree)
    assert [release] == host.layout.staged()


def test_nothing_comes_from_the_network(host: Host, builder: Builder, inputs: tuple[str, Path, Path]) -> None:
    """Dependencies are installed by hash from the wheelhouse, the router from its wheel, both without an index."""
    staging.stage_release(replace(host, run=builder), *inputs, UNIT_TEXT, ENVIRONMENT_TEXT)
    venv, dependencies, router, compiled = builder.calls
    assert "--without-pip" in venv
    assert {"--no-index", "--require-hashes", "--find-links", "--only-binary=:all:"} <= set(dependencies)
    assert dependencies[1].endswith("/pip-25.0-py3-none-any.whl/pip")
    assert {"--no-index", "--no-deps"} <= set(router)
    assert router[-1].endswith("/quantum_router-1.0.0-py3-none-any.whl")
    assert "unchecked-hash" in compiled


def test_staging_again_changes_nothing(host: Host, builder: Builder, inputs: tuple[str, Path, Path]) -> None:
    """A complete release is left alone."""
    host = replace(host, run=builder)
    staging.stage_release(host, *inputs, UNIT_TEXT, ENVIRONMENT_TEXT)
    assert not staging.needs_release(host, inputs[0])
    assert not staging.stage_release(host, *inputs, UNIT_TEXT, ENVIRONMENT_TEXT)
    assert 4 == len(builder.calls)


@pytest.mark.parametrize("damage", ["manifest.json", "unit", "venv/lib/router.py"])
def test_unfinished_or_damaged_release_is_built_anew(
    host: Host, builder: Builder, inputs: tuple[str, Path, Path], damage: str
) -> None:
    """What an aborted run left, or somebody changed, is replaced by a whole release."""
    host = replace(host, run=builder)
    staging.stage_release(host, *inputs, UNIT_TEXT, ENVIRONMENT_TEXT)
    tree = host.layout.release(inputs[0])
    (tree / damage).unlink()
    (tree / "venv" / "left over").touch()
    assert staging.stage_release(host, *inputs, UNIT_TEXT, ENVIRONMENT_TEXT)
    assert [] == manifest.verify(tree)
    assert not (tree / "venv" / "left over").exists()
    assert [tree] == list(tree.parent.iterdir())


def test_failed_build_leaves_what_was_there(host: Host, builder: Builder, inputs: tuple[str, Path, Path]) -> None:
    """If a damaged release can't be built anew, the damaged one, which may run, comes back; pip's error is told."""
    host = replace(host, run=builder)
    staging.stage_release(host, *inputs, UNIT_TEXT, ENVIRONMENT_TEXT)
    tree = host.layout.release(inputs[0])
    (tree / "unit").write_text("changed")
    builder.breaks = True
    with pytest.raises(ReleaseError, match=r"failed: ERROR: no matching distribution$"):
        staging.stage_release(host, *inputs, UNIT_TEXT, ENVIRONMENT_TEXT)
    assert "changed" == (tree / "unit").read_text()
    assert [tree] == list(tree.parent.iterdir())


def test_failed_build_leaves_nothing_of_itself(host: Host, builder: Builder, inputs: tuple[str, Path, Path]) -> None:
    """On a full disk half a release would be in everybody's way, and nothing ever removes it."""
    builder.breaks = True
    with pytest.raises(ReleaseError):
        staging.stage_release(replace(host, run=builder), *inputs, UNIT_TEXT, ENVIRONMENT_TEXT)
    assert [] == list(host.layout.releases.iterdir())


@pytest.mark.parametrize("stage", ["folder", "pip"])
def test_failed_build_leaves_what_runs(
    host: Host, builder: Builder, inputs: tuple[str, Path, Path], monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """What is live comes back to its place though its manifest is gone, and where not even a folder can be made."""
    host = replace(host, run=builder)
    staging.stage_release(host, *inputs, UNIT_TEXT, ENVIRONMENT_TEXT)
    tree = host.layout.release(inputs[0])
    durable.link(host.layout.current, f"releases/{inputs[0]}")
    (tree / "manifest.json").unlink()

    def _full(path: Path, *arguments: Any, **more: Any) -> None:
        if path == tree:
            raise OSError(28, "No space left on device")
        mkdir(path, *arguments, **more)

    mkdir = Path.mkdir
    builder.breaks = True
    if stage == "folder":
        monkeypatch.setattr(Path, "mkdir", _full)
    with pytest.raises(OSError if stage == "folder" else ReleaseError):
        staging.stage_release(host, *inputs, UNIT_TEXT, ENVIRONMENT_TEXT)
    assert (tree / "venv" / "lib" / "router.py").is_file()
    assert [tree] == list(tree.parent.iterdir())


def killed_while_it_builds(host: Host, builder: Builder, inputs: tuple[str, Path, Path], step: str) -> None:
    """Build in a process of its own, which is killed at that step."""

    def _killed(argv: Sequence[str], timeout_s: float, environment: Mapping[str, str] | None = None) -> Completed:
        if step in argv:
            os.kill(os.getpid(), signal.SIGKILL)
        return builder(argv, timeout_s, environment)

    child = os.fork()
    if child == 0:
        staging.stage_release(replace(host, run=_killed), *inputs, UNIT_TEXT, ENVIRONMENT_TEXT)
        os._exit(0)
    assert signal.SIGKILL == os.WTERMSIG(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("command", ["restore", "rollback", "prune"])
@pytest.mark.parametrize("step", ["venv", "compileall"])
def test_release_comes_back_after_a_build_that_was_cut_off(
    host: Host,
    builder: Builder,
    inputs: tuple[str, Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    step: str,
) -> None:
    """The damaged release, which may be the live one, is back before the router starts at boot, or at any command."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("signal.signal", lambda *_arguments: None)
    staging.stage_release(replace(host, run=builder), *inputs, UNIT_TEXT, ENVIRONMENT_TEXT)
    tree = host.layout.release(inputs[0])
    (tree / "unit").write_text("changed")
    killed_while_it_builds(host, builder, inputs, step)
    assert not manifest.complete(tree)
    cli.main([command], host)
    assert "changed" == (tree / "unit").read_text()
    assert [tree] == list(tree.parent.iterdir())


def test_release_comes_back_before_a_task_looks_at_it(
    host: Host,
    builder: Builder,
    inputs: tuple[str, Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whatever a playbook asks of the host next finds the release in its place; check mode changes nothing."""
    staging.stage_release(replace(host, run=builder), *inputs, UNIT_TEXT, ENVIRONMENT_TEXT)
    tree = host.layout.release(inputs[0])
    (tree / "unit").write_text("changed")
    killed_while_it_builds(host, builder, inputs, "compileall")
    basic = importlib.import_module("ansible.module_utils.basic")
    module = importlib.import_module("ansible_collections.quantum.router.plugins.modules.router_release")
    answer = importlib.import_module("ansible_collections.quantum.router.plugins.module_utils.answer")
    monkeypatch.setattr(answer, "Host", lambda unit: replace(host, unit=unit))
    monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
    for check_mode in (True, False):
        asked = {"state": "unlocked", "deployment": "d1", "_ansible_check_mode": check_mode}
        monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": asked}).encode())
        with pytest.raises(SystemExit):
            module.main()
        assert check_mode != manifest.complete(tree)
        assert "failed" not in json.loads(capsys.readouterr().out)


def test_build_that_goes_on_is_left_alone(host: Host, builder: Builder, inputs: tuple[str, Path, Path]) -> None:
    """A command beside a build takes nothing away from it, and does not wait for it."""

    def _beside(argv: Sequence[str], timeout_s: float, environment: Mapping[str, str] | None = None) -> Completed:
        rebuild.bring_back(host.layout)
        return builder(argv, timeout_s, environment)

    staging.stage_release(replace(host, run=builder), *inputs, UNIT_TEXT, ENVIRONMENT_TEXT)
    tree = host.layout.release(inputs[0])
    (tree / "unit").write_text("changed")
    assert staging.stage_release(replace(host, run=_beside), *inputs, UNIT_TEXT, ENVIRONMENT_TEXT)
    assert [] == manifest.verify(tree)
    assert [tree] == list(tree.parent.iterdir())


def test_new_release_stays_where_the_old_one_was_left_behind(
    host: Host, builder: Builder, inputs: tuple[str, Path, Path]
) -> None:
    """Killed when all was built, a staging leaves the old files beside the new release: they go."""
    staging.stage_release(replace(host, run=builder), *inputs, UNIT_TEXT, ENVIRONMENT_TEXT)
    tree = host.layout.release(inputs[0])
    shutil.copytree(tree, tree.with_name(f".{tree.name}.aside"))
    rebuild.bring_back(host.layout)
    assert [] == manifest.verify(tree)
    assert [tree] == list(tree.parent.iterdir())


def test_source_that_does_not_compile_is_named(host: Host, builder: Builder, inputs: tuple[str, Path, Path]) -> None:
    """The compiler says which file in its first line, and the error in its last."""
    builder.said = "*** Error compiling '/opt/r/publisher.py'...\n  File \"/opt/r/publisher.py\"\nSyntaxError: no\n"
    with pytest.raises(ReleaseError, match=r"failed: \*\*\* Error compiling '/opt/r/publisher.py'"):
        staging.stage_release(replace(host, run=builder), *inputs, UNIT_TEXT, ENVIRONMENT_TEXT)


def test_files_that_changed_on_the_way_are_refused(
    host: Host, builder: Builder, inputs: tuple[str, Path, Path]
) -> None:
    """If the files don't make the announced id, nothing is built from them."""
    with pytest.raises(
        ReleaseError, match=r"was announced, but these files make 1\.0\.0-.*: copy them to the host again"
    ):
        staging.stage_release(replace(host, run=builder), *inputs, UNIT_TEXT + "#", ENVIRONMENT_TEXT)
    assert [] == builder.calls


def test_wheelhouse_without_pip_is_refused(
    host: Host, builder: Builder, make_wheel: Callable[..., Path], tmp_path: Path
) -> None:
    """The line says which file lacks what."""
    wheelhouse = tmp_path / "w.zip"
    with zipfile.ZipFile(wheelhouse, "w") as archive:
        archive.writestr("runtime.txt", "")
    with pytest.raises(ReleaseError, match=r"w\.zip holds no wheel of pip"):
        staging.stage_deployer(replace(host, run=builder), make_wheel("w.whl", {}), wheelhouse)
    assert [] == host.layout.deployers_built()


def test_deployers_do_not_pile_up(
    host: Host, builder: Builder, inputs: tuple[str, Path, Path], make_wheel: Callable[..., Path]
) -> None:
    """The newest two stay; the same one again changes nothing."""
    host = replace(host, run=builder)
    for number in range(4):
        wheel = make_wheel(f"{number}.whl", {"router/__init__.py": str(number)})
        assert staging.stage_deployer(host, wheel, inputs[2])
        assert not staging.stage_deployer(host, wheel, inputs[2])
        assert staging.deployer_venv(host, wheel, inputs[2]).is_dir()
    assert staging.KEEP_DEPLOYERS == len(host.layout.deployers_built())
