# SPDX-License-Identifier: Apache-2.0
"""Two hosts without Redis, Debian 12 and 13, in one deployment that installs it.

The tests tell one story in order: each finds the hosts as the one before has left them.
"""

from __future__ import annotations

import importlib
import os
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.infra.desk import Desk

if TYPE_CHECKING:
    from tests.infra.conftest import Playbooks
    from tests.infra.desk import Run

testinfra = importlib.import_module("testinfra")  # it carries no types

#: Each host, and the server that its distribution brings.
SERVERS = {"quantum-molecule-install-12": "redis", "quantum-molecule-install-13": "valkey"}
ADMIN = "planted-adm1n"
AS_ADMIN = f"--no-auth-warning --user boss --pass {ADMIN}"
INSTALL: dict[str, Any] = {
    "router_redis_install": True,
    "router_redis_acl_manage": True,
    "router_redis_url": "redis://desk@127.0.0.1:6379/0",
    "router_redis_admin_urls": ["redis://boss@127.0.0.1:6379"],
    "router_redis_admin_password": ADMIN,
}
#: What is promised of the server, as it says itself.
HARDENED = {
    "bind": "127.0.0.1 -::1",
    "protected-mode": "yes",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "maxmemory-policy": "noeviction",
}


@pytest.fixture(scope="module")
def desks() -> dict[str, Desk]:
    """The hosts by name."""
    inventory = os.environ["MOLECULE_INVENTORY_FILE"]
    return {name: Desk(testinfra.get_host(f"ansible://{name}", ansible_inventory=inventory)) for name in SERVERS}


def changed(run: Run) -> dict[str, str]:
    """How many tasks changed each host."""
    return dict(re.findall(r"^(quantum-\S+) +: .*changed=([0-9]+)", run.output, re.MULTILINE))


def everything(desk: Desk) -> str:
    """What a deployment that installs Redis may write, packages included."""
    places = ("/etc/redis", "/etc/valkey", "/var/lib/redis/users.acl", "/var/lib/valkey/users.acl")
    return desk.listing() + desk.files(*places) + desk.run("dpkg --list")


def refused_as_default(desk: Desk) -> bool:
    """Whether nobody gets in without a name."""
    return desk.redis("PING").startswith("NOAUTH")


def test_who_only_looks_is_told_that_there_is_none(desks: dict[str, Desk], playbooks: Playbooks) -> None:
    """Measuring a host installs no Redis there."""
    before = {name: everything(desk) for name, desk in desks.items()}
    looked = playbooks.run("quantum.router.recon", **INSTALL)
    assert 0 != looked.code
    assert looked.output.count("Redis at 127.0.0.1:6379 can't be reached") >= len(SERVERS)
    assert before == {name: everything(desk) for name, desk in desks.items()}


def test_an_installation_is_predicted_made_and_made_once(desks: dict[str, Desk], playbooks: Playbooks) -> None:
    """Check mode touches nothing and names what the deployment then does; the same again changes nothing."""
    before = {name: everything(desk) for name, desk in desks.items()}
    checked = playbooks.deploy("--check", **INSTALL)
    assert 0 == checked.code
    assert before == {name: everything(desk) for name, desk in desks.items()}

    deployed = playbooks.deploy(**INSTALL)
    assert 0 == deployed.code
    assert len(SERVERS) == deployed.output.count("verdict=pass ")
    assert changed(checked) == changed(deployed)

    again = playbooks.deploy(**INSTALL)
    assert 0 == again.code
    assert dict.fromkeys(SERVERS, "0") == changed(again)


def test_what_was_installed_is_closed_and_loses_nothing(desks: dict[str, Desk]) -> None:
    """Loopback, users alone, every change on disk, nothing evicted; and so it is after a restart."""
    for name, desk in desks.items():
        desk.run(f"systemctl restart {SERVERS[name]}-server")
        assert refused_as_default(desk)
        told = desk.redis(AS_ADMIN, "CONFIG", "GET", *(f"'{key}'" for key in HARDENED)).splitlines()
        assert HARDENED == dict(zip(told[::2], told[1::2], strict=True))
        listening = desk.run("ss --listening --tcp --no-header --numeric 'sport = :6379'").splitlines()
        assert {"127.0.0.1:6379", "[::1]:6379"} >= {line.split()[3] for line in listening}
        users = desk.redis(AS_ADMIN, "ACL", "USERS").split()
        assert ["boss", "default", "desk", "desk-deployment"] == sorted(users)
        assert "enabled" == desk.run(f"systemctl is-enabled {SERVERS[name]}-server")
        assert "640" == desk.run(f"stat --format=%a /var/lib/{SERVERS[name]}/users.acl")
        assert desk.run("router check").startswith("ok: ")


def test_the_administrators_password_is_in_no_file_of_ours(desks: dict[str, Desk]) -> None:
    """Redis has its SHA-256; the desk's own files, which a test wrote, are left out."""
    for desk in desks.values():
        where = "/etc/quantum-router /etc/redis /etc/valkey /var/lib /opt /run /tmp /root"
        search = f"grep --text --recursive --files-with-matches {ADMIN[:3]}''{ADMIN[3:]} {where} 2> /dev/null || true"
        assert "" == desk.run(search)


def test_a_rollback_leaves_it(desks: dict[str, Desk], playbooks: Playbooks) -> None:
    """There was no router before, so none runs; Redis and what is in it is everybody's."""
    assert 0 == playbooks.roll_back().code
    for name, desk in desks.items():
        assert "inactive" == desk.runs()["ActiveState"]
        assert "active" == desk.run(f"systemctl is-active {SERVERS[name]}-server")
        assert refused_as_default(desk)


def test_a_redis_that_is_there_already_is_refused(desks: dict[str, Desk], playbooks: Playbooks) -> None:
    """Without the mark of one that was installed it is somebody else's, and stays as it is."""
    for name, desk in desks.items():
        drop_ins = f"/etc/systemd/system/{SERVERS[name]}-server.service.d"
        desk.run(f"mv {drop_ins}/quantum-router.conf {drop_ins}/mine.conf")
    before = {name: everything(desk) for name, desk in desks.items()}
    refused = playbooks.deploy(**INSTALL)
    assert 0 != refused.code
    for server in SERVERS.values():
        assert f"there is a Redis already (/usr/bin/{server}-server), which is never changed" in refused.output
    assert before == {name: everything(desk) for name, desk in desks.items()}
