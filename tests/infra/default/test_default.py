# SPDX-License-Identifier: Apache-2.0
"""A host that never had a router: check mode, converge, idempotence and check mode once more have just run there."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.infra.controller import deploying
from tests.infra.desk import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.infra.conftest import Playbooks
    from tests.infra.desk import Desk
    from tests.infra.endings import Fault

UNIT = "quantum-ai-strategy-router.service"
#: As in the settings of all scenarios.
METRICS = "http://127.0.0.1:9108"
#: As in this scenario's host_vars.
PASSWORD = "planted-s3cret"
#: Where the passwords of the account lie that its address names.
SECRETS = f"/etc/quantum-router/{hashlib.sha256(b'redis://desk@127.0.0.1:6379').hexdigest()[:16]}"
#: Debian's own redis-server has 1.2; less is better.
EXPOSURE_MAX = 0.9


def changes(lines: list[str]) -> list[str]:
    """What one run of the deployment changed: tasks with their items."""
    task, changed = "", []
    for line in lines:
        if found := re.match(r"TASK \[quantum\.router\.router : (.*)\] \**$", line):
            task = found[1]
        elif line.startswith("changed: "):
            changed.append(f"{task} {line.partition('=> ')[2]}")
    return changed


@pytest.fixture(scope="module")
def runs() -> list[list[str]]:
    """What each of the four deployments so far wrote to Ansible's log; each is a process of its own."""
    log = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], "ansible.log").read_text(encoding="utf-8")
    processes: dict[str, list[str]] = {}
    for process, line in re.findall(r"^\S+ \S+ p=(\d+) u=\S+ n=ansible \w+\| (.*)$", log, re.MULTILINE):
        processes.setdefault(process, []).append(line)
    deployments = [lines for lines in processes.values() if any(line.startswith("PLAY [Deploy") for line in lines)]
    return deployments[-4:]


def test_check_mode_predicts(runs: list[list[str]]) -> None:
    """On a fresh host check mode tells exactly the changes that the deployment then makes."""
    checked, converged, _, _ = runs
    assert changes(converged) == changes(checked)
    assert changes(converged)
    assert checked[-1].startswith("check_mode=true would_change=true ")


def test_second_run_changes_nothing(runs: list[list[str]]) -> None:
    """The same release again changes nothing, check mode says so as well, and both name the verdict that stands."""
    _, converged, again, checked = runs
    assert [] == changes(again) == changes(checked)
    assert "unchanged=true" not in converged[-1]
    assert again[-1].endswith("unchanged=true")
    assert checked[-1].startswith("check_mode=true would_change=false ")


def test_judged_with_nothing_before(playbooks: Playbooks) -> None:
    """A first installation passes on what it does itself: no router was there to reduce anything of."""
    report = playbooks.report
    assert ("pass", None, None) == (report["verdict"], report["previous"], report["reduction"])
    assert {"reduction": "skipped"}.items() <= {c["name"]: c["status"] for c in report["criteria"]}.items()
    assert 0 == report["before"]["intents"]
    assert 0 < report["after"]["intents"]


def test_the_report_for_people_lies_beside(playbooks: Playbooks) -> None:
    """The page shows what was counted at the deployment, second by second, though the run after it changed nothing."""
    report = playbooks.report
    (page,) = (playbooks.reports / "latest").glob("*/report.html")
    html = page.read_text(encoding="utf-8")
    assert f'<data value="{report["after"]["intents"]}" title="after.intents">' in html
    assert sum(map(bool, report["after"]["pace"]["intents"])) == html.count('<rect class="intents" x=')


def test_drilled_before_activation(desk: Desk, playbooks: Playbooks) -> None:
    """The release did in each state what the policy says; the host keeps the record and nothing else of it."""
    report = playbooks.report
    drill = report["drill"]
    assert (True, None, report["release"]) == (drill["passed"], drill["problem"], drill["release"])
    expected = [("full", 10, 0), ("target", 3, 0), ("super", 3, 1), ("below", 1, 2), ("unknown", None, 0)]
    assert expected == [(each["name"], each["open_orders"], each["seen"]) for each in drill["states"]]
    record = desk.run(f"cat /var/lib/quantum-router/deployments/{report['deployment']}/drill.json")
    assert drill == json.loads(record)
    phases = [phase["name"] for phase in report["phases"]]
    assert phases.index("check") < phases.index("drill") < phases.index("activate")
    assert ("", "") == desk.left_of_drills()


def live_keys(desk: Desk) -> list[str]:
    """What of the live keys only a person, or a router that starts, changes."""
    lease = desk.redis("HMGET", "quantum:router:lease", "holder", "epoch", "release")
    switches = [desk.redis("GET", "quantum:kill"), desk.redis("HGETALL", "quantum:router:halt")]
    return [lease, desk.redis("HGET", "quantum:router:epoch", "epoch"), *switches]


def test_drill_of_the_running_release(desk: Desk, playbooks: Playbooks) -> None:
    """`make drill` puts what runs through the states while it runs: same process, same lease, nothing changed."""
    before, listing, keys = desk.runs(), desk.listing(), live_keys(desk)
    run = playbooks.run("quantum.router.drill")
    assert 0 == run.code
    release = desk.run("readlink /opt/quantum-router/current").rpartition("/")[2]
    assert run.last_line.startswith(f"drilled=true release={release} seconds=")
    assert run.last_line.endswith(" full,target,super,below,unknown host=quantum-molecule-default")
    assert (before, listing, keys) == (desk.runs(), desk.listing(), live_keys(desk))
    assert re.search(r"^quantum-molecule-default .*changed=0 ", run.output, re.MULTILINE)
    assert ("", "") == desk.left_of_drills()
    journal = desk.run(
        "journalctl --unit='quantum-router-drill-*' --no-pager --output=cat --grep='CAPACITY_FULL' --lines=1"
    )
    assert "🔴 CAPACITY_FULL open=10 max=10" == journal
    assert desk.publishes()


def test_a_drill_that_is_killed_leaves_nothing(desk: Desk) -> None:
    """After SIGKILL of the drill systemd ends the release and removes the keys, as it does when its time is up."""
    desk.run(f"""
        set -a; . /opt/quantum-router/current/environment; CREDENTIALS_DIRECTORY={SECRETS}; set +a
        python=$(ls --sort=time /opt/quantum-router/deployer/*/venv/bin/python | head -n 1)
        dir=$(readlink -f /opt/quantum-router/current)
        words="drill --deployment killed --release ${{dir##*/}} --release-dir $dir"
        nohup $python -I -m router $words > /tmp/drill.out 2>&1 &
        for i in $(seq 60); do
            [ "$(redis-cli EXISTS quantum-drill:killed:quantum:router:outcomes)" = 1 ] && break
            sleep 0.2
        done
        kill -KILL $!
    """)
    keys, unit = desk.left_of_drills()
    assert "quantum-drill:killed:" in keys
    assert unit.startswith("quantum-router-drill-killed.service")
    desk.run("systemctl stop quantum-router-drill-killed.service")
    assert ("", "") == desk.left_of_drills()


def test_runs_now_and_after_a_reboot(desk: Desk) -> None:
    """The unit is active, ready and enabled, and publishes."""
    assert {"ActiveState": "active", "UnitFileState": "enabled", "Type": "notify"}.items() <= desk.runs().items()
    assert desk.publishes()


def test_service_user_can_do_nothing_else(desk: Desk) -> None:
    """The service has a user of its own, without home and shell."""
    user = desk.host.user("quantum-router")
    assert ("/nonexistent", "/usr/sbin/nologin", "quantum-router") == (user.home, user.shell, user.group)
    assert not desk.host.file("/nonexistent").exists


#: What the kernel says of a process that can do nothing but its work (proc(5)): no capability, none to gain, filtered.
CONFINED = {"CapInh": 0, "CapPrm": 0, "CapEff": 0, "CapBnd": 0, "CapAmb": 0, "NoNewPrivs": 1, "Seccomp": 2}
#: What systemd applies to the unit that runs, whatever its file says.
SANDBOX = {
    **dict.fromkeys(("NoNewPrivileges", "PrivateDevices", "PrivateIPC", "PrivateMounts", "PrivateTmp"), "yes"),
    **dict.fromkeys(("PrivateUsers", "ProtectClock", "ProtectControlGroups", "ProtectHome", "ProtectHostname"), "yes"),
    **dict.fromkeys(("ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables", "RestrictRealtime"), "yes"),
    **dict.fromkeys(("RestrictSUIDSGID", "LockPersonality", "MemoryDenyWriteExecute", "RemoveIPC"), "yes"),
    **dict.fromkeys(("CapabilityBoundingSet", "AmbientCapabilities", "ReadWritePaths"), ""),
    "User": "quantum-router",
    "ProtectSystem": "strict",
    "ProtectProc": "invisible",
    "ProcSubset": "pid",
    "DevicePolicy": "closed",
    "UMask": "0077",
    "LimitCORE": "0",
    "KeyringMode": "private",
    "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
    "SystemCallArchitectures": "native",
    "IPAddressAllow": "127.0.0.0/8 ::1/128",
    "IPAddressDeny": "0.0.0.0/0 ::/0",
}


def test_running_service_is_confined(desk: Desk) -> None:
    """Kernel and systemd hold the process to what the unit asks for, and systemd rates it as safe."""
    status = desk.run(f"cat /proc/{desk.runs()['MainPID']}/status")
    seen = {name: int(value, 16) for name, value in re.findall(r"^(\w+):\t([0-9a-f]+)$", status, re.MULTILINE)}
    assert CONFINED.items() <= seen.items()
    shown = desk.run(f"systemctl show {UNIT} --property={','.join(SANDBOX)}").splitlines()
    in_order = {name: " ".join(sorted(value.split())) for name, value in (line.split("=", 1) for line in shown)}
    assert in_order == SANDBOX
    assert "SystemCallFilter=~" not in desk.run(f"systemctl show {UNIT} --property=SystemCallFilter")
    rating = desk.run(f"systemd-analyze security --no-pager {UNIT}").splitlines()[-1]
    exposure = re.search(r"exposure level for .*: ([0-9.]+) ", rating)
    assert exposure
    assert float(exposure[1]) <= EXPOSURE_MAX, rating


def test_running_service_reaches_nothing_else(desk: Desk) -> None:
    """In the process' own view of the host nothing can be written, and homes are empty."""
    pid = desk.runs()["MainPID"]
    mounts = [line.split() for line in desk.run(f"cat /proc/{pid}/mountinfo").splitlines()]
    (root,) = [options for _, _, _, _, place, options, *_ in mounts if place == "/"]
    assert "ro" in root.split(",")
    assert "" == desk.run(f"ls -A /proc/{pid}/root/home /proc/{pid}/root/root | grep -v : || true")


def test_router_command_of_the_host(desk: Desk) -> None:
    """An operator with sudo talks to the deployed release; who is not root is told the way."""
    assert desk.run("router check").startswith("ok: ")
    assert "1.0.0" in desk.run("ROUTER_KEY_PREFIX=not-a-setting-of-the-service: router version")
    assert "quantum:state:open_orders: " in desk.run("router capacity")
    asked = desk.host.run("su -s /bin/sh nobody -c 'router status'")
    assert (77, "router: only root may read its settings and password: sudo router ...") == (
        asked.rc,
        asked.stderr.strip(),
    )


def test_metrics_and_readiness_of_the_deployed_unit(desk: Desk) -> None:
    """They name the release that runs, and the reason of a restart is counted over it; systemd shows the state."""
    assert "active" == desk.run(f"curl --silent --fail {METRICS}/readyz")
    release = desk.run("readlink /opt/quantum-router/current").rpartition("/")[2]
    assert f'release="{release}"' in desk.run(f"curl --silent --fail {METRICS}/metrics")
    assert "active: " in desk.run(f"systemctl show --property=StatusText --value {UNIT}")
    before = desk.runs()["MainPID"]
    desk.redis("DEL", "quantum:router:lease")
    fenced = f"curl --silent {METRICS}/metrics | grep '^quantum_router_failures_total{{exit_code=\"75\"}} 1.0'"
    assert eventually(lambda: desk.host.run(fenced).rc == 0)
    assert before != desk.runs()["MainPID"]
    assert eventually(lambda: desk.host.run(f"curl --silent --fail {METRICS}/readyz").stdout == "active\n")


def test_monitoring_is_installed_once(desk: Desk, playbooks: Playbooks) -> None:
    """Over SSH, where neither Prometheus nor Grafana runs yet: rules and dashboard wait for them."""
    first = playbooks.run("quantum.router.monitoring", monitoring_prometheus_config="")
    again = playbooks.run("quantum.router.monitoring", monitoring_prometheus_config="")
    assert (0, 0) == (first.code, again.code)
    assert re.search(r"^quantum-molecule-default .*changed=[1-9]", first.output, re.MULTILINE)
    assert re.search(r"^quantum-molecule-default .*changed=0 ", again.output, re.MULTILINE)
    assert desk.host.file("/etc/prometheus/rules/quantum-router.rules.yml").exists
    assert desk.host.file("/var/lib/grafana/dashboards/quantum-router.json").exists


def test_password_is_nowhere_but_in_its_file(desk: Desk, playbooks: Playbooks) -> None:
    """Not in a command line, an environment, the journal, a unit, a release, a record, a report or an answer."""
    for command in ("check --json", "capacity --json", f"snapshot --unit {UNIT} --json", "acl", "status"):
        assert PASSWORD not in desk.run(f"router {command} 2>&1")
    # Written so that neither these command lines nor sudo's record of them hold it.
    search = f"grep --text --files-with-matches {PASSWORD[:3]}''{PASSWORD[3:]}"
    holding = desk.run(f"{search} --recursive /opt /etc /var/lib /run /usr/local 2> /dev/null || true").splitlines()
    assert {f"{SECRETS}/redis-password"} == {path for path in holding if "/credentials/" not in path}
    assert "" == desk.run(f"{search} /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2> /dev/null || true")
    for seen in ("journalctl --no-pager --output=export", f"systemctl show {UNIT}", f"systemctl status {UNIT}"):
        assert "" == desk.run(f"{seen} 2>&1 | {search} || true"), seen
    log = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], "ansible.log").read_text(encoding="utf-8")
    assert PASSWORD not in log.partition('"_meta"')[0]  # there testinfra reads the inventory, which holds it
    reports = [path for path in playbooks.reports.rglob("*") if path.is_file()]
    assert reports
    assert [] == [path for path in reports if PASSWORD.encode() in path.read_bytes()]


@pytest.mark.fault(22, "a rollback with nothing to return to", phase="rollback", outcome="stopped")
def test_rollback_of_the_first_installation(playbooks: Playbooks, fault: Fault) -> None:
    """A rollback with nothing to return to stops the router and removes its unit; another one has nothing to do."""
    fault.strikes()
    assert 0 == playbooks.roll_back().code
    fault.ends()

    again = playbooks.roll_back()
    assert 0 != again.code
    assert again.reason.startswith("nothing to return to: ")

    asked = playbooks.run("quantum.router.status")
    assert (True, "router: no release is deployed on this host") == (asked.code != 0, asked.reason)


@pytest.mark.long
@pytest.mark.fault(22, "a rollback with nothing to return to", phase="activate", outcome="stopped")
def test_first_installation_that_fails(playbooks: Playbooks, bad_wheel: Callable[[str], str], fault: Fault) -> None:
    """A first release that does not start leaves a host without a router, as it was."""
    assert "" == fault.before["process"]
    with deploying(playbooks, router_artifact=bad_wheel("exits-at-start-when-live")) as controller:
        controller.reaches_phase("activate")
        fault.strikes()
        run = controller.ends()
    assert "rolled_back=true" in run.last_line
    fault.ends(run)
