# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the role's variables: names, types, ranges, and what contradicts what. Pure."""

from __future__ import annotations

import difflib
import re
from typing import Any, Callable, Mapping

from . import contradictions

RANGES: dict[str, tuple[float, float]] = {
    "router_capacity_value": (0, 999_999_999),
    "router_watchdog_s": (2, 3600),
    "router_start_timeout_s": (1, 600),
    "router_baseline_min": (0, 3600),
    "router_baseline_window": (1, 86_400),
    "router_soak_min": (0, 86_400),
    "router_soak_max": (1, 86_400),
    "router_hold_max": (1, 604_800),
    "router_lock_wait_s": (0, 86_400),
    "router_reduction_min": (0, 1),
    "router_reduction_proven": (0, 1),
    "router_publish_everything": (0, 1),
    "router_confidence": (0.5, 0.9999),
    "router_flood_window": (0.1, 1),
    "router_decision_margin_s": (0, 60),
    "router_plan_hold_s": (0, 604_800),
    "router_capacity_set": (0, 999_999_999),
}
"""Least and most of every number; meta/argument_specs.yml says the same in words, and a test compares."""

PATTERNS: dict[str, tuple[re.Pattern[str], str]] = {
    "router_unit": (re.compile(r"[A-Za-z0-9:_.@-]{1,247}\.service"), "the name of a systemd unit, such as x.service"),
    "router_message": (re.compile(r"[^\x00-\x1f\x7f]{0,200}"), "one line of up to 200 characters"),
    "router_capacity_reason": (re.compile(r"(?! )[^\x00-\x1f\x7f]{0,200}"), "a reason of up to 200 characters"),
    # systemd's credential is read without blanks around it, so these would be another password.
    "router_redis_password": (re.compile(r"\S(.*\S)?|"), "a password in one line, without blanks around it"),
    "router_sentinel_password": (re.compile(r"\S(.*\S)?|"), "a password in one line, without blanks around it"),
}
"""What a text must look like, and how that is said."""

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?([0-9]{1,18}(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,2})?")
# As Ansible's own filter `bool` has them, which the role uses; it takes anything else for false.
_BOOLEANS = {"yes": True, "on": True, "1": True, "true": True, "no": False, "off": False, "0": False, "false": False}


def problems(
    given: Mapping[str, Any], options: Mapping[str, Mapping[str, Any]], window_s: float | None = None
) -> list[str]:
    """One line, with the way out, for each thing that is wrong with *given*, variables by name.

    *options* are those of the argument specification; *window_s* is the router's window as its settings have it, None
    if they are wrong. What comes by -e NAME=VALUE is text, and counts as what it spells.
    """
    found: list[str] = []
    values: dict[str, Any] = {}
    for name in sorted(given):
        if name not in options:
            found.append(_unknown(name, options))
            continue
        try:
            values[name] = _value(name, given[name], options[name])
        except ValueError as error:
            shown = "(not shown)" if options[name].get("no_log") else _shown(given[name])
            found.append(f"{name}={shown} must be {error}")
    return found + contradictions.find(values, window_s)


def _unknown(name: str, options: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, options, n=1, cutoff=0.7)
    hint = f"did you mean {near[0]}?" if near else "remove it, meta/argument_specs.yml lists them"
    return f"{name} is no variable of the role: {hint}"


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 64 else f"{text[:61]}..."


def _value(name: str, value: object, option: Mapping[str, Any]) -> object:
    """The value in its type; raises ValueError with what it must be."""
    typed = _TYPES[option["type"]](value)
    if typed is None or ("choices" in option and typed not in option["choices"]):
        raise ValueError(_meaning(name, option))
    if name in RANGES and not RANGES[name][0] <= typed <= RANGES[name][1]:
        raise ValueError(_meaning(name, option))
    if name in PATTERNS and not PATTERNS[name][0].fullmatch(typed):
        raise ValueError(_meaning(name, option))
    return typed


def _meaning(name: str, option: Mapping[str, Any]) -> str:
    if "choices" in option:
        return " or ".join(map(str, option["choices"]))
    if name in PATTERNS:
        return PATTERNS[name][1]
    words = _WORDS[option["type"]]
    if name in RANGES:
        low, high = (f"{bound:.15g}" for bound in RANGES[name])
        words += f" from {low} to {high}"
    return words


def _whole(value: Any) -> int | None:  # noqa: ANN401 - whatever a person wrote
    return int(value) if not isinstance(value, bool) and _WHOLE.fullmatch(str(value).strip()) else None


def _number(value: Any) -> float | None:  # noqa: ANN401 - whatever a person wrote
    return float(value) if not isinstance(value, bool) and _NUMBER.fullmatch(str(value).strip()) else None


def _truth(value: object) -> bool | None:
    return value if isinstance(value, bool) else _BOOLEANS.get(str(value).lower())


def _text(value: object) -> str | None:
    return str(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else None


def _mapping(value: object) -> dict[str, Any] | None:
    return {str(name): each for name, each in value.items()} if isinstance(value, Mapping) else None


def _list(value: object) -> list[str] | None:
    if isinstance(value, str):
        return [word.strip() for word in value.split(",") if word.strip()]
    return [str(each) for each in value] if isinstance(value, list) else None


_TYPES: dict[str, Callable[[Any], Any]] = {
    "int": _whole, "float": _number, "bool": _truth, "str": _text, "path": _text, "dict": _mapping, "list": _list,
}  # fmt: skip
_WORDS = {
    "int": "a whole number", "float": "a number", "bool": "true or false", "str": "text", "path": "a path",
    "dict": "a mapping, by -e as JSON: -e '{\"NAME\": {...}}'", "list": "a list, or text with commas",
}  # fmt: skip
