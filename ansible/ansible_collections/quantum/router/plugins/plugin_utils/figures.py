# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What report.json holds over time, as pictures. Pure; a picture without anything to show is None."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Iterator

from . import charts

if TYPE_CHECKING:
    from markupsafe import Markup

Report = dict[str, Any]


def pace(report: Report) -> Markup | None:
    """Signals upwards and intents downwards, per second, before and after the activation on one axis of time."""
    seen = [snapshot for snapshot in (report["before"], report["after"]) if snapshot and snapshot.get("pace")]
    if not any(snapshot["pace"]["signals"] for snapshot in seen):
        return None
    zero_ms = _zero_ms(report)
    most = {
        kind: max((max(s["pace"][kind], default=0) / s["pace"]["step_s"] for s in seen), default=0)
        for kind in ("signals", "intents")
    }
    span = _span(seen[0]["since_ms"], seen[-1]["taken_at_ms"], zero_ms)
    plot = charts.Plot("Signals and intents per second", span, (-max(1, most["intents"]), max(1, most["signals"])))
    if len(seen) > 1:
        plot.blank(_seconds(seen[0]["taken_at_ms"], zero_ms), 0, "not measured")
    for snapshot in seen:
        for kind in ("signals", "intents"):
            plot.bars(kind, _slices(snapshot, kind, zero_ms), down=kind == "intents")
    _mark(plot, report)
    return plot.svg()


def capacity(report: Report) -> Markup | None:
    """Open orders and intents in flight over the soak, with the cap, the target, and what was open before."""
    if not _looks(report):
        return None
    looks, policy = _looks(report), report["after"]["settings"]
    before = ((report["before"] or {}).get("capacity") or {}).get("open_orders")
    known = [look[name] or 0 for look in looks for name in ("open_orders", "in_flight")]
    most = max([*known, before or 0, policy["max_open_orders"]])
    plot = _over_the_soak("Open orders and intents in flight", report, most)
    plot.rule(policy["max_open_orders"], f"cap {policy['max_open_orders']:,}")
    plot.rule(policy["target_open_orders"], f"target {policy['target_open_orders']:,}")
    _series(plot, report, "in_flight", ((look["at_ms"], look["in_flight"]) for look in looks), None)
    _series(plot, report, "open_orders", ((look["at_ms"], look["open_orders"]) for look in looks), before)
    return plot.svg()


def lag(report: Report) -> Markup | None:
    """Intents that execution was not given yet, and those it has not acknowledged, over the soak."""
    looks = _looks(report)
    before = (report["before"] or {}).get("execution") or {}
    known = [look["execution"][name] for look in looks for name in ("lag", "pending")]
    if all(value is None for value in known):
        return None
    most = max(value or 0 for value in [*known, before.get("lag")])
    plot = _over_the_soak("Execution's lag and pending", report, most)
    for name in ("pending", "lag"):
        seen = ((look["at_ms"], look["execution"][name]) for look in looks)
        _series(plot, report, name, seen, before.get("lag") if name == "lag" else None)
    return plot.svg()


def ratio(report: Report, side: str) -> Markup | None:
    """Intents per signal of a *side* (before, after) as a bar; after, with the range that the reduction surely has."""
    found = {name: (report[name] or {}).get("publish_ratio") for name in ("before", "after")}
    if found[side] is None:
        return None
    whole = max(1.0, *(value for value in found.values() if value is not None))
    numbers = next((each["numbers"] for each in report["criteria"] if each["name"] == "reduction"), {})
    reach = None
    if side == "after" and found["before"] and "lower" in numbers:
        reach = tuple(found["before"] * (1 - numbers[end]) / whole for end in ("upper", "lower"))
    return charts.share("intents", found[side] / whole, reach)


def rejects(report: Report) -> dict[str, Markup]:
    """A bar for each reason code of what was rejected since the activation, the most frequent first."""
    counts = (report["after"] or {}).get("rejects") or {}
    most = max(counts.values(), default=0)
    return {
        code: charts.share("rejects", counts[code] / most) for code in sorted(counts, key=lambda c: (-counts[c], c))
    }


def phases(report: Report) -> list[Markup]:
    """A bar for each phase, as long as its part of the longest."""
    longest = max((phase["seconds"] for phase in report["phases"]), default=0) or 1
    return [charts.share("phase", phase["seconds"] / longest) for phase in report["phases"]]


def _zero_ms(report: Report) -> int:
    """The activation; without one, the end of the baseline."""
    return report["after"]["since_ms"] if report["after"] else report["before"]["taken_at_ms"]


def _seconds(at_ms: float, zero_ms: int) -> float:
    return (at_ms - zero_ms) / 1000


def _span(low_ms: float, high_ms: float, zero_ms: int) -> tuple[float, float]:
    """From one time to another, with room for the scale at the left."""
    return _seconds(low_ms - (high_ms - low_ms) / 40, zero_ms), _seconds(high_ms, zero_ms)


def _looks(report: Report) -> list[dict[str, Any]]:
    return (report["after"] or {}).get("looks") or []


def _slices(snapshot: dict[str, Any], kind: str, zero_ms: int) -> Iterator[tuple[float, float, int]]:
    step_s = snapshot["pace"]["step_s"]
    for number, count in enumerate(snapshot["pace"][kind]):
        yield snapshot["since_ms"] // 1000 + number * step_s - zero_ms / 1000, step_s, count


def _over_the_soak(name: str, report: Report, most: float) -> charts.Plot:
    """An empty plot from the end of the baseline to that of the soak."""
    ends = [each["taken_at_ms"] for each in (report["before"], report["after"]) if each]
    zero_ms = _zero_ms(report)
    plot = charts.Plot(name, _span(min(ends), max(ends), zero_ms), (0, most))
    _mark(plot, report)
    return plot


def _series(
    plot: charts.Plot, report: Report, kind: str, seen: Iterator[tuple[int, int | None]], before: int | None
) -> None:
    """Draw what the looks saw, to the end of the soak, and what the baseline saw."""
    zero_ms = _zero_ms(report)
    points = [(_seconds(at_ms, zero_ms), value) for at_ms, value in seen]
    if points:
        plot.steps(kind, [*points, (_seconds(report["after"]["taken_at_ms"], zero_ms), points[-1][1])])
    if before is not None:
        plot.dot(kind, _seconds(report["before"]["taken_at_ms"], zero_ms), before, "before")


def _mark(plot: charts.Plot, report: Report) -> None:
    if report["after"]:
        plot.mark(0, "activation")
