# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two units that undo, at the next boot, a deployment that was pending when the host went down.

One before the router, which puts files back, those of a release whose build was cut off too, and starts nothing: a unit
that the router waits for and that waits for the router would wait for ever. One after that, which starts the router
itself, waits for so long and no longer, and tells.
Both do nothing where nothing was under way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import durable
from .rebuild import ASIDES

if TYPE_CHECKING:
    from pathlib import Path

    from .host import Host

RESTORE, SETTLE = "quantum-router-restore.service", "quantum-router-settle.service"

_TEXT = """\
# Managed by quantum.router.
[Unit]
Description={description}
ConditionPathExists=|{marker}
{more}

[Service]
Type=oneshot
ExecStart={tool} {command}
TimeoutStartSec={timeout_s}

[Install]
WantedBy=multi-user.target
"""


def units(host: Host) -> dict[str, str]:
    """Name and text of the two units."""
    tool, marker = host.layout.host_path(host.layout.tool), host.layout.host_path(host.layout.marker)
    releases = host.layout.host_path(host.layout.releases)
    redis = "redis-server.service redis.service valkey-server.service"
    return {
        RESTORE: _TEXT.format(
            description="Put back the files from before a deployment of the quantum router that was not confirmed",
            more=f"ConditionPathExistsGlob=|{releases}/{ASIDES}\nBefore={host.unit}",
            command="restore",
            timeout_s=60,
            tool=tool,
            marker=marker,
        ),
        SETTLE: _TEXT.format(
            description="End a deployment of the quantum router that was not confirmed before the host went down",
            more=f"After={RESTORE} {redis}",
            command="settle",
            timeout_s=300,
            tool=tool,
            marker=marker,
        ),
    }


def install(host: Host, *, check: bool = False) -> bool:
    """Have both units there and enabled; returns whether anything changed."""
    texts = {host.layout.units / name: text.encode() for name, text in units(host).items()}
    links = {host.layout.units / "multi-user.target.wants" / path.name: path for path in texts}
    stale = [path for path, text in texts.items() if not path.is_file() or path.read_bytes() != text]
    missing = [link for link, path in links.items() if not _points_at(link, host.layout.host_path(path))]
    if check or not (stale or missing):
        return bool(stale or missing)
    for path in stale:
        durable.write(path, texts[path])
    for link in missing:
        link.parent.mkdir(mode=0o755, exist_ok=True)
        durable.link(link, host.layout.host_path(links[link]))
    host.systemctl("daemon-reload")
    return True


def _points_at(link: Path, target: str) -> bool:
    return link.is_symlink() and str(link.readlink()) == target
