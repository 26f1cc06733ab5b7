# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What on the host is no longer as the last deployment left it. Read only."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Mapping

from . import adoption, lock, login, manifest, retry
from .errors import ReleaseError
from .layout import MANIFEST, is_legacy
from .state import unsettled

if TYPE_CHECKING:
    from pathlib import Path

    from .host import Host
    from .state import State
    from .systemctl import Facts


def drift(host: Host, facts: Facts, state: State, given: Mapping[Path, str] | None = None) -> list[str]:
    """One line per difference; empty when the live release runs untouched, or when none is live.

    A password that was `given`, with the file where it belongs, is compared with what the unit is handed from there.
    """
    live = host.layout.live()
    if state.live is None or is_legacy(state.live):
        return []
    if live != state.live:
        return [f"current points at {live or 'nothing'}, but {state.live} was deployed"]
    tree = host.layout.release(live)
    lines = [f"release {live}: {line}" for line in manifest.verify(tree)]
    lines += [f"drop-in {path} overrides the release's unit" for path in adoption.movable_drop_ins(host)]
    installed = host.layout.units / host.unit
    if not installed.is_file() or installed.is_symlink():
        lines.append(f"{host.layout.host_path(installed)} is not the release's unit")
    elif (tree / "unit").is_file() and installed.read_bytes() != (tree / "unit").read_bytes():
        lines.append(f"{host.layout.host_path(installed)} differs from the release's unit")
    if facts.needs_reload:
        lines.append(f"systemd has not read {host.unit} since it changed: systemctl daemon-reload")
    if adoption.is_meant_to_start(host, state) and not _starts(host, facts):
        lines.append(f"{host.unit} is not enabled, it would not start at boot")
    lines += [
        f"{host.layout.host_path(path)} does not hold the password that was given"
        for path in login.passwords(host.layout, live)
        if (password := (given or {}).get(path)) and not (path.is_file() and path.read_text("utf-8") == password)
    ]
    return lines + _process(host, facts, live)


def notices(host: Host, state: State) -> list[str]:
    """One line for each thing that a person should know of and that no deployment mends, with what does."""
    lines = []
    if state.pending:
        since = state.pending.started_at
        lines.append(
            f"deployment {state.pending.deployment} of release {state.pending.release} is not judged since {since}: "
            "router-release confirm or rollback"
        )
    trouble = retry.trouble(host, state)
    lines += [trouble] if trouble else []
    lines += [
        f"the count of open orders is owed {delta:+d} from release {name}: any router-release command tries again"
        for name, delta in unsettled(state).items()
    ]
    return lines + _locked(host, state) + _readable_secrets(host)


def _locked(host: Host, state: State) -> list[str]:
    try:
        held = lock.load(host)
    except ReleaseError as error:
        return [str(error)]
    told = held is None or (state.pending is not None and held.deployment == state.pending.deployment)
    return [f"the host is {held.holder}"] if held and not told and not lock.is_over(held, host.moment()) else []


def _starts(host: Host, facts: Facts) -> bool:
    # What systemd says is what it has read; a link that was removed since counts only on disk.
    return facts.enablement == "enabled-runtime" or bool(adoption.enablement_links(host))


def _readable_secrets(host: Host) -> list[str]:
    paths = host.layout.secrets.rglob("*password*")
    return [
        f"{host.layout.host_path(path)} can be read by others than root: chown root: and chmod 0600"
        for path in sorted(paths)
        if path.stat().st_mode & 0o077 or path.stat().st_uid != os.getuid()
    ]


def _process(host: Host, facts: Facts, live: str) -> list[str]:
    if facts.active_state != "active" or not facts.main_pid:
        return [f"{host.unit} is {facts.active_state or 'unknown'}, not active"]
    try:
        command = host.layout.at(f"/proc/{facts.main_pid}/cmdline").read_bytes()
    except OSError:
        return [f"process {facts.main_pid} of {host.unit} can't be read"]
    inside = host.layout.host_path(host.layout.release(live)).encode() + b"/"
    if inside not in command:
        return [f"process {facts.main_pid} does not run from release {live}"]
    now_s = host.now()
    started_s = now_s - host.monotonic() + facts.entered_us / 1e6
    used = {f"its {path.name}": path for path in login.passwords(host.layout, live)}
    used[f"the files of release {live}"] = host.layout.release(live) / MANIFEST
    # A file from the future tells of a clock that was set back, not of a process that is too old.
    newer = [what for what, path in used.items() if path.is_file() and started_s + 1 < path.stat().st_mtime <= now_s]
    return [f"process {facts.main_pid} is older than {what}: it runs with what was there before" for what in newer]
