# SPDX-License-Identifier: Apache-2.0
"""Stream entry ids: `<milliseconds>-<sequence>`, ordered, and the only clock of a signal."""

from __future__ import annotations


def order(entry_id: str) -> tuple[int, int]:
    """Return (milliseconds, sequence), which sorts as Redis sorts."""
    ms, _, seq = entry_id.partition("-")
    return int(ms), int(seq or 0)


def age_ms(entry_id: str, now_ms: int) -> int:
    """Age at Redis time *now_ms*; negative for an entry from a clock that is ahead."""
    return now_ms - order(entry_id)[0]
