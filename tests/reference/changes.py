# SPDX-License-Identifier: Apache-2.0
"""The changelog as the collection carries it, from the one that people write: `CHANGELOG.md` in the root."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_RELEASE: Final = re.compile(r"^## (\S+) \((\d{4}-\d{2}-\d{2})\)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"\[([^]]+)\]\((?!https?:)[^)]+\)")


def markdown() -> str:
    """For people; what it links to is not in the collection, so links become words."""
    return _LINK.sub(r"\1", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))


def antsibull() -> str:
    """For programs, in antsibull-changelog's format."""
    return releases(markdown())


def releases(text: str) -> str:
    """Return each release of *text* that has a date, with its lines, as YAML."""
    lines = ["---", "ancestor: null"]
    found = _RELEASE.findall(text)
    lines.append("releases:" if found else "releases: {}")
    for version, date, changes in sorted(found, key=lambda each: [int(part) for part in each[0].split(".")]):
        lines += [f"  {version}:", "    changes:", "      minor_changes:"]
        for change in re.split(r"^- ", changes, flags=re.MULTILINE)[1:]:
            words = " ".join(change.split())
            lines += ["        - >-", *textwrap.wrap(words, 120, initial_indent=" " * 10, subsequent_indent=" " * 10)]
        lines.append(f'    release_date: "{date}"')
    return "\n".join(lines) + "\n"
