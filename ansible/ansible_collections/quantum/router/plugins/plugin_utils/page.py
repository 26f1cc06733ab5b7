# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""report.html: what report.json says, for people. Pure; nothing in it is fetched from anywhere.

Every figure of the page is a `<data>` with its value in the JSON, and its title says where it stands there. What others
wrote (symbols, log lines, names) is text and never markup, and what does not print is shown as its code.
"""

from __future__ import annotations

import difflib
import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Iterator

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from . import figures
from .phases import touched

Report = dict[str, Any]

_PERCENT = {"reduction": 1, "estimate": 1, "lower": 1, "upper": 1, "confidence": 2}
"""What is shown in per cent, with so many places, as the details of the criteria do."""

_SINCE = datetime(1970, 1, 1, tzinfo=timezone.utc)


def render(report: Report) -> str:
    """Return the page for *report*, which has what report.json has; the same report gives the same page."""
    headline, to_do = outcome(report)
    sides = {side: report[side] or {} for side in ("before", "after")}
    commands = {side: (seen.get("service") or {}).get("cmdline") for side, seen in sides.items()}
    return _PAGES.get_template("report.html.j2").render(
        report=report,
        headline=headline,
        to_do=to_do,
        figures=figures,
        datum=lambda *path: datum(report, *path),
        moment=moment,
        difference=difference,
        logged=sorted({event for seen in sides.values() for event in seen.get("events") or {}}),
        commands={side: " ".join(command) for side, command in commands.items() if command},
        total_s=round(sum(phase["seconds"] for phase in report["phases"]), 2),
    )


def outcome(report: Report) -> tuple[str, str]:
    """Return what became of the deployment, in a few words, and what a person has to do about it."""
    if report["rollback_failed"]:
        return "Rollback failed", (
            "On the host, sudo router-release status says under trouble what stands in the way. Mend that, then sudo "
            "router-release rollback."
        )
    if report["held"]:
        return "Waits for a person", "Look at what is open below, then make confirm or make rollback."
    if report["rolled_back"]:
        return "Rolled back: what ran before runs again", _after_a_rollback(report)
    if report["reason"]:
        return _refused(report)
    if (report["capacity"] or {}).get("created"):
        to_do = "The count of open orders was missing and is 0 now: see that execution keeps it."
    elif report["verdict"] != "pass":
        to_do = "Look again when signals flow: make recon."
    else:
        to_do = "Nothing."
    if report["unchanged"]:
        return "Runs already: nothing was changed", to_do
    return "Proven and kept" if report["verdict"] == "pass" else "Kept, although nobody knows", to_do


def _after_a_rollback(report: Report) -> str:
    if (report["fleet"] or {}).get("action") == "rollback":
        return "Another host of this run failed, and the hosts are kept together or not at all: read its report first."
    if report["verdict"] == "inconclusive":
        return "Deploy again when signals flow, trading is not halted and there are free slots."
    return "Read the criteria that failed and the log, mend the release or its settings, deploy again."


def _refused(report: Report) -> tuple[str, str]:
    """A deployment that failed and was not rolled back: since there was nothing to undo, or a person kept it."""
    if touched(report["phases"]) or not report["phases"]:
        return "Failed", "See on the host what runs: sudo router-release status."
    return "Refused: nothing live was touched", "Mend what the reason names, then deploy again."


def datum(report: Report, *path: str | int) -> Markup:
    """Return the value at *path* for people, a dash for none; with the exact one and its place in the JSON."""
    value: Any = report
    for step in path:
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and step < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    exact = json.dumps(value, ensure_ascii=False)
    said = printable(exact), ".".join(printable(str(step)) for step in path), _shown(value, str(path[-1]))
    return Markup('<data value="{}" title="{}">{}</data>').format(*said)


def _shown(value: object, name: str) -> str:
    if value is None or isinstance(value, bool):
        return "–" if value is None else "yes" if value else "no"
    if isinstance(value, list):
        return " / ".join(_shown(each, "") for each in value) or "none"
    if not isinstance(value, (int, float)) or name == "main_pid":  # whose digits are no count
        return printable(str(value))
    if name in _PERCENT:
        return f"{value:.{_PERCENT[name]}%}"
    whole = round(value, 4)
    shown = f"{int(whole):,}" if whole == int(whole) else f"{whole:,}"
    return (name == "at_ms" and moment(value)) or shown


def moment(at: str | float) -> str:
    """Return a time, RFC 3339 or ms since 1970, for people; "" if it lies beyond all calendars."""
    try:
        told = (
            datetime.fromisoformat(at.replace("Z", "+00:00"))
            if isinstance(at, str)
            else _SINCE + timedelta(0, 0, 0, at)
        )
    except (ValueError, OverflowError):
        return ""
    return f"{told.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S} UTC"


def difference(change: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the lines of a unified diff of *change*, as Ansible's diff mode has it, each after what it is."""
    texts = [str(change.get(side) or "").splitlines() for side in ("before", "after")]
    kinds = {"+": "added", "-": "removed", " ": "same"}
    for line in list(difflib.unified_diff(*texts, lineterm=""))[3:]:
        yield (kinds[line[0]], line) if line[0] in kinds else ("place", "…")


def printable(text: str) -> str:
    r"""Return *text* with all but tabs that does not print (line breaks, escapes, marks of direction) as `\x1b`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\t" else c.encode("unicode_escape").decode() for c in text)


def _finalized(value: object) -> object:
    """What a template writes: markup as it is, nothing for None, and text that prints."""
    return value if isinstance(value, Markup) else "" if value is None else printable(str(value))


_PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    finalize=_finalized,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
