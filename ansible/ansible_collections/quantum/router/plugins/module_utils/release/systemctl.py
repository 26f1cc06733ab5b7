# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking systemd, and reading its answers."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from typing import Mapping, NamedTuple, Protocol, Sequence

from .errors import ReleaseError

ANSWER_S = 30.0
"""Seconds within which systemd answers anything but a start."""

TIMED_OUT = 124
"""Exit code for a command that was given up on, as timeout(1) has it."""

_PROPERTIES = (
    "LoadState,FragmentPath,DropInPaths,ExecStart,ExecStartPre,EnvironmentFiles,UnitFileState,ActiveState,SubState,"
    "MainPID,Type,WorkingDirectory,Result,ExecMainCode,ExecMainStatus,ActiveEnterTimestampMonotonic,"
    "ActiveExitTimestampMonotonic,NeedDaemonReload"
)
_COMMAND = re.compile(r"\{ path=.*? ; argv\[\]=(.*?) ; ignore_errors=")


class Completed(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


class Run(Protocol):
    """Runs a command for at most so many seconds, with these variables besides the plain ones."""

    def __call__(
        self, argv: Sequence[str], timeout_s: float, environment: Mapping[str, str] | None = None
    ) -> Completed:
        """Never raises for what the command does."""


def run(argv: Sequence[str], timeout_s: float, environment: Mapping[str, str] | None = None) -> Completed:
    """Run a command in a plain environment; never raises for what the command does."""
    plain = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            list(argv),
            env={**plain, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            umask=0o022,
        )
    except FileNotFoundError:
        return Completed(127, "", f"{argv[0]} is not installed")
    except subprocess.TimeoutExpired:
        return Completed(TIMED_OUT, "", f"no answer within {timeout_s:g} s")
    return Completed(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))


@dataclass(frozen=True)
class Facts:
    """What systemd says about a unit."""

    load_state: str
    fragment: str
    drop_ins: tuple[str, ...]
    commands: tuple[str, ...]
    environment_files: tuple[str, ...]
    enablement: str
    active_state: str
    sub_state: str
    main_pid: int
    type: str
    working_directory: str
    result: str
    exit_code: int
    exit_status: int
    entered_us: int
    left_us: int
    needs_reload: bool

    @property
    def ended(self) -> str:
        """How the main process ended; the code is that of waitid(2), where 2 and 3 are signals."""
        return f"{'signal' if self.exit_code in (2, 3) else 'exit status'} {self.exit_status}"

    @property
    def active(self) -> bool:
        """Whether it runs or means to: a service that systemd is about to start again counts."""
        return self.active_state in ("active", "activating", "reloading")


def parse(text: str) -> Facts:
    """Read the answer of `systemctl show`; a property that is not there is empty."""
    values: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, found, value = line.partition("=")
        if found:
            values.setdefault(name, []).append(value)

    def one(name: str) -> str:
        return values.get(name, [""])[-1]

    def number(name: str) -> int:
        return int(one(name)) if one(name).isdigit() else 0

    return Facts(
        load_state=one("LoadState"),
        fragment=one("FragmentPath"),
        drop_ins=tuple(one("DropInPaths").split()),
        commands=tuple(_COMMAND.findall("\n".join(values.get("ExecStartPre", []) + values.get("ExecStart", [])))),
        environment_files=tuple(
            re.sub(r" \(ignore_errors=(yes|no)\)$", "", value) for value in values.get("EnvironmentFiles", []) if value
        ),
        enablement=one("UnitFileState"),
        active_state=one("ActiveState"),
        sub_state=one("SubState"),
        main_pid=number("MainPID"),
        type=one("Type"),
        # "!" and "-" say how strictly systemd takes the directory, not where it is.
        working_directory=one("WorkingDirectory").lstrip("!-"),
        result=one("Result"),
        exit_code=number("ExecMainCode"),
        exit_status=number("ExecMainStatus"),
        entered_us=number("ActiveEnterTimestampMonotonic"),
        left_us=number("ActiveExitTimestampMonotonic"),
        needs_reload=one("NeedDaemonReload") == "yes",
    )


def show(runner: Run, unit: str) -> Facts:
    """What systemd says about the unit now."""
    return parse(call(runner, "show", "--no-pager", f"--property={_PROPERTIES}", "--", unit))


def call(runner: Run, *arguments: str) -> str:
    """One systemctl command that has to work."""
    done = runner(("systemctl", *arguments), ANSWER_S)
    if done.code != 0:
        raise ReleaseError(f"systemctl {arguments[0]} {arguments[-1]} failed: {last_line(done.err or done.out)}")
    return done.out


def last_log_line(runner: Run, unit: str, since_s: float) -> str:
    """The newest journal line of the unit's own processes since a Unix time, or an empty string."""
    # On a busy host journald may not have taken yet what a process said just before it ended.
    runner(("journalctl", "--sync"), ANSWER_S)
    # Asked for one line, systemd 252 gives the last but one when there are several journal files.
    wanted = ("--no-pager", "--quiet", "--output=cat", "--lines=3", f"--since=@{since_s:.6f}")
    # Nor does it know the unit of a process that has ended by the time it looks; what the router calls itself it does.
    matches = (f"_SYSTEMD_UNIT={unit}", "+", "SYSLOG_IDENTIFIER=quantum-router")
    said = runner(("journalctl", *matches, *wanted), ANSWER_S).out
    # What a router says on being stopped, since it was not ready in time, is no cause of that.
    return last_line("\n".join(line for line in said.splitlines() if not line.startswith("STOPPED:")))


def last_line(text: str) -> str:
    """The last line that says something, at most 300 characters, without control characters."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "".join(char if char.isprintable() else " " for char in (lines or [""])[-1])[:300]
