# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The count of open orders, on purpose: shown, set by a person, and given back after a rollback."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, NamedTuple

from . import login, state, store
from .errors import ReleaseError
from .systemctl import last_line

if TYPE_CHECKING:
    from .host import Host

PATIENCE_S = 5.0
"""Seconds to wait for Redis: a rollback must not hang on it."""


class Count(NamedTuple):
    """The count as Redis held it before and holds it now; None is a key that is missing."""

    before: str | None
    after: str | None


def show(host: Host) -> Count:
    """The count now; raises ReleaseError when Redis can't be asked."""
    return _ask(host, _live(host))


def change(host: Host, value: int, reason: str) -> Count:
    """Set the count and tell the journal who did, why, and what it was.

    Raises ReleaseError when Redis refuses, and when the journal can't be written: a change that nobody can see
    later is not made.
    """
    with store.locked(host.layout):
        release = _live(host)
        intent = {"release": release, "new": value, "reason": reason}
        problem = store.record(host, "capacity to be set", **intent)
        if problem:
            raise ReleaseError(problem)
        count = _ask(host, release, f"--force={value}")
        store.record(host, "capacity set", old=count.before, **intent)
    return count


def settle(host: Host) -> str | None:
    """Add what is owed to the count; returns a warning when something stays owed. Call it under the lock.

    Each attempt has a token that Redis remembers: one whose answer was lost is asked for again, and not added twice.
    """
    try:
        # First what was begun: what a deployment took is given back only after it was surely taken.
        _finish(host)
        for release in store.load(host.layout).owed:
            store.save(host.layout, state.begin_settling(store.load(host.layout), release, os.urandom(8).hex()))
        _finish(host)
    except (OSError, ValueError, ReleaseError) as error:
        owed = ", ".join(f"{delta:+d} from {name}" for name, delta in state.unsettled(store.load(host.layout)).items())
        return f"the count of open orders is owed {owed} ({last_line(str(error))}): queued for the next command"
    return None


def _finish(host: Host) -> None:
    for attempt, delta in store.load(host.layout).settling.items():
        release, _space, token = attempt.partition(" ")
        _ask(host, release, f"--add={delta}", f"--token={token}")
        store.save(host.layout, state.end_settling(store.load(host.layout), attempt))
        store.record(host, "capacity settled", release=release, delta=delta)


def _live(host: Host) -> str:
    live = host.layout.live()
    if live is None:
        raise ReleaseError("no release is live on this host, so nobody knows the name of its count: deploy first")
    return live


def _ask(host: Host, release: str, *words: str) -> Count:
    """Run `router capacity` of the deployer with the settings of a release."""
    python = host.layout.deployer_python()
    environment = login.environment(host.layout, release)
    done = host.run((python, "-I", "-m", "router", "capacity", "--json", *words), PATIENCE_S, environment)
    if done.code != 0:
        raise ReleaseError(last_line(done.err or done.out) or f"exit status {done.code}")
    answer = json.loads(done.out)
    return Count(answer["before"], answer["after"])
