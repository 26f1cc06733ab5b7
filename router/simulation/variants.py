# SPDX-License-Identifier: Apache-2.0
"""Several settings to compare, as a person gives them: `LABEL:NAME=VALUE,...`, or an environment file."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Final

from router.config import CATALOGUE, read
from router.errors import ConfigError
from router.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from router.config import Settings

#: What stands for the settings of the environment as they are.
NOW: Final = "now:"
#: What the environment file of a release holds besides settings.
_RELEASE: Final = "QUANTUM_ROUTER_RELEASE="
_LABEL: Final = re.compile(r"([A-Za-z0-9._-]{1,24}):")


def variants(given: Sequence[str], environ: Mapping[str, str], text_of: Callable[[str], str]) -> dict[str, Settings]:
    """Return the settings that each of *given* means, by label; without any those of *environ*.

    Assignments change the settings of *environ*; nothing behind the label leaves them as they are. A text without `=`
    names a file, which *text_of* reads, and which holds all settings that are not the defaults.

    Raises:
        ConfigError: with a line for everything that is wrong in any of them, worded as the service does.
    """
    found: dict[str, Settings] = {}
    problems: list[str] = []
    base = {name: text for name, text in environ.items() if name in CATALOGUE or name.startswith("ROUTER_")}
    for text in given or [NOW]:
        match = _LABEL.match(text)
        label, meant = (match[1], text[match.end() :]) if match else (printable(text, 40), text)
        names_file = bool(meant) and "=" not in meant
        words, wrong = _words(text_of(meant)) if names_file else ([word for word in meant.split(",") if word], [])
        wrong += [f"{printable(word)} is no NAME=VALUE" for word in words if "=" not in word]
        assigned = dict(word.split("=", 1) for word in words if "=" in word)
        settings, more = read(assigned if names_file else {**base, **assigned}, only_settings=True)
        if label in found:
            wrong.append("is there twice: give each a label of its own, LABEL:NAME=VALUE,...")
        found[label] = settings
        problems += [f"{label}: {line}" if len(given) > 1 else line for line in wrong + more]
    if problems:
        raise ConfigError(problems)
    return found


def _words(text: str) -> tuple[list[str], list[str]]:
    """Return the assignments of an environment file, quotes resolved, and a line for each line that is none."""
    words: list[str] = []
    problems: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith(("#", ";", _RELEASE)):
            continue
        try:
            (word,) = shlex.split(line)
        except ValueError:  # quotes that do not end, or several words
            problems.append(f"line {number} is no NAME=VALUE: {printable(line)}")
        else:
            words.append(word)
    return words, problems
