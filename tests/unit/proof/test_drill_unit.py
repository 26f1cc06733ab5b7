# SPDX-License-Identifier: Apache-2.0
"""The transient unit of a drill from recorded answers of systemd, and what counts as a live key that was touched."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from router.config import Settings
from router.proof.drill.live import Live, touched
from router.proof.drill.run import CandidateError
from router.proof.drill.transient import TransientUnit, UnitError, clear_command, properties, run
from router.redis_io.keys import catalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TEMPLATE = (
    Path(__file__).parents[3] / "ansible/ansible_collections/quantum/router/roles/router/templates/unit.service.j2"
)
UNIT = """\
[Unit]
Description=Quantum AI strategy router
StartLimitIntervalSec=0

[Service]
Type=notify
# A comment.
ExecStart=/usr/bin/env /r/${QUANTUM_ROUTER_RELEASE}/venv/bin/python -I -m router run --holder %H/%n
WatchdogSec=10
TimeoutStartSec=20
TimeoutStopSec=5
Restart=always
RestartSec=1
RestartPreventExitStatus=78
EnvironmentFile=/opt/quantum-router/current/environment
User=quantum-router
RuntimeDirectory=quantum-router
RuntimeDirectoryPreserve=restart
NoExecPaths=/
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources

[Install]
WantedBy=multi-user.target
"""
SHARED = [
    "Type=notify",
    "WatchdogSec=10",
    "TimeoutStartSec=20",
    "TimeoutStopSec=5",
    "User=quantum-router",
    "NoExecPaths=/",
    "SystemCallFilter=@system-service",
    "SystemCallFilter=~@privileged @resources",
]


@pytest.fixture
def unit(tmp_path: Path) -> Callable[..., TransientUnit]:
    """The release in a folder as a transient unit, systemd's answers by the name of the command."""
    (tmp_path / "unit").write_text(UNIT, encoding="utf-8")

    def make(**answers: Any) -> TransientUnit:
        def answer(command: Sequence[str], _timeout_s: float) -> subprocess.CompletedProcess[str]:
            name = "systemd_run" if command[0] == "systemd-run" else command[0]
            name = "told" if "_PID=1" in command else name
            code, out, err = answers.get(name, (0, "", ""))
            return subprocess.CompletedProcess(command, code, out, err)

        return TransientUnit("d1", "1.0.0-abc", tmp_path, ["/usr/bin/env", "clear"], answer)

    return make


def test_a_drill_shares_all_of_the_unit_but_what_it_starts_and_what_follows() -> None:
    """Sandbox, user, settings, time-outs and watchdog, in their order; nothing of other sections."""
    assert properties(UNIT) == SHARED


def test_the_real_unit_s_sandbox_is_shared_line_by_line() -> None:
    """Whatever is added to the unit takes part, unless it is about start, restart or the runtime folder."""
    text = TEMPLATE.read_text(encoding="utf-8")
    service = text.split("[Service]")[1].split("[Install]")[0]
    lines = [line for line in service.splitlines() if line[:1].isupper()]
    left_out = {line.partition("=")[0] for line in lines} - {line.partition("=")[0] for line in properties(text)}
    assert {
        "EnvironmentFile",
        "ExecStart",
        "Restart",
        "RestartSec",
        "RestartPreventExitStatus",
        "RuntimeDirectory",
        "RuntimeDirectoryPreserve",
    } == left_out


def test_the_command_that_starts_it(unit: Callable[..., TransientUnit], tmp_path: Path) -> None:
    """To the letter: the drill's own settings win over the unit's file, and systemd clears up whatever happens."""
    expected = ["systemd-run", "--quiet", "--collect", "--unit=quantum-router-drill-d1.service"]
    expected += ["--description=Drill of the router's release 1.0.0-abc"]
    expected += [f"--property={line}" for line in SHARED]
    expected += [f"--property=EnvironmentFile={tmp_path}/environment"]
    expected += ["--property=RuntimeMaxSec=42.5", "--property=ExecStopPost=+/usr/bin/env clear"]
    expected += ["/usr/bin/env", "ROUTER_KEY_PREFIX=quantum-drill:d1:", "ROUTER_METRICS_LISTEN="]
    expected += [f"{tmp_path}/venv/bin/python", "-I", "-m", "router", "run", "--holder", "quantum-drill/d1"]
    expected += ["--release", "1.0.0-abc"]
    environ = {"ROUTER_KEY_PREFIX": "quantum-drill:d1:", "ROUTER_METRICS_LISTEN": ""}
    assert expected == unit().command("quantum-drill/d1", environ, 42.5)


def test_the_command_that_clears_up_is_the_deployer_s() -> None:
    """With the interpreter of the drill, not the candidate's; the folder of the password only where there is one."""
    words = [sys.executable, "-I", "-m", "router", "drill", "--clear", "--deployment", "d1"]
    assert ["/usr/bin/env", *words] == clear_command("d1", "")
    assert ["/usr/bin/env", "CREDENTIALS_DIRECTORY=/etc/x", *words] == clear_command("d1", "/etc/x")


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        (
            {"told": (0, "x: start operation timed out. Terminating.\nStopped x.\n", ""), "journalctl": (0, "", "")},
            "x: start operation timed out. Terminating.",
        ),
        (
            {
                "told": (0, "x: Main process exited, code=exited, status=1/FAILURE\nx: Failed with 'timeout'\n", ""),
                "journalctl": (0, "Traceback\nNo module named \x1b[31mx\nSTOPPED: bye\n", ""),
            },
            r"x: Main process exited, code=exited, status=1/FAILURE: No module named \x1b[31mx",
        ),
        ({}, "Failed to start: no such unit"),
    ],
)
def test_why_it_did_not_start(unit: Callable[..., TransientUnit], answers: dict[str, Any], reason: str) -> None:
    """What systemd says and what the release said last, in one line; without either, what the command itself said."""
    failed = unit(systemd_run=(1, "", "Failed to start:\n  no such unit\n"), **answers)
    with pytest.raises(CandidateError) as raised:
        failed.start("h", {}, 1)
    assert reason == str(raised.value)


@pytest.mark.parametrize(
    ("state", "ended"),
    [("active", ""), ("failed", "the unit is failed"), ("deactivating", "the unit is deactivating")],
)
def test_whether_it_runs(unit: Callable[..., TransientUnit], state: str, ended: str) -> None:
    """As systemd has it: one that is being cleared up runs no more."""
    assert ended == unit(systemctl=(0, f"{state}\n", "")).ended()


def test_a_folder_without_a_unit_is_named(tmp_path: Path) -> None:
    """It is no release."""
    with pytest.raises(UnitError, match=f"{tmp_path} holds no release"):
        TransientUnit("d1", "1", tmp_path, [])


def test_time_out_of_a_start_is_the_unit_s(unit: Callable[..., TransientUnit], tmp_path: Path) -> None:
    """In seconds; systemd's own where the unit names none, or names it in another way."""
    assert 20 == unit().start_timeout_s
    (tmp_path / "unit").write_text("[Service]\nTimeoutStartSec=1min\n", encoding="utf-8")
    assert 90 == unit().start_timeout_s


def test_commands_that_cannot_be_run_or_hang_are_answers_too() -> None:
    """Nothing is raised for them."""
    assert (127, "no-such-command: No such file or directory") == (
        run(["no-such-command"], 1).returncode,
        run(["no-such-command"], 1).stderr,
    )
    assert "gave no answer within 0.1 s" in run(["sleep", "5"], 0.1).stderr


REACHED = {"signals": (7, 1), "outcomes (published)": (5, 0)}
LIVE = Live(
    1000, None, (None, None, None), ("7", "7-1"), "host/unit", "1.0.0-old", frozenset({b"7-1", b"7-2"}), 3, REACHED
)


@pytest.mark.parametrize(
    ("before", "changes", "said"),
    [
        (LIVE, {}, None),
        (LIVE, {"epoch": ("7", "7-9")}, None),
        (LIVE, {"in_flight": frozenset({b"7-2"})}, None),  # the live router forgets what execution has dealt with
        (replace(LIVE, holder=None), {"in_flight": frozenset({b"7-2"})}, "live key quantum:router:inflight changed"),
        (LIVE, {"open_orders": 0}, None),  # execution closes orders
        (LIVE, {"open_orders": None}, "live key quantum:state:open_orders is no count any more since the drill ran"),
        (replace(LIVE, open_orders=None), {}, None),
        (LIVE, {"reached": REACHED | {"signals": (7, 2), "new": (0, 0)}}, None),
        (LIVE, {"reached": REACHED | {"signals": (7, 0)}}, "live key signals went back while the drill ran: if a"),
        (LIVE, {"reached": {"signals": (7, 1)}}, "live key outcomes (published) went back while the drill ran"),
        (LIVE, {"reached": REACHED | {"outcomes (published)": (4, 0)}}, "live key outcomes (published) went back"),
        (LIVE, {"epoch": ("8", "8-1")}, None),
        (LIVE, {"holder": None, "release": None}, None),
        (LIVE, {"holder": "quantum-drill/d"}, "the release took the live lease quantum:router:lease"),
        (
            LIVE,
            {"kill": "HALT"},
            "live key quantum:kill changed while the drill ran: if a person did that, deploy again",
        ),
        (LIVE, {"halt": ("why", "who", "1")}, "live key quantum:router:halt changed while the drill ran: if a person"),
        (replace(LIVE, holder=None), {"epoch": ("8", "7-1")}, "live key quantum:router:epoch changed while the drill"),
        (replace(LIVE, holder=None), {"epoch": ("7", "7-2")}, "live key quantum:router:epoch changed while the drill"),
    ],
)
def test_which_changes_of_live_keys_are_the_drill_s(before: Live, changes: dict[str, Any], said: str | None) -> None:
    """A router that commits, restarts or ends beside it is none; with nobody at work the epoch tells of any of ours."""
    found = touched(before, replace(before, **changes), catalogue(Settings()), "quantum-drill/d")
    assert (found or "").startswith(said or "") is True
    assert (found is None) == (said is None)
