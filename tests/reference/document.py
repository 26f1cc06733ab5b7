# SPDX-License-Identifier: Apache-2.0
"""The parts of the documents that the code writes: which there are, and how they get into a page.

A part stands on a page between `<!-- written: NAME -->` and `<!-- /written -->`; what is around it is a person's.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.reference import changes, drawings, lines, picture, tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT: Final = Path(__file__).parents[2]
#: Name of a part -> its text.
PARTS: Final[dict[str, Callable[[], str]]] = {
    "settings": tables.settings,
    "contradictions": tables.contradictions,
    "metrics": tables.metrics,
    "make targets": tables.make_targets,
    "variables of router": lambda: tables.role_variables("router"),
    "variables of monitoring": lambda: tables.role_variables("monitoring"),
    "modules": tables.modules,
    "log events": lines.samples,
    "streams": drawings.streams,
    "packages": drawings.packages,
    "phases": drawings.phases,
}
#: Files that are written as a whole.
FILES: Final[dict[str, Callable[[], str]]] = {
    "docs/policy.svg": picture.policy,
    f"{tables.COLLECTION}/CHANGELOG.md": changes.markdown,
    f"{tables.COLLECTION}/changelogs/changelog.yaml": changes.antsibull,
    f"{tables.COLLECTION}/LICENSES/Apache-2.0.txt": lambda: (ROOT / "LICENSE").read_text(encoding="utf-8"),
}
_PART: Final = re.compile(r"(<!-- written: ([a-z ]+) -->\n).*?(\n<!-- /written -->)", re.DOTALL)


def pages() -> list[Path]:
    """Return every page that may hold parts."""
    collection = ROOT / tables.COLLECTION
    return sorted([*(ROOT / "docs").rglob("*.md"), *collection.rglob("*.md")])


def names(text: str) -> list[str]:
    """Return the names of the parts of a page."""
    return [name for _, name, _ in _PART.findall(text)]


def filled(text: str) -> str:
    """Return a page with each of its parts as the code has it now."""
    return _PART.sub(lambda part: f"{part[1]}{PARTS[part[2]]()}{part[3]}", text)


def written() -> Iterator[tuple[Path, str]]:
    """Yield each file that holds something of the code, with the text that it must have."""
    for page in pages():
        text = page.read_text(encoding="utf-8")
        if names(text):
            yield page, filled(text)
    for name, text_of in FILES.items():
        yield ROOT / name, text_of()
