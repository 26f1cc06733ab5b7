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


def test_password_is_never_shown() -> None:
    """The one secret among the variables is marked as such."""
    assert OPTIONS["router_redis_password"]["no_log"]


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


@pytest.mark.parametrize(
    ("settings", "password", "expected"),
    [
        ({}, "s3cret", []),
        ({"ROUTER_REDIS_URL": "redis://here:6379/0", "ROUTER_REDIS_PASSWORD_FILE": "redis-password"}, "s3cret", []),
        ({"ROUTER_REDIS_PASSWORD_FILE": ""}, "", []),
        ({"ROUTER_REDIS_URL": "redis://:s3cret@there:6379/0"}, "", ["router_redis_url"]),
        ({"ROUTER_REDIS_PASSWORD_FILE": "/run/s3cret"}, "", ["router_redis_password"]),
        (
            {"ROUTER_REDIS_URL": None, "ROUTER_REDIS_PASSWORD_FILE": "s3cret"},
            "s3cret",
            ["router_redis_url", "router_redis_password"],
        ),
    ],
)
def test_settings_that_the_role_overrules_are_refused(
    settings: dict[str, Any], password: str, expected: list[str]
) -> None:
    """Another Redis among the settings is refused with the variable that names it, never with what was given."""
    rule = jinja.NativeEnvironment().from_string(loaded("vars/main.yml")["_router_overruled"])
    problems = rule.render(router_settings=settings, router_redis_url="redis://here:6379/0", _router_password=password)
    assert expected == [problem.split("set ")[1].removesuffix(" instead") for problem in problems]
    assert not any("s3cret" in problem for problem in problems)
    assert "+ _router_overruled\n" in (ROLE / "tasks" / "preflight.yml").read_text(encoding="utf-8")
