# SPDX-License-Identifier: Apache-2.0
"""The page of a comparison: what others have written is text in it, and the curves are the figures."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from router.simulation.charts import Chart
from router.simulation.page import page


class Seen(HTMLParser):
    """Which tags there are, and what the cells of the table say."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.cells: list[str] = []
        self._in_cell = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag, and what could run or load something."""
        self.tags.append(tag)
        assert not [name for name, _ in attrs if name in {"src", "href", "style"} or name.startswith("on")]
        if tag == "td":
            self.cells.append("")
            self._in_cell = True

    def handle_data(self, data: str) -> None:
        """Note what a cell says."""
        if self._in_cell:
            self.cells[-1] += data

    def handle_endtag(self, tag: str) -> None:
        """A cell ends."""
        self._in_cell = self._in_cell and tag != "td"


def shown(label: str) -> str:
    """A page that has *label* wherever a text may be."""
    return page(label, label, [[label], [label]], [Chart(label, {label: [(0, 1), (1000, 5)]})], [label])


@given(st.text(min_size=1) | st.sampled_from(["<script>alert(1)</script>", '" onload="x', "</td><td>", "&lt;", "'"]))
def test_no_text_becomes_markup(label: str) -> None:
    """The tags are those of a harmless page, and a cell says what it was given."""
    seen = Seen(shown(label))
    assert Seen(shown("harmless")).tags == seen.tags
    assert [label] == seen.cells


def test_a_curve_begins_and_ends_with_its_values_and_keeps_its_peaks() -> None:
    """A peak of a millisecond within an hour is not lost between two points."""
    steps = [(0, 1), (1_800_000, 9), (1_800_001, 1), (3_600_000, 4)]
    drawn = re.findall(r'stroke="#0072b2"  ?d="M([^"]+)"', page("t", "l", [["a"]], [Chart("c", {"x": steps})], []))[0]
    heights = [float(point.split()[1]) for point in drawn.split("L")]
    top, floor = 8.0, 176.0
    assert [round(floor - (floor - top) * value / 9, 1) for value in (1, 4)] == [heights[0], heights[-1]]
    assert top == min(heights)


def test_nothing_to_draw_draws_nothing() -> None:
    """As for a recording without signals."""
    assert "<svg" not in page("t", "l", [["a"]], [Chart("c", {"x": []})], [])
