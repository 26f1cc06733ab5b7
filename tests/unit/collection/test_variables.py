# SPDX-License-Identifier: Apache-2.0
"""What a person may get wrong among the role's variables: each is one line, and all of them come at once."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from router.cli import DEPLOYMENT_SUFFIX

yaml = importlib.import_module("yaml")  # it carries no types
PLUGINS = "ansible_collections.quantum.router.plugins"
login = importlib.import_module(f"{PLUGINS}.module_utils.release.login")
variables = importlib.import_module(f"{PLUGINS}.plugin_utils.variables")
refusals = importlib.import_module(f"{PLUGINS}.filter.refusals").refusals

ROLE = Path(__file__).resolve().parents[3] / "ansible/ansible_collections/quantum/router/roles/router"
SPECIFICATION = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]
OPTIONS: dict[str, dict[str, Any]] = SPECIFICATION["main"]["options"]
EVERY_OPTION = OPTIONS | SPECIFICATION["capacity"]["options"]
NAMES = list(importlib.import_module(f"{PLUGINS}.plugin_utils.criteria").NAMES)
DEFAULTS = {name: option["default"] for name, option in OPTIONS.items()}


def problems(window_s: float | None = 3, **given: Any) -> list[str]:
    """What is wrong with the defaults when these are given instead."""
    found: list[str] = variables.problems({**DEFAULTS, **given}, EVERY_OPTION, window_s)
    return found


def test_the_defaults_have_no_problem() -> None:
    """A person who sets nothing is refused nothing, as text from the command line neither."""
    assert [] == problems()
    assert [] == problems(3, **{name: str(DEFAULTS[name]) for name in variables.RANGES if name in DEFAULTS})


@pytest.mark.parametrize("name", [name for name, option in EVERY_OPTION.items() if option["type"] in {"int", "float"}])
def test_every_number_has_a_range_that_its_description_tells(name: str) -> None:
    """Least and most are checked, and read as they are."""
    low, high = variables.RANGES[name]
    assert f"from {low} to {high}" in str(EVERY_OPTION[name]["description"])
    assert low < high


@pytest.mark.parametrize("name", variables.RANGES)
def test_a_number_may_be_its_ends_and_no_more(name: str) -> None:
    """The ends are in the range; a step beyond is refused with the range."""
    low, high = variables.RANGES[name]
    for value in (low - 1, high + 1, f"{high + 1}"):
        (problem,) = variables.problems({name: value}, {name: EVERY_OPTION[name]})
        kind = "whole number" if EVERY_OPTION[name]["type"] == "int" else "number"
        assert f"{name}={value!r} must be a {kind} from {low} to {high}" == problem
    for value in (low, high, str(low), f" {high}"):
        found = variables.problems({name: value}, {name: EVERY_OPTION[name]})
        assert [] == [problem for problem in found if "must be" in problem]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("router_soak_min", "abc", "'abc' must be a whole number from 0 to 86400"),
        ("router_soak_min", -5, "-5 must be a whole number"),
        ("router_soak_min", "5.5", "'5.5' must be a whole number"),
        ("router_soak_min", True, "True must be a whole number"),
        ("router_soak_min", [3], "[3] must be a whole number"),
        ("router_soak_min", "", "'' must be a whole number"),
        ("router_reduction_min", "nan", "'nan' must be a number from 0 to 1"),
        ("router_reduction_min", "80%", "'80%' must be a number from 0 to 1"),
        ("router_capacity_force", "maybe", "'maybe' must be true or false"),
        ("router_settings", "MAX_OPEN_ORDERS=3", "'MAX_OPEN_ORDERS=3' must be a mapping, by -e as JSON"),
        ("router_on_inconclusive", "shrug", "'shrug' must be rollback or hold or confirm"),
        ("router_unit", "router", "'router' must be the name of a systemd unit"),
        ("router_unit", "../x.service", "'../x.service' must be the name of a systemd unit"),
        ("router_report_dir", None, "None must be a path"),
        ("router_artifact", None, "None must be text"),
        ("router_redis_addresses", 3, "3 must be a list, or text with commas"),
        ("router_redis_url", {"a": 1}, "{'a': 1} must be text"),
        ("router_release_to", "x" * 100, None),
        ("router_unit", "x" * 100, "'" + "x" * 60 + "... must be the name"),
    ],
)
def test_a_value_of_another_kind_is_named_with_what_it_must_be(name: str, value: object, said: str | None) -> None:
    """Name, value and way out are in the line, the value cut where it is long."""
    found = problems(3, **{name: value})
    assert [True] * (said is not None) == [problem.startswith(f"{name}={said}") for problem in found]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("router_capacity_create", "no"),
        ("router_capacity_create", "False"),
        ("router_capacity_create", 1),
        ("router_settings", {}),
        ("router_redis_addresses", []),
        ("router_redis_addresses", "localhost, 10.0.0.0/8"),
        ("router_reduction_min", ".9"),
        ("router_reduction_min", "8e-1"),
        ("router_unit", "router@desk.service"),
        ("router_redis_password", "with blanks within"),
    ],
)
def test_what_spells_a_value_is_taken(name: str, value: object) -> None:
    """What -e hands over as text counts as what it spells."""
    assert [] == problems(3, **{name: value})


@pytest.mark.parametrize("password", [" s3cret", "s3cret\n", "s3\ncret", {"a": "s3cret"}])
@pytest.mark.parametrize("name", ["router_redis_password", "router_sentinel_password"])
def test_a_password_is_never_shown(name: str, password: object) -> None:
    """A password that a credential would change is refused without showing it."""
    (problem,) = problems(3, **{name: password})
    assert problem.startswith(f"{name}=(not shown) must be ")
    assert "s3cret" not in problem


def test_a_mistyped_name_is_told_the_nearest() -> None:
    """A name that nobody reads is an error, and a person sees which was meant."""
    expected = "router_soak_mx is no variable of the role: did you mean router_soak_max?"
    assert [expected] == problems(router_soak_mx=3)
    assert ["router_zzz is no variable of the role: remove it, meta/argument_specs.yml lists them"] == problems(
        router_zzz=1
    )


def test_everything_is_named_at_once() -> None:
    """Mistyped name, wrong type, range and contradiction come together."""
    found = problems(router_maxx=1, router_soak_min="soon", router_watchdog_s=-1, router_baseline_window=3)
    expected = ["router_maxx", "router_soak_min", "router_watchdog_s", "router_baseline_window"]
    assert expected == [problem.split("=")[0].split()[0] for problem in found]


FAR = {"router_redis_url": "redis://10.0.0.5:6379/0"}
ADMIN = ["redis://admin@127.0.0.1"]
MANAGED = {"router_redis_acl_manage": True, "router_redis_url": "redis://desk@127.0.0.1:6379/0"}
INSTALL = {**MANAGED, "router_redis_install": True}
INSTALL_NOW = {**INSTALL, "router_redis_admin_urls": ADMIN, "router_redis_admin_password": "x"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"router_soak_min": 60, "router_soak_max": 50}, ["router_soak_max=50 is below router_soak_min=60"]),
        ({"router_soak_min": 50, "router_soak_max": 50}, []),
        ({"router_watchdog_s": 200}, ["router_soak_max=300 is below 409, two watchdog periods and three windows"]),
        ({"router_baseline_min": 130}, ["router_baseline_window=120 is below router_baseline_min=130"]),
        ({"router_reduction_proven": 0.9}, ["router_reduction_min=0.8 is below router_reduction_proven=0.9"]),
        ({"router_capacity_value": 3}, ["router_capacity_value=3 has no effect: set router_capacity_force"]),
        ({"router_capacity_value": 3, "router_capacity_force": "yes"}, []),
        ({"router_capacity_set": 3}, ["router_capacity_reason is not given: say why the count is changed"]),
        ({"router_capacity_set": 0, "router_capacity_reason": "exchange says so"}, []),
        ({"router_capacity_reason": "why"}, ["router_capacity_set is not given: say to what"]),
        (FAR, ["router_redis_url names 10.0.0.5, which router_redis_addresses=localhost does not allow"]),
        ({**FAR, "router_redis_addresses": ["10.0.0.0/24"]}, []),
        ({**FAR, "router_redis_addresses": "localhost,10.0.0.5"}, []),
        ({**FAR, "router_redis_addresses": ["any"]}, []),
        ({**FAR, "router_redis_addresses": []}, []),
        ({"router_redis_addresses": ["10.0.0.5"]}, ["router_redis_url names 127.0.0.1, which"]),
        ({"router_redis_addresses": ["db.internal"]}, ["router_redis_addresses holds 'db.internal', which is no addr"]),
        ({"router_redis_url": "redis://db.internal"}, ["router_redis_url names db.internal, which"]),
        ({"router_redis_url": "redis://db.internal", "router_redis_addresses": ["10.0.0.5"]}, []),
        ({"router_redis_url": "rediss://desk@[::1]:7000/1"}, []),
        ({"router_redis_url": "redis://[::1"}, []),
        ({"router_redis_url": "unix:///run/redis.sock"}, []),
        (
            {"router_redis_url": "redis+sentinel://127.0.0.1,10.0.0.6:26379,10.0.0.7/desk"},
            ["router_redis_url names 10.0.0.6, which", "router_redis_url names 10.0.0.7, which"],
        ),
        ({"router_settings": {"ROUTER_STRATEGY_URL": "http://10.0.0.9/ask"}}, ["ROUTER_STRATEGY_URL names 10.0.0.9"]),
        ({"router_settings": {"ROUTER_STRATEGY_URL": "http://localhost:80/ask"}}, []),
        (
            {**FAR, "router_redis_addresses": ["10.0.0.5"], "router_settings": {"ROUTER_METRICS_LISTEN": "[::1]:9108"}},
            ["ROUTER_METRICS_LISTEN names ::1, which"],
        ),
        (MANAGED, []),
        ({**MANAGED, "router_redis_admin_urls": ADMIN, "router_redis_admin_password": "x"}, []),
        ({**MANAGED, "router_redis_url": DEFAULTS["router_redis_url"]}, ["router_redis_acl_manage needs a user"]),
        ({**MANAGED, "router_redis_url": "redis://default@127.0.0.1"}, ["router_redis_acl_manage needs a user"]),
        (
            {**MANAGED, "router_redis_url": f"redis://{'x' * 54}@localhost"},
            ["the user in router_redis_url has 54 char"],
        ),
        ({**MANAGED, "router_redis_password": "x"}, ["router_redis_password and router_redis_acl_manage exclude each"]),
        ({**MANAGED, "router_redis_admin_password": "x"}, ["router_redis_admin_password has no effect: name the"]),
        ({"router_redis_admin_password": "x"}, ["router_redis_admin_password has no effect: set router_redis_acl_man"]),
        ({"router_redis_admin_urls": ADMIN}, ["router_redis_admin_urls has no effect: set router_redis_acl_manage"]),
        (
            {**MANAGED, "router_redis_admin_urls": ["redis://admin:s3cret@h"]},
            ["router_redis_admin_urls must hold no password"],
        ),
        ({**MANAGED, "router_redis_admin_urls": ["redis://a,b"]}, ["router_redis_admin_urls must hold redis://"]),
        ({**MANAGED, "router_redis_admin_urls": ["redis://[::1"]}, ["router_redis_admin_urls must hold redis://"]),
        (
            {**MANAGED, "router_redis_admin_urls": ["redis://desk-deployment@h"]},
            ["router_redis_admin_urls names the user desk-deployment, whom the role makes"],
        ),
        (INSTALL, []),
        (INSTALL_NOW, []),
        ({**INSTALL_NOW, "router_redis_admin_urls": ["redis://admin@[::1]:6379/"]}, []),
        ({"router_redis_install": True}, ["router_redis_install needs router_redis_acl_manage: what it installs lets"]),
        (
            {**INSTALL, **FAR, "router_redis_url": "redis://desk@10.0.0.5", "router_redis_addresses": []},
            ["router_redis_install is for the host itself: router_redis_url must be redis://NAME@127.0.0.1:PORT/0"],
        ),
        *(
            (
                {**INSTALL_NOW, **wrong},
                ["router_redis_install makes the administrator too: "],
            )
            for wrong in (
                {"router_redis_admin_urls": ["redis://admin@127.0.0.1:6380"]},
                {"router_redis_admin_urls": ["redis://default@127.0.0.1"]},
                {"router_redis_admin_urls": ["redis://127.0.0.1"]},
                {"router_redis_admin_urls": ["redis://a%20b@127.0.0.1"]},
                {"router_redis_admin_urls": ["rediss://admin@127.0.0.1"]},
                {"router_redis_admin_urls": ADMIN * 2},
                {"router_redis_admin_password": ""},
            )
        ),
    ],
)
def test_a_contradiction_is_named(given: dict[str, Any], said: list[str]) -> None:
    """What cannot hold together is one line that names both; what can is none."""
    found = problems(**given)
    assert len(said) == len(found), found
    assert all(problem.startswith(start) for problem, start in zip(found, said, strict=True)), found
    assert "s3cret" not in str(found)


@pytest.mark.parametrize(
    ("settings", "given", "expected"),
    [
        ({}, {"router_redis_password": "s3cret"}, []),
        ({"ROUTER_REDIS_PASSWORD_FILE": "redis-password"}, {"router_redis_password": "s3cret"}, []),
        ({"ROUTER_REDIS_PASSWORD_FILE": ""}, {}, []),
        ({"ROUTER_REDIS_URL": DEFAULTS["router_redis_url"]}, {}, []),
        ({"ROUTER_REDIS_URL": "redis://:s3cret@there:6379/0"}, {}, ["router_redis_url"]),
        ({"ROUTER_REDIS_PASSWORD_FILE": "/run/s3cret"}, {}, ["router_redis_password"]),
        ({"ROUTER_SENTINEL_PASSWORD_FILE": "/run/s3cret"}, {}, ["router_sentinel_password"]),
        ({"ROUTER_SENTINEL_PASSWORD_FILE": "sentinel-password"}, {"router_sentinel_password": "s3cret"}, []),
        (
            {"ROUTER_REDIS_URL": None, "ROUTER_REDIS_PASSWORD_FILE": "s3cret"},
            {"router_redis_password": "s3cret"},
            ["router_redis_url", "router_redis_password"],
        ),
    ],
)
def test_settings_that_the_role_overrules_are_refused(
    settings: dict[str, Any], given: dict[str, Any], expected: list[str]
) -> None:
    """Another Redis among the settings is refused with the variable that names it, never with what was given."""
    found = problems(router_settings=settings, **given)
    assert expected == [problem.split("set ")[1].removesuffix(" instead") for problem in found]
    assert "s3cret" not in str(found)


def test_what_is_wrong_by_itself_contradicts_nothing() -> None:
    """A value that is no number is named once, not compared."""
    assert 1 == len(problems(router_soak_max="soon"))
    assert [] == problems(window_s=None, router_soak_max=30)


def test_the_suffix_of_users_is_the_same_for_role_and_router() -> None:
    """The router's commands log in by the name that the role makes, and preflight refuses."""
    assert login.SUFFIX == DEPLOYMENT_SUFFIX


def test_wheel_host_and_dependencies_are_named_in_the_same_breath(tmp_path: Path) -> None:
    """Settings that the wheel refuses, what the host lacks and missing dependencies stand beside the variables."""
    wheel = tmp_path / "router.whl"
    wheel.touch()
    asked = {"rc": 78, "stdout": "", "stderr_lines": ["MAX_OPEN_ORDERS='0' must be"]}
    info = {"problems": ["machine riscv64 is not supported"]}
    found = refusals({"router_x": 1}, OPTIONS, asked, str(wheel), str(tmp_path / "cp39-riscv64.zip"), info)
    starts = ["router_x is no", "MAX_OPEN_ORDERS='0'", "machine riscv64", "no dependencies for this host at "]
    assert [True] * 4 == [problem.startswith(start) for problem, start in zip(found, starts, strict=True)]
    assert found[-1].endswith("run make wheelhouse WHEELHOUSE_TARGETS=cp39-riscv64")


def test_a_wheel_that_is_none_is_named(tmp_path: Path) -> None:
    """A path without a file, and a file that is no wheel of the router, are told apart."""
    asked = {"rc": 1, "stdout": "", "stderr_lines": ["No module named 'router'"]}
    (missing,) = refusals({}, OPTIONS, asked, str(tmp_path / "no.whl"))
    assert missing.endswith("no.whl: run make wheel, or give -e router_artifact=PATH")
    (tmp_path / "other.whl").touch()
    (other,) = refusals({}, OPTIONS, asked, str(tmp_path / "other.whl"))
    assert other.endswith("other.whl cannot check settings (No module named 'router'): deploy another wheel")


def test_the_window_of_the_settings_counts(tmp_path: Path) -> None:
    """Three windows of the router as it is set have to fit into the soak."""
    wheel = tmp_path / "router.whl"
    wheel.touch()
    asked = {"rc": 0, "stdout": json.dumps({"window_s": 100.0}), "stderr_lines": []}
    (problem,) = refusals(DEFAULTS, OPTIONS, asked, str(wheel))
    assert problem.startswith("router_soak_max=300 is below 320")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"router_criteria_off": ["governer"]}, ["router_criteria_off names 'governer': did you mean governor?"]),
        ({"router_criteria_off": "governor, execution lag"}, []),
        ({"router_criteria_off": NAMES}, ["router_criteria_off switches every criterion off: leave one on"]),
        ({"router_criteria_off": NAMES, "router_criteria": {"mine": {"command": ["/bin/true"]}}}, []),
        ({"router_criteria_off": ["x"]}, ["router_criteria_off names 'x': one of service, reduction, not silent"]),
        ({"router_criteria": {"orders agree": {"command": ["/bin/check", "-v"]}}}, []),
        ({"router_criteria": {"x": {"command": ["/bin/check"], "timeout_s": 1.5}}}, []),
        ({"router_criteria": {"errors": {"command": ["x"]}}}, ["router_criteria['errors'] is the judge's own"]),
        ({"router_criteria": {"X": {"command": ["x"]}}}, ["router_criteria['X'] is no name"]),
        ({"router_criteria": {"x": ["/bin/check"]}}, ["router_criteria['x'] must be a mapping"]),
        (
            {"router_criteria": {"x": {"command": "check -v"}}},
            ["router_criteria['x'] needs a command, a list of words"],
        ),
        ({"router_criteria": {"x": {"command": []}}}, ["router_criteria['x'] needs a command"]),
        ({"router_criteria": {"x": {"command": ["check", 5]}}}, ["router_criteria['x'] needs a command"]),
        ({"router_criteria": {"x": {"command": ["c"], "timeout_s": 0}}}, ["router_criteria['x'] has timeout_s=0"]),
        ({"router_criteria": {"x": {"command": ["c"], "timeout_s": 301}}}, ["router_criteria['x'] has timeout_s=301"]),
        (
            {"router_criteria": {"x": {"command": ["c"], "timeout_s": True}}},
            ["router_criteria['x'] has timeout_s=True"],
        ),
        (
            {"router_criteria": {"x": {"comand": ["c"]}}},
            ["router_criteria['x'] has an unknown key 'comand': did you mean command?", "router_criteria['x'] needs a"],
        ),
        ({"router_criteria": "x"}, ["router_criteria='x' must be a mapping"]),
    ],
)
def test_criteria_that_cannot_be_asked_are_named(given: dict[str, Any], said: list[str]) -> None:
    """A criterion that is mistyped, unknown or no command is refused before anything is touched."""
    found = problems(3, **given)
    assert len(said) == len(found), found
    assert all(problem.startswith(words) for problem, words in zip(found, said, strict=True)), found
