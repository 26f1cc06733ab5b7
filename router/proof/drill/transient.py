# SPDX-License-Identifier: Apache-2.0
"""A release as a transient unit: its own unit's sandbox, user and settings, under another name and for a short time."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from router.errors import RouterError
from router.printable import printable
from router.proof.drill.run import CandidateError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Seconds that systemd and the journal may take to answer on a busy host.
ANSWER_S: Final = 30.0
#: systemd's own time-outs where a unit names none.
_DEFAULT_TIMEOUT_S: Final = 90.0
#: What of [Service] is the live unit's alone: what it starts, of which release, what follows, and the folder that ends
#: with it.
_LIVE_ONLY: Final = re.compile(r"EnvironmentFile|Exec(Start|Stop|Reload|Condition)|Restart|RuntimeDirectory")

#: Runs a command for at most so many seconds; never raises for what the command does.
RunCommand = Callable[[Sequence[str], float], subprocess.CompletedProcess[str]]


class UnitError(RouterError):
    """A folder that should hold a release holds no unit of one (64: the caller named the wrong folder)."""

    exit_code = 64


def run(command: Sequence[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Run *command* in the C locale."""
    environ = {"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    text: dict[str, Any] = {"encoding": "utf-8", "errors": "replace"}
    try:
        return subprocess.run(command, env=environ, capture_output=True, check=False, timeout=timeout_s, **text)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", f"{command[0]} gave no answer within {timeout_s:g} s")
    except OSError as error:
        return subprocess.CompletedProcess(command, 127, "", f"{command[0]}: {error.strerror}")


def properties(unit_text: str) -> list[str]:
    """Return the NAME=VALUE lines of [Service] that a drill shares with the live unit, in their order."""
    section = ""
    found = []
    for line in unit_text.splitlines():
        if line.startswith("["):
            section = line.strip()
        elif section == "[Service]" and re.match("[A-Z][A-Za-z]*=", line) and not _LIVE_ONLY.match(line):
            found.append(line.strip())
    return found


def seconds(shared: Sequence[str], name: str) -> float:
    """Return the time-out *name* among the properties *shared*, which our units give in plain seconds."""
    values = [line.partition("=")[2] for line in shared if line.startswith(f"{name}=")]
    return float(values[-1]) if values and re.fullmatch(r"[0-9]+(\.[0-9]+)?", values[-1]) else _DEFAULT_TIMEOUT_S


class TransientUnit:
    """The release in *directory* as a transient unit; see `router.proof.drill.run.Candidate`.

    *clear* is the command that removes the drill's keys: systemd runs it as root when the unit has ended, however it
    did, so that it needs neither the drill nor the release.
    """

    def __init__(
        self, deployment: str, release: str, directory: Path, clear: Sequence[str], run_command: RunCommand = run
    ) -> None:
        """Read the release's unit; raise UnitError where there is none."""
        try:
            text = (directory / "unit").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UnitError(f"{directory} holds no release: {error}") from None
        self._shared = properties(text)
        self._name = f"quantum-router-drill-{deployment}.service"
        self._release = release
        self._directory = directory
        self._clear = clear
        self._run = run_command
        self.start_timeout_s = seconds(self._shared, "TimeoutStartSec")

    def start(self, holder: str, environ: Mapping[str, str], lasts_s: float) -> None:
        """Start it under the name *holder*, with *environ* over its own settings, and return once it is ready.

        It ends by itself after *lasts_s* seconds. Raises CandidateError.
        """
        done = self._run(self.command(holder, environ, lasts_s), self.start_timeout_s + ANSWER_S)
        if done.returncode != 0:
            raise CandidateError(self._how() or " ".join(done.stderr.split()) or f"systemd-run exit {done.returncode}")

    def command(self, holder: str, environ: Mapping[str, str], lasts_s: float) -> list[str]:
        """Return the command that starts it.

        *environ* is set by env(1), since EnvironmentFile= of the unit would overrule any Environment=.
        """
        command = ["systemd-run", "--quiet", "--collect", f"--unit={self._name}"]
        command += [f"--description=Drill of the router's release {self._release}"]
        command += [f"--property={line}" for line in self._shared]
        command += [f"--property=EnvironmentFile={self._directory}/environment"]
        command += [f"--property=RuntimeMaxSec={lasts_s:g}"]
        command += [f"--property=ExecStopPost=+{' '.join(self._clear)}"]
        command += ["/usr/bin/env", *(f"{name}={value}" for name, value in environ.items())]
        python = str(self._directory / "venv" / "bin" / "python")
        return [*command, python, "-I", "-m", "router", "run", "--holder", holder, "--release", self._release]

    def ended(self) -> str:
        """Return how it ended, "" while it runs."""
        shown = self._run(["systemctl", "show", "--property=ActiveState", "--value", "--", self._name], ANSWER_S)
        state = shown.stdout.strip()
        return "" if state in {"active", "activating", "reloading"} else self._how() or f"the unit is {state}"

    def stop(self) -> None:
        """End it; afterwards it runs no more."""
        self._run(["systemctl", "stop", "--", self._name], seconds(self._shared, "TimeoutStopSec") + ANSWER_S)
        self._run(["systemctl", "reset-failed", "--", self._name], ANSWER_S)  # nothing to do when it is gone already

    def log(self) -> str:
        """Return everything it has logged."""
        return self._journal(f"_SYSTEMD_UNIT={self._name}")

    def _how(self) -> str:
        """Return what systemd says of its end and what it said last itself, in one line; "" when neither did."""
        told = [line for line in self._journal(f"UNIT={self._name}", "_PID=1").splitlines() if _END.search(line)]
        said = [line for line in self.log().splitlines() if line.strip() and not line.startswith("STOPPED:")]
        return printable(": ".join(line.strip() for line in (*told[:1], *said[-1:])), 500)

    def _journal(self, *matches: str) -> str:
        return self._run(["journalctl", "--no-pager", "--quiet", "--all", "--output=cat", *matches], ANSWER_S).stdout


#: How systemd words the end of a process: what came first tells most.
_END: Final = re.compile("timed out|[Tt]imeout|Main process exited|Failed at step")


def clear_command(deployment: str, credentials: str) -> list[str]:
    """Return the command by which systemd removes the keys of *deployment*'s drill, with this very program.

    *credentials* is the folder where a password that the settings name by a relative path lies; "" for none.
    """
    set_folder = [f"CREDENTIALS_DIRECTORY={credentials}"] if credentials else []
    python = [sys.executable, "-I", "-m", "router", "drill", "--clear", "--deployment", deployment]
    return ["/usr/bin/env", *set_folder, *python]
