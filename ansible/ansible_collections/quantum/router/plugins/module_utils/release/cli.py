# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`router-release`: the state machine for a person, or a timer, on the host."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Mapping, NoReturn, Sequence

from . import capacity, rebuild, retry, store
from .commands import COMMANDS, warn
from .errors import ReleaseError, UsageError
from .host import Host
from .state import unsettled

if TYPE_CHECKING:
    from .commands import Answer
    from .state import State

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 64, 130

_READ_ONLY = ("list", "status", "history")
# A guard's rollback waits for nothing but the transition before it.
_SETTLE_THEMSELVES = ("rollback", "restore", "settle")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


def main(arguments: Sequence[str], host: Host | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 not possible, 64 wrong usage, 130 interrupted."""
    try:
        options = _parser().parse_args(arguments)
        return _attempt(options, host or Host())
    except UsageError as error:
        _error(str(error))
        return USAGE
    except ReleaseError as error:
        _error(str(error))
    except OSError as error:
        _error(f"{error.filename or 'the host'}: {error.strerror}")
    except KeyboardInterrupt:
        return INTERRUPTED
    return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="router-release", description="Releases of the quantum router on this host.")
    # Its name is said, for to find it out argparse loads what prints usages.
    commands = parser.add_subparsers(prog=parser.prog, dest="command", required=True, metavar="COMMAND")
    for name, (_work, text, options) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--json", action="store_true", help="answer in JSON")
        for option, keywords in options.items():
            command.add_argument(option, **keywords)
    return parser


def _attempt(options: argparse.Namespace, host: Host) -> int:
    """What nobody watches, a guard's rollback and the end of a boot, is tried again if it fails."""
    number = getattr(options, "attempt", None)
    deployment = getattr(options, "deployment", None)
    if options.command == "settle":
        number, deployment = 1, (store.marked(host.layout) or {}).get("deployment")
    if number and not deployment and options.command == "rollback":
        raise UsageError("--attempt needs --deployment")
    if not (number and deployment):
        return _dispatch(options, host)
    return retry.attempt(host, deployment, number, lambda: _dispatch(options, host))


def _dispatch(options: argparse.Namespace, host: Host) -> int:
    state = store.load(host.layout)
    host = replace(host, unit=state.unit or host.unit)
    if options.command not in _READ_ONLY and os.geteuid() != 0:
        raise ReleaseError(f"{options.command} needs root: run it with sudo")
    if options.command not in _READ_ONLY:
        warn(rebuild.bring_back(host.layout))
    if options.command not in _SETTLE_THEMSELVES:
        warn(_settle(host, state))
    work = COMMANDS[options.command][0]
    _answer(options, work(host, options))
    return OK


def _settle(host: Host, state: State) -> str | None:
    if not unsettled(state) or os.geteuid() != 0:
        return None
    try:
        with store.locked(host.layout):
            return capacity.settle(host)
    except ReleaseError as error:
        return str(error)


def _answer(options: argparse.Namespace, answer: Answer) -> None:
    if options.json:
        sys.stdout.write(json.dumps(answer) + "\n")
        return
    for row in [answer] if isinstance(answer, Mapping) else answer:
        cells = [f"{key}={_text(value)}" for key, value in row.items()]
        sys.stdout.write(("\n" if options.command == "status" else " ").join(cells) + "\n")


def _text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(str(item) for item in value) or "-"
    if isinstance(value, dict):
        return ",".join(f"{key}:{item}" for key, item in value.items()) or "-"
    return "-" if value is None else str(value)


def _error(line: str) -> None:
    # Where systemd reads along, as for a guard or at boot, nobody else does: critical, so that it is found.
    try:
        status = os.fstat(sys.stderr.fileno())
        loud = os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
    except (OSError, ValueError):
        loud = False
    sys.stderr.write(f"{'<2>' if loud else ''}router-release: {line}\n")
