# SPDX-License-Identifier: Apache-2.0
"""A host whose users in Redis the role has made: what those do who operate it, and what they may get wrong."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.infra.desk import STATE, UNIT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.infra.conftest import Playbooks
    from tests.infra.desk import Desk

ROOT = Path(__file__).resolve().parents[3]
#: Where the passwords of the account lie that this scenario's address names.
SECRETS = f"/etc/quantum-router/{hashlib.sha256(b'redis://desk@127.0.0.1:6379').hexdigest()[:16]}"
OPEN_ORDERS = "quantum:state:open_orders"
SIGNALS = "quantum:stream:ai.decision.made"
#: As in this scenario's host_vars, and a run without it.
ADMIN = "planted-adm1n"
#: Entries of the stream that were read and have no outcome: those that were skipped at the first start, and no others.
BOOKS = f"""redis-cli EVAL '
local function named(flat) local t = {{}} for i = 1, #flat, 2 do t[flat[i]] = flat[i + 1] end return t end
local group = named(redis.call("XINFO", "GROUPS", KEYS[1])[1])
local sum = 0
for _, count in ipairs(redis.call("HVALS", KEYS[2])) do sum = sum + count end
return named(redis.call("XINFO", "STREAM", KEYS[1]))["entries-added"] - group["lag"] - sum
' 2 {SIGNALS} quantum:router:outcomes"""
NO_ADMIN: dict[str, Any] = {"router_redis_admin_urls": [], "router_redis_admin_password": ""}


def journal(desk: Desk) -> list[dict[str, Any]]:
    """The audit journal of the host."""
    return [json.loads(line) for line in desk.run(f"cat {STATE}/journal.jsonl").splitlines()]


def passwords(desk: Desk, user: str) -> list[str]:
    """The SHA-256 of each password that lets a user in."""
    rules = next(line for line in desk.redis("ACL", "LIST").splitlines() if line.startswith(f"user {user} "))
    return re.findall(r" #([0-9a-f]{64})", rules)


def on_the_host(desk: Desk, name: str) -> str:
    """The SHA-256 of a password as it lies on the host."""
    return desk.run(f"sha256sum < {SECRETS}/{name}").split()[0]


def test_the_role_has_made_the_users(desk: Desk, playbooks: Playbooks) -> None:
    """Service and deployment log in as users of their own, which a restart of Redis does not forget."""
    assert "pass" == playbooks.report["verdict"]
    assert [on_the_host(desk, "redis-password")] == passwords(desk, "desk")
    assert [on_the_host(desk, "desk-deployment.password")] == passwords(desk, "desk-deployment")
    assert " user=desk " in desk.redis("CLIENT", "LIST")
    assert "2" == desk.run("grep --count '^user desk' /etc/redis/redis.conf")
    assert "600 root\n600 root" == desk.run(f"stat --format='%a %U' {SECRETS}/*password")
    assert desk.run("router check").startswith("ok: ")
    # What only the user for deployment may: the command on the host is it.
    assert desk.run("router capacity --create").startswith(f"{OPEN_ORDERS}: ")
    refused = desk.redis(
        "--no-auth-warning", "--user", "desk", "--pass", f"$(cat {SECRETS}/redis-password)", "FLUSHALL"
    )
    assert refused.startswith("NOPERM")


def test_the_unit_talks_to_nobody_else(desk: Desk) -> None:
    """What router_redis_addresses names is what the kernel lets through."""
    shown = desk.run(f"systemctl show {UNIT} --property=IPAddressAllow,IPAddressDeny --value").splitlines()
    assert {"127.0.0.0/8 ::1/128", "0.0.0.0/0 ::/0"} == {" ".join(sorted(line.split())) for line in shown}


def test_again_changes_nothing_with_and_without_an_administrator(desk: Desk, playbooks: Playbooks) -> None:
    """The users are as they should be, so the same deployment again needs no administrator."""
    before, listing, users = desk.runs(), desk.listing(), desk.redis("ACL", "LIST")
    for variables in ({}, NO_ADMIN):
        again = playbooks.deploy(**variables)
        assert 0 == again.code
        assert "unchanged=true" in again.last_line
        assert " changed=0 " in re.sub(" +", " ", again.output)
    assert (before, listing, users) == (desk.runs(), desk.listing(), desk.redis("ACL", "LIST"))


def test_everything_that_is_wrong_is_named_at_once(desk: Desk, playbooks: Playbooks) -> None:
    """A line each in the output, the first and a number in the last; nothing on the host changes."""
    before, listing = desk.runs(), desk.listing()
    refused = playbooks.deploy(
        router_maxx=1,
        router_soak_min="soon",
        router_watchdog_s=-1,
        router_redis_addresses=["10.9.9.9"],
        router_settings={"MAX_OPEN_ORDERS": 0},
    )
    assert 0 != refused.code
    assert refused.reason.startswith("router_maxx is no variable of the role: ")
    assert refused.reason.endswith(" (and 4 more, listed above)")
    for problem in (
        "router_maxx is no variable",
        "router_soak_min='soon' must be a whole number from 0 to 86400",
        "router_watchdog_s=-1 must be a whole number from 2 to 3600",
        "router_redis_url names 127.0.0.1, which router_redis_addresses=10.9.9.9 does not allow",
        "MAX_OPEN_ORDERS='0' must be",
    ):
        assert f"- {problem}" in refused.output
    assert (before, listing) == (desk.runs(), desk.listing())


@pytest.fixture
def execution_stopped(desk: Desk) -> Iterator[None]:
    """Nobody counts open orders meanwhile."""
    desk.run("systemctl stop lab-execution")
    yield
    desk.run("systemctl start lab-execution")


def make(*words: str) -> subprocess.CompletedProcess[str]:
    """Run make as a person does, on this scenario's host."""
    return subprocess.run(["make", *words], cwd=ROOT, capture_output=True, text=True, check=False)


def test_status_and_logs_show_the_host_whatever_it_does(desk: Desk, playbooks: Playbooks) -> None:
    """A router that is halted is a state to be shown, not a failure of showing it."""
    inventory = f"INVENTORY={playbooks.inventory}"
    desk.run("router halt --reason 'to be looked at'")
    halted, log = make("status", inventory), make("logs", inventory)
    desk.run("router resume")
    assert 0 == halted.returncode, halted.stdout + halted.stderr
    assert re.search(r"^state +not routing: halted by ", halted.stdout, re.MULTILINE)
    assert re.search(r"^halt +to be looked at \(by ", halted.stdout, re.MULTILINE)
    assert (0, True) == (log.returncode, "to be looked at" in log.stdout)
    assert re.search(r"^state +routing, ", make("status", inventory).stdout, re.MULTILINE)


@pytest.mark.usefixtures("execution_stopped")
def test_capacity_is_shown_and_set_with_a_reason(desk: Desk, playbooks: Playbooks) -> None:
    """Shown without a trace; set only with a reason, which the journal keeps with who, old and new."""
    desk.redis("SET", OPEN_ORDERS, "7")
    lines = len(journal(desk))
    shown = playbooks.run("quantum.router.capacity")
    assert (0, True) == (shown.code, shown.last_line.startswith("capacity=7 host="))
    refused = playbooks.run("quantum.router.capacity", router_capacity_set=3)
    assert 0 != refused.code
    assert "router_capacity_reason is not given: say why" in refused.reason
    planned = playbooks.run("quantum.router.capacity", "--check", router_capacity_set=3, router_capacity_reason="why")
    assert "capacity=3 before=7 " in planned.last_line
    assert ("7", lines) == (desk.redis("GET", OPEN_ORDERS), len(journal(desk)))

    done = make("capacity", f"INVENTORY={playbooks.inventory}", "SET=3", 'REASON=the exchange\'s "book" says 3')
    assert 0 == done.returncode, done.stdout + done.stderr
    assert "capacity=3 before=7 host=" in done.stdout.splitlines()[-1]
    assert "3" == desk.redis("GET", OPEN_ORDERS)
    entry = journal(desk)[-1]
    assert ("capacity set", "7", 3, 'the exchange\'s "book" says 3') == tuple(
        entry[key] for key in ("action", "old", "new", "reason")
    )
    assert entry["who"]

    assert "before=3 after=2" == desk.run("router-release capacity --set 2 --reason 'by hand'")
    assert "2" == desk.redis("GET", OPEN_ORDERS)


def test_rotating_loses_no_signal_and_shows_nothing(desk: Desk, playbooks: Playbooks) -> None:
    """The router works on with a new password while signals come; the old ones let nobody in any more."""
    books = int(desk.run(BOOKS))
    old = {name: on_the_host(desk, name) for name in ("redis-password", "desk-deployment.password")}
    before = desk.runs()
    rotated = playbooks.run("quantum.router.secret")
    assert 0 == rotated.code
    assert rotated.last_line.startswith("rotated=desk,desk-deployment host=")
    assert [on_the_host(desk, "redis-password")] == passwords(desk, "desk")
    assert [on_the_host(desk, "desk-deployment.password")] == passwords(desk, "desk-deployment")
    assert not set(old.values()) & {*passwords(desk, "desk"), *passwords(desk, "desk-deployment")}
    after = desk.runs()
    assert before["MainPID"] != after["MainPID"]
    assert ("active", before["NRestarts"]) == (after["ActiveState"], after["NRestarts"])
    assert desk.publishes()
    assert books == int(desk.run(BOOKS))
    assert "stale" not in desk.redis("HKEYS", "quantum:router:outcomes").split()
    assert "desk-deployment.password redis-password" == desk.run(f"ls -A {SECRETS} | xargs")


def test_no_secret_is_anywhere_but_in_its_file(desk: Desk, playbooks: Playbooks) -> None:
    """The administrator's password has left nothing on the host, the others are in their files alone."""
    kept = desk.run(f"cat {SECRETS}/*password").split()
    search = "grep --text --files-with-matches --fixed-strings"
    files = f"--file={SECRETS}/redis-password --file={SECRETS}/desk-deployment.password"
    planted = f"{search} --recursive {ADMIN[:3]}''{ADMIN[3:]} /opt /etc /var/lib/quantum-router /run /home /root /tmp"
    assert "" == desk.run(f"{planted} 2> /dev/null || true")
    holding = desk.run(
        f"{search} --recursive {files} /opt /etc /var/lib /run /home /root /tmp 2> /dev/null || true"
    ).splitlines()
    assert {f"{SECRETS}/redis-password", f"{SECRETS}/desk-deployment.password"} == {
        path for path in holding if "/credentials/" not in path
    }
    journalled = f"journalctl --no-pager --output=export | {search}"
    assert "" == desk.run(f"{journalled} {files} || true")
    assert "" == desk.run(f"{journalled} {ADMIN[:3]}''{ADMIN[3:]} || true")
    told = "".join(path.read_text(encoding="utf-8") for path in playbooks.reports.rglob("*") if path.is_file())
    assert [] == [secret for secret in [*kept, ADMIN] if secret in told]


#: Kind of drift -> how it comes about, what verify says of it, how it is mended.
DRIFTS = {
    "unit": (f"echo '# by hand' >> /etc/systemd/system/{UNIT}", "differs from the release's unit", "{install}"),
    "drop-in": (
        f"mkdir -p /etc/systemd/system/{UNIT}.d && touch /etc/systemd/system/{UNIT}.d/mine.conf",
        "mine.conf overrides the release's unit",
        f"rm -r /etc/systemd/system/{UNIT}.d",
    ),
    "reload": ("true", f"systemd has not read {UNIT} since it changed", "systemctl daemon-reload"),
    "environment": (
        "echo MAX_OPEN_ORDERS=11 >> {release}/environment",
        "environment has another content",
        "sed -i '$d' {release}/environment",
    ),
    "code": ("echo '#' >> {code}", "venv/lib/python3.11/site-packages/router/__init__.py has another content",
             "sed -i '$d' {code}"),
    "added": ("touch {release}/venv/extra", "venv/extra was added", "rm {release}/venv/extra"),
    "older": ("touch {release}/manifest.json", "is older than the files of release", f"systemctl restart {UNIT}"),
    "disabled": (
        f"rm /etc/systemd/system/multi-user.target.wants/{UNIT}",
        f"{UNIT} is not enabled, it would not start at boot",
        f"systemctl enable --quiet {UNIT}",
    ),
    "secret": (
        f"chmod 0644 {SECRETS}/redis-password",
        "redis-password can be read by others than root",
        f"chmod 0600 {SECRETS}/redis-password",
    ),
}  # fmt: skip


def verify(playbooks: Playbooks) -> list[str]:
    """The last lines of `make verify`, one for each finding; none when it is content."""
    run = playbooks.run("quantum.router.verify", **NO_ADMIN)
    lines = run.output.strip().splitlines()
    findings = [line for line in lines if line.startswith("drift host=")]
    assert (0 == run.code) == (not findings) == lines[-1].startswith("verified=true ")
    return findings


def test_verify_names_each_kind_of_drift(desk: Desk, playbooks: Playbooks) -> None:
    """All at once, a line each and a failure; when each is mended it is content again."""
    assert [] == verify(playbooks)
    release = desk.run("readlink -f /opt/quantum-router/current")
    names = {
        "release": release,
        "code": f"{release}/venv/lib/python3.11/site-packages/router/__init__.py",
        "install": f"cp {release}/unit /etc/systemd/system/{UNIT}",
    }
    for how, _, _ in DRIFTS.values():
        desk.run(how.format_map(names))
    findings = verify(playbooks)
    assert {kind: [True] for kind in DRIFTS} == {
        kind: [True for line in findings if said in line] for kind, (_, said, _) in DRIFTS.items()
    }
    assert len(DRIFTS) == len(findings)
    for _, _, mend in DRIFTS.values():
        desk.run(mend.format_map(names))
    desk.run("systemctl daemon-reload")
    assert [] == verify(playbooks)


def test_verify_names_a_process_of_another_kind(desk: Desk, playbooks: Playbooks) -> None:
    """A unit that was masked and stopped by hand, and one that is gone from where it was left."""
    unit = f"/etc/systemd/system/{UNIT}"
    desk.run(f"cp {unit} /root/unit && systemctl stop {UNIT} && ln -sf /dev/null {unit} && systemctl daemon-reload")
    try:
        findings = verify(playbooks)
    finally:
        desk.run(f"rm {unit} && mv /root/unit {unit} && systemctl daemon-reload && systemctl start {UNIT}")
    for said in (f"unit {UNIT} is masked", f"{unit} is not the release's unit", f"{UNIT} is inactive, not active"):
        assert [True] == [True for line in findings if said in line], findings
    assert [] == verify(playbooks)


#: Another account on the same server: made by hand, so that its password is the inventory's and not the role's.
BY_HAND: dict[str, Any] = {
    **NO_ADMIN,
    "router_redis_acl_manage": False,
    "router_redis_url": "redis://hand@127.0.0.1:6379/0",
    "router_redis_password": "by-h4nd",
}


@pytest.fixture
def made_by_hand(desk: Desk) -> None:
    """The user of that account is in Redis."""
    desk.redis("ACL SETUSER hand reset on '>by-h4nd' '~*' '&*' +@all")


@pytest.mark.usefixtures("made_by_hand")
def test_a_deployment_with_another_user_that_fails_gives_way_to_the_user_before(
    desk: Desk, playbooks: Playbooks
) -> None:
    """The old router comes back and logs in as before: its password was not the new one's to replace."""
    before = desk.runs_apart_from_process()
    refuses = {"mine": {"command": ["/bin/false"]}}
    failed = playbooks.deploy(**BY_HAND, router_criteria=refuses)
    assert 0 != failed.code
    assert "rolled_back=true" in failed.last_line
    assert before == desk.runs_apart_from_process()
    assert " user=desk " in desk.redis("CLIENT", "LIST")
    assert desk.publishes()


@pytest.mark.usefixtures("made_by_hand")
def test_a_rollback_returns_to_the_user_before(desk: Desk, playbooks: Playbooks) -> None:
    """Over a change of user that was confirmed, too; meanwhile the commands on the host are the new user's."""
    before = desk.runs_apart_from_process()
    assert 0 == playbooks.deploy(**BY_HAND).code
    assert " user=hand " in desk.redis("CLIENT", "LIST")
    assert desk.run("router check").startswith("ok: ")
    # Though the inventory that is given here names another account than the release that runs.
    assert 0 == playbooks.run("quantum.router.drill").code
    assert 0 == playbooks.roll_back().code
    assert before == desk.runs_apart_from_process()
    assert " user=desk " in desk.redis("CLIENT", "LIST")
    assert desk.publishes()
    assert [] == verify(playbooks)


def test_a_plan_shows_what_other_settings_would_have_published(desk: Desk, playbooks: Playbooks) -> None:
    """A row for what runs and one for what is to be deployed, from the host's own signals; nothing there changes."""
    before, listing = desk.runs(), desk.listing()
    planned = playbooks.run(
        "quantum.router.plan", **NO_ADMIN, router_plan_hold_s=5, router_settings={"MAX_NEW_PER_CYCLE": 1}
    )
    assert 0 == planned.code
    lines = planned.output.strip().splitlines()
    rows = {line.split()[0]: int(line.split()[1]) for line in lines if line.startswith(("running ", "planned "))}
    assert rows["running"] > rows["planned"] > 0
    assert "for 5 s." in lines[-1]
    assert (before, listing) == (desk.runs(), desk.listing())


def test_a_plan_with_wrong_settings_says_what_a_deployment_says(desk: Desk, playbooks: Playbooks) -> None:
    """Before anything is asked of the host's signals."""
    listing = desk.listing()
    refused = playbooks.run("quantum.router.plan", **NO_ADMIN, router_settings={"MAX_OPEN_ORDERS": 0})
    assert 0 != refused.code
    assert "MAX_OPEN_ORDERS='0' must be a whole number from 1 to 100000" in refused.output
    assert listing == desk.listing()


@pytest.mark.parametrize("playbook", ["recon", "drill", "plan"])
def test_who_only_looks_writes_no_password_that_redis_refuses(desk: Desk, playbooks: Playbooks, playbook: str) -> None:
    """What was mistyped is told before it takes the place of the password that the router starts with."""
    listing = desk.listing()
    mistyped = {**NO_ADMIN, "router_redis_acl_manage": False, "router_redis_password": "mistyp3d"}
    refused = playbooks.run(f"quantum.router.{playbook}", **mistyped)
    assert 0 != refused.code
    assert "refuses the password" in refused.output
    assert listing == desk.listing()
