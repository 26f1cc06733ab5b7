# SPDX-License-Identifier: Apache-2.0
"""The role: its variables are described once and agree, and its unit is what it promises."""

from __future__ import annotations

import importlib
import re
from dataclasses import asdict
from itertools import chain, product
from pathlib import Path
from typing import Any

import pytest

from router.commands.proof import judge
from router.proof.criteria import CRITERIA, RANGES, Thresholds

core = importlib.import_module("ansible.plugins.filter.core")
jinja = importlib.import_module("jinja2.nativetypes")
yaml = importlib.import_module("yaml")  # it carries no types
activation = importlib.import_module("ansible_collections.quantum.router.plugins.module_utils.release.activation")
criteria = importlib.import_module("ansible_collections.quantum.router.plugins.plugin_utils.criteria")
phases = importlib.import_module("ansible_collections.quantum.router.plugins.plugin_utils.phases")
variables = importlib.import_module("ansible_collections.quantum.router.plugins.plugin_utils.variables")

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
    named = [line.split()[-1] for line in text.splitlines() if "import_tasks" in line or "include_tasks" in line]
    assert [f"{phase}.yml" for phase in phases.PHASES] == named


@pytest.mark.parametrize("own_s", [0, 310.5])
@pytest.mark.parametrize("start_s", [1, 20, 600])
@pytest.mark.parametrize(("soak_max_s", "soak_least_s"), [(1, 40), (300, 29.5), (86_400.5, 30)])
def test_guard_outlasts_activation_and_soak(start_s: int, soak_max_s: float, soak_least_s: float, own_s: float) -> None:
    """Whatever the times, the guard cannot fire between an activation, however slow, and the end of the soak."""
    rule = jinja.NativeEnvironment().from_string(loaded("vars/main.yml")["_router_guard_s"])
    times = {"start_timeout_s": start_s, "soak_max": soak_max_s, "soak_least": soak_least_s, "own_s": own_s}
    guard_s = rule.render({f"_router_{name}": value for name, value in times.items()})
    assert 2 * start_s + activation.STOP_S + max(soak_max_s, soak_least_s) + 2 * own_s < guard_s


def test_thresholds_and_criteria_are_those_of_the_judge() -> None:
    """Every threshold of the judge is a variable with its default and range, and the names of criteria are its own."""
    assert asdict(Thresholds()) == {name: loaded("defaults/main.yml")[f"router_{name}"] for name in RANGES}
    assert RANGES == {name: variables.RANGES[f"router_{name}"] for name in RANGES}
    assert tuple(CRITERIA) == criteria.NAMES


def rendered(name: str, **given: Any) -> Any:
    """A variable of the role's vars, where these are given besides the defaults."""
    environment = jinja.NativeEnvironment()
    environment.filters.update(core.FilterModule().filters())
    environment.filters.update(product=product, flatten=lambda pairs: [*chain.from_iterable(pairs)], split=str.split)
    return environment.from_string(loaded("vars/main.yml")[name]).render({**loaded("defaults/main.yml"), **given})


def test_what_is_set_reaches_the_judge() -> None:
    """The judge's command takes the options that the role makes of thresholds and of what is switched off."""
    options = rendered("_router_limits", router_confidence=0.99, _router_criteria_off=["governor", "execution lag"])
    context = judge.make_context("judge", ["before", "after", *map(str, options)])
    assert ("governor", "execution lag") == context.params["off"]
    assert {**asdict(Thresholds()), "confidence": 0.99} == {name: context.params[name] for name in RANGES}


@pytest.mark.parametrize("given", [["governor", "execution lag"], "governor, execution lag", [], ""])
def test_criteria_that_are_off_are_a_list_or_text(given: Any) -> None:
    """What -e hands over as text counts as the list that it spells."""
    expected = ["governor", "execution lag"] if given else []
    assert expected == [*rendered("_router_criteria_off", router_criteria_off=given)]


SERVERS = (
    ("redis://h:6379", "redis://h:6379/", "redis://h:6379/0", "redis://h:6379/1"),
    ("redis://a@h:6379/0", "redis://a@h:6379/0?db=1"),
    ("redis://b@h:6379/0",),
    ("redis://a@h:6380/0",),
    ("rediss://a@h:6379/0", "rediss://a@h:6379/0?ssl_ca_certs=/ca.pem", "rediss://a@h:6379?ssl_ca_certs=/other/0"),
    ("unix://a@/run/redis.sock", "unix://a@/run/redis.sock?db=1"),
    ("unix://a@/run/redis/6379",),
    ("unix://a@/run/redis/6380",),
    ("redis+sentinel://a@h,i:1/one/0", "redis+sentinel://a@h,i:1/one"),
    ("redis+sentinel://a@h,i:1/two/0",),
)


def test_each_user_of_each_server_has_a_folder_for_its_passwords() -> None:
    """The same one whatever the database and how it is reached, so that one user has one password."""

    def folder(url: str) -> Any:
        return rendered(
            "_router_secrets", _router_redis_account=rendered("_router_redis_account", router_redis_url=url)
        )

    folders = [{folder(url) for url in urls} for urls in SERVERS]
    assert [1] * len(SERVERS) == [len(each) for each in folders]
    assert len(SERVERS) == len(set.union(*folders))
    assert all(re.fullmatch("/etc/quantum-router/[0-9a-f]{16}", folder) for folder in set.union(*folders))


@pytest.mark.parametrize(("hosts", "forks"), [(2, 5), (3, 1), (40, 5)])
def test_a_proven_host_outlasts_the_turns_of_all_others(hosts: int, forks: int) -> None:
    """As many are deployed to at once as Ansible has forks; the guard waits for the last one, and one turn more."""
    rule = jinja.NativeEnvironment().from_string(loaded("vars/main.yml")["_router_fleet_wait_s"])
    turn = {"_router_lock_wait_s": 5.5, "_router_lock_s": 600, "_router_guard_s": 490}
    wait_s = rule.render(_router_fleet=["host"] * hosts, ansible_forks=forks, **turn)
    assert wait_s >= (-(-(hosts - 1) // forks) + 1) * sum(turn.values())


def test_a_host_that_is_lost_keeps_no_play_from_running() -> None:
    """Each play is for all hosts at once and counts no failures: the last one runs while any host can be reached."""
    plays = yaml.safe_load((COLLECTION / "playbooks" / "site.yml").read_text(encoding="utf-8"))[1:]
    assert {"routers"} == {play["hosts"] for play in plays}
    used = {keyword for play in plays for keyword in play}
    assert not used & {"serial", "any_errors_fatal", "max_fail_percentage", "ignore_unreachable", "ignore_errors"}


def test_only_several_hosts_wait_and_only_until_they_are_settled() -> None:
    """One host alone is confirmed at once, and so is each where the role is used without the playbook."""
    rule = jinja.NativeEnvironment().from_string(loaded("vars/main.yml")["_router_waits"])
    assert rule.render(_router_fleet=["a", "b"])
    assert not rule.render(_router_fleet=["a", "b"], _router_settled=True)
    assert not rule.render(_router_fleet=["a"])
    assert not rule.render()


def test_what_a_person_returns_to_steers_no_failed_deployment() -> None:
    """A release that the inventory names for rollbacks is for `make rollback`: a deployment is undone as it began."""
    (task,) = loaded("tasks/rollback.yml")
    rule = jinja.NativeEnvironment().from_string(task["quantum.router.router_release"]["to"])
    given = {**loaded("defaults/main.yml"), "omit": "omitted"}
    assert "omitted" == rule.render(given)
    assert "1.0.0-aaaaaaaaaaaa" == rule.render({**given, "router_release_to": "1.0.0-aaaaaaaaaaaa"})
    begun = {"router_release_to": "1.0.0-aaaaaaaaaaaa", "_router_deployment": "d1"}
    assert "omitted" == rule.render({**given, **begun})


def test_versions_agree() -> None:
    """The collection has the version of the router that it ships."""
    galaxy = yaml.safe_load((COLLECTION / "galaxy.yml").read_text(encoding="utf-8"))
    assert f'__version__ = "{galaxy["version"]}"' in (ROOT / "router" / "__init__.py").read_text(encoding="utf-8")
