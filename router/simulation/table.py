# SPDX-License-Identifier: Apache-2.0
"""Figures for people: columns of a terminal, and how a number is written that may be unknown."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return *rows*, a heading first, as lines: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]


def per_cent(share: float | None) -> str:
    """Return *share* (0..1) as per cent, `-` for what is unknown."""
    return "-" if share is None else f"{share:.1%}"


def decimal(value: float | None) -> str:
    """Return *value* with three decimals, `-` for what is unknown."""
    return "-" if value is None else f"{value:.3f}"


def moment_of(ms: int | None) -> str:
    """Return milliseconds since 1970 as a UTC time, `-` for what is unknown."""
    return "-" if ms is None else f"{datetime.fromtimestamp(ms / 1000, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
