# SPDX-License-Identifier: Apache-2.0
"""A deployment under way, which a test follows by its output, halts, lets go on, or kills."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from tests.infra.desk import STATE, Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.infra.conftest import Playbooks
    from tests.infra.desk import Desk

TRANSITION = f"{STATE}/transition.flock"


class Controller:
    """One `ansible-playbook` with all that it started."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self._lines.append(line)
            sys.stdout.write(line)

    def reaches(self, task: str) -> None:
        """Return as soon as the task is about to run."""
        self._prints(rf"TASK \[.*: {re.escape(task)}\] ")

    def reaches_phase(self, phase: str) -> None:
        """Return as soon as a host comes to the phase: its first task is about to run."""
        self._prints(rf"\S+: {phase}( \(\d+ of \d+\))?$")

    def _prints(self, line: str, within_s: float = 300.0) -> None:
        deadline_s = time.monotonic() + within_s
        while not any(re.match(line, printed) for printed in self._lines):
            assert self.process.poll() is None, "".join(self._lines)
            assert time.monotonic() < deadline_s, f"never printed: {line}\n{''.join(self._lines)}"
            time.sleep(0.01)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the playbook and all that it has started, which are sessions of their own."""
        for process in (self.process.pid, *_descendants(self.process.pid)):
            with suppress(ProcessLookupError):
                os.kill(process, number)

    @contextmanager
    def halted(self) -> Iterator[None]:
        """Nothing of it goes on meanwhile; what it has asked the host to do does."""
        self.signal(signal.SIGSTOP)
        yield
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it as a lost machine would."""
        self.signal(signal.SIGKILL)

    def ends(self, within_s: float = 300.0) -> Run:
        """How it ended."""
        code = self.process.wait(within_s)
        self._reader.join(within_s)
        output = "".join(self._lines)
        return Run(code, output)


@contextmanager
def deploying(playbooks: Playbooks, **variables: Any) -> Iterator[Controller]:
    """A deployment that has begun; nothing of it is left on this machine at the end."""
    with playbooks.start("site.yml", **variables) as process:
        controller = Controller(process)
        try:
            yield controller
        finally:
            controller.kill()
            controller.ends()


@contextmanager
def transition_held(desk: Desk) -> Iterator[Callable[[], str]]:
    """Nobody changes what the host runs or remembers meanwhile; calling it returns when somebody waits to."""
    unit = "lab-holds-the-transition"
    open_by = f"ls -l /proc/[0-9]*/fd 2> /dev/null | grep --count {TRANSITION}"
    desk.run(f"systemd-run --quiet --collect --unit={unit} flock {TRANSITION} sleep 60")
    desk.run(f"timeout 10 sh -c 'while flock --nonblock {TRANSITION} true; do sleep 0.02; done'")
    ours = desk.run(open_by)
    try:
        yield lambda: desk.run(f"timeout 60 sh -c 'until test $({open_by}) -gt {ours}; do sleep 0.05; done'")
    finally:
        desk.run(f"systemctl stop {unit}")


@contextmanager
def about_to_activate(controller: Controller, desk: Desk) -> Iterator[None]:
    """The activation has come to the host, and waits before its first step meanwhile."""
    controller.reaches("Keep the baseline")
    with transition_held(desk) as somebody_waits:
        somebody_waits()
        yield


def _descendants(ancestor: int) -> list[int]:
    listed = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(process): int(parent) for process, parent in map(str.split, listed.splitlines())}
    found = [ancestor]
    for process in found:
        found += [child for child, parent in parents.items() if parent == process]
    return found[1:]
