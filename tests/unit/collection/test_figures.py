# SPDX-License-Identifier: Apache-2.0
"""The pictures of report.html, read off by their own scales as a person does, are the numbers of report.json."""

from __future__ import annotations

import importlib
import re
from typing import Any, Final
from xml.etree import ElementTree as ET

import pytest

from tests.unit.collection.samples import PASSED

page = importlib.import_module("ansible_collections.quantum.router.plugins.plugin_utils.page")

HTML: Final = page.render(PASSED)
AFTER: Final[dict[str, Any]] = PASSED["after"]
#: Pixels above the drawn part, and by how many a word stands above the level that it names.
ABOVE, LIFTED = 16, 3


def straight(marks: dict[float, float]) -> Any:
    """What a place on an axis means, by the first and the last of its *marks* (place -> value)."""
    (low, low_value), *_, (high, high_value) = sorted(marks.items())
    return lambda place: low_value + (place - low) / (high - low) * (high_value - low_value)


class Picture:
    """A picture over time as it is read: all places are seconds since the activation and values on its scale."""

    def __init__(self, name: str) -> None:
        (found,) = re.findall(rf'<svg class="plot" role="img" aria-label="{name}".*?</svg>.*?</svg>', HTML, re.DOTALL)
        self._svg = ET.fromstring(found)
        scale = self._words("scale")
        at_left = {y: float(said.replace(",", "")) for said, x, y in scale if x == 0}
        below = {x: float(said.removesuffix(" s")) for said, x, y in scale if said.endswith(" s") or (y > 150 and x)}
        self._value, self._second = straight(at_left), straight(below)

    def _words(self, kind: str) -> list[tuple[str, float, float]]:
        """What is written, with the per cent from the left and the pixels from the top of what it is written at."""
        found = [each for each in self._svg.findall("text") if each.get("class") == kind and not each.get("dx")]
        return [(each.text or "", float(each.get("x", "")[:-1]), float(each.get("y", "")) + LIFTED) for each in found]

    @property
    def levels(self) -> dict[str, float]:
        """What is written at the right, and the value of the rule that it is written at."""
        rules = {
            round(float(each.get("y1", "")) + ABOVE, 2)
            for each in self._svg.iter("line")
            if each.get("class") == "rule"
        }
        said = {text: round(y, 2) for text, x, y in self._words("said") if x == 100}
        assert rules == set(said.values())
        return {text: round(self._value(y), 2) for text, y in said.items()}

    def series(self, kind: str) -> dict[int, float]:
        """The value that a line of steps has from each second on."""
        (line,) = (each for each in self._svg.iter("polyline") if each.get("class") == f"line {kind}")
        points = [point.split(",") for point in line.get("points", "").split()]
        return {round(self._second(float(x) / 10)): round(self._value(float(y) + ABOVE), 1) for x, y in points}

    def dot(self) -> tuple[str | None, int, float]:
        """What the single dot is of, its second and its value."""
        (dot,) = self._svg.findall("circle")
        second, value = self._second(float(dot.get("cx", "")[:-1])), self._value(float(dot.get("cy", "")))
        return dot.get("class"), round(second), round(value, 1)


def looked(*path: str) -> dict[int, float]:
    """What the looks of the soak saw, by seconds since the activation; the last holds to the end of the soak."""
    found = {}
    for look in AFTER["looks"]:
        seen = look
        for name in path:
            seen = seen[name]
        found[(look["at_ms"] - AFTER["since_ms"]) // 1000] = float(seen)
    return found


@pytest.mark.parametrize(
    ("picture", "kind", "path"),
    [
        ("Open orders and intents in flight", "open_orders", ("open_orders",)),
        ("Open orders and intents in flight", "in_flight", ("in_flight",)),
        ("Execution&#39;s lag and pending", "lag", ("execution", "lag")),
        ("Execution&#39;s lag and pending", "pending", ("execution", "pending")),
    ],
)
def test_each_line_is_what_the_looks_saw(picture: str, kind: str, path: tuple[str, ...]) -> None:
    """At each second of the soak, and no other line stands for it."""
    assert looked(*path) == Picture(picture).series(kind)


def test_cap_and_target_are_drawn_where_they_are() -> None:
    """Each name stands at a rule, and the rule at its value."""
    cap, target = AFTER["settings"]["max_open_orders"], AFTER["settings"]["target_open_orders"]
    assert {f"cap {cap}": cap, f"target {target}": target} == Picture("Open orders and intents in flight").levels


@pytest.mark.parametrize(
    ("picture", "kind", "value"),
    [
        ("Open orders and intents in flight", "open_orders", PASSED["before"]["capacity"]["open_orders"]),
        ("Execution&#39;s lag and pending", "lag", PASSED["before"]["execution"]["lag"]),
    ],
)
def test_the_dot_is_what_was_before(picture: str, kind: str, value: int) -> None:
    """It stands at the end of the baseline."""
    second = (PASSED["before"]["taken_at_ms"] - AFTER["since_ms"]) // 1000
    assert (kind, second, value) == Picture(picture).dot()


def test_the_legend_names_each_line_as_the_report_does() -> None:
    """A line is told from another by its color alone."""
    legend = re.findall(r'<i class="(\w+)"></i>([^<]+)<', HTML)
    assert {"open_orders", "in_flight", "lag", "pending", "signals", "intents"} == {kind for kind, _said in legend}
    assert [] == [kind for kind, said in legend if not said.startswith(kind.replace("_", " "))]


def bars(kind: str) -> dict[str, tuple[float, list[float]]]:
    """By the name of its row: how many per cent a bar fills, and where the ends of its range are."""
    rows = re.findall(r'<tr><th scope="row">([^<]*)</th><td>(<svg class="share".*?</svg>)</td>', HTML)
    found = {}
    for name, svg in rows:
        if width := re.search(rf'<rect class="{kind}" width="([\d.]+)%"', svg):
            ends = re.findall(r'x1="([\d.]+)%" x2="\1%"', svg)
            found[name] = float(width[1]), [float(end) for end in ends]
    return found


def test_the_bars_of_the_ratio_are_the_ratios_with_the_range_that_is_sure() -> None:
    """Of one: before, and after it the range that the bounds of the reduction leave."""
    (reduction,) = (each["numbers"] for each in PASSED["criteria"] if each["name"] == "reduction")
    before, after = PASSED["before"]["publish_ratio"], AFTER["publish_ratio"]
    sure = [100 * before * (1 - reduction[end]) for end in ("upper", "lower")]
    assert bars("intents") == {
        "before": (100 * before, []),
        "after": (pytest.approx(100 * after, abs=0.01), pytest.approx(sure, abs=0.01)),
    }


def test_the_bars_of_rejects_are_their_counts_the_most_frequent_first() -> None:
    """As parts of the most frequent."""
    counts = sorted(AFTER["rejects"].items(), key=lambda each: -each[1])
    assert [(name, (100 * count / counts[0][1], [])) for name, count in counts] == list(bars("rejects").items())


def test_the_bars_of_phases_are_their_seconds_in_their_order() -> None:
    """As parts of the longest."""
    longest = max(phase["seconds"] for phase in PASSED["phases"])
    expected = {phase["name"]: 100 * phase["seconds"] / longest for phase in PASSED["phases"]}
    seen = {name: width for name, (width, _ends) in bars("phase").items()}
    assert list(seen) == list(expected)
    assert seen == pytest.approx(expected, abs=0.01)
