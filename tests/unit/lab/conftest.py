# SPDX-License-Identifier: Apache-2.0
"""The scripts under test are no packages: they are loaded by their path."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).resolve().parents[3]


def load(path: str) -> ModuleType:
    """The script at a path of this repository, as a module of its own."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def lab() -> ModuleType:
    """`molecule/shared/lab.py`."""
    return load("molecule/shared/lab.py")


@pytest.fixture(scope="session")
def wheelhouse() -> ModuleType:
    """`requirements/wheelhouse.py`."""
    return load("requirements/wheelhouse.py")


@pytest.fixture(scope="session")
def legacy() -> ModuleType:
    """The lab's legacy router."""
    return load("molecule/shared/host/ai_strategy_router.py")


@pytest.fixture(scope="session")
def feed() -> ModuleType:
    """The lab's signal feed."""
    return load("molecule/shared/host/feed.py")
