# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every end of a deployment has in common, good or bad: a line in the journal, and a host that is free again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping

from . import durable, guard, history, lock, store
from .errors import ReleaseError, TooLateError

if TYPE_CHECKING:
    from .host import Host

NOBODY = ""
"""The mark's deployment where a release is left that had been confirmed."""

NUMBERS = ("verdict", "by_hand", "reduction", "line_counts")
"""What the journal keeps of a verdict; all of it is kept with the release."""


def end(
    host: Host, action: str, deployment: str | None, verdict: Mapping[str, Any], began_s: float, **facts: object
) -> list[str]:
    """Record what happened, then free the host; returns warnings. Call it in a transition, after the state is saved.

    `began_s` is when the command began; a deployment is timed from when it took the lock. With a `problem` among the
    facts it is no end: guard and mark stay, for whoever tries again.
    """
    held, warnings = _held(host)
    now = host.moment()
    seconds: float | None = now.uptime_s - began_s
    if held and deployment and held.deployment == deployment:
        seconds = now.uptime_s - held.began_s if held.boot_id == now.boot_id else None
    elif held and not lock.is_over(held, now):
        warnings.append(f"the host is {held.holder}")
    facts.update({name: verdict[name] for name in NUMBERS if verdict.get(name) is not None})
    line = store.record(host, action, deployment=deployment, seconds=seconds and round(seconds, 1), **facts)
    if not facts.get("problem"):
        clear(host, deployment or NOBODY)
    return [line, *warnings] if line else warnings


def clear(host: Host, deployment: str) -> None:
    """Free the host of guard, mark and lock of a deployment that is not pending any more. Call it in a transition."""
    guard.disarm(host, deployment)
    if (store.marked(host.layout) or {}).get("deployment", deployment) == deployment:
        durable.remove(host.layout.marker)
    held, _warnings = _held(host)
    if held and held.deployment == deployment:
        durable.remove(host.layout.lock)


def too_late(host: Host, deployment: str, error: ReleaseError) -> ReleaseError:
    """How the deployment ended already, if it did: says more than that it is not pending."""
    ended = history.end_of(store.journal(host.layout), deployment)
    return TooLateError(f"too late: {history.told(ended)}") if ended else error


def _held(host: Host) -> tuple[lock.Lock | None, list[str]]:
    """The lock, if it can be read: a lock never stops an end."""
    try:
        return lock.load(host), []
    except ReleaseError as error:
        return None, [str(error)]
