# SPDX-License-Identifier: Apache-2.0
"""Several hosts in one run: who is refused, who may begin, and how each of them ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.quantum.router.plugins.filter import fleet as filters
from ansible_collections.quantum.router.plugins.plugin_utils import fleet
from hypothesis import given
from hypothesis import strategies as st

RELEASE, OTHER = "1.0.0-0123456789ab", "1.0.0-ba9876543210"
STANDINGS = ("proven", "held", "unchanged", "failed", "")


def running(**facts: Any) -> dict[str, Any]:
    """What router_info says of a host where the release runs as this run has left it."""
    process = {"release": RELEASE, "version": "1.0.0", "code": "c0de", "settings": {"MAX_OPEN_ORDERS": "10"}}
    info = {
        "process": process,
        "unit": {"state": "active"},
        "releases": {"pending": {"deployment": "d1"}},
        "drift": [],
        "redis": {"run_id": ""},
    }
    return {**info, **facts}


def member(name: str = "", standing: str = "proven", **facts: Any) -> Any:
    """A host with a Redis of its own, which *name* makes another than that of the others."""
    info = running(redis={"run_id": f"run of {name}"})
    if standing == "unchanged":
        info["releases"] = {"pending": None}
    given = {"release": RELEASE, "deployment": "d1", "environment": "MAX_OPEN_ORDERS=10\n", "info": info}
    return fleet.Member(**{**given, "standing": standing, **facts})


def three(**others: Any) -> dict[str, Any]:
    """Three proven hosts, but for those that are given."""
    return {name: member(name) for name in "abc"} | others


def actions(members: dict[str, Any], on_failure: str = "rollback") -> dict[str, str]:
    """What becomes of each host."""
    return {name: ending.action for name, ending in fleet.endings(members, on_failure).items()}


def with_redis(run_id: str, environment: str = "") -> Any:
    """A host that reached this server with this environment."""
    return member(info=running(redis={"run_id": run_id}), environment=environment)


@pytest.mark.parametrize(
    ("environments", "run_ids"),
    [
        (("", ""), ("x", "y")),
        (("ROUTER_REDIS_URL=redis://127.0.0.1:6379/0", "ROUTER_REDIS_URL=redis://127.0.0.1:6379/1"), ("x", "x")),
        (("ROUTER_REDIS_URL=unix:///run/redis.sock?db=1", "ROUTER_REDIS_URL=redis://h/0"), ("x", "x")),
        (("ROUTER_REDIS_URL=redis://h?db=1", "ROUTER_REDIS_URL=redis://h?db=2"), ("x", "x")),
        (("ROUTER_KEY_PREFIX=one:", "ROUTER_KEY_PREFIX=two:"), ("x", "x")),
        (("ROUTER_REDIS_URL=redis+sentinel://localhost:1/m/0",) * 2, ("", "")),
        (
            ("ROUTER_REDIS_URL=redis+sentinel://s1:1,s2:1/m/0", "ROUTER_REDIS_URL=redis+sentinel://s1:1,s2:1/n/0"),
            ("", ""),
        ),
    ],
)
def test_hosts_with_a_redis_database_or_prefix_of_their_own(
    environments: tuple[str, str], run_ids: tuple[str, str]
) -> None:
    """The same address is another server on each host; another database or prefix of one server is fine as well."""
    members = {
        name: with_redis(*given) for name, given in zip("ab", zip(run_ids, environments, strict=True), strict=True)
    }
    assert [] == fleet.refusals(members, 60.0)


@pytest.mark.parametrize(
    ("environments", "run_ids"),
    [
        (("ROUTER_REDIS_URL=redis://127.0.0.1:6379", "ROUTER_REDIS_URL=redis://me@10.0.0.5:6379/0"), ("x", "x")),
        (("ROUTER_REDIS_URL=unix:///run/redis.sock", "ROUTER_REDIS_URL=redis://10.0.0.5/0"), ("x", "x")),
        (("ROUTER_REDIS_URL=redis://h/1", "ROUTER_REDIS_URL=redis://h?db=1"), ("x", "x")),
        (("ROUTER_KEY_PREFIX=one: ROUTER_REDIS_URL=redis://h/2".replace(" ", "\n"),) * 2, ("x", "x")),
        (
            ("ROUTER_REDIS_URL=redis+sentinel://s1:1,s2:1/m/0", "ROUTER_REDIS_URL=redis+sentinel://me@s1:1,s2:1/m"),
            ("", ""),
        ),
    ],
)
def test_hosts_on_one_redis_are_named_together(environments: tuple[str, str], run_ids: tuple[str, str]) -> None:
    """Whatever the address is called on each of them, it is the server's process that counts."""
    members = {
        name: with_redis(*given) for name, given in zip("ab", zip(run_ids, environments, strict=True), strict=True)
    }
    (line,) = fleet.refusals({**members, "c": with_redis("z", environments[0])}, 60.0)
    assert line.startswith("a and b use the same Redis, database ")
    assert line.endswith("give each a server, a database or a ROUTER_KEY_PREFIX of its own")


def test_settings_that_decide_what_is_published_are_equal() -> None:
    """What differs is named with its values and hosts; where a host finds Redis is its own affair."""
    members = three(
        b=member("b", environment="MAX_OPEN_ORDERS=5\nROUTER_REDIS_URL=redis://10.0.0.5/0\nROUTER_KEY_PREFIX=b:\n"),
        c=member("c", environment="", release="1.0.1-0123456789ab"),
    )
    version, setting = fleet.refusals(members, 60.0)
    assert (
        version == "the version differs: 1.0.0 on a and b, 1.0.1 on c; make it equal, or deploy to them apart (--limit)"
    )
    assert setting.startswith("MAX_OPEN_ORDERS differs: 10 on a, 5 on b, not set on c; ")


def test_one_refused_host_keeps_all_others_away() -> None:
    """Who is lost or refused before the first deployment is named on all others: nothing was touched anywhere."""
    members = three(b=member("b", release=""), c=fleet.Member(reachable=False))
    assert [
        "c cannot be reached: no host of the fleet was touched",
        "b is refused, its own line says why: no host of the fleet was touched",
    ] == fleet.refusals(members, 60.0)


def test_a_guard_that_would_wait_for_weeks_is_refused() -> None:
    """Too many hosts with too long a soak: the line names what shortens the wait."""
    (line,) = fleet.refusals(three(), 604_801.0)
    assert "more than a week" in line
    assert [] == fleet.refusals(three(), 604_800.0)


@pytest.mark.parametrize(
    ("first", "said"),
    [
        (member("a"), ""),
        (member("a", "unchanged"), ""),
        (member("a", "failed", reason="silent"), "not deployed and not touched, since a failed first: silent"),
        (member("a", "held", reason="too few"), "not deployed and not touched, since a is held: too few"),
        (member("a", reachable=False), "not deployed and not touched, since a failed first: it cannot be reached"),
        (member("a", ""), "not deployed and not touched, since a failed first: it was not deployed to"),
    ],
)
def test_others_begin_only_after_the_first(first: Any, said: str) -> None:
    """Only a first host that is proven, or runs the release already, lets the others begin; else they say why."""
    assert said == fleet.gate({"a": first, "b": member("b", "")})


def test_all_proven_are_confirmed_and_those_that_ran_it_stay_untouched() -> None:
    """Nothing is to be said then."""
    endings = fleet.endings(three(b=member("b", "unchanged")), "rollback")
    assert {"a": ("confirm", ""), "b": ("nothing", ""), "c": ("confirm", "")} == {
        name: (ending.action, ending.reason) for name, ending in endings.items()
    }


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (member("b", "failed", reason="silent"), "the fleet is not proven: b: silent"),
        (member("b", reachable=False), "the fleet is not proven: b: it cannot be reached"),
        (member("b", info={"msg": "no space"}), "the fleet is not proven: b: what runs there cannot be read: no space"),
        (
            member("b", info=running(releases={"pending": None})),
            "the fleet is not proven: b: deployment d1 is not pending any more, its guard or a person has ended it",
        ),
        (
            member("b", "unchanged", info=running()),
            "the fleet is not proven: b: deployment d1 of somebody else is pending there",
        ),
        (member("b", info=running(unit={"state": "failed"})), "the fleet is not proven: b: the unit is failed"),
        (
            member("b", info=running(process={"release": OTHER})),
            f"the fleet is not proven: b: the process is of {OTHER}, not of {RELEASE}",
        ),
        (
            member("b", info=running(process={"release": None})),
            f"the fleet is not proven: b: the process is of no release of ours, not of {RELEASE}",
        ),
        (member("b", info=running(drift=["x differs", "y"])), "the fleet is not proven: b: x differs"),
    ],
)
def test_any_failure_undoes_what_is_proven(second: Any, said: str) -> None:
    """A host that failed, is lost, or does not run what was proven there undoes the others, who say which and why."""
    endings = fleet.endings(three(b=second), "rollback")
    assert {"a": ("rollback", said), "c": ("rollback", said)} == {
        name: (endings[name].action, endings[name].reason) for name in "ac"
    }
    assert "confirm" not in actions(three(b=second)).values()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"version": "1.0.1"}, "the version differs: 1.0.0 on a, 1.0.1 on c"),
        ({"code": "bad"}, "the code differs: c0de on a, bad on c"),
        ({"settings": {"MAX_OPEN_ORDERS": "5"}}, "MAX_OPEN_ORDERS differs: 10 on a, 5 on c"),
        ({"settings": {}}, "MAX_OPEN_ORDERS differs: 10 on a, not set on c"),
    ],
)
def test_processes_that_differ_are_no_fleet(changed: dict[str, Any], said: str) -> None:
    """Version, code and settings of the running processes must be equal; what is kept is what the first host runs."""
    process = {**running()["process"], **changed}
    members = three(c=member("c", info=running(process=process)))
    assert said in fleet.endings(members, "rollback")["a"].reason
    assert {"a": "rollback", "b": "rollback", "c": "rollback"} == actions(members)
    assert {"a": "confirm", "b": "confirm", "c": "rollback"} == actions(members, "keep")


def test_keep_confirms_what_is_proven_and_says_what_failed() -> None:
    """With `keep` the failure of one host leaves the others as they are, held ones too; their lines name it."""
    members = three(b=member("b", "failed", reason="silent"), c=member("c", "held"), d=member("d", "unchanged"))
    endings = fleet.endings(members, "keep")
    said = "the fleet is not proven: b: silent"
    assert {
        "a": ("confirm", said),
        "b": ("nothing", ""),
        "c": ("hold", said),
        "d": ("nothing", said),
    } == {name: (ending.action, ending.reason) for name, ending in endings.items()}


def test_a_held_host_holds_all() -> None:
    """Where nothing failed and a person has to decide about one host, the decision is about all of them."""
    endings = fleet.endings(three(c=member("c", "held")), "rollback")
    assert {"a": ("hold", "waits for c"), "b": ("hold", "waits for c"), "c": ("hold", "")} == {
        name: (ending.action, ending.reason) for name, ending in endings.items()
    }
    assert {"rollback"} == set(actions(three(b=member("b", reachable=False), c=member("c", "held"))).values()) - {
        "nothing"
    }


def test_a_held_first_host_waits_alone() -> None:
    """The others have not begun, which is no failure that would undo it."""
    first = member("a", "held", reason="too few signals")
    rest = {name: member(name, "failed", reason=fleet.gate({"a": first})) for name in "bc"}
    assert {"a": "hold", "b": "nothing", "c": "nothing"} == actions({"a": first, **rest})


def test_who_has_not_begun_is_not_counted() -> None:
    """The first host's failure is told once, not once for each that did not begin because of it."""
    first = member("a", "failed", reason="silent")
    rest = {name: member(name, "failed", reason=fleet.gate({"a": first})) for name in "bc"}
    ended = fleet.endings({"a": first, **rest, "d": member("d", "unchanged")}, "rollback")
    assert "the fleet is not proven: a: silent" == ended["d"].reason


def test_check_mode_expects_nothing_to_run() -> None:
    """What is only predicted is judged by the predictions alone."""
    members = three(b=member("b", info=running(unit={"state": "inactive"})))
    assert {"confirm"} == {ending.action for ending in fleet.endings(members, "rollback", check_mode=True).values()}


STATES = st.lists(
    st.builds(
        lambda standing, reachable, sound: replace(
            member("", standing),
            reachable=reachable,
            info=member("", standing).info if sound else {"failed": True},
        ),
        st.sampled_from(STANDINGS),
        st.booleans(),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


@given(STATES, st.sampled_from(["rollback", "keep"]))
def test_all_or_none(members: list[Any], on_failure: str) -> None:
    """With `rollback` nobody is confirmed beside a host that is not sound; nobody who waits is forgotten."""
    hosts = {str(number): each for number, each in enumerate(members)}
    found = fleet.endings(hosts, on_failure)
    sound = [each.reachable and each.standing in fleet.DONE and "process" in each.info for each in members]
    decided = {name: ending.action for name, ending in found.items()}
    for name, each in hosts.items():
        waits = each.standing in ("proven", "held")
        assert (decided[name] == "nothing") == (not waits)
        assert decided[name] != "confirm" or (sound[int(name)] and each.standing == "proven")
    if on_failure == "rollback" and not all(sound):
        assert {"rollback", "nothing"} >= set(decided.values())


def test_the_filter_reads_what_the_tasks_have_left() -> None:
    """A host that never answered has no variables of ours; the others have those that the role's tasks register."""
    variables = {
        "_router_release": RELEASE,
        "_router_deployment": "d1",
        "_router_environment_text": "MAX_OPEN_ORDERS=10\n",
        "__router_info": running(),
        "__router_report": {"standing": "proven", "reason": None},
    }
    said = filters.fleet({"a": variables, "b": {}}, ["a", "b"], ["a"])
    assert ["b cannot be reached: no host of the fleet was touched"] == said["refusals"]
    assert "" == said["gate"]
    assert {"action": "rollback", "reason": "the fleet is not proven: b: it cannot be reached"} == said["endings"]["a"]
    assert {"action": "confirm", "reason": ""} == filters.fleet({"a": variables}, ["a"], ["a"])["endings"]["a"]
