# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users of Redis as `ACL LIST` and `router acl` write them. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PART = re.compile(r"\([^()]*\)|\S+")
# What every user of ours has, and Redis writes or leaves out as it likes.
_PLAIN = {"resetchannels", "-@all", "sanitize-payload", "reset", "resetkeys", "clearselectors"}


@dataclass(frozen=True)
class User:
    """Whether the user may log in, by which passwords (SHA-256), and what it may do: each selector's own rules."""

    on: bool
    digests: frozenset[str]
    rules: frozenset[str]
    selectors: frozenset[frozenset[str]]


def parse(text: str) -> User:
    """Read the rules of a user, without its name."""
    parts = [part for part in _PART.findall(text) if part not in _PLAIN]
    selectors = [part for part in parts if part.startswith("(")]
    plain = {part for part in parts if not part.startswith(("(", "#"))}
    return User(
        on="on" in plain,
        digests=frozenset(part[1:] for part in parts if part.startswith("#")),
        rules=frozenset(plain - {"on", "off"}),
        selectors=frozenset(frozenset(part[1:-1].split()) - _PLAIN for part in selectors),
    )


def lacking(wanted: User, found: User) -> list[str]:
    """The rules that *found* needs to be allowed what *wanted* is; a selector is had if another one holds all of it."""
    rules = sorted(wanted.rules - found.rules)
    missing = [each for each in wanted.selectors if not any(each <= other for other in found.selectors)]
    # Keys before commands, as a person writes them.
    ordered = [sorted(each, key=lambda rule: (rule.startswith("+"), rule)) for each in missing]
    return rules + sorted(f"({' '.join(each)})" for each in ordered) + ([] if found.on else ["on"])
