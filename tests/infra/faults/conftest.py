# SPDX-License-Identifier: Apache-2.0
"""Wheels that are wrong, and what must be the same after a deployment that failed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.infra.conftest import Desk

INFRA = Path(__file__).resolve().parents[1]
COLLECTION = INFRA.parents[1] / "ansible" / "ansible_collections" / "quantum" / "router"


@pytest.fixture(scope="session")
def bad_wheel(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Make a wheel of a kind that `bad_wheels.py` knows; returns its path."""
    (good,) = (COLLECTION / "roles" / "router" / "files").glob("quantum_router-*.whl")

    def make(kind: str) -> str:
        bad = tmp_path_factory.mktemp(kind) / good.name
        subprocess.run([sys.executable, INFRA / "bad_wheels.py", kind, good, bad], check=True)
        return str(bad)

    return make


@pytest.fixture(scope="module")
def legacy_state(desk: Desk) -> Callable[[], dict[str, str]]:
    """Take down what runs on the host, whichever process it is: unit, script, drop-ins, enablement, command line."""
    unit = "/etc/systemd/system/quantum-ai-strategy-router.service"
    places = (unit, f"{unit}.d", "/etc/systemd/system/multi-user.target.wants", "/home/qt/quantum_trader")

    def take() -> dict[str, str]:
        return {"files": desk.files(*places), "process": desk.command_line(), **desk.runs_apart_from_process()}

    return take
