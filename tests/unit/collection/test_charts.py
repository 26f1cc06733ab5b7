# SPDX-License-Identifier: Apache-2.0
"""Pictures: what is drawn lies where its numbers say."""

from __future__ import annotations

import importlib
import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

charts = importlib.import_module("ansible_collections.quantum.router.plugins.plugin_utils.charts")


@given(st.floats(-1e6, 1e6), st.floats(0.1, 1e9), st.integers(2, 10))
def test_ticks_are_few_round_numbers_within(low: float, width: float, most: int) -> None:
    """Steps are 1, 2 or 5 times a power of ten, there are not too many, and none lies outside."""
    found = charts.ticks(low, low + width, most)
    assert len(found) <= most + 1
    assert all(low <= tick <= low + width for tick in found)
    assert {str(second - first).rstrip("0") or "1" for first, second in itertools.pairwise(found)} <= {
        "1",
        "2",
        "5",
    }


def test_bars_stand_on_zero_as_high_as_their_rate() -> None:
    """Ten within two seconds are as high as five in one; downwards they hang; none is no bar."""
    plot = charts.Plot("x", (0, 10), (-5, 5))
    plot.bars("signals", [(0, 2, 10), (2, 2, 0)])
    plot.bars("intents", [(5, 1, 5)], down=True)
    found = re.findall(r'<rect class="(\w+)" x="([\d.]+)" y="([\d.]+)" width="[\d.]+" height="([\d.]+)"', plot.svg())
    assert [("signals", "0.00", "0.00", "66.00"), ("intents", "500.00", "66.00", "66.00")] == found
    assert "10 signals in 2 s at +0 s" in plot.svg()


def test_what_is_not_known_is_a_gap() -> None:
    """A value holds until the next look, and nothing is drawn over a look that knew none."""
    plot = charts.Plot("x", (0, 4), (0, 132))
    plot.steps("lag", [(0, 132), (1, 0), (2, None), (3, 66), (4, 66)])
    lines = re.findall(r'points="([^"]+)"', plot.svg())
    assert ["0.00,0.00 250.00,0.00 250.00,132.00 500.00,132.00", "750.00,66.00 1000.00,66.00 1000.00,66.00"] == lines


def test_nothing_known_is_an_empty_picture() -> None:
    """No look, or none that knew anything, draws no line."""
    plot = charts.Plot("x", (0, 0), (0, 0))
    plot.steps("lag", [])
    plot.steps("lag", [(0, None), (1, None)])
    assert "polyline" not in plot.svg()


@pytest.mark.parametrize(("second", "anchor"), [(0, "start"), (50, "middle"), (100, "end")])
def test_words_at_an_end_stay_within(second: float, anchor: str) -> None:
    """What is written at the left or right end is not cut off there."""
    plot = charts.Plot("x", (0, 100), (0, 1))
    plot.mark(second, "here")
    assert f'text-anchor="{anchor}">here<' in plot.svg()


def test_a_share_shows_its_part_and_its_reach() -> None:
    """A bar fills as much of its place as it is a part of the whole, and never more."""
    assert 'width="12.50%"' in charts.share("intents", 0.125)
    assert 'width="100.00%"' in charts.share("intents", 3)
    assert 'x1="5.00%" x2="20.00%"' in charts.share("intents", 0.1, (0.05, 0.2))


def test_words_of_others_are_text() -> None:
    """A name with markup in it is written, not drawn."""
    plot = charts.Plot("<script>", (0, 1), (0, 1))
    plot.rule(1, "<b>")
    assert "<script>" not in plot.svg()
    assert "&lt;b&gt;" in plot.svg()
