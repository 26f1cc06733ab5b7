# SPDX-License-Identifier: Apache-2.0
"""The core stays pure: what it may import, and that no clock or chance hides in it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import router.core
import router.simulation

CORE = sorted(Path(next(iter(router.core.__path__))).glob("*.py"))
SIMULATION = sorted(Path(next(iter(router.simulation.__path__))).glob("*.py"))
ALLOWED = {
    "__future__",
    "bisect",
    "collections",
    "dataclasses",
    "datetime",
    "enum",
    "functools",
    "heapq",
    "math",
    "msgspec",
    "re",
    "router",
    "typing",
}


def imports(module: Path) -> set[str]:
    """Every module that is imported anywhere in it."""
    imported: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    return imported


@pytest.mark.parametrize("module", CORE, ids=lambda path: path.name)
def test_a_core_module_imports_neither_input_output_nor_clock(module: Path) -> None:
    """Redis, sockets, time and chance are passed in, never imported."""
    imported = imports(module)
    ours = {name for name in imported if name.startswith("router.")}
    assert {name.partition(".")[0] for name in imported} <= ALLOWED
    assert ours <= {"router.config"} | {name for name in ours if name.startswith("router.core")}


@pytest.mark.parametrize("module", SIMULATION, ids=lambda path: path.name)
def test_a_simulation_asks_no_clock(module: Path) -> None:
    """Time is what it is given, as is chance by its seed, so that the same again gives the same."""
    assert not {"os", "pathlib", "secrets", "socket", "sys", "time"} & imports(module)
    assert ".now(" not in module.read_text(encoding="utf-8")
