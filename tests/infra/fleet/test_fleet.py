# SPDX-License-Identifier: Apache-2.0
"""Three hosts in one run: all of them end with the new release, or none does.

The tests tell one story in order: each finds the hosts as the one before has left them.
"""

from __future__ import annotations

import importlib
import json
import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.infra.controller import deploying
from tests.infra.desk import Desk, eventually
from tests.infra.endings import JOURNAL, MARKER, Fault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from tests.infra.conftest import Playbooks
    from tests.infra.desk import Run

testinfra = importlib.import_module("testinfra")  # it carries no types

NAMES = FIRST, SECOND, THIRD = tuple(f"quantum-molecule-fleet-{number}" for number in (1, 2, 3))
METRICS_PORT, NEXT_METRICS_PORT = 9108, 9109
#: As short as a proof can be: several deployments to three hosts would take long.
SETTINGS = {
    "CANDIDATE_WINDOW_SEC": 0.5,
    "ROUTER_LEASE_TTL_SEC": 1,
    "ROUTER_METRICS_LISTEN": f"127.0.0.1:{METRICS_PORT}",
}
QUICK: dict[str, Any] = {
    "router_settings": SETTINGS,
    "router_watchdog_s": 2,
    "router_soak_min": 3,
    "router_baseline_min": 4,
}
#: The release after that; the one before still has its port.
NEXT_SETTINGS = {**SETTINGS, "MAX_OPEN_ORDERS": 9, "ROUTER_METRICS_LISTEN": f"127.0.0.1:{NEXT_METRICS_PORT}"}
NEXT = {**QUICK, "router_settings": NEXT_SETTINGS}


@pytest.fixture(scope="module")
def desks() -> dict[str, Desk]:
    """The hosts by name, in the order of the inventory."""
    inventory = os.environ["MOLECULE_INVENTORY_FILE"]
    return {name: Desk(testinfra.get_host(f"ansible://{name}", ansible_inventory=inventory)) for name in NAMES}


@contextmanager
def each_ends(desks: dict[str, Desk], outcomes: dict[str, str]) -> Iterator[None]:
    """What happens meanwhile leaves each of these hosts as it must: see endings.py."""
    faults = [Fault(desks[name], outcome, lambda _seconds: None) for name, outcome in outcomes.items()]
    yield
    for fault in faults:
        fault.ends(within_s=40.0)


def lines(run: Run) -> dict[str, str]:
    """The last lines of a run by host."""
    found = (re.search(r" host=(\S+)", line) for line in run.output.strip().splitlines()[-len(NAMES) :])
    return {match[1]: match.string for match in found if match}


def last_entry(desk: Desk) -> dict[str, Any]:
    """The newest line of a host's journal."""
    entry: dict[str, Any] = json.loads(desk.run(f"tail -n 1 {JOURNAL}"))
    return entry


def waits(desk: Desk) -> bool:
    """Whether a host is proven and waits for the others."""
    return bool(desk.host.file(MARKER).exists and last_entry(desk)["action"] == "extended")


def hasten_guard(desk: Desk) -> None:
    """Let a guard that has minutes to go fire at once."""
    deployment = json.loads(desk.run(f"cat {MARKER}"))["deployment"]
    desk.run(f"router-release extend --deployment {deployment} --seconds 1")


@contextmanager
def port_taken(desk: Desk, port: int = METRICS_PORT) -> Iterator[None]:
    """A host on which the release passes its drill and cannot start, since it is to serve metrics there."""
    desk.run(f"systemd-run --quiet --unit=squatter python3 -m http.server {port} --bind 127.0.0.1")
    yield
    desk.run("systemctl stop squatter")


def test_check_mode_predicts_and_touches_nothing(desks: dict[str, Desk], playbooks: Playbooks) -> None:
    """On three fresh hosts check mode goes through all phases of all of them and says what would change."""
    with each_ends(desks, dict.fromkeys(NAMES, "refused")):
        run = playbooks.deploy("--check", **QUICK)
    assert 0 == run.code
    assert dict.fromkeys(NAMES, True) == {
        name: line.startswith("check_mode=true would_change=true ") for name, line in lines(run).items()
    }


def test_hosts_on_one_redis_are_refused(desks: dict[str, Desk], playbooks: Playbooks) -> None:
    """All who would use the same server are named together, on each of them, and nothing is touched."""
    one = {"router_redis_url": "redis://172.31.74.20:6379/0", "router_redis_addresses": ["localhost", "172.31.74.20"]}
    with each_ends(desks, dict.fromkeys(NAMES, "refused")):
        desks[FIRST].redis("CONFIG", "SET", "bind", "'127.0.0.1 172.31.74.20'", "protected-mode", "no")
        try:
            run = playbooks.deploy(**QUICK, **one)
        finally:
            desks[FIRST].redis("CONFIG", "SET", "bind", "127.0.0.1", "protected-mode", "yes")
    assert 0 != run.code
    said = f'reason="{FIRST}, {SECOND} and {THIRD} use the same Redis, database 0, prefix none: give each a server'
    assert dict.fromkeys(NAMES, True) == {name: said in line for name, line in lines(run).items()}


@pytest.mark.fault(24, "the second of three hosts fails", phase="activate", outcome="back")
def test_second_of_three_fails(desks: dict[str, Desk], playbooks: Playbooks) -> None:
    """The first one was proven and goes back, the third finishes its own verdict and goes back: all as before."""
    with each_ends(desks, dict.fromkeys(NAMES, "back")), port_taken(desks[SECOND]):
        run = playbooks.deploy(**QUICK)
    assert 0 != run.code
    told = lines(run)
    assert all("verdict=fail " in line and "rolled_back=true" in line for line in told.values()), told
    assert "ROUTER_METRICS_LISTEN" in told[SECOND]
    for name in (FIRST, THIRD):
        assert f'reason="the fleet is not proven: {SECOND}: ' in told[name]
        judged = json.loads((playbooks.reports / "latest" / name / "report.json").read_text(encoding="utf-8"))
        assert {each["status"] for each in judged["criteria"]} <= {"pass", "skipped"}


def test_first_fails(desks: dict[str, Desk], playbooks: Playbooks) -> None:
    """A first host that fails keeps all others from beginning: their processes go on, and their lines say why."""
    with each_ends(desks, {FIRST: "back", SECOND: "refused", THIRD: "refused"}), port_taken(desks[FIRST]):
        run = playbooks.deploy(**QUICK)
    assert 0 != run.code
    told = lines(run)
    assert "rolled_back=true" in told[FIRST]
    for name in (SECOND, THIRD):
        assert f'reason="not deployed and not touched, since {FIRST} failed first: ' in told[name]
        assert "rolled_back" not in told[name]


@pytest.mark.long
@pytest.mark.fault(15, "the controller is killed", phase="soak", outcome="back")
def test_controller_killed_before_the_confirmation(desks: dict[str, Desk], playbooks: Playbooks) -> None:
    """The first one is proven, the others are watched, nobody is confirmed: every host goes back by itself."""
    with each_ends(desks, dict.fromkeys(NAMES, "back")):
        with deploying(playbooks, **QUICK) as controller:
            assert eventually(lambda: controller.process.poll() is not None or waits(desks[FIRST]), 300.0)
            assert eventually(lambda: all(desk.host.file(MARKER).exists for desk in desks.values()), 300.0)
            controller.kill()
        for desk in desks.values():
            hasten_guard(desk)
    for desk in desks.values():
        entry = last_entry(desk)
        assert ("rolled back", "guard: not confirmed within 1 s") == (entry["action"], entry["reason"])


def test_all_proven_are_confirmed_together(desks: dict[str, Desk], playbooks: Playbooks) -> None:
    """Each has its own verdict; none is confirmed before the last one is proven."""
    with each_ends(desks, dict.fromkeys(NAMES, "proven")):
        run = playbooks.deploy(**QUICK)
    assert 0 == run.code
    assert dict.fromkeys(NAMES, True) == {
        name: line.startswith("verdict=pass ") and line.endswith(f" host={name}") for name, line in lines(run).items()
    }
    journals = [list(map(json.loads, desk.run(f"cat {JOURNAL}").splitlines())) for desk in desks.values()]
    proven = [[entry["at"] for entry in entries if entry["action"] == "extended"][-1] for entries in journals]
    confirmed = [[entry["at"] for entry in entries if entry["action"] == "confirmed"][-1] for entries in journals]
    assert max(proven) < min(confirmed)
    assert 1 == len({desk.command_line().partition("/venv/")[0] for desk in desks.values()})


def test_again_changes_nothing(desks: dict[str, Desk], playbooks: Playbooks) -> None:
    """All three run it already: the same processes go on, and each says so."""
    with each_ends(desks, dict.fromkeys(NAMES, "refused")):
        run = playbooks.deploy(**QUICK)
    assert 0 == run.code
    assert all(line.endswith(" unchanged=true") for line in lines(run).values())
    assert len(NAMES) == len(re.findall(r"^quantum-\S+ .*changed=0 .*failed=0 ", run.output, re.MULTILINE))


@pytest.mark.long
@pytest.mark.fault(24, "the second of three hosts fails", phase="soak", outcome="back")
def test_a_host_that_is_lost_undoes_the_others(desks: dict[str, Desk], playbooks: Playbooks, lab: ModuleType) -> None:
    """The second goes away while it is watched: the proven ones go back at once, the lost one by its guard."""
    with each_ends(desks, dict.fromkeys(NAMES, "back")):
        with deploying(playbooks, **NEXT) as controller:
            watched = desks[SECOND].host.file(MARKER)
            assert eventually(lambda: controller.process.poll() is not None or watched.exists, 600.0)
            try:
                lab.podman("exec", SECOND, "sh", "-c", "systemctl stop ssh; pkill -KILL -u deploy; true")
                run = controller.ends()
            finally:
                lab.podman("exec", SECOND, "systemctl", "start", "ssh")
        hasten_guard(desks[SECOND])
    assert 0 != run.code
    told = lines(run)
    for name in (FIRST, THIRD):
        assert "rolled_back=true" in told[name]
        assert f'reason="the fleet is not proven: {SECOND}: it cannot be reached' in told[name]
    assert 'reason="unreachable: ' in told[SECOND]
    assert "the host undoes it by itself" in told[SECOND]


@pytest.mark.long
@pytest.mark.fault(24, "the second of three hosts fails", phase="activate", outcome="back")
def test_keep(desks: dict[str, Desk], playbooks: Playbooks) -> None:
    """With `keep` those that were proven are confirmed beside one that failed; the run fails all the same."""
    outcomes = {FIRST: "proven", SECOND: "back", THIRD: "proven"}
    with each_ends(desks, outcomes), port_taken(desks[SECOND], NEXT_METRICS_PORT):
        run = playbooks.deploy(router_fleet_on_failure="keep", **NEXT)
    assert 0 != run.code
    told = lines(run)
    assert f"host={SECOND} rolled_back=true " in told[SECOND]
    for name in (FIRST, THIRD):
        assert told[name].startswith("verdict=pass ")
        assert f'host={name} fleet="the fleet is not proven: {SECOND}: ' in told[name]
        assert "MAX_OPEN_ORDERS=9" in desks[name].run("cat /opt/quantum-router/current/environment").splitlines()
