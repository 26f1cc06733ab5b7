# SPDX-License-Identifier: Apache-2.0
"""What was measured, as a list of figures in `docs/benchmarks.json`, and `docs/benchmarks.md` written from it."""

from __future__ import annotations

import itertools
import json
import operator
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: What must be reached, by the name of the figure; None where it is only told. Every run of all parts measures each.
BARS: Final[dict[str, str | None]] = {
    "drain: router / raw hiredis loop": ">= 1.5",
    "peers: router / C client with three reads in flight": None,
    "peers: router / FastStream batch subscriber": ">= 7",
    "peers: router / walrus consumer group, batched": ">= 3.5",
    "peers: router / publish-everything router": ">= 200",
    "latency: p50 of 10,000 / of 10 signals": "<= 1.2",
    "latency: p99 of 10,000 / of 10 signals": "<= 2",
    "latency: window of 10,000 signals, p99": None,
    "start: READY with 67,448 stale signals / with none": "<= 1.2",
    "start: READY with 1,000,000 stale signals / with none": "<= 1.2",
    "start: READY with no stale signals": "<= 0.3",
    "start: READY with no stale signals / import of the five dependencies": "<= 1.5",
    "memory: growth from 100,000 to 10,000,000 signals": "<= 1",
    "choice: selected score / best possible, bursts of 13": "= 1.0",
    "choice: selected score / best possible, steady flow": "= 1.0",
    "growth, signals offered a second: slope": None,
    "growth, symbols: slope": None,
    "growth, seconds of a window: slope": None,
    "growth, signals of backlog: slope": None,
    "deploy: tasks, first deployment": "<= 30",
    "deploy: rollback by hand to READY / the service's own start": "<= 2",
    "deploy: gap at activation": "<= 1",
    "deploy: gap at rollback": "<= 1",
    "deploy: signals without an outcome": "= 0",
    "hosts: 6 hosts / 1 host": None,
}
_HOLDS: Final = {">=": operator.ge, "<=": operator.le, "=": operator.eq}


@dataclass(frozen=True)
class Figure:
    """One figure. *name* begins with the part of the bench that measures it; a comma then names one of its tables.

    *rounds* holds what each round measured; *value* is their median unless it says something of all of them.
    """

    name: str
    value: float | str
    unit: str
    rounds: tuple[float, ...] = ()

    @property
    def bar(self) -> str | None:
        """What must be reached, such as `>= 1.5`; None where the figure is only told."""
        return BARS.get(self.name)

    @property
    def passes(self) -> bool | None:
        """Say whether the value reaches the bar; None where there is none."""
        if self.bar is None or isinstance(self.value, str):
            return None
        sign, limit = self.bar.split()
        return bool(_HOLDS[sign](self.value, float(limit)))


def median(name: str, unit: str, rounds: Sequence[float]) -> Figure:
    """Return the median of *rounds* as a figure."""
    return whole(name, unit, statistics.median(rounds), rounds)


def whole(name: str, unit: str, value: float, rounds: Sequence[float]) -> Figure:
    """Return a figure of all rounds together, with each round's own beside it."""
    return Figure(name, _rounded(value), unit, tuple(map(_rounded, rounds)))


def as_json(figures: Sequence[Figure]) -> str:
    """Return the list of {name, value, unit, bar, pass, rounds}."""
    rows = [
        {"name": f.name, "value": f.value, "unit": f.unit, "bar": f.bar, "pass": f.passes, "rounds": f.rounds}
        for f in figures
    ]
    return as_text(rows)


def as_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as they stand in `docs/benchmarks.json`."""
    return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"


def merged(
    before: Sequence[Mapping[str, Any]], measured: Sequence[Mapping[str, Any]], parts: Sequence[str]
) -> list[Mapping[str, Any]]:
    """Return the rows of *before* with those parts that were *measured* replaced, facts first, then as in *parts*."""
    anew = {part_of(row) for row in measured}
    rows = [*(row for row in before if part_of(row) not in anew), *measured]
    return sorted(rows, key=lambda row: parts.index(part_of(row)) if part_of(row) in parts else -1)


def part_of(row: Mapping[str, Any]) -> str:
    """Return the part that measures a row, or the name of a fact."""
    return _table_of(row).split(", ")[0]


def as_markdown(rows: Sequence[Mapping[str, Any]], methods: Mapping[str, tuple[str, str]]) -> str:
    """Return the page for *rows* (as in the JSON); *methods* has each part's command, and how it measures."""
    facts = [f"{row['name']}: {row['value']}" for row in rows if isinstance(row["value"], str)]
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench` and `make bench-deploy` from `docs/benchmarks.json`; do not edit. A value is the",
        "median of its rounds unless its section says otherwise. Absolute figures belong to the machine; ratios",
        "compare runs of one round.",
        "",
        *facts,
        "",
        "## Bars",
        "",
        "How each is measured stands in the section that its name begins with.",
        "",
        *_table([row for row in rows if row["bar"]]),
    ]
    for part, (command, method) in methods.items():
        own_rows = [row for row in rows if part_of(row) == part]
        tables = {table: list(own) for table, own in itertools.groupby(own_rows, _table_of)}
        if tables:
            lines += ["", f"## {part}", "", f"`{command} ONLY={part}`", "", method]
        for table, own in tables.items():
            lines += ["", *_table([{**row, "name": row["name"].removeprefix(f"{table}: ")} for row in own], table)]
    return "\n".join(lines) + "\n"


def _table_of(row: Mapping[str, Any]) -> str:
    return str(row["name"]).partition(": ")[0]


def _table(rows: Sequence[Mapping[str, Any]], title: str = "what") -> list[str]:
    lines = [f"| {title} | value | unit | min .. max | rounds | bar | |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        rounds = row["rounds"]
        spread = f"{min(rounds):,g} .. {max(rounds):,g}" if rounds else ""
        verdict = {True: "reached", False: "**missed**", None: ""}[row["pass"]]
        cells = (row["name"], f"{row['value']:,g}", row["unit"], spread, str(len(rounds)), row["bar"] or "", verdict)
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _rounded(value: float) -> float:
    """Keep four digits: more would promise a precision that no bench has."""
    return float(f"{value:.4g}")
