# SPDX-License-Identifier: Apache-2.0
"""A host that deploys to itself with the bundle's one file: without Ansible, pip, an ssh client, or a way outside.

The tests tell one story in order: looked at, deployed, the same again, stopped on the way to another release, back, and
deployed once more, from another controller with the bundle's tarball.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from router import __version__
from tests.elsewhere import install
from tests.infra.conftest import Playbooks
from tests.infra.desk import ROOT, UNIT, Run, eventually
from tests.infra.endings import MARKER
from tests.unit.bundle.carried import unvouched, wheels

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from tests.infra.desk import Desk

yaml = importlib.import_module("yaml")  # it carries no types

NAME = f"quantum-router-{__version__}.run"
KEPT = "/var/log/quantum-router"
#: Seconds that are more than enough: until a release is active, and until what was stopped has ended.
ACTIVE_S, GONE_S = 300.0, 30.0

Carried = Callable[..., Run]


@pytest.fixture(scope="module")
def carried(desk: Desk, lab: ModuleType) -> Carried:
    """Run the file on the host, with short times; what could help it is taken away first."""
    name = desk.run("hostname")
    desk.run("rm -f /usr/bin/ssh /usr/bin/scp /usr/bin/sftp")
    pid = lab.podman("inspect", "--format={{.State.Pid}}", name).strip()
    lab.call(*lab.elevation(root=lab.is_root()), "nsenter", f"--target={pid}", "--net", "ip", "route", "del", "default")
    lab.podman("cp", str(ROOT / "dist" / NAME), f"{name}:/home/deploy/{NAME}")
    pace = yaml.safe_load((ROOT / "molecule/shared/group_vars/routers.yml").read_text(encoding="utf-8"))
    given = {key: value for key, value in pace.items() if key not in {"router_report_dir", "ansible_become"}}
    lab.podman("exec", "--interactive", name, "sh", "-c", "cat > /home/deploy/pace.yml", give=json.dumps(given))

    def run(*options: str, command: str = "") -> Run:
        done = desk.host.run(f"cd /home/deploy && sh {NAME} {command} -e @pace.yml {' '.join(options)} 2>&1")
        return Run(done.rc, done.stdout)

    return run


def left(desk: Desk) -> str:
    """What lies where nothing is to be left, besides the folders that systemd gives to services."""
    return desk.run("find /root /home/deploy /tmp /var/tmp -not -path '*/systemd-private-*' | sort")


def test_all_that_is_carried_is_vouched_for() -> None:
    """SHA256SUMS has each file of the real bundle as it is, and the bill of materials each wheel in them."""
    assert len(wheels(ROOT / "dist")) > 8
    assert unvouched(ROOT / "dist") == set()


@pytest.mark.usefixtures("carried")
def test_the_host_has_nothing_of_what_is_brought(desk: Desk) -> None:
    """Otherwise these tests would show nothing."""
    for command in ("ansible-playbook", "pip", "pip3", "ssh"):
        assert not desk.host.exists(command)
    assert desk.host.run("python3 -c 'import ansible'").rc == 1
    assert desk.run("ip route show default") == ""


def test_a_look_changes_nothing(desk: Desk, carried: Carried) -> None:
    """Check mode says what would be done; only its log stays."""
    before = desk.listing(), left(desk)
    run = carried("--check", "--diff")
    assert run.code == 0, run.output
    assert run.last_line.startswith("check_mode=true would_change=true")
    assert (desk.listing(), left(desk)) == before


def test_it_deploys_to_this_host(desk: Desk, carried: Carried) -> None:
    """Same phases, guard, verdict and report as over SSH; beside the release only report and log stay."""
    before = left(desk)
    run = carried()
    assert run.code == 0, run.output
    assert run.last_line.startswith("verdict=pass ")
    release = desk.live()
    assert f"release={release}" in run.last_line
    assert desk.runs()["ActiveState"] == "active"
    report = json.loads(desk.run(f"cat {KEPT}/latest/$(hostname)/report.json"))
    assert (report["verdict"], report["release"]) == ("pass", release)
    assert {"preflight", "drill", "activate", "soak", "confirm"} <= {phase["name"] for phase in report["phases"]}
    assert left(desk) == before


@pytest.mark.usefixtures("carried")
def test_the_log_and_the_report_are_for_who_came_by_sudo(desk: Desk) -> None:
    """All that stood on the terminal stands in the log; the user who deployed can copy both, others cannot."""
    log = desk.run(f"ls {KEPT}/*-site.log | tail -n 1")
    assert "verdict=pass " in desk.run(f"tail -n 1 {log}")
    desk.run(f"su deploy -c 'cat {log} {KEPT}/latest/*/report.json'")
    assert desk.host.run(f"su qt -s /bin/sh -c 'ls {KEPT}'").rc == 2


def test_the_release_needs_nothing_of_what_was_unpacked(desk: Desk) -> None:
    """Its Python is the host's own."""
    assert desk.run(f"readlink -f /proc/{desk.runs()['MainPID']}/exe").startswith("/usr/bin/python3")


def test_the_same_again_changes_nothing(desk: Desk, carried: Carried) -> None:
    """Whoever runs it twice is told that it runs already."""
    before = desk.listing(), left(desk), desk.runs()
    run = carried()
    assert run.code == 0, run.output
    assert run.last_line.endswith("unchanged=true")
    assert (desk.listing(), left(desk), desk.runs()) == before


def test_a_refusal_is_its_status(carried: Carried) -> None:
    """What a deployment over SSH would refuse is refused here, with the reason in the last line."""
    run = carried("-e", "router_soak_min=-1")
    assert run.code == 2
    assert "router_soak_min" in run.reason


@pytest.mark.usefixtures("carried")
def test_stopped_on_its_way_the_host_goes_back_alone(desk: Desk) -> None:
    """A signal ends it and all that it started, removes what it unpacked, and the guard undoes what was activated."""
    before, running = left(desk), desk.live()
    desk.run("""echo '{"router_watchdog_s": 5, "_router_guard_s": 15}' > /run/other.yml""")
    options = "-e @pace.yml -e @/run/other.yml"
    unit = "--unit=carried --property=KillMode=process --working-directory=/home/deploy"
    desk.run(f"systemd-run --quiet {unit} sh {NAME} {options}")
    assert eventually(lambda: desk.host.file(MARKER).exists, ACTIVE_S)
    desk.run("systemctl kill --kill-whom=main --signal=TERM carried")
    assert eventually(lambda: desk.host.run("systemctl is-active carried").rc != 0, GONE_S)
    assert left(desk) == before
    assert desk.host.run("pgrep -f '[a]nsible-playbook'").rc == 1
    assert eventually(lambda: desk.live() == running and not desk.host.file(MARKER).exists, 15 + GONE_S)
    assert desk.publishes()


def test_it_rolls_back(desk: Desk, carried: Carried) -> None:
    """What ran before the first deployment runs again."""
    run = carried(command="rollback")
    assert run.code == 0, run.output
    assert "rolled_back=true" in run.last_line
    assert "to=legacy-" in run.last_line
    assert desk.live() == ""
    assert "ai_strategy_router.py" in desk.command_line()
    assert desk.host.service(UNIT).is_running


@pytest.mark.usefixtures("carried")
def test_the_tarball_deploys_from_another_controller(desk: Desk, tmp_path: Path) -> None:
    """One that has Ansible and the installed tarball, in an empty folder and without this checkout: it passes."""
    elsewhere = Playbooks(tmp_path / "reports")
    tarball = ROOT / "dist" / f"quantum-router-{__version__}.tar.gz"
    elsewhere.environment = {**install(tarball, tmp_path), "ANSIBLE_CALLBACKS_ENABLED": "quantum.router.verdict"}
    elsewhere.folder = tmp_path / "empty"
    elsewhere.folder.mkdir()
    run = elsewhere.run("quantum.router.site")
    assert run.code == 0, run.output
    assert run.last_line.startswith("verdict=pass ")
    assert elsewhere.report["release"] == desk.live()
    assert not list(elsewhere.folder.iterdir())
