# SPDX-License-Identifier: Apache-2.0
"""A point in time as people write it on a command line: RFC 3339, milliseconds since 1970, or how long ago."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

import click

_UNITS_MS: Final = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def moment(name: str, text: str, now_ms: int) -> int:
    """Return *text*, of the option *name*, as milliseconds since 1970 by the clock that says *now_ms*.

    Raises:
        click.UsageError: it is no time.
    """
    if match := re.fullmatch(r"([0-9]{1,9})([smhd])( ago)?", text.strip()):
        return max(0, now_ms - int(match[1]) * _UNITS_MS[match[2]])
    if re.fullmatch(r"[0-9]{1,15}", text):
        return int(text)
    try:
        found = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text))
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise click.UsageError(f"--{name} {text!r} is no time: write 2026-01-31T12:00:00Z, milliseconds, or 10m")
    return max(0, int(found.timestamp() * 1000))
