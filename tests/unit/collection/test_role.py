# SPDX-License-Identifier: Apache-2.0
"""The role: its variables are described once and agree, and its unit is what it promises."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

jinja = importlib.import_module("jinja2.nativetypes")
yaml = importlib.import_module("yaml")  # it carries no types
activation = importlib.import_module("ansible_collections.quantum.router.plugins.module_utils.release.activation")
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


@pytest.mark.parametrize("name", [name for name in OPTIONS if name.endswith("_password")])
def test_password_is_never_shown(name: str) -> None:
    """Each secret among the variables is marked as such."""
    assert OPTIONS[name]["no_log"]


def test_no_task_becomes_another_user_than_root() -> None:
    """An unprivileged user who may use sudo is enough: nothing needs the rights of the service's user, or acl."""
    named = [path for path in COLLECTION.rglob("*.yml") if "become_user" in path.read_text(encoding="utf-8")]
    assert [] == named


def test_main_is_the_table_of_contents() -> None:
    """main.yml names every phase, in the order in which a deployment goes through them."""
    text = (ROLE / "tasks" / "main.yml").read_text(encoding="utf-8")
    named = [line.split()[-1] for line in text.splitlines() if "import_tasks" in line]
    assert [f"{phase}.yml" for phase in verdict.PHASES] == named


@pytest.mark.parametrize("start_s", [1, 20, 600])
@pytest.mark.parametrize(("soak_max_s", "soak_least_s"), [(1, 40), (300, 29.5), (86_400.5, 30)])
def test_guard_outlasts_activation_and_soak(start_s: int, soak_max_s: float, soak_least_s: float) -> None:
    """Whatever the times, the guard cannot fire between an activation, however slow, and the end of the soak."""
    rule = jinja.NativeEnvironment().from_string(loaded("vars/main.yml")["_router_guard_s"])
    times = {"start_timeout_s": start_s, "soak_max": soak_max_s, "soak_least": soak_least_s}
    guard_s = rule.render({f"_router_{name}": value for name, value in times.items()})
    assert 2 * start_s + activation.STOP_S + max(soak_max_s, soak_least_s) < guard_s


def test_versions_agree() -> None:
    """The collection has the version of the router that it ships."""
    galaxy = yaml.safe_load((COLLECTION / "galaxy.yml").read_text(encoding="utf-8"))
    assert f'__version__ = "{galaxy["version"]}"' in (ROOT / "router" / "__init__.py").read_text(encoding="utf-8")
