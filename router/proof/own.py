# SPDX-License-Identifier: Apache-2.0
"""Criteria of the user's own: commands on the host, whose exit status is the finding.

0 passes, 1 fails, anything else is inconclusive: 2 since the command says so, and every other since nobody knows what
it means. What a command says is kept as evidence, so that judging it again later finds the same.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from router.printable import printable
from router.proof.criteria import Finding, Status
from router.proof.evidence import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Bytes at the end of a command's output that are looked at for its last line.
_TAIL: Final = 4096
#: Characters of that line.
_LINE_MAX: Final = 300
_STATUSES: Final = {0: Status.PASSED, 1: Status.FAILED}


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A criterion of the user's own: words to run, never by a shell, and the seconds that they may take."""

    command: Annotated[list[str], msgspec.Meta(min_length=1)]
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=300)] = 10.0


def finding(answer: Answer) -> Finding:
    """Return what *answer* means."""
    status = Status.INCONCLUSIVE if answer.exit_status is None else _STATUSES.get(answer.exit_status)
    ended = "" if answer.exit_status is None else f"exit status {answer.exit_status}: "
    return Finding(status or Status.INCONCLUSIVE, f"{ended}{answer.said}", {"exit_status": answer.exit_status})


def ask(name: str, own: Command, facts: Mapping[str, str]) -> Answer:
    """Run a criterion with *facts* and nothing else of the environment, as the user who judges: root.

    Whatever it starts is killed when its time is up.
    """
    environ = {"LC_ALL": "C.UTF-8", "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **facts}
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                own.command,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            return Answer(name, None, f"{own.command[0]} cannot be run: {getattr(error, 'strerror', None) or error}")
        try:
            status = process.wait(own.timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return Answer(name, None, f"{own.command[0]} took longer than {own.timeout_s:g} s")
        output.seek(max(0, os.fstat(output.fileno()).st_size - _TAIL))
        lines = [line for line in output.read().decode("utf-8", "replace").splitlines() if line.strip()]
    if status < 0:
        return Answer(name, None, f"{own.command[0]} was ended by signal {-status}")
    return Answer(name, status, printable(lines[-1], _LINE_MAX) if lines else "it said nothing")
