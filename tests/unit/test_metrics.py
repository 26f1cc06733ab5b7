# SPDX-License-Identifier: Apache-2.0
"""docs/metrics.md lists every metric and every line, as they are."""

from __future__ import annotations

import re
from pathlib import Path

from router.config import Settings
from router.metrics import registry
from router.tally import Tally
from router.telemetry import LINES

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"


def rows(pattern: str) -> list[list[str]]:
    """The cells of the table rows whose first cell matches *pattern*."""
    lines = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if re.match(pattern, line)]
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines]


def test_the_reference_is_the_registry() -> None:
    """Name, type, labels and help of each metric, in their order."""
    suffix = {"counter": "_total", "info": "_info"}
    expected = []
    for family in registry(Tally(LINES), Settings(), "r").collect():
        labels = ", ".join(sorted({label for sample in family.samples for label in sample.labels if label != "le"}))
        kind = "gauge" if family.type == "info" else family.type
        expected.append([family.name + suffix.get(family.type, ""), kind, labels, family.documentation])
    assert expected == rows(r"\| `quantum_router_")


def test_every_line_is_listed_with_its_level() -> None:
    """A line that nobody explains helps nobody at night."""
    assert {name: level.name.lower() for name, level in LINES.items()} == {r[0]: r[1] for r in rows(r"\| `[A-Z]")}
