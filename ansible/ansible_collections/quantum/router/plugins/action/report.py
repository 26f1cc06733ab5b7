# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write what a deployment did and why to files on the controller, and say it in one line.

`assemble` and `line` are pure; the action itself only reads its arguments, writes the files and hands the line to the
callback. It never connects to the host, so it never shows as a change of it.
"""

from __future__ import annotations

import json
import os
import tempfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.release import __version__ as ansible_version
from ansible_collections.quantum.router.plugins.plugin_utils.comparison import comparison
from ansible_collections.quantum.router.plugins.plugin_utils.failure import why
from ansible_collections.quantum.router.plugins.plugin_utils.listing import problems_of
from ansible_collections.quantum.router.plugins.plugin_utils.page import render

SCHEMA = 1
"""Raised by one when a field of report.json changes its meaning or goes."""

_ARGUMENTS = frozenset(
    {
        "after",
        "before",
        "capacity",
        "deployment",
        "diff",
        "dir",
        "drill",
        "failure",
        "fleet",
        "held_s",
        "host",
        "info",
        "phases",
        "previous",
        "recorded",
        "release",
        "rolled_back",
        "run_log",
        "unchanged",
        "verdict",
    },
)


def assemble(facts: dict[str, Any], now: str) -> dict[str, Any]:
    """Return report.json for *facts*, the arguments of the action; *now* is RFC 3339 UTC."""
    unchanged = bool(facts.get("unchanged"))
    judged = (facts.get("recorded") if unchanged else facts.get("verdict")) or {}
    failure, back = facts.get("failure") or {}, facts.get("rolled_back") or {}
    held_s = float(facts.get("held_s") or 0)
    after = dict(facts.get("after") or {})
    return {
        "schema": SCHEMA,
        "written_at": now,
        "host": facts["host"],
        "release": facts.get("release") or None,
        "previous": None if unchanged else facts.get("previous") or None,
        "deployment": (judged if unchanged else facts).get("deployment") or None,
        "verdict": _verdict(judged, failure),
        "reason": _held(facts, judged, held_s) or _reason(failure, back),
        "problems": problems_of(str(failure.get("msg") or "")),
        "held": held_s > 0,
        "fleet": facts.get("fleet") or None,
        "by_hand": bool(judged.get("by_hand")),
        "action": judged.get("action"),
        "note": judged.get("note") or None,
        "rolled_back": not back.get("failed") and (bool(back.get("changed")) or _undone(back)),
        "rollback_failed": bool(back.get("failed")),
        "unchanged": unchanged,
        "reduction": judged.get("reduction"),
        "line_counts": judged.get("line_counts"),
        "criteria": judged.get("criteria") or [],
        "advice": judged.get("advice") or [],
        "capacity": facts.get("capacity") or None,
        "drill": facts.get("drill") or None,
        "before": facts.get("before") or None,
        "systemctl_status": after.pop("systemctl_status", []),
        "log_sample": after.pop("log_sample", []),
        "after": after or None,
        "diff": facts.get("diff") or [],
        "versions": versions(facts.get("info") or {}),
        "phases": facts.get("phases") or [],
        "run_log": facts.get("run_log") or [],
    }


def versions(info: dict[str, Any]) -> dict[str, str | None]:
    """Return what the deployment met, by name: *info* is the answer of router_info, as far as there is one."""
    system, python, systemd, redis = (info.get(name) or {} for name in ("os", "python", "systemd", "redis"))
    return {
        "system": " ".join(filter(None, (system.get("id"), system.get("version"), info.get("machine")))) or None,
        "systemd": systemd.get("version"),
        "python": python.get("version"),
        "redis": redis.get("version"),
        "ansible-core": ansible_version,
    }


def carry_over(report: dict[str, Any], earlier: dict[str, Any]) -> dict[str, Any]:
    """Return *report* with the evidence of *earlier*, the report of the deployment that an unchanged run refers to.

    What became of that deployment is told anew: a person may have confirmed it since.
    """
    if not report["unchanged"] or report["deployment"] != earlier.get("deployment"):
        return report
    anew = ("written_at", "unchanged", "phases", "held", "by_hand", "reason", "fleet")
    return {**report, **earlier, **{name: report[name] for name in anew}}


def standing(report: dict[str, Any]) -> str:
    """Return in a word what a deployment has come to, for the other hosts of its run."""
    if report["held"]:
        return "held"
    if report["reason"]:
        return "failed"
    return "unchanged" if report["unchanged"] else "proven"


def line(report: dict[str, Any]) -> str:
    """Return the last line of a run for one host: facts as key=value, the reason last."""
    reduction = report["reduction"]
    parts = [f"verdict={report['verdict']}"]
    if reduction is not None:
        parts.append(f"reduction={reduction:.1%}")
    if report["line_counts"]:
        parts.append(f"intents/signals {report['line_counts']}")
    if report["release"]:
        parts.append(f"release={report['release']}")
    parts.append(f"host={report['host']}")
    if (report["capacity"] or {}).get("created"):
        parts.append("capacity_key=created")
    parts += [f"{flag}=true" for flag in ("unchanged", "by_hand", "held", "rolled_back") if report[flag]]
    if report["action"] == "confirm" and report["note"] and not report["reason"]:
        parts.append(f"confirmed=true note={json.dumps(report['note'], ensure_ascii=False)}")
    if report["reason"]:
        parts.append(f"reason={json.dumps(report['reason'], ensure_ascii=False)}")
    elif (report["fleet"] or {}).get("reason"):
        parts.append(f"fleet={json.dumps(report['fleet']['reason'], ensure_ascii=False)}")
    return " ".join(parts)


def _verdict(judged: dict[str, Any], failure: dict[str, Any]) -> str:
    """A judged release keeps its verdict unless something failed after a pass; without a judge a failure is a fail."""
    verdict = judged.get("verdict") or "inconclusive"
    return "fail" if failure and (verdict == "pass" or not judged) else verdict


def _undone(back: dict[str, Any]) -> bool:
    """Whether there was nothing left to roll back, since the guard or a person had done so; who kept it has not."""
    return not back.get("changed") and back.get("outcome") == "rolled back"


def _reason(failure: dict[str, Any], back: dict[str, Any]) -> str | None:
    reason = why(failure)
    if back.get("failed"):
        return f"ROLLBACK FAILED ({why(back)}): run router-release rollback on the host; it was to undo: {reason}"
    if not back.get("changed") and back.get("ended"):
        return f"{back['ended']}; here: {reason}"
    return reason or None


def _held(facts: dict[str, Any], judged: dict[str, Any], held_s: float) -> str | None:
    """Return what a person has to do about a deployment that is held, None for any other."""
    if not held_s:
        return None
    told = (judged.get("note"), (facts.get("fleet") or {}).get("reason"))
    return f"{'; '.join(filter(None, told))}: decide within {held_s:.0f} s, make confirm or make rollback"


def write(folder: Path, report: dict[str, Any]) -> Path:
    """Write report.json, run.log and report.html, each whole or not at all, and point `latest` at them."""
    place = folder / report["host"] / (report["release"] or "refused")
    place.mkdir(parents=True, exist_ok=True)
    path = place / "report.json"
    if path.exists():
        report = carry_over(report, json.loads(path.read_text(encoding="utf-8")))
    text = json.dumps(report, indent=2, ensure_ascii=False)
    _replace(path, text)
    _replace(place / "run.log", "\n".join(report["run_log"]))
    _replace(place / "report.html", render(json.loads(text)))
    latest = folder / "latest"
    latest.mkdir(exist_ok=True)
    link = latest / f".{report['host']}.{os.getpid()}"
    link.symlink_to(os.path.relpath(place, latest))
    link.replace(latest / report["host"])
    return path


def _table(report: dict[str, Any]) -> list[str]:
    before, after = report["before"], report["after"]
    return comparison(report["host"], before, after) if before and after else []


def _replace(path: Path, text: str) -> None:
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as draft:
        draft.write(f"{text}\n")
    Path(draft.name).replace(path)


class ActionModule(ActionBase):
    """The `quantum.router.report` action."""

    TRANSFERS_FILES = False
    _VALID_ARGS = _ARGUMENTS
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Assemble, write unless this is check mode, and return `line`, `report` and `path`."""
        result = super().run(tmp, task_vars)
        facts = dict(self._task.args)
        report = assemble(facts, datetime.now(tz=timezone.utc).isoformat(timespec="seconds"))
        said = line(report)
        if self._task.check_mode and not report["reason"]:
            would = str(not report["unchanged"]).lower()
            said = f"check_mode=true would_change={would} release={report['release']} host={report['host']}"
        told: dict[str, Any] = {"router_line": said, "router_table": [] if report["unchanged"] else _table(report)}
        result.update(changed=False, line=said, reason=report["reason"], standing=standing(report), path=None)
        if not self._task.check_mode:
            folder = Path(facts["dir"]).expanduser()
            result["path"] = str(write(folder, report))
            told["router_report"] = str(folder / "latest" / report["host"] / "report.html")
        # The way that set_stats takes too: the callback reads it when everything has been printed.
        result["ansible_stats"] = {"data": told, "per_host": True, "aggregate": False}
        # Where the callback is not enabled, as outside of this checkout, this is the only place that shows the line.
        result["_ansible_verbose_always"] = "_router_phases" not in (task_vars or {})
        return result
