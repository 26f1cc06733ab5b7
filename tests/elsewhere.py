# SPDX-License-Identifier: Apache-2.0
"""A controller that has the collection's tarball and nothing else of this repository."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def install(tarball: Path, folder: Path) -> dict[str, str]:
    """Install *tarball* under *folder*; returns the environment in which Ansible knows only that, and no settings."""
    (folder / "none.cfg").touch()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
        "ANSIBLE_CONFIG": str(folder / "none.cfg"),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"),
    }
    command = ["ansible-galaxy", "collection", "install", "--offline", str(tarball), "-p", str(folder / "collections")]
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return environment
