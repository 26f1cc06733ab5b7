# SPDX-License-Identifier: Apache-2.0
"""What a person may get wrong: one line names the thing and the way out, and nothing on the host changes."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.infra.desk import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from tests.infra.conftest import Playbooks
    from tests.infra.desk import Desk, Run

NOBODY = "172.31.74.254"
PLAIN, PLAIN_ADDRESS = "quantum-molecule-plain", "172.31.74.13"
#: Says what Redis 6.2 says to PING and INFO, and no more.
OLD_REDIS = r"""
import socketserver
INFO = b"# Server\r\nredis_version:6.2.14\r\n"
ANSWERS = {b"PING": b"+PONG\r\n", b"INFO": b"$%d\r\n%s\r\n" % (len(INFO), INFO)}
class Old(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(ANSWERS.get(line.strip().upper(), b""))
socketserver.ThreadingTCPServer(("127.0.0.1", 6399), Old).serve_forever()
"""


@pytest.fixture
def refused(desk: Desk, playbooks: Playbooks) -> Callable[..., Run]:
    """Deploy with variables that cannot work; it must fail without any change on the host."""

    def deploy(**variables: Any) -> Run:
        before, listing = desk.runs(), desk.listing()
        run = playbooks.deploy(**variables)
        assert 0 != run.code
        assert "Traceback" not in run.output
        assert (before, listing) == (desk.runs(), desk.listing())
        return run

    return deploy


def test_no_rights(desk: Desk, refused: Callable[..., Run]) -> None:
    """A user who may not become root is told so."""
    desk.run("""
        id norights > /dev/null 2>&1 || useradd --create-home --shell /bin/bash norights
        cp -r /home/deploy/.ssh /home/norights/
        chown -R norights: /home/norights/.ssh
    """)
    run = refused(ansible_user="norights")
    assert "cannot become root" in run.reason
    assert "allow sudo, or give --ask-become-pass" in run.reason


def test_unreachable(refused: Callable[..., Run]) -> None:
    """A host that does not answer is named, with what to look at."""
    run = refused(ansible_host=NOBODY)
    assert NOBODY in run.reason
    assert "check its address, the ssh key and the inventory; nothing live was touched" in run.reason


def test_wrong_inventory(playbooks: Playbooks) -> None:
    """A path without an inventory is named, by Ansible alone and by make."""
    run = type(playbooks)(playbooks.reports, "inventory/nowhere").deploy()
    assert 0 != run.code
    assert "inventory/nowhere" in run.reason
    assert "check the path" in run.reason

    done = subprocess.run(
        ["make", "deploy", "INVENTORY=inventory/nowhere"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert 0 != done.returncode
    assert "There is no inventory at INVENTORY=inventory/nowhere: name a folder" in done.stderr


@pytest.mark.parametrize(
    ("password", "words"),
    [("wrong", "refuses the password"), ("", "asks for a user or password")],
)
def test_redis_password(desk: Desk, refused: Callable[..., Run], password: str, words: str) -> None:
    """A wrong or missing password of Redis is told without showing it."""
    desk.redis("CONFIG", "SET", "requirepass", "s3cret")
    try:
        run = refused(router_redis_password=password)
    finally:
        desk.redis("-a", "s3cret", "--no-auth-warning", "CONFIG", "SET", "requirepass", '""')
    assert words in run.reason
    assert "router_redis_password" in run.reason
    assert "s3cret" not in run.output


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"MAX_OPEN_ORDERS": 0}, ("MAX_OPEN_ORDERS='0' must be a whole number from 1 to",)),
        ({"ROUTER_KEY_PREFX": "a:"}, ("ROUTER_KEY_PREFX is not a setting: did you mean ROUTER_KEY_PREFIX?",)),
        ({"TARGET_OPEN_ORDER": 3}, ("TARGET_OPEN_ORDER ", "did you mean TARGET_OPEN_ORDERS?")),
        (
            {"ROUTER_REDIS_URL": "redis://10.0.0.1"},
            ("ROUTER_REDIS_URL in router_settings", "set router_redis_url instead"),
        ),
        ({"CANDIDATE_WINDOW_SEC": 20, "MIN_CONFIDENCE": "high"}, ("MIN_CONFIDENCE='high'", "CANDIDATE_WINDOW_SEC=20")),
    ],
)
def test_settings(refused: Callable[..., Run], settings: dict[str, Any], words: tuple[str, ...]) -> None:
    """A setting out of range, misspelt or in contradiction is named with what it may be; two faults at once."""
    run = refused(router_settings=settings)
    assert words[0] in run.reason
    assert all(word in run.output for word in words), run.output


def test_misspelt_variable(refused: Callable[..., Run]) -> None:
    """A variable that the role does not know is an error, not silence."""
    expected = "router_soak_mx is no variable of the role: did you mean router_soak_max?"
    assert expected == refused(router_soak_mx=3).reason


def test_password_where_redis_has_none(refused: Callable[..., Run]) -> None:
    """A password that Redis does not ask for is told before it is put anywhere."""
    assert "has no password: leave router_redis_password empty" in refused(router_redis_password="surplus").reason


def test_old_redis(desk: Desk, refused: Callable[..., Run]) -> None:
    """A server below 7.0 is named with its version."""
    desk.run(f"systemd-run --quiet --collect --unit=old-redis /usr/bin/python3 -c '{OLD_REDIS}'")
    try:
        desk.run("for i in 1 2 3 4 5 6 7 8 9; do redis-cli -p 6399 PING && break; sleep 0.2; done")
        run = refused(router_redis_url="redis://127.0.0.1:6399/0")
    finally:
        desk.run("systemctl stop old-redis")
    assert "Redis 6.2.14 at 127.0.0.1:6399 is too old: 7.0 or newer is needed" in run.reason


@pytest.fixture
def plain_host(lab: ModuleType) -> Iterator[Callable[[str], str]]:
    """A container of the lab's image with sshd instead of systemd; runs shell commands in it."""
    remove = ("rm", "--force", "--time=0", "--volumes", "--ignore", PLAIN)
    lab.podman(*remove)
    arguments = lab.run_arguments(PLAIN, "quantum-molecule", PLAIN_ADDRESS, lab.host_image())
    arguments = ["--systemd=false" if word == "--systemd=always" else word for word in arguments]
    lab.podman(*arguments, "sh", "-c", "ssh-keygen -A && mkdir -p /run/sshd && exec /usr/sbin/sshd -D")
    lab.authorize(PLAIN)
    yield lambda script: str(lab.podman("exec", PLAIN, "sh", "-c", script))
    lab.podman(*remove)


def test_no_systemd(playbooks: Playbooks, plain_host: Callable[[str], str]) -> None:
    """A host that systemd does not run is refused as that, and stays as it is."""
    listing = "find /etc /home/qt /opt /usr/local /var/lib -printf '%p %y %m %u %g %l %T@\n' | sort"
    before = plain_host(listing)
    run = playbooks.deploy(ansible_host=PLAIN_ADDRESS)
    assert 0 != run.code
    assert "systemd does not run this host" in run.reason
    assert "the router needs a host booted with systemd" in run.reason
    assert before == plain_host(listing)
