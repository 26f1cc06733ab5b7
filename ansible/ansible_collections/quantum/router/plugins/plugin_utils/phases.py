# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The phases of a deployment, in their order, and whether a host came to one that changes what runs. Pure."""

from __future__ import annotations

from typing import Any, Iterable, Mapping

PHASES = (
    "preflight", "lock", "stage", "recon", "check", "drill", "backup", "activate", "soak", "judge", "confirm",
    "rollback",
    "report",
)  # fmt: skip
"""The task files that are phases; others are parts of the one that imports them, or what a playbook of its own does."""

_LIVE = ("activate", "soak", "judge", "confirm", "rollback")
"""Those from the first one on that changes what runs."""


def touched(phases: Iterable[Mapping[str, Any]]) -> bool:
    """Whether what runs may have been changed; *phases* have name and status, as the report has them."""
    return any(phase["name"] in _LIVE and phase["status"] != "skipped" for phase in phases)
