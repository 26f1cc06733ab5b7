# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What diff mode shows of a host: the unit, the environment and the link to the live release, before and after."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Mapping

from . import adoption
from .layout import is_legacy

if TYPE_CHECKING:
    from pathlib import Path

    from .host import Host

# A Redis URL may carry a password.
_PASSWORD = re.compile(r"(://[^/@\s:]*:)[^@\s]*@")


def live(host: Host) -> dict[str, str]:
    """What is live now."""
    release = host.layout.live()
    environment = _read(host.layout.releases / release / "environment") if release else ""
    return {"unit": _read(host.layout.units / host.unit), "environment": environment, "current": release or ""}


def of(host: Host, target: str | None) -> dict[str, str]:
    """What would be live with the target; an adopted unit's bytes are where its manifest says."""
    if target is None or is_legacy(target):
        return {"unit": _adopted_unit(host, target) if target else "", "environment": "", "current": ""}
    tree = host.layout.release(target)
    return {"unit": _read(tree / "unit"), "environment": _read(tree / "environment"), "current": target}


def diff(before: Mapping[str, str], after: Mapping[str, str]) -> list[dict[str, str]]:
    """What differs between the two, as Ansible wants it, without a password."""
    return [
        {
            "before_header": name,
            "after_header": name,
            "before": _PASSWORD.sub(r"\1***@", before[name]),
            "after": _PASSWORD.sub(r"\1***@", after[name]),
        }
        for name in before
        if before[name] != after[name]
    ]


def _adopted_unit(host: Host, target: str) -> str:
    adopted = adoption.read(host.layout, target)
    files = [entry for entry in adopted.entries if entry.kind == "file" and entry.path.endswith(f"/{host.unit}")]
    return _read(adopted.stored(host.layout, files[-1])) if files else ""


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
