# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several problems as one message, and such a message as one line."""

from __future__ import annotations

import re
from typing import Iterable

_LISTED = re.compile(r"\d+ problems:\n- ")


def listed(problems: Iterable[str]) -> str:
    """A message with each problem on a line of its own; a single one stands alone."""
    lines = [" ".join(problem.split()) for problem in problems]
    return "\n- ".join([f"{len(lines)} problems:", *lines]) if len(lines) > 1 else "".join(lines)


def problems_of(message: str) -> list[str]:
    """The problems in a message of `listed`; any other message is one, an empty one none."""
    if _LISTED.match(message):
        return message.split("\n- ")[1:]
    return [" ".join(message.split())] if message.strip() else []


def one_line(message: str) -> str:
    """The message in one line: of several problems the first, and how many more there are."""
    first, *others = problems_of(message) or [""]
    return f"{first} (and {len(others)} more, listed above)" if others else first
