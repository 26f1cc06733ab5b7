# SPDX-License-Identifier: Apache-2.0
"""What was measured, as a list of figures in `docs/benchmarks.json`, and `docs/benchmarks.md` written from it."""

from __future__ import annotations

import json
import operator
import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_HOLDS: Final = {">=": operator.ge, "<=": operator.le, "=": operator.eq}


@dataclass(frozen=True)
class Figure:
    """One figure. *name* begins with the part of the bench that measures it, *bar* is such as `>= 1.5` or None.

    *rounds* holds what each round measured; *value* is their median unless it says something of all of them.
    """

    name: str
    value: float | str
    unit: str
    bar: str | None = None
    rounds: tuple[float, ...] = ()

    @property
    def passes(self) -> bool | None:
        """Say whether the value reaches the bar; None where there is none."""
        if self.bar is None or isinstance(self.value, str):
            return None
        sign, limit = self.bar.split()
        return bool(_HOLDS[sign](self.value, float(limit)))


def median(name: str, unit: str, rounds: Sequence[float], bar: str | None = None) -> Figure:
    """Return the median of *rounds* as a figure."""
    return whole(name, unit, statistics.median(rounds), rounds, bar)


def whole(name: str, unit: str, value: float, rounds: Sequence[float], bar: str | None = None) -> Figure:
    """Return a figure of all rounds together, with each round's own beside it."""
    return Figure(name, _rounded(value), unit, bar, tuple(map(_rounded, rounds)))


def as_json(figures: Sequence[Figure]) -> str:
    """Return the list of {name, value, unit, bar, pass, rounds}."""
    rows = [{**asdict(figure), "pass": figure.passes} for figure in figures]
    order = ("name", "value", "unit", "bar", "pass", "rounds")
    return json.dumps([{key: row[key] for key in order} for row in rows], indent=1, ensure_ascii=False) + "\n"


def as_markdown(rows: Sequence[Mapping[str, Any]], methods: Mapping[str, str]) -> str:
    """Return the page for *rows* (as in the JSON); *methods* says of each part how it measures."""
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench` from `docs/benchmarks.json`; do not edit. A value is the median of its rounds.",
        "Absolute figures belong to the machine named here; ratios compare neighbours in the same round.",
        "",
        *(f"{row['name']}: {row['value']}" for row in rows if row["name"] == "machine"),
    ]
    for part, method in methods.items():
        own = [row for row in rows if row["name"].startswith(f"{part}: ")]
        if own:
            lines += ["", f"## {part}", "", f"`make bench ONLY={part}`", "", method, "", *_table(part, own)]
    return "\n".join(lines) + "\n"


def _table(part: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = ["| what | median | unit | min .. max | rounds | bar | |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        rounds = row["rounds"]
        spread = f"{min(rounds):,g} .. {max(rounds):,g}" if rounds else ""
        verdict = {True: "reached", False: "**missed**", None: ""}[row["pass"]]
        what = row["name"].removeprefix(f"{part}: ")
        cells = (what, f"{row['value']:,g}", row["unit"], spread, str(len(rounds) or ""), row["bar"] or "", verdict)
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _rounded(value: float) -> float:
    """Keep four digits: more would promise a precision that no bench has."""
    return float(f"{value:.4g}")
