# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the router's main process is, read from the process itself: its release, its code, its settings. Read only."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, Mapping

from . import login
from .errors import ReleaseError
from .layout import MANIFEST

if TYPE_CHECKING:
    from pathlib import Path

    from .host import Host

PLACES = frozenset(
    {
        "ROUTER_REDIS_URL",
        "ROUTER_REDIS_PASSWORD_FILE",
        "ROUTER_SENTINEL_PASSWORD_FILE",
        "ROUTER_KEY_PREFIX",
        "ROUTER_SIGNAL_STREAM",
        "ROUTER_GROUP",
        "ROUTER_INTENT_STREAM",
        "ROUTER_EXECUTION_GROUP",
        "ROUTER_STRATEGY_URL",
        "ROUTER_METRICS_LISTEN",
        "ROUTER_LOG_FORMAT",
    }
)
"""Settings that say where a host finds things and where it tells of them. All others decide what is published."""

_CODE = re.compile(r"venv/lib/[^/]+/site-packages/(router/.+)")


def describe(host: Host, pid: int) -> dict[str, Any]:
    """Release, version, code and settings of a process; None and no settings where it is no release of ours.

    `code` is a digest over the router's own files, the same under any Python; that the files are what was staged is
    for `drift` to say. Settings that are `PLACES` are left out, and with them whatever may hold a password.
    """
    release = release_of(host, pid)
    if release is None:
        return {"release": None, "version": None, "code": None, "settings": {}}
    tree = host.layout.release(release)
    return {
        "release": release,
        "version": release.rpartition("-")[0],
        "code": _code(tree),
        "settings": _settings(host, pid, tree),
    }


def release_of(host: Host, pid: int) -> str | None:
    """Id of the release whose interpreter runs as this process, by its command line and its executable."""
    try:
        command = host.layout.at(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode("utf-8", "replace")
        interpreter = host.layout.at(command)
        executable = host.layout.at(f"/proc/{pid}/exe").resolve(strict=True)
        tree = host.layout.release(interpreter.parents[2].name)
    except (OSError, IndexError, ReleaseError):
        return None
    inside = interpreter == tree / "venv" / "bin" / "python"
    return tree.name if inside and interpreter.resolve() == executable else None


def policy(settings: Mapping[str, str]) -> dict[str, str]:
    """Those settings that must be equal on all hosts of a fleet, where they are set to anything."""
    return {name: value for name, value in settings.items() if value and name not in PLACES}


def _settings(host: Host, pid: int, tree: Path) -> dict[str, str]:
    """What the process was started with: the names of its release's environment, and any other of the router's."""
    try:
        lines = host.layout.at(f"/proc/{pid}/environ").read_bytes().decode("utf-8", "replace").split("\0")
        known = login.settings(tree / "environment")
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines)
    return policy({name: value for name, _equals, value in pairs if name in known or name.startswith("ROUTER_")})


def _code(tree: Path) -> str | None:
    try:
        files = json.loads((tree / MANIFEST).read_bytes())["files"]
        found = {match[1]: files[name].get("sha256") for name in files if (match := _CODE.fullmatch(name))}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    lines = (f"{digest}  {name}\n" for name, digest in sorted(found.items()) if "__pycache__" not in name)
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:12]
