# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`router-release`: the state machine for a person, or a timer, on the host."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NoReturn, Sequence

from . import capacity, store
from .confirmation import confirm
from .errors import ReleaseError, UsageError
from .host import Host
from .layout import UNIT, Layout
from .rollback import rollback

if TYPE_CHECKING:
    from .state import State

OK, FAILED, USAGE = 0, 1, 64


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


def main(arguments: Sequence[str], layout: Layout | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 not possible, 64 wrong usage."""
    try:
        options = _parser().parse_args(arguments)
        return _dispatch(options, layout or Layout())
    except UsageError as error:
        sys.stderr.write(f"router-release: {error}\n")
        return USAGE
    except ReleaseError as error:
        sys.stderr.write(f"router-release: {error}\n")
    except OSError as error:
        sys.stderr.write(f"router-release: {error.filename or 'the host'}: {error.strerror}\n")
    return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="router-release", description="Releases of the quantum router on this host.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in (
        ("list", "releases kept on this host, oldest first"),
        ("status", "what runs, what is pending, what a rollback returns to"),
        ("confirm", "the pending deployment passed: disarm it and remember the release"),
        ("rollback", "return to what ran before"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--json", action="store_true", help="answer in JSON")
        if name == "confirm":
            command.add_argument("--deployment", metavar="ID", help="only if this deployment is the pending one")
        if name == "rollback":
            command.add_argument("--to", metavar="ID", help="return to this kept release")
            command.add_argument("--reason", default="", metavar="TEXT", help="for the audit journal")
    return parser


def _dispatch(options: argparse.Namespace, layout: Layout) -> int:
    state = store.load(layout)
    host = Host(layout=layout, unit=state.unit or UNIT)
    if options.command in ("confirm", "rollback") and os.geteuid() != 0:
        raise ReleaseError(f"{options.command} changes the host: run it as root")
    _warn(_settle(host, state))
    if options.command == "list":
        _answer(options, [{"id": name, "is": _marks(host.layout, state, name)} for name in layout.kept()])
    elif options.command == "status":
        _answer(options, _status(host, store.load(layout)))
    elif options.command == "confirm":
        release, gone = confirm(host, options.deployment, {"verdict": "confirmed by hand"})
        _answer(options, {"confirmed": release, "pruned": gone})
    else:
        # Whoever asked may lose the connection; half a rollback helps nobody.
        for name in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(name, signal.SIG_IGN)
        done = rollback(host, to=options.to, reason=options.reason or "by hand")
        for warning in done.warnings:
            _warn(warning)
        _answer(options, {"changed": done.changed, "from": done.origin, "to": done.target, "active": done.active})
    return OK


def _settle(host: Host, state: State) -> str | None:
    if not state.owed or os.geteuid() != 0:
        return None
    with store.locked(host.layout):
        return capacity.settle(host)


def _status(host: Host, state: State) -> dict[str, Any]:
    facts = host.facts()
    return {
        "unit": host.unit,
        "active": facts.active_state,
        "main_pid": facts.main_pid,
        "current": host.layout.live(),
        "pending": asdict(state.pending) if state.pending else None,
        "known_good": list(state.known_good),
        "bad": list(state.bad),
        "withdrawn": list(state.withdrawn),
        "capacity_owed": dict(state.owed),
    }


def _marks(layout: Layout, state: State, name: str) -> list[str]:
    lists = {"known good": state.known_good, "bad": state.bad, "withdrawn": state.withdrawn}
    marks = [mark for mark, names in lists.items() if name in names]
    if state.pending and name == state.pending.release:
        marks.append("pending")
    if name in (layout.live(), state.live):
        marks.append("live")
    return marks


def _answer(options: argparse.Namespace, answer: dict[str, Any] | list[dict[str, Any]]) -> None:
    if options.json:
        sys.stdout.write(json.dumps(answer) + "\n")
        return
    for row in [answer] if isinstance(answer, dict) else answer:
        cells = [f"{key}={_text(value)}" for key, value in row.items()]
        sys.stdout.write(("\n" if options.command == "status" else " ").join(cells) + "\n")


def _text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(str(item) for item in value) or "-"
    if isinstance(value, dict):
        return ",".join(f"{key}:{item}" for key, item in value.items()) or "-"
    return "-" if value is None else str(value)


def _warn(line: str | None) -> None:
    if line:
        sys.stderr.write(f"router-release: {line}\n")
