# SPDX-License-Identifier: Apache-2.0
"""The role: its variables are described once and agree, and its unit is what it promises."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

yaml = importlib.import_module("yaml")  # it carries no types
verdict = importlib.import_module("ansible_collections.quantum.router.plugins.callback.verdict")

ROOT = Path(__file__).resolve().parents[3]
COLLECTION = ROOT / "ansible" / "ansible_collections" / "quantum" / "router"
ROLE = COLLECTION / "roles" / "router"


def loaded(name: str) -> Any:
    """A YAML file of the role."""
    return yaml.safe_load((ROLE / name).read_text(encoding="utf-8"))


OPTIONS: dict[str, dict[str, Any]] = loaded("meta/argument_specs.yml")["argument_specs"]["main"]["options"]


def test_defaults_agree_with_the_specification() -> None:
    """Every variable has the same default where it is set and where it is described."""
    assert loaded("defaults/main.yml") == {name: option["default"] for name, option in OPTIONS.items()}


@pytest.mark.parametrize("name", OPTIONS)
def test_variable_is_typed_and_described(name: str) -> None:
    """A person finds type and meaning of every variable."""
    assert name.startswith("router_")
    assert {"type", "description", "default"} <= set(OPTIONS[name])


def test_password_is_never_shown() -> None:
    """The one secret among the variables is marked as such."""
    assert OPTIONS["router_redis_password"]["no_log"]


def test_main_is_the_table_of_contents() -> None:
    """main.yml names every phase, in the order in which a deployment goes through them."""
    text = (ROLE / "tasks" / "main.yml").read_text(encoding="utf-8")
    named = [line.split()[-1] for line in text.splitlines() if "import_tasks" in line]
    assert [f"{phase}.yml" for phase in verdict.PHASES] == named


def test_versions_agree() -> None:
    """The collection has the version of the router that it ships."""
    galaxy = yaml.safe_load((COLLECTION / "galaxy.yml").read_text(encoding="utf-8"))
    assert f'__version__ = "{galaxy["version"]}"' in (ROOT / "router" / "__init__.py").read_text(encoding="utf-8")
