# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The deployment passed: remember it, and clear away what is too old to return to."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Mapping

from . import durable, files, store
from .layout import MANIFEST, Layout, is_legacy
from .state import State, prune
from .state import confirm as confirm_state

if TYPE_CHECKING:
    from .host import Host


def confirm(host: Host, deployment: str | None, verdict: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Make the pending release known good; returns its id and those that were pruned."""
    with store.locked(host.layout):
        state = confirm_state(store.load(host.layout), deployment, verdict)
        release = state.known_good[-1]
        store.save(host.layout, state)
        store.record(host, "confirmed", to=release, deployment=state.verdicts[release]["deployment"])
        state, gone = prune(state, host.layout.staged(), _protected(host.layout, state))
        store.save(host.layout, state)
        for name in gone:
            _remove(host, name)
    return release, gone


def is_confirmed(state: State, deployment: str, release: str | None = None) -> bool:
    """Whether this deployment was confirmed, or its release ran as known good before; nothing is pending since."""
    runs = release is not None and state.live == release
    known = any(verdict["deployment"] == deployment for verdict in state.verdicts.values())
    return state.pending is None and (known or runs)


def _protected(layout: Layout, state: State) -> list[str]:
    """The release that `current` points at, and those that an adopted unit points back at."""
    manifests = [layout.adopted / name / MANIFEST for name in state.known_good if is_legacy(name)]
    links = [json.loads(path.read_bytes())["current"] for path in manifests]
    return [Path(link).name for link in [*links, layout.live()] if link]


def _remove(host: Host, release: str) -> None:
    # The manifest goes first: what is left of an interrupted removal counts as unfinished, not as damaged.
    durable.remove(host.layout.release(release) / MANIFEST)
    shutil.rmtree(host.layout.release(release))
    durable.remove(files.aside(host.layout.units / host.unit, release))
    store.record(host, "pruned", release=release)
