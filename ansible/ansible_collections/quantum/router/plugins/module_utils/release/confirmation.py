# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The deployment passed: disarm its guard, remember it, and clear away what is too old to return to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Mapping

from . import durable, files, lock, store
from .ending import end
from .errors import ReleaseError
from .layout import MANIFEST, Layout, is_legacy
from .state import State
from .state import confirm as confirm_state
from .state import prune as prune_state

if TYPE_CHECKING:
    from .host import Host


def confirm(
    host: Host, deployment: str, verdict: Mapping[str, Any], *, by_hand: bool = False, force: bool = False
) -> tuple[str, list[str], list[str]]:
    """Make the pending release known good; returns its id, those that were pruned, and warnings.

    The deployment must be the pending one and hold the lock, which only a person may do without. By hand, the verdict
    stays what the judge had found, and only `force` confirms what nobody has judged. That old releases can't be removed
    is a warning: the release is confirmed.
    """
    with store.locked(host.layout):
        began_s, was = host.moment().uptime_s, store.load(host.layout)
        found = {**(was.pending.verdict if was.pending else {}), **verdict}
        if by_hand:
            found = {"verdict": "inconclusive", **found, "by_hand": True}
        state = confirm_state(was, deployment, found)
        if not by_hand:
            lock.require(host, deployment)
        elif not (was.pending and was.pending.verdict) and not force:
            raise ReleaseError(
                f"deployment {deployment} is not judged yet: wait for its verdict, or keep it unjudged with "
                f"router-release confirm --deployment {deployment} --force"
            )
        release = state.known_good[-1]
        # From here on a guard that fires finds nothing pending.
        store.save(host.layout, state)
        facts = {"from": was.pending.previous if was.pending else None, "to": release}
        warnings = end(host, "confirmed", deployment, found, began_s, **facts)
        try:
            gone = _prune(host, state)
        except (OSError, ValueError, KeyError) as error:
            gone = []
            warnings.append(f"old releases could not be removed ({error}): router-release prune")
    return release, gone, warnings


def prune(host: Host) -> list[str]:
    """Remove what is too old to return to; returns the ids."""
    with store.locked(host.layout):
        return _prune(host, store.load(host.layout))


def is_confirmed(state: State, deployment: str, release: str | None = None) -> bool:
    """Whether this deployment was confirmed, or its release ran as known good before; nothing is pending since."""
    runs = release is not None and state.live == release
    known = any(verdict["deployment"] == deployment for verdict in state.verdicts.values())
    return state.pending is None and (known or runs)


def _prune(host: Host, state: State) -> list[str]:
    state, gone = prune_state(state, host.layout.staged(), _protected(host.layout, state))
    if gone:
        store.save(host.layout, state)
    for name in gone:
        _remove(host, name)
    return gone


def _protected(layout: Layout, state: State) -> list[str]:
    """The release that `current` points at, and those that an adopted unit points back at."""
    manifests = [layout.adopted / name / MANIFEST for name in state.known_good if is_legacy(name)]
    links = [json.loads(path.read_bytes())["current"] for path in manifests]
    return [Path(link).name for link in [*links, layout.live()] if link]


def _remove(host: Host, release: str) -> None:
    # The manifest goes first: what is left of an interrupted removal counts as unfinished, not as damaged.
    durable.remove(host.layout.release(release) / MANIFEST)
    durable.remove_tree(host.layout.release(release))
    durable.remove(files.aside(host.layout.units / host.unit, release))
    store.record(host, "pruned", release=release)
