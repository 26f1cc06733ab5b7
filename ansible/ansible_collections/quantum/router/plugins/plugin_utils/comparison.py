# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a deployment changed, as a table for the terminal."""

from __future__ import annotations

from typing import Any

_ROWS = (
    ("seconds", "{:.0f}", ("window_seconds",)),
    ("signals", "{:,}", ("signals",)),
    ("intents", "{:,}", ("intents",)),
    ("intents per signal", "{:.1%}", ("publish_ratio",)),
    ("open orders", "{:,}", ("capacity", "open_orders")),
    ("execution lag", "{:,}", ("execution", "lag")),
    ("execution pending", "{:,}", ("execution", "pending")),
    ("dedup keys", "{:,}", ("dedup_keys",)),
    ("restarts", "{:,}", ("service", "restarts")),
)


def comparison(host: str, before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return the lines of the table of *host*; what one of the two does not know is a dash."""
    names = [host, *(name for name, _form, _path in _ROWS)]
    sides = (("before", before), ("after", after))
    columns = [[title, *(_cell(facts, form, path) for _name, form, path in _ROWS)] for title, facts in sides]
    widths = [max(map(len, column)) for column in (names, *columns)]
    return [
        f"{name:<{widths[0]}}  {old:>{widths[1]}}  {new:>{widths[2]}}"
        for name, old, new in zip(names, *columns, strict=True)
    ]


def _cell(facts: dict[str, Any], form: str, path: tuple[str, ...]) -> str:
    value: Any = facts
    for name in path:
        value = (value or {}).get(name)
    return "-" if value is None else form.format(value)
