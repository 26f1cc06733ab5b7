# SPDX-License-Identifier: Apache-2.0
"""What the host says of the unit: systemd, /proc and the journal. Read as root; what cannot be read is None."""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from router.proof.evidence import Release, Service

#: Runs a command and returns its standard output; raises OSError or SubprocessError when it cannot or fails.
RunCommand = Callable[[Sequence[str]], str]

#: A busy host's journal may take seconds; a hanging systemd must not hang a soak.
COMMAND_TIMEOUT_S: Final = 15.0
#: What the router before this one logs for every intent, and nothing else of it (the operator's guide greps for it).
LEGACY_INTENT_LINE: Final = "Trade Intent published"
#: Lines of the log that a snapshot keeps, and errors.
SAMPLE_LINES: Final = 20
SAMPLE_ERRORS: Final = 5
#: syslog's priority of an error; a larger number is a lesser matter.
_ERROR: Final = 3
#: Logged as an error, and judged as the halt that it tells of.
_NO_ERROR: Final = "AUTO_HALTED"
_PROPERTIES: Final = "ActiveState,SubState,NRestarts,MainPID,StatusText,ExecMainStartTimestampMonotonic"


def run(command: Sequence[str]) -> str:
    """Run *command* in the C locale and return what it prints."""
    environ = {"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    return subprocess.run(
        command,
        env=environ,
        capture_output=True,
        check=True,
        encoding="utf-8",
        errors="replace",
        timeout=COMMAND_TIMEOUT_S,
    ).stdout


def release_in(directory: Path) -> Release:
    """Return what must run when the release in *directory*, which bears its id, does; its interpreter may be a link."""
    return Release(directory.name, str(directory), str((directory / "venv/bin/python").resolve()))


@dataclass(frozen=True)
class Journal:
    """A unit's log over a time: lines by EVENT, and the newest lines as a person reads them.

    *published* has the host's time in ms and the count of each window that is said to have published, *errors* each
    line that is an error or begins a traceback.
    """

    events: dict[str, int]
    sample: list[str]
    published: list[tuple[int, int]]
    errors: list[str]


@dataclass(frozen=True)
class Host:
    """The host as seen through *run_command*, *proc* and its clocks, each of which a test replaces."""

    run_command: RunCommand = run
    proc: Path = Path("/proc")
    monotonic_s: Callable[[], float] = time.monotonic
    wall_s: Callable[[], float] = time.time

    @property
    def wall_ms(self) -> int:
        """The host's own clock in ms; Redis may live elsewhere and have another."""
        return int(self.wall_s() * 1000)

    def service(self, unit: str) -> tuple[Service, float | None]:
        """Return *unit* as it runs, and for how many seconds its main process has (None: it does not run).

        The age comes from the monotonic clock, so that it holds after a step of the wall clock and in any time zone.
        """
        try:
            text = self.run_command(["systemctl", "show", f"--property={_PROPERTIES}", "--", unit])
        except (OSError, subprocess.SubprocessError):
            return Service(), None
        shown = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        pid = _whole(shown.get("MainPID")) or None
        started_us = _whole(shown.get("ExecMainStartTimestampMonotonic"))
        service = Service(
            active_state=shown.get("ActiveState"),
            sub_state=shown.get("SubState"),
            restarts=_whole(shown.get("NRestarts")),
            main_pid=pid,
            status_text=shown.get("StatusText") or None,
            exe=self._exe(pid) if pid else None,
            cmdline=self._cmdline(pid) if pid else None,
        )
        return service, self.monotonic_s() - started_us / 1e6 if pid and started_us else None

    def status(self, unit: str) -> list[str]:
        """Return what `systemctl status` prints of *unit*, without its log; nothing when systemd does not answer."""
        try:
            text = self.run_command(["systemctl", "status", "--no-pager", "--full", "--lines=0", "--", unit])
        except subprocess.CalledProcessError as error:  # 3: it does not run, which is an answer as well
            text = error.stdout
        except (OSError, subprocess.SubprocessError):
            return []
        return [line.rstrip() for line in text.splitlines() if line.strip()]

    def journal(self, unit: str, since_ms: int) -> Journal | None:
        """Return what *unit* logged since *since_ms* of the host's clock; None when the journal cannot be read."""
        command = ["journalctl", f"--unit={unit}", f"--since=@{since_ms // 1000}", "--output=json", "--no-pager"]
        try:
            text = self.run_command([*command, "--output-fields=MESSAGE,EVENT,COUNT,PRIORITY", "--quiet"])
        except (OSError, subprocess.SubprocessError):
            return None
        events: Counter[str] = Counter()
        lines, errors, published = [], [], []
        for entry in _entries(text):
            at_us = _whole(entry.get("__REALTIME_TIMESTAMP")) or 0
            if at_us < since_ms * 1000:  # --since knows whole seconds
                continue
            message, event = _text(entry.get("MESSAGE")), _text(entry.get("EVENT"))
            if not event and LEGACY_INTENT_LINE in message:
                event = "INTENT_PUBLISHED"
            if event:
                events[event] += 1
            if event == "BEST_OF_PUBLISH" and (count := _whole(entry.get("COUNT"))):
                published.append((at_us // 1000, count))
            if event != _NO_ERROR and _is_error(entry, message):
                errors.append(message)
            lines.append(message)
        return Journal(dict(sorted(events.items())), lines[-SAMPLE_LINES:], published, errors)

    def _exe(self, pid: int) -> str | None:
        try:
            return str((self.proc / str(pid) / "exe").readlink())
        except OSError:
            return None

    def _cmdline(self, pid: int) -> list[str] | None:
        try:
            raw = (self.proc / str(pid) / "cmdline").read_bytes()
        except OSError:
            return None
        return [part.decode("utf-8", "replace") for part in raw.rstrip(b"\0").split(b"\0")] if raw else None


def _entries(text: str) -> Iterator[dict[str, Any]]:
    for line in text.split("\n"):
        try:
            yield msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.DecodeError:  # a line cut short by a rotation tells nothing
            continue


def _is_error(entry: dict[str, Any], message: str) -> bool:
    """Say whether a line is an error: by its priority, or since it is what Python prints before it dies."""
    priority = _whole(entry.get("PRIORITY"))
    return message.startswith("Traceback (most recent call last)") or (priority is not None and priority <= _ERROR)


def _text(value: object) -> str:
    """Return a journal field as text: journalctl prints one that is not plain text as a list of bytes."""
    if isinstance(value, list) and all(isinstance(byte, int) and 0 <= byte < 256 for byte in value):
        return bytes(value).decode("utf-8", "replace")
    return value if isinstance(value, str) else ""


def _whole(text: object) -> int | None:
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() else None
