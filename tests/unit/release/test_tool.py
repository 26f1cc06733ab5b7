# SPDX-License-Identifier: Apache-2.0
"""`router-release`, as a function and as the executable that a host gets."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest
from ansible_collections.quantum.router.plugins.module_utils.release import cli, store, tool
from ansible_collections.quantum.router.plugins.module_utils.release.state import Pending, State

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ansible_collections.quantum.router.plugins.module_utils.release.host import Host

A, B = "1.0.0-aaaaaaaaaaaa", "1.0.0-bbbbbbbbbbbb"


def test_executable_runs_by_itself(tmp_path: Path) -> None:
    """The zip needs nothing but Python: it answers from an empty folder, isolated from the caller's."""
    executable = tmp_path / "router-release"
    executable.write_bytes(tool.build(sys.executable))
    executable.chmod(0o755)
    (tmp_path / "release.py").write_text("raise SystemExit(99)")
    done = subprocess.run([executable, "rollback", "--help"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stderr)
    assert "--to ID" in done.stdout


def imported_from(executable: Path) -> str:
    """Which member of the executable this Python takes for a module."""
    look = "import sys; sys.path.insert(0, sys.argv[1]); from release import rollback; print(rollback.__file__)"
    return subprocess.run(
        [sys.executable, "-I", "-c", look, executable], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_executable_carries_its_bytecode(tmp_path: Path) -> None:
    """Nothing is compiled when it starts; a Python that cannot take the bytecode takes the sources."""
    executable = tmp_path / "router-release"
    executable.write_bytes(tool.build("/usr/bin/python3"))
    assert executable.read_bytes().startswith(b"#!/usr/bin/python3 -I\n")
    assert f"{executable}/release/rollback.pyc" == imported_from(executable)
    with zipfile.ZipFile(executable) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(executable, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, b"old!" + content[4:] if name.endswith(".pyc") else content)
    assert f"{executable}/release/rollback.py" == imported_from(executable)


@pytest.mark.parametrize("damage", ["source", "interpreter", "no zip"])
def test_executable_that_was_changed_is_replaced(host: Host, damage: str) -> None:
    """Whoever edited the command gets it back with the next deployment."""
    tool.install(host)
    whole = host.layout.tool.read_bytes()
    damaged = {
        "source": whole.replace(b"Going back", b"Going on!!"),
        "interpreter": whole.replace(b"#!/", b"#!!", 1),
        "no zip": whole[:100],
    }
    host.layout.tool.write_bytes(damaged[damage])
    assert tool.install(host)
    assert not tool.install(host)


def test_installing_twice_changes_nothing(host: Host) -> None:
    """The executable is written once, for everybody to run; check mode writes nothing."""
    assert tool.install(host, check=True)
    assert not host.layout.tool.exists()
    assert tool.install(host)
    assert 0o755 == host.layout.tool.stat().st_mode & 0o777
    assert not tool.install(host)


def test_list_tells_what_each_release_is(
    host: Host, stage: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Every kept release comes with its marks, for people and as JSON."""
    stage(A)
    stage(B)
    host.layout.current.symlink_to(f"releases/{B}")
    store.save(host.layout, State(known_good=(A,), pending=Pending("d1", B, A, "now")))
    assert cli.main(["list"], host) == cli.OK
    assert f"id={A} is=known good\nid={B} is=pending,live\n" == capsys.readouterr().out
    assert cli.main(["list", "--json"], host) == cli.OK
    assert [{"id": A, "is": ["known good"]}, {"id": B, "is": ["pending", "live"]}] == json.loads(
        capsys.readouterr().out
    )


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["explode"],
        ["rollback", "--to"],
        ["list", "--colour"],
        ["confirm"],
        ["extend", "--deployment=d", "--seconds=0"],
    ],
)
def test_wrong_usage_is_64(host: Host, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A command line that makes no sense gives one line and status 64."""
    assert cli.main(words, host) == cli.USAGE
    assert 1 == len(capsys.readouterr().err.splitlines())


def test_damaged_state_is_one_line(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    """What a person can repair is told in one line with status 1, never as a traceback."""
    host.layout.state_dir.mkdir(parents=True)
    (host.layout.state_dir / "state.json").write_text("{")
    assert cli.main(["list"], host) == cli.FAILED
    assert capsys.readouterr().err.startswith(f"router-release: {host.layout.state_dir}/state.json is damaged")


def test_changing_the_host_needs_root(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without root, whatever changes something says what to do."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    for words in (["confirm", "--deployment=d1"], ["rollback"], ["freeze", "--message=x"], ["prune"], ["restore"]):
        assert cli.main(words, host) == cli.FAILED
        assert f"router-release: {words[0]} needs root: run it with sudo\n" == capsys.readouterr().err


def test_nothing_to_confirm_is_told(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Confirming on a fresh host is an error with status 1."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert cli.main(["confirm", "--deployment=d1"], host) == cli.FAILED
    assert "deployment d1 is not pending: none is" in capsys.readouterr().err
