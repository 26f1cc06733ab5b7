# SPDX-License-Identifier: Apache-2.0
"""Reading systemd, /proc and the journal from recorded output."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from router.proof.evidence import Service
from router.proof.host import Host, release_in, run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

UNIT = "quantum-ai-strategy-router.service"
RUNNING = """\
ActiveState=active
SubState=running
NRestarts=2
MainPID=4711
StatusText=active, cursor=5-0 a=b
ExecMainStartTimestampMonotonic=90000000
"""
STOPPED = """\
ActiveState=inactive
SubState=dead
NRestarts=0
MainPID=0
StatusText=
ExecMainStartTimestampMonotonic=0
"""


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A /proc with one process, started by a release's interpreter."""
    process = tmp_path / "4711"
    process.mkdir()
    (process / "exe").symlink_to("/usr/bin/python3.11")
    (process / "cmdline").write_bytes(b"/r/venv/bin/python\0-m\0router\0\xff\0")
    return tmp_path


def test_running_service(proc: Path) -> None:
    """A running unit gives its state, its process, and that process's age by the monotonic clock."""
    asked: list[Sequence[str]] = []

    def run_command(command: Sequence[str]) -> str:
        asked.append(command)
        return RUNNING

    service, age_s = Host(run_command, proc, monotonic_s=lambda: 150.0).service(UNIT)
    assert service == Service(
        active_state="active",
        sub_state="running",
        restarts=2,
        main_pid=4711,
        status_text="active, cursor=5-0 a=b",
        exe="/usr/bin/python3.11",
        cmdline=["/r/venv/bin/python", "-m", "router", "\ufffd"],
    )
    assert age_s == 60.0
    assert (asked[0][:2], asked[0][-1]) == (["systemctl", "show"], UNIT)


def test_stopped_service(proc: Path) -> None:
    """A stopped or unknown unit has no process and no age; nothing is guessed."""
    service, age_s = Host(lambda _command: STOPPED, proc).service(UNIT)
    assert service == Service(active_state="inactive", sub_state="dead", restarts=0)
    assert age_s is None


def test_vanished_process(tmp_path: Path) -> None:
    """A process that ends between systemd's answer and the look at /proc leaves exe and cmdline unknown."""
    service, _age_s = Host(lambda _command: RUNNING, tmp_path).service(UNIT)
    assert (service.main_pid, service.exe, service.cmdline) == (4711, None, None)


@pytest.mark.parametrize("error", [FileNotFoundError("systemctl"), subprocess.TimeoutExpired("systemctl", 15)])
def test_nothing_answers(tmp_path: Path, error: Exception) -> None:
    """Without systemd, or with one that hangs, everything is unknown and nothing is raised."""

    def run_command(_command: Sequence[str]) -> str:
        raise error

    host = Host(run_command, tmp_path)
    assert host.service(UNIT) == (Service(), None)
    assert host.status(UNIT) == []
    assert host.journal(UNIT, 0) is None


JOURNAL = """\
{"__REALTIME_TIMESTAMP":"1999000","EVENT":"CAPACITY_UNKNOWN","MESSAGE":"before the activation"}
{"__REALTIME_TIMESTAMP":"2000000","EVENT":"BEST_OF_PUBLISH","MESSAGE":"📤 BEST_OF_PUBLISH count=2"}
{"__REALTIME_TIMESTAMP":"2000001","EVENT":"INTENT_PUBLISHED","MESSAGE":"Trade Intent published: BTCUSDT BUY"}
{"__REALTIME_TIMESTAMP":"2000002","MESSAGE":"INFO Trade Intent published: ETHUSDT SELL"}
{"__REALTIME_TIMESTAMP":"2000002","EVENT":"STOPPED","MESSAGE":"quoting Trade Intent published"}
{"__REALTIME_TIMESTAMP":"2000003","MESSAGE":[104,105,255]}
{"__REALTIME_TIMESTAMP":"2000004","MESSAGE":null,"EVENT":["A","B"]}
{"__REALTIME_TIMESTAMP":"20000
"""


def test_journal(tmp_path: Path) -> None:
    """Lines count by EVENT, the legacy router's intents by their wording, from the very millisecond on."""
    asked: list[Sequence[str]] = []

    def run_command(command: Sequence[str]) -> str:
        asked.append(command)
        return JOURNAL

    journal = Host(run_command, tmp_path).journal(UNIT, 2_000)
    assert journal is not None
    assert journal.events == {"BEST_OF_PUBLISH": 1, "INTENT_PUBLISHED": 2, "STOPPED": 1}
    assert journal.sample[-2:] == ["hi\ufffd", ""]
    assert {f"--unit={UNIT}", "--since=@2", "--output=json"} <= set(asked[0])


def test_journal_sample_is_bounded(tmp_path: Path) -> None:
    """The sample keeps the newest twenty lines."""
    lines = "".join(f'{{"__REALTIME_TIMESTAMP":"{i}","MESSAGE":"line {i}"}}\n' for i in range(50))
    journal = Host(lambda _command: lines, tmp_path).journal(UNIT, 0)
    assert journal is not None
    assert journal.sample == [f"line {i}" for i in range(30, 50)]


def test_run_is_the_real_thing() -> None:
    """A command's output comes back as text, and its failure as SubprocessError."""
    assert run(["printf", "%s", "a\nb"]) == "a\nb"
    with pytest.raises(subprocess.SubprocessError):
        run(["false"])


@pytest.mark.parametrize("exit_status", [0, 3])
def test_the_status_is_as_a_terminal_shows_it(exit_status: int) -> None:
    """A unit that does not run has a status, too: systemctl exits with 3 then."""
    told: list[Sequence[str]] = []

    def run_command(command: Sequence[str]) -> str:
        told.append(command)
        return run(["sh", "-c", f"printf '● x\\n   Active: so\\n\\n'; exit {exit_status}"])

    assert Host(run_command).status(UNIT) == ["● x", "   Active: so"]
    assert ["systemctl", "status"] == list(told[0][:2])


def test_release_follows_the_interpreter(tmp_path: Path) -> None:
    """A venv's python is a link; the process will show where it leads."""
    python = tmp_path / "python3.11"
    python.touch()
    directory = tmp_path / "releases" / "1.0.0-0123456789ab"
    (directory / "venv/bin").mkdir(parents=True)
    (directory / "venv/bin/python").symlink_to("python3")
    (directory / "venv/bin/python3").symlink_to(python)
    release = release_in(directory)
    assert (release.id, release.dir, release.exe) == ("1.0.0-0123456789ab", str(directory), str(python))
