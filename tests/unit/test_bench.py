# SPDX-License-Identifier: Apache-2.0
"""What `make bench` writes: its list of figures, and the page made from it."""

from __future__ import annotations

import json

import pytest

from tests.bench.__main__ import DOCS, methods
from tests.bench.report import BARS, Figure, as_json, as_markdown, median, merged, part_of

#: The promised rows: whoever changes one changes it here too.
PROMISED = {
    "drain: router / raw hiredis loop": ">= 1.5",
    "peers: router / C client with three reads in flight": None,
    "peers: router / FastStream batch subscriber": ">= 7",
    "peers: router / walrus consumer group, batched": ">= 3.5",
    "peers: router / publish-everything router": ">= 200",
    "latency: p50 of 10,000 / of 10 signals": "<= 1.2",
    "latency: p99 of 10,000 / of 10 signals": "<= 2",
    "start: READY with 67,448 stale signals / with none": "<= 1.2",
    "start: READY with 1,000,000 stale signals / with none": "<= 1.2",
    "start: READY with no stale signals": "<= 0.3",
    "start: READY with no stale signals / import of the five dependencies": "<= 1.5",
    "memory: growth from 100,000 to 10,000,000 signals": "<= 1",
    "choice: selected score / best possible, bursts of 13": "= 1.0",
    "choice: selected score / best possible, steady flow": "= 1.0",
    "deploy: tasks, first deployment": "<= 30",
    "deploy: rollback by hand to READY / the service's own start": "<= 2",
    "deploy: gap at activation": "<= 1",
    "deploy: gap at rollback": "<= 1",
    "deploy: signals without an outcome": "= 0",
}


def test_every_promised_row_has_its_bar() -> None:
    """No bar is lowered or lost by the way."""
    assert PROMISED == {name: BARS[name] for name in PROMISED}


def test_the_page_is_what_the_figures_say() -> None:
    """The committed page is written from the committed figures, which hold every row of each part they have."""
    rows = json.loads((DOCS / "benchmarks.json").read_text(encoding="utf-8"))
    measured = {part_of(row) for row in rows}
    assert set() == {name for name in BARS if part_of({"name": name}) in measured} - {row["name"] for row in rows}
    assert as_markdown(rows, methods()) == (DOCS / "benchmarks.md").read_text(encoding="utf-8")


def test_each_bench_leaves_the_others_figures() -> None:
    """What was measured takes the place of its own parts' rows, facts included; the order stays that of the page."""
    before = [{"name": name, "value": 1} for name in ("machine", "drain: a", "drain, more: b", "deploy: c")]
    speed = [{"name": name, "value": 2} for name in ("machine", "drain: a")]
    assert [("machine", 2), ("drain: a", 2), ("deploy: c", 1)] == [
        (row["name"], row["value"]) for row in merged(before, speed, ["drain", "deploy"])
    ]
    deployments = [{"name": name, "value": 3} for name in ("lab", "deploy: c", "deploy: d")]
    assert ["machine", "lab", "drain: a", "drain, more: b", "deploy: c", "deploy: d"] == [
        row["name"] for row in merged(before, deployments, ["drain", "deploy"])
    ]


def test_a_figure_has_six_facts() -> None:
    """The list can be read by a program: name, value, unit, bar, pass, rounds."""
    (row,) = json.loads(as_json([median("drain: router / raw hiredis loop", "times", [1.61234, 1.4, 1.7])]))
    assert {
        "name": "drain: router / raw hiredis loop",
        "value": 1.612,
        "unit": "times",
        "bar": ">= 1.5",
        "pass": True,
        "rounds": [1.612, 1.4, 1.7],
    } == row


@pytest.mark.parametrize(
    ("name", "value", "passes"),
    [
        ("drain: router / raw hiredis loop", 1.499, False),
        ("latency: p99 of 10,000 / of 10 signals", 2.0, True),
        ("choice: selected score / best possible, steady flow", 0.9999, False),
        ("peers: router / C client with three reads in flight", 0.5, None),
    ],
)
def test_a_figure_is_held_against_its_bar(*, name: str, value: float, passes: bool | None) -> None:
    """At least, at most, exactly; and what is only told passes nothing."""
    assert passes == Figure(name, value, "times").passes


def test_a_missed_bar_is_told_where_people_look() -> None:
    """The page names the bar, what was reached and the spread, once among the bars and once in its section."""
    rows = json.loads(as_json([median("drain: router / raw hiredis loop", "times", [1.2, 1.4, 1.3])]))
    page = as_markdown(rows, {"drain": ("make bench", "How.")})
    assert "| drain: router / raw hiredis loop | 1.3 | times | 1.2 .. 1.4 | 3 | >= 1.5 | **missed** |" in page
    assert "`make bench ONLY=drain`\n\nHow.\n\n| drain |" in page
