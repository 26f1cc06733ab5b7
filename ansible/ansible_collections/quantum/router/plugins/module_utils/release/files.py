# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Putting a unit's files in place, and back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from . import adoption, durable
from .errors import ReleaseError
from .layout import is_legacy

if TYPE_CHECKING:
    from pathlib import Path

    from .adoption import Adopted, Entry
    from .host import Host
    from .layout import Layout
    from .state import State


def aside(path: Path, identifier: str) -> Path:
    """Where a path waits while another release is live; systemd reads no such name.

    In the same directory: coming back is a rename, which works on a full disk and keeps every attribute.
    """
    return path.with_name(f".{path.name}.{identifier}")


def set_aside(path: Path, identifier: str) -> None:
    """Move a path aside; nothing happens if it is not there."""
    if os.path.lexists(path):
        path.replace(aside(path, identifier))
        durable.sync_directory(path.parent)


def install_unit(host: Host, release: str, previous: str | None) -> None:
    """Install a release's unit in one step; what stood there, file or link, stays beside it under `previous`."""
    place = host.layout.units / host.unit
    wanted = (host.layout.release(release) / "unit").read_bytes()
    if place.is_file() and not place.is_symlink() and place.read_bytes() == wanted:
        return
    if previous and os.path.lexists(place):
        keep = aside(place, previous)
        keep.unlink(missing_ok=True)
        os.link(place, keep, follow_symlinks=False)
    back = aside(place, release)
    if back.is_file() and not back.is_symlink() and back.read_bytes() == wanted:
        back.replace(place)
        durable.sync_directory(place.parent)
    else:
        durable.write(place, wanted, 0o644)


def point(layout: Layout, target: str | None) -> None:
    """Have `current` point there in one step, or nowhere: by a rename, which works on a full disk, where one waits."""
    if target is None:
        durable.remove(layout.current)
    elif layout.spare.is_symlink() and str(layout.spare.readlink()) == target:
        layout.spare.replace(layout.current)
        durable.sync_directory(layout.base)
    else:
        durable.link(layout.current, target)


def keep_pointer(layout: Layout) -> None:
    """Prepare for `point` that what is live now comes back."""
    if layout.current.is_symlink():
        durable.link(layout.spare, str(layout.current.readlink()))


def is_reload_due(host: Host, origin: str | None, target: str | None) -> bool:
    """Whether systemd has to read its units anew once the target's files are there; to be asked before they are.

    It takes longer than all else of a rollback, so it is left out where both releases were staged with the same unit,
    and that is what is installed and was read. Asked afterwards, systemd would not know: it looks for files that are
    newer than what it has read, and what comes back by a rename is older. What cannot be told is due, and stops nobody.
    """
    if origin is None or target is None or is_legacy(origin) or is_legacy(target):
        return True
    try:
        before, after = ((host.layout.release(name) / "unit").read_bytes() for name in (origin, target))
        return before != after or not adoption.is_ours(host) or host.facts().needs_reload
    except (OSError, ReleaseError):
        return True


def enable(host: Host, state: State) -> None:
    """Start at boot if that is meant, whoever turned it off since."""
    # Links that another unit file left do the same under the same name, and enable would refuse to replace them.
    if adoption.is_meant_to_start(host, state) and not adoption.enablement_links(host):
        host.systemctl("enable", "--quiet", host.unit)


def restore(host: Host, adopted: Adopted) -> list[str]:
    """Put an adopted unit back, with links that enable it; returns a line for each file of others that had changed."""
    changed = [entry for entry in adopted.entries if not adoption.present(host.layout, entry)]
    told = [line for entry in changed if (line := _keep(host, entry))]
    for entry in changed:
        _restore(host, adopted, entry)
    recorded = {entry.path for entry in adopted.entries}
    for path in adoption.enablement_links(host):
        # Never `systemctl disable`: of a linked unit it deletes the unit itself.
        if path not in recorded:
            durable.remove(host.layout.at(path))
    for path in adoption.movable_drop_ins(host):
        if path not in recorded:
            set_aside(host.layout.at(path), "removed")
    return told


def _keep(host: Host, entry: Entry) -> str | None:
    """Keep what somebody has made of a file since it was adopted beside it, and tell; None where it holds nothing new.

    Scripts and environment files only: what stands in a unit's place meanwhile is ours. A second name, not a new one:
    until the old bytes are there, the path has some.
    """
    path = host.layout.at(entry.path)
    if entry.role not in ("script", "environment") or not os.path.lexists(path):
        return None
    kept = aside(path, f"replaced-{host.timestamp()}")
    try:
        os.link(path, kept, follow_symlinks=False)
    except OSError as error:
        return f"{entry.path} had changed since it was adopted, and what it held could not be kept ({error.strerror})"
    return f"{entry.path} had changed since it was adopted: what it held is kept as {host.layout.host_path(kept)}"


def _restore(host: Host, adopted: Adopted, entry: Entry) -> None:
    path = host.layout.at(entry.path)
    waiting = aside(path, adopted.id)
    if entry.kind == "absent":
        durable.remove(path)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(waiting):
        waiting.replace(path)
        durable.sync_directory(path.parent)
        if adoption.present(host.layout, entry):
            return
    if entry.kind == "link":
        durable.link(path, entry.target)
        os.chown(path, entry.uid, entry.gid, follow_symlinks=False)
    else:
        data = adopted.stored(host.layout, entry).read_bytes()
        durable.write(path, data, entry.mode, (entry.uid, entry.gid))
