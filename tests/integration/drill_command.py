# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.integration.drill_command KIND ...`: `router drill ...`, with a process where a host has a unit.

The release's folder is where its log goes, its settings are those of the environment.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from router import cli
from router.commands import drill
from tests.integration.candidates import Process

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def main() -> None:
    """Run the command."""
    kind = sys.argv.pop(1)

    def unit(_deployment: str, release: str, directory: Path, _clear: Sequence[str]) -> Process:
        return Process(kind, release, directory, os.environ)

    vars(drill)["TransientUnit"] = unit
    cli.main()


if __name__ == "__main__":
    main()
