# SPDX-License-Identifier: Apache-2.0
"""The head of the file for hosts without Ansible, with another payload: what it refuses, hands on and leaves behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bundle import archives

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD = Path(__file__).resolve().parents[3] / "bundle" / "head.sh"
PYTHONS = ("python3", "python3.13", "python3.12", "python3.11")


class Carried:
    """A file like `quantum-router-1.0.0.run` whose payload is a script, on a host with this machine's commands."""

    def __init__(self, folder: Path, deploy: str) -> None:
        self.kept, self.file, self._commands, self._temporary = (
            folder / name for name in ("kept", "carried.run", "commands", "tmp")
        )
        self._commands.mkdir()
        self._temporary.mkdir()
        self.command("id", "echo 0")
        for python in PYTHONS:
            self.command(python, "echo 3.12 /usr/bin/python3.12")
        payload = archives.tar_gz([archives.file("deploy.sh", deploy.encode())], 0)
        values = {"VERSION": "1.2.3", "PYTHONS": "3.11 3.12", "MACHINES": os.uname().machine, "KEPT": str(self.kept)}
        self.file.write_bytes(archives.self_extracting(HEAD.read_text(encoding="utf-8"), payload, values))

    def command(self, name: str, script: str) -> None:
        """Have another command of that name on the host."""
        path = self._commands / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Begin to run it."""
        environment = {**os.environ, "PATH": f"{self._commands}:{os.environ['PATH']}", "TMPDIR": str(self._temporary)}
        return subprocess.Popen(
            # As started by hand, whoever runs the tests: a shell cannot trap what it was started to ignore.
            ["env", "--default-signal", "sh", self.file, *options],
            env={name: value for name, value in environment.items() if not name.startswith("SUDO_")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *options: str) -> tuple[int, str]:
        """Run it to its end; returns its status and all that it said."""
        with self.start(*options) as process:
            out, err = process.communicate(timeout=30)
        return process.returncode, out + err

    @property
    def left(self) -> list[Path]:
        """What it left in the folder for temporary files."""
        return [*self._temporary.iterdir()]


@pytest.fixture
def carried(tmp_path: Path) -> Callable[[str], Carried]:
    """Make the file with a script for its payload."""
    return partial(Carried, tmp_path)


@pytest.mark.parametrize("status", [0, 2])
def test_its_status_is_that_of_the_deployment(carried: Callable[[str], Carried], status: int) -> None:
    """And nothing is left of what it unpacked."""
    file = carried(f"exit {status}")
    assert file.run()[0] == status
    assert file.left == []


def test_options_reach_the_playbook_as_they_are(carried: Callable[[str], Carried]) -> None:
    """Blanks and quotes included, after its folder, Python, the place that stays, and the playbook's name."""
    file = carried("""shift; printf '<%s>' "$@" """)
    status, said = file.run("--check", "-e", '{"a": "b c"}', "-ed='e'")
    assert status == 0
    handed = f"""</usr/bin/python3.12><{file.kept}><quantum.router.site><--check><-e><{{"a": "b c"}}><-ed='e'>"""
    assert said.endswith(handed)
    assert "<quantum.router.rollback><--diff>" in file.run("rollback", "--diff")[1]


def test_it_says_where_reports_and_log_stay(carried: Callable[[str], Carried]) -> None:
    """In a folder that other users of the host cannot read."""
    file = carried("echo said; echo complained >&2")
    _status, said = file.run()
    (log,) = file.kept.iterdir()
    assert f"this run's is {log}\n" in said
    assert said.endswith("said\ncomplained\n")
    assert log.read_text() == "said\ncomplained\n"
    assert file.kept.stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("options", [["--help"], ["rollback", "-h"]])
def test_help_needs_nothing(carried: Callable[[str], Carried], options: list[str]) -> None:
    """Neither root nor Python."""
    file = carried("exit 1")
    file.command("id", "echo 1000")
    status, said = file.run(*options)
    assert status == 0
    assert said.startswith(f"usage: sudo sh {file.file}")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--inventory", "x"], "--inventory is no option"),
        (["--check", "rollback"], "rollback is no option"),
        (["-e"], "-e wants NAME=VALUE or @FILE"),
    ],
)
def test_wrong_options_are_named(carried: Callable[[str], Carried], options: list[str], complaint: str) -> None:
    """Nothing is unpacked for them."""
    file = carried("exit 0")
    status, said = file.run(*options)
    assert status == 64
    assert complaint in said
    assert said.count("\n") == 1


def test_without_root_it_says_sudo(carried: Callable[[str], Carried]) -> None:
    """The line shows the command that works."""
    file = carried("exit 0")
    file.command("id", "echo 1000")
    assert file.run() == (77, f"quantum-router: only root may deploy: sudo sh {file.file}\n")


def test_an_older_python_is_named_in_one_line(carried: Callable[[str], Carried]) -> None:
    """With what is missing and what was found."""
    file = carried("exit 0")
    for python in PYTHONS:
        file.command(python, "exit 1")
    file.command("python3", "echo 3.9 /usr/bin/python3.9")
    expected = "this host lacks a Python with venv of one of these versions: 3.11 3.12, found 3.9"
    assert file.run() == (69, f"quantum-router: {expected}\n")


def test_a_newer_python_beside_an_old_one_is_taken(carried: Callable[[str], Carried]) -> None:
    """As on hosts of the RHEL 9 family, whose python3 is 3.9 whatever else is installed."""
    file = carried('echo "$2"')
    file.command("python3", "echo 3.9 /usr/bin/python3.9")
    status, said = file.run()
    assert status == 0
    assert said.endswith("/usr/bin/python3.12\n")


def test_another_machine_is_refused(carried: Callable[[str], Carried]) -> None:
    """There are no wheels for it."""
    file = carried("exit 0")
    file.command("uname", "echo riscv64")
    status, said = file.run()
    assert status == 69
    assert "this host is a riscv64" in said


def test_a_damaged_file_is_refused_before_anything_of_it_is_used(carried: Callable[[str], Carried]) -> None:
    """A byte of the payload, or its end, got lost."""
    file = carried("exit 0")
    whole = file.file.read_bytes()
    for damaged in (whole[:-1], whole[:-20] + b"\0" + whole[-19:]):
        file.file.write_bytes(damaged)
        status, said = file.run()
        assert status == 65
        assert "was damaged on its way" in said
        assert file.left == []


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_deployment_and_leaves_nothing(carried: Callable[[str], Carried], number: int) -> None:
    """What was unpacked is gone, what was started has ended, and the status tells the signal."""
    file = carried('echo $$ > "$3/pid"; exec sleep 60')
    with file.start() as process:
        pid = until(lambda: (file.kept / "pid").read_text().strip())
        process.send_signal(number)
        _out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert "what was activated and not confirmed this host undoes by itself" in err
    assert file.left == []
    assert not Path("/proc", pid).exists()


def test_a_reader_who_went_away_does_not_stop_it(carried: Callable[[str], Carried]) -> None:
    """A line to a workstation that is cut leaves the deployment and its log alone."""
    file = carried("set -e; sleep 0.3; echo lost; sleep 0.3; echo whole")
    with file.start() as process:
        assert process.stdout
        process.stdout.readline()
        process.stdout.close()
        process.wait(timeout=30)
    assert process.returncode == 0
    assert [path.read_text() for path in file.kept.iterdir()] == ["lost\nwhole\n"]
    assert file.left == []


def until(look: Callable[[], str]) -> str:
    """What *look* returns once it is there and not empty; fails after 10 s."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):
            if found := look():
                return found
        time.sleep(0.02)
    raise AssertionError("it did not get that far within 10 s")
