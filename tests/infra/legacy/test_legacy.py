# SPDX-License-Identifier: Apache-2.0
"""A host as in the field, whose router publishes everything: the new one has just been deployed there.

The tests tell one story in order: what stands now, the same again, back, and forward again in other circumstances.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from router.proof.criteria import CRITERIA
from tests.infra.desk import SCRIPT, UNIT, UNIT_FILE, eventually, is_legacy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.infra.conftest import Playbooks
    from tests.infra.desk import Desk

SIGNALS = "quantum:stream:ai.decision.made"
OPEN_ORDERS = "quantum:state:open_orders"
SANDBOX = {
    "User": "quantum-router",
    "Type": "notify",
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateUsers": "yes",
    "PrivateTmp": "yes",
    "CapabilityBoundingSet": "",
    "MemoryDenyWriteExecute": "yes",
    "WatchdogUSec": "4s",
}


@pytest.fixture(scope="module")
def report(playbooks: Playbooks) -> dict[str, Any]:
    """The report of Molecule's deployment, as it was before any test."""
    return playbooks.report


@pytest.fixture
def execution_stopped(desk: Desk) -> Iterator[None]:
    """Nobody else writes the capacity key."""
    desk.run("systemctl stop lab-execution")
    yield
    desk.run("systemctl start lab-execution")


def test_verdict(report: dict[str, Any]) -> None:
    """The deployment passes, with at least 80 % fewer intents per signal than the router before."""
    assert "pass" == report["verdict"]
    assert 0.8 <= report["reduction"] <= 1
    assert (False, False) == (report["unchanged"], report["rolled_back"])
    assert report["previous"].startswith("legacy-")
    criteria = {criterion["name"]: criterion["status"] for criterion in report["criteria"]}
    assert list(CRITERIA) == list(criteria)
    assert {"pass"} == set(criteria.values())
    assert ("confirm", None) == (report["action"], report["note"])


def test_report(report: dict[str, Any]) -> None:
    """The report holds both measurements, what changed, log lines, and the phases in their order."""
    measured = {"taken_at", "window_seconds", "signals", "intents", "publish_ratio", "governor", "capacity"}
    measured |= {"dedup_keys", "execution", "safe_mode", "service", "events"}
    for name in ("before", "after"):
        assert measured <= report[name].keys()
        assert datetime.fromisoformat(report[name]["taken_at"].replace("Z", "+00:00")).tzinfo
    assert report["before"]["publish_ratio"] > 0.9
    assert report["after"]["events"]["BEST_OF_PUBLISH"] > 0
    assert {"unit", "environment", "current"} == {part["before_header"] for part in report["diff"]}
    assert any("BEST_OF_PUBLISH" in line for line in report["log_sample"])
    assert any(line.strip().startswith("Active: active (running)") for line in report["systemctl_status"])
    phases = ["preflight", "lock", "stage", "recon", "check", "drill", "backup", "activate", "soak", "judge", "confirm"]
    assert phases == [phase["name"] for phase in report["phases"] if phase["status"] == "ok"][: len(phases)]


def test_running_unit_is_sandboxed(desk: Desk) -> None:
    """The unit that runs, not only its file, has the sandbox; systemd rates its exposure at most 2.0."""
    shown = desk.run(f"systemctl show --property={','.join(SANDBOX)} {UNIT}").splitlines()
    assert SANDBOX == dict(line.split("=", 1) for line in shown)
    last = desk.run(f"systemd-analyze security --no-pager {UNIT}").splitlines()[-1]
    found = re.search(r"exposure level for .*: ([0-9.]+) ", last)
    assert found
    assert float(found[1]) <= 2.0
    status = desk.run(f"cat /proc/{desk.runs()['MainPID']}/status")
    assert re.search(r"^NoNewPrivs:\s1$", status, re.MULTILINE)
    assert re.search(r"^CapEff:\s0+$", status, re.MULTILINE)
    assert re.search(r"^Seccomp:\s2$", status, re.MULTILINE)


def test_environment_file(desk: Desk, report: dict[str, Any]) -> None:
    """The settings lie in the release, closed to others; the running process has them and no secret."""
    environment = desk.host.file(f"/opt/quantum-router/releases/{report['release']}/environment")
    assert ("root", 0o640) == (environment.user, environment.mode)
    assert "CANDIDATE_WINDOW_SEC=1\n" in environment.content_string
    process = desk.run(f"tr '\\0' '\\n' < /proc/{desk.runs()['MainPID']}/environ")
    assert "CANDIDATE_WINDOW_SEC=1" in process.splitlines()
    assert not re.search("password|secret|token", (environment.content_string + process).lower())


def test_nothing_pending(desk: Desk) -> None:
    """What the router before left unacknowledged is dealt with."""
    assert "0" == desk.redis("XPENDING", SIGNALS, "router").splitlines()[0]


def test_journal_has_fields(desk: Desk) -> None:
    """Events are found by their name, with their numbers beside them."""
    line = desk.run("journalctl --no-pager --lines=1 --output=verbose EVENT=BEST_OF_PUBLISH")
    assert f"_SYSTEMD_UNIT={UNIT}" in line
    assert re.search(r"^ +COUNT=[12]$", line, re.MULTILINE)
    assert re.search(r"^ +MESSAGE=📤 BEST_OF_PUBLISH count=[12] allowed=[123] open=", line, re.MULTILINE)


def test_same_release_again(desk: Desk, playbooks: Playbooks, report: dict[str, Any]) -> None:
    """The same deployment again changes nothing, keeps the process and reports the verdict that stands."""
    before, listing = desk.runs(), desk.listing()
    again = playbooks.deploy()
    assert 0 == again.code
    assert " changed=0 " in re.sub(" +", " ", again.output)
    assert not re.search("^changed: ", again.output, re.MULTILINE)
    assert "unchanged=true" in again.last_line
    assert (before, listing) == (desk.runs(), desk.listing())
    changed = {"unchanged", "written_at", "phases"}
    assert {k: v for k, v in report.items() if k not in changed} == {
        k: v for k, v in playbooks.report.items() if k not in changed
    }
    assert playbooks.report["unchanged"]


def test_check_mode_tells_the_truth(desk: Desk, playbooks: Playbooks) -> None:
    """Check mode on a deployed host names the setting that would change and changes nothing."""
    before, listing = desk.runs(), desk.listing()
    settings = {"CANDIDATE_WINDOW_SEC": 1, "ROUTER_LEASE_TTL_SEC": 1, "TARGET_OPEN_ORDERS": 4}
    checked = playbooks.deploy("--check", "--diff", router_settings=settings)
    assert 0 == checked.code
    assert "+TARGET_OPEN_ORDERS=4" in checked.output
    assert checked.last_line.startswith("check_mode=true would_change=true ")
    assert (before, listing) == (desk.runs(), desk.listing())


def test_verify(playbooks: Playbooks) -> None:
    """The host is as it was deployed."""
    verified = playbooks.run("quantum.router.verify")
    assert 0 == verified.code
    assert verified.last_line.startswith("verified=true ")


def test_bad_release_over_a_good_one(
    desk: Desk, playbooks: Playbooks, bad_wheel: Callable[[str], str], report: dict[str, Any]
) -> None:
    """A release that does not start gives way to the good one of ours that ran before, not to the older router."""
    before, release = desk.runs_apart_from_process(), desk.files(f"/opt/quantum-router/releases/{report['release']}")
    bad = playbooks.deploy(router_artifact=bad_wheel("exits-at-start-when-live"))
    assert 0 != bad.code
    assert "rolled_back=true" in bad.last_line
    assert before == desk.runs_apart_from_process()
    assert report["release"] in desk.command_line()
    assert release == desk.files(f"/opt/quantum-router/releases/{report['release']}")
    assert desk.publishes()


def test_rollback(desk: Desk, playbooks: Playbooks, report: dict[str, Any]) -> None:
    """A rollback puts the router of the field back, running as before; a second one has nothing to return to."""
    back = playbooks.roll_back()
    assert 0 == back.code
    assert f"rolled_back=true from={report['release']} to=legacy-" in back.last_line
    is_legacy(desk)
    assert "the router from before runs here again and takes no commands" in desk.run("router status 2>&1 || true")

    runs = desk.runs()
    again = playbooks.roll_back()
    assert 0 != again.code
    assert again.reason.startswith("nothing to return to: ")
    assert runs == desk.runs()


@pytest.mark.usefixtures("execution_stopped")
def test_missing_capacity_key_refused(desk: Desk, playbooks: Playbooks) -> None:
    """A host without the capacity key is refused where creating it is not wanted, with nothing live touched."""
    desk.redis("DEL", OPEN_ORDERS)
    runs = desk.runs()
    # As text, which is how -e NAME=VALUE hands it over.
    refused = playbooks.deploy(router_capacity_create="false")
    assert 0 != refused.code
    assert "router_capacity_create=true" in refused.reason
    assert "0" == desk.redis("EXISTS", OPEN_ORDERS)
    assert runs == desk.runs()
    is_legacy(desk)


@pytest.mark.usefixtures("execution_stopped")
def test_deployed_again(desk: Desk, playbooks: Playbooks, report: dict[str, Any]) -> None:
    """A withdrawn release is proven afresh; report and last line tell that the missing capacity key is now 0.

    That systemd had to start the router before it anew is not this release's doing.
    """
    desk.redis("DEL", OPEN_ORDERS)
    desk.run(f"systemctl kill --signal=KILL {UNIT}")
    assert eventually(lambda: desk.runs()["NRestarts"] == "1" and desk.runs()["ActiveState"] == "active", 30.0)
    again = playbooks.deploy()
    assert 0 == again.code
    assert again.last_line.startswith("verdict=pass reduction=")
    assert "capacity_key=created" in again.last_line
    assert "unchanged=true" not in again.last_line
    fresh = playbooks.report
    assert report["release"] == fresh["release"]
    assert report["deployment"] != fresh["deployment"]
    assert {"before": None, "after": "0", "created": True} == fresh["capacity"]
    assert "0" == desk.redis("GET", OPEN_ORDERS)
    assert 0 == playbooks.roll_back().code


@pytest.mark.usefixtures("execution_stopped")
def test_linked_unit_and_forced_capacity(desk: Desk, playbooks: Playbooks) -> None:
    """A linked unit with a drop-in and an environment file is put back as it was, and so is a capacity overwritten."""
    linked, drop_ins = "/home/qt/quantum_trader/router.service", f"{UNIT_FILE}.d"
    desk.run(f"""
        mv {UNIT_FILE} {linked}
        ln -sf {linked} {UNIT_FILE}
        install -d {drop_ins}
        printf '[Service]\\nEnvironmentFile=/etc/quantum.env\\nNice=5\\n' > {drop_ins}/local.conf
        install -m 0600 /dev/null /etc/quantum.env
        echo REDIS_URL=redis://127.0.0.1:6379/0 > /etc/quantum.env
        systemctl daemon-reload
        systemctl restart {UNIT}
    """)
    desk.redis("SET", OPEN_ORDERS, "7")
    # What the test before published, and an execution that stood still never got, would still be in flight.
    desk.redis("DEL", "quantum:router:inflight")
    places = (UNIT_FILE, linked, SCRIPT, drop_ins, "/etc/quantum.env", "/etc/systemd/system/multi-user.target.wants")
    files, runs = desk.files(*places), desk.runs_apart_from_process()

    deployed = playbooks.deploy(router_capacity_force="true", router_capacity_value="1", router_soak_max="40")
    assert 0 == deployed.code
    assert "1" == desk.redis("GET", OPEN_ORDERS)
    assert "" == desk.runs()["DropInPaths"]
    assert not desk.host.file(UNIT_FILE).is_symlink
    desk.redis("INCRBY", OPEN_ORDERS, "2")

    assert 0 == playbooks.roll_back().code
    assert files == desk.files(*places)
    assert runs == desk.runs_apart_from_process()
    assert "5" == desk.run(f"ps -o ni= -p {desk.runs()['MainPID']}")
    assert "9" == desk.redis("GET", OPEN_ORDERS)
    assert desk.publishes()
