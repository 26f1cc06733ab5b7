# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each command of `router-release` does, and the options it takes."""

from __future__ import annotations

import argparse
import signal
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Callable, Mapping, Sequence, Union

from . import activation, capacity, confirmation, guard, history, lock, retry, rollback, store
from .ending import too_late
from .errors import ReleaseError, TooLateError, UsageError
from .state import unsettled

if TYPE_CHECKING:
    from .host import Host
    from .layout import Layout
    from .state import State

Answer = Union[Mapping[str, Any], Sequence[Mapping[str, Any]]]
"""What a command found: one thing or several, each with its facts by name."""


def warn(line: str | None) -> None:
    """Tell what did not stop the command; nothing where there is nothing to tell."""
    if line:
        sys.stderr.write(f"router-release: {line}\n")


def _list(host: Host, _options: argparse.Namespace) -> Answer:
    state = store.load(host.layout)
    return [{"id": name, "is": _marks(host.layout, state, name)} for name in host.layout.kept()]


def _marks(layout: Layout, state: State, name: str) -> list[str]:
    lists = {"known good": state.known_good, "bad": state.bad, "withdrawn": state.withdrawn}
    marks = [mark for mark, names in lists.items() if name in names]
    if state.pending and name == state.pending.release:
        marks.append("pending")
    if name in (layout.live(), state.live):
        marks.append("live")
    return marks


def _status(host: Host, _options: argparse.Namespace) -> Answer:
    facts, state = host.facts(), store.load(host.layout)
    pending = state.pending
    return {
        "unit": host.unit,
        "active": facts.active_state,
        "main_pid": facts.main_pid,
        "current": host.layout.live(),
        "pending": {**asdict(pending), "verdict": pending.verdict.get("verdict")} if pending else None,
        "guard": ("armed" if guard.is_armed(host, pending.deployment) else "not armed") if pending else None,
        "trouble": retry.trouble(host, state),
        "lock": _holder(host),
        "known_good": list(state.known_good),
        "bad": list(state.bad),
        "withdrawn": list(state.withdrawn),
        "capacity_owed": unsettled(state),
    }


def _holder(host: Host) -> str | None:
    try:
        held = lock.load(host)
    except ReleaseError as error:
        return str(error)
    over = " (over: the next deployment may take it)" if held and lock.is_over(held, host.moment()) else ""
    return held.holder + over if held else None


def _history(host: Host, options: argparse.Namespace) -> Answer:
    found = history.rows(store.journal(host.layout))
    if not options.json:
        sys.stdout.write("\n".join(history.table(found)) + "\n")
        return []
    return found


def _confirm(host: Host, options: argparse.Namespace) -> Answer:
    try:
        release, gone, warnings = confirmation.confirm(host, options.deployment, {}, by_hand=True, force=options.force)
    except ReleaseError as error:
        raise too_late(host, options.deployment, error) from None
    for warning in warnings:
        warn(warning)
    return {"confirmed": release, "pruned": gone}


def _rollback(host: Host, options: argparse.Namespace) -> Answer:
    _ignore_hang_ups()
    reason = options.reason or "by hand"
    done = rollback.rollback(host, to=options.to, deployment=options.deployment, reason=reason, force=options.force)
    for warning in done.warnings:
        warn(warning)
    if options.deployment and not done.changed:
        late = too_late(host, options.deployment, TooLateError(f"deployment {options.deployment} is not pending"))
        if options.attempt is None:
            raise late
        # A guard that came second has done its duty: as a failed unit it would spoil the host's health for ever.
        warn(str(late))
    return {"changed": done.changed, "from": done.origin, "to": done.target, "active": done.active}


def _ignore_hang_ups() -> None:
    # Whoever asked may lose the connection; half a rollback helps nobody.
    for name in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)


def _restore(host: Host, _options: argparse.Namespace) -> Answer:
    move = rollback.restore(host)
    return {"changed": move is not None, "to": move.target if move else None}


def _settle_boot(host: Host, _options: argparse.Namespace) -> Answer:
    done = rollback.settle(host)
    for warning in done.warnings if done else ():
        warn(warning)
    return {"changed": done is not None, "to": done.target if done else None}


def _extend(host: Host, options: argparse.Namespace) -> Answer:
    activation.extend(host, options.deployment, options.seconds, {})
    return {"extended": options.deployment, "seconds": options.seconds}


def _lock(host: Host, options: argparse.Namespace) -> Answer:
    held = lock.acquire(host, lock.Request(options.message, options.seconds), options.wait_s)
    return {"token": held.token, "expires": held.expires}


def _freeze(host: Host, options: argparse.Namespace) -> Answer:
    return {"lock": lock.acquire(host, lock.Request(options.message, None), options.wait_s).holder}


def _unlock(host: Host, options: argparse.Namespace) -> Answer:
    return {"changed": lock.unlock(host, options.token)}


def _unfreeze(host: Host, _options: argparse.Namespace) -> Answer:
    return {"changed": lock.unfreeze(host)}


def _capacity(host: Host, options: argparse.Namespace) -> Answer:
    reason = options.reason.strip()
    if (options.set is None) == bool(reason):
        raise UsageError("capacity needs --set and --reason together, or neither to show the count")
    count = capacity.show(host) if options.set is None else capacity.change(host, options.set, reason)
    return {"before": count.before, "after": count.after}


def _prune(host: Host, _options: argparse.Namespace) -> Answer:
    return {"pruned": confirmation.prune(host)}


def _seconds(text: str) -> float:
    if 0 < float(text) <= 7 * 86_400:
        return float(text)
    raise ValueError(text)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise argparse.ArgumentTypeError(f"{text!r} is no count: give 0 to 999999999")
    return int(text)


_DEPLOYMENT = {"metavar": "ID", "required": True, "help": "the pending deployment"}
_MESSAGE = {"metavar": "TEXT", "required": True, "help": "what for, for those who find the lock"}
_WAIT = {"metavar": "N", "type": float, "default": 0.0, "help": "wait so many seconds for another lock to end"}

COMMANDS: dict[str, tuple[Callable[[Host, argparse.Namespace], Answer], str, dict[str, dict[str, Any]]]] = {
    "list": (_list, "releases kept on this host, oldest first", {}),
    "status": (_status, "what runs, what is pending, who holds the lock, what a rollback returns to", {}),
    "history": (_history, "deployments and rollbacks: who, when, from what to what, verdict, numbers, duration", {}),
    "confirm": (
        _confirm,
        "the pending deployment is good, whatever the numbers say: disarm its guard and remember the release",
        {
            "--deployment": _DEPLOYMENT,
            "--force": {"action": "store_true", "help": "also before there is a verdict"},
        },
    ),
    "rollback": (
        _rollback,
        "return to what ran before",
        {
            "--to": {"metavar": "ID", "help": "return to this kept release"},
            "--deployment": {"metavar": "ID", "help": "only while this deployment is pending"},
            "--attempt": {
                "metavar": "N",
                "type": int,
                "choices": range(1, retry.ATTEMPTS + 1),
                "help": "with --deployment, for guards: if it fails, arm attempt N + 1",
            },
            "--reason": {"metavar": "TEXT", "default": "", "help": "for the audit journal"},
            "--force": {"action": "store_true", "help": "with --to: also to a release that failed its proof"},
        },
    ),
    "extend": (
        _extend,
        "let the pending deployment be confirmed later than its guard would have it",
        {
            "--deployment": _DEPLOYMENT,
            "--seconds": {"metavar": "N", "type": _seconds, "required": True, "help": "from now, at most a week"},
        },
    ),
    "lock": (
        _lock,
        "keep deployments away for a while",
        {
            "--message": _MESSAGE,
            "--seconds": {"metavar": "N", "type": _seconds, "default": 3600.0, "help": "when it ends by itself"},
            "--wait-s": _WAIT,
        },
    ),
    "unlock": (
        _unlock,
        "end a lock, also one that can't be read",
        {"--token": {"metavar": "T", "help": "only the lock that was given this token"}},
    ),
    "freeze": (_freeze, "keep deployments away until unfreeze", {"--message": _MESSAGE, "--wait-s": _WAIT}),
    "unfreeze": (_unfreeze, "end a freeze", {}),
    "capacity": (
        _capacity,
        "the count of open orders; with --set and --reason changed, and the journal tells who did",
        {
            "--set": {"metavar": "N", "type": _count, "help": "set it, 0 to 999999999"},
            "--reason": {"metavar": "TEXT", "default": "", "help": "why, needed with --set"},
        },
    ),
    "prune": (_prune, "remove what is too old to return to", {}),
    "restore": (_restore, "at boot only, before the router: put back what a pending deployment replaced", {}),
    "settle": (_settle_boot, "at boot only: start what is back, and end the deployment", {}),
}
"""By name: what it does, its help, its options."""
