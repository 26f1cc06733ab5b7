# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An undo that failed is tried again by the host itself, so many times and no more, and each failure is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Mapping, TypeVar

from . import guard, history, store
from .ending import NOBODY
from .errors import ReleaseError, TooLateError
from .systemctl import last_line

if TYPE_CHECKING:
    from .host import Host
    from .layout import Layout
    from .state import State

PAUSES_S = (30, 60, 120, 240, 480, 960)
"""Seconds from the beginning of an attempt to the next. What passes by itself (a busy systemd, another command, a Redis
or a mount that comes back) passes within minutes; after half an hour a person has to look, and more would only start
and stop a service again and again."""

ATTEMPTS = len(PAUSES_S) + 1

FAILED = "undo failed"
"""The journal's word for an attempt that did not work."""

_Answer = TypeVar("_Answer")


def attempt(host: Host, deployment: str, number: int, undo: Callable[[], _Answer]) -> _Answer:
    """Make the attempt of this number, from 1; raises ReleaseError with what failed and whether there is a next one.

    The next is armed before this one begins: there is one whatever ends this one. An undo that works disarms it.
    """
    ahead = _arm_next(host, deployment, number)
    try:
        return undo()
    except TooLateError:
        raise
    except (OSError, ReleaseError) as error:
        reason = last_line(str(error))
        store.record(host, FAILED, deployment=deployment, attempt=number, reason=reason, ahead=ahead)
        raise ReleaseError(f"{_what(deployment, number)} failed ({reason}); {ahead}") from None


def unfinished(layout: Layout, state: State) -> dict[str, Any] | None:
    """What is marked as being undone, and nobody has brought to its end.

    Of a deployment that was pending only once the state says so: until then it is pending, or was never begun. The mark
    of a confirmed release is made by its rollback alone, so that has begun.
    """
    marked = (None if state.pending else store.marked(layout)) or {}
    facts = {"deployment": NOBODY, "previous": None, **marked}
    left = marked.get("release") in (*state.bad, *state.withdrawn)
    return facts if left or (marked.get("deployment") == NOBODY and "release" in marked) else None


def trouble(host: Host, state: State) -> str | None:
    """What stands in the way of an undo, in one line with what comes next; None where nothing does."""
    begun = unfinished(host.layout, state)
    deployment = state.pending.deployment if state.pending else begun["deployment"] if begun else ""
    failures = [entry for entry in _failures(host.layout) if deployment and entry.get("deployment") == deployment]
    if not failures and begun is None:
        return None
    again = bool(deployment) and guard.is_armed(host, deployment)
    ahead = "the host tries again by itself" if again else "nobody tries again: router-release rollback"
    if not failures:
        return f"the rollback of release {(begun or {})['release']} is not finished; {ahead}"
    last = failures[-1]
    return f"{_what(deployment, last['attempt'])} failed at {last['at']} ({last['reason']}); {ahead}"


def _arm_next(host: Host, deployment: str, number: int) -> str:
    if number >= ATTEMPTS:
        return "it was the last one: see what stands in the way, then router-release rollback"
    pause_s = PAUSES_S[number - 1]
    try:
        guard.rearm(host, deployment, pause_s, number + 1)
    except ReleaseError as error:
        return f"the next one can't be armed ({error}): router-release rollback"
    return f"the next one {pause_s} s after this one began"


def _what(deployment: str, number: int) -> str:
    return f"attempt {number} of {ATTEMPTS} to undo deployment {deployment}"


def _failures(layout: Layout) -> list[Mapping[str, Any]]:
    try:
        lines = store.journal(layout)
    except PermissionError:  # the journal is root's, the state everybody's
        return []
    return [entry for entry in history.entries(lines) if entry.get("action") == FAILED]
