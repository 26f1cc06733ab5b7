# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the journal tells of deployments and rollbacks: pure, lines in, rows and a table out."""

from __future__ import annotations

import json
from typing import Any, Iterable, Mapping

_ENDS = ("confirmed", "rolled back")
_KEPT = ("at", "who", "action", "from", "to", "deployment", "verdict", "reduction", "seconds")
_COLUMNS = ("at", "who", "action", "from", "to", "verdict", "reduction", "intents/signals", "took", "reason")


def rows(lines: Iterable[str]) -> list[dict[str, Any]]:
    """Every deployment that ended and every rollback, oldest first."""
    return [_row(entry) for entry in entries(lines) if entry.get("action") in _ENDS]


def entries(lines: Iterable[str]) -> list[dict[str, Any]]:
    """What the lines say, oldest first; those that a power cut has torn are left out."""
    return [entry for entry in map(_entry, lines) if entry is not None]


def end_of(lines: Iterable[str], deployment: str) -> dict[str, Any] | None:
    """The row of how a deployment ended at last; None if the journal does not say."""
    return next((row for row in reversed(rows(lines)) if row["deployment"] == deployment), None)


def told(row: Mapping[str, Any]) -> str:
    """An end of a deployment in one line for people."""
    reason = f": {row['reason']}" if row["reason"] else ""
    return f"deployment {row['deployment']} was {row['action']} at {row['at']} by {row['who']}{reason}"


def table(found: Iterable[Mapping[str, Any]]) -> list[str]:
    """The rows as lines of a table, its head first; only the last column may be of any width."""
    cells = [_COLUMNS, *(tuple(_cell(row, name) for name in _COLUMNS) for row in found)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_COLUMNS) - 1)]
    return ["  ".join([*map(str.ljust, line, widths), line[-1]]).rstrip() for line in cells]


def _entry(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def _row(entry: Mapping[str, Any]) -> dict[str, Any]:
    row = {name: entry.get(name) for name in _KEPT}
    row["by_hand"] = bool(entry.get("by_hand"))
    row["intents/signals"] = entry.get("line_counts")
    row["reason"] = "; ".join(str(entry[name]) for name in ("reason", "problem") if entry.get(name)) or None
    return row


def _cell(row: Mapping[str, Any], column: str) -> str:
    value = row.get("seconds" if column == "took" else column)
    if column == "at":
        return str(value or "-").partition(".")[0].rstrip("Z") + "Z"
    if column == "reduction" and isinstance(value, (int, float)):
        return f"{value:.1%}"
    if column == "verdict" and row.get("by_hand"):
        return f"{value}, by hand"
    if column == "took" and isinstance(value, (int, float)):
        return f"{value:.0f} s"
    if column == "to" and value is None:
        return "nothing"
    return "-" if value is None else " ".join(str(value).split())
