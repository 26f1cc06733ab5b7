# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the criteria that a person switched off, or added. Pure."""

from __future__ import annotations

import difflib
import re
from typing import Any, Iterable, Mapping

NAMES = (
    "service",
    "reduction",
    "not silent",
    "not flooding",
    "features",
    "capacity known",
    "governor",
    "execution lag",
    "errors",
)
"""The criteria of the router's judge; a test compares."""

_NAME = re.compile(r"[a-z][a-z0-9 _-]{0,31}")
_LEAST_S, _MOST_S = 1, 300


def switched_off(names: Iterable[str]) -> list[str]:
    """One line for each name that no criterion has."""
    return [f"router_criteria_off names {name!r}: {_near(name, NAMES)}" for name in names if name not in NAMES]


def own(criteria: Mapping[str, Any]) -> list[str]:
    """One line for each thing that is wrong with criteria of one's own, by name."""
    found: list[str] = []
    for name, wanted in criteria.items():
        where = f"router_criteria[{name!r}]"
        if name in NAMES:
            found.append(
                f"{where} is the judge's own: choose another name, or switch that one off (router_criteria_off)"
            )
        elif not _NAME.fullmatch(name):
            found.append(f"{where} is no name: up to 32 lower-case letters, digits, blanks, _ and -, a letter first")
        if not isinstance(wanted, Mapping):
            found.append(f"{where} must be a mapping: {{command: [/path/to/check, --strict], timeout_s: 10}}")
        else:
            found += [f"{where} {problem}" for problem in _problems(wanted)]
    return found


def _problems(wanted: Mapping[str, Any]) -> list[str]:
    known = ("command", "timeout_s")
    found = [f"has an unknown key {key!r}: {_near(str(key), known)}" for key in wanted if key not in known]
    words, timeout_s = wanted.get("command"), wanted.get("timeout_s", _LEAST_S)
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
        found.append("needs a command, a list of words, each of them text: [/path/to/check, --strict]")
    number = isinstance(timeout_s, (int, float)) and not isinstance(timeout_s, bool)
    if not number or not _LEAST_S <= timeout_s <= _MOST_S:
        found.append(f"has timeout_s={timeout_s!r}, which must be a number from {_LEAST_S} to {_MOST_S}")
    return found


def _near(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else f"one of {', '.join(names)}"
