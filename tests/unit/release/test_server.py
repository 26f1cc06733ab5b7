# SPDX-License-Identifier: Apache-2.0
"""A Redis that is installed where there is none: on a host's folder, with a package manager that writes into it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
from ansible_collections.quantum.router.plugins.module_utils.release import resp, server
from ansible_collections.quantum.router.plugins.module_utils.release.errors import ReleaseError
from ansible_collections.quantum.router.plugins.module_utils.release.systemctl import Completed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.quantum.router.plugins.module_utils.release.host import Host
    from ansible_collections.quantum.router.plugins.module_utils.release.layout import Layout

ADMIN = resp.parse_url("redis://boss@127.0.0.1:6380", "s3cret")
SHA256 = hashlib.sha256(b"s3cret").hexdigest()
MARK = "/etc/systemd/system/valkey-server.service.d/quantum-router.conf"
USERS = "/var/lib/valkey/users.acl"
DEBIAN_13 = 'ID=debian\nVERSION_ID="13"\nPRETTY_NAME="Debian GNU/Linux 13 (trixie)"\n'


@dataclass
class Packages:
    """What apt-get and systemctl do on the host; a command that begins like `fails` does not work."""

    layout: Layout
    commands: list[str]
    fails: str = "nothing"

    def __call__(
        self, argv: Sequence[str], timeout_s: float, environment: Mapping[str, str] | None = None
    ) -> Completed:
        """Install the program and its folders, or do nothing."""
        assert timeout_s > 0
        words = [word for word in argv if not word.startswith("-")]
        command = " ".join(words)
        self.commands.append(command)
        if command.startswith(self.fails):
            return Completed(100, "", "E: no way\n")
        if words[0] == "apt-get":
            assert environment == {"DEBIAN_FRONTEND": "noninteractive"}
        if words[:2] == ["apt-get", "install"]:
            # The package starts its service at once; what keeps that from happening has to be there already.
            assert "ConditionPathExists=/var/lib/valkey/users.acl\n" in self.layout.at(MARK).read_text()
            for path in ("/usr/bin/valkey-server", "/var/lib/valkey/dump.rdb"):
                self.layout.at(path).parent.mkdir(parents=True, exist_ok=True)
                self.layout.at(path).touch()
        return Completed(0, "", "")


@pytest.fixture
def packages(layout: Layout) -> Packages:
    """A Debian 13 without Redis."""
    layout.at("/etc/os-release").write_text(DEBIAN_13)
    return Packages(layout, [])


@pytest.fixture
def bare(host: Host, packages: Packages) -> Host:
    """The same as a host to change."""
    return replace(host, run=packages)


INSTALLED = ["apt-get update", "apt-get install valkey-server", "systemctl daemon-reload",
             "systemctl restart valkey-server"]  # fmt: skip


def test_it_is_closed_before_it_starts(bare: Host, packages: Packages) -> None:
    """Its settings and its users are there before it is started, and the password is there as a digest."""
    assert ["valkey-server installed at 127.0.0.1:6380"] == server.install(bare, ADMIN)
    assert INSTALLED == packages.commands
    users, unit = bare.layout.at(USERS), bare.layout.at(MARK).read_text()
    assert f"user default off\nuser boss on #{SHA256} ~* &* +@all\n" == users.read_text()
    assert 0o640 == users.stat().st_mode & 0o777
    (command,) = [line for line in unit.splitlines() if line.startswith("ExecStart=/")]
    for option in ("port 6380", "bind 127.0.0.1 -::1", "protected-mode yes", "appendonly yes",
                   "maxmemory-policy noeviction", f"aclfile {USERS}"):  # fmt: skip
        assert f" --{option}" in command
    assert '"action": "redis installed"' in bare.layout.journal.read_text()
    assert "s3cret" not in unit + users.read_text() + bare.layout.journal.read_text()


def test_once_is_enough(bare: Host, packages: Packages) -> None:
    """What was installed is there, and whatever its administrator makes of it is not touched again."""
    server.install(bare, ADMIN)
    bare.layout.at(USERS).write_text("user mine on\n")
    packages.commands.clear()
    assert not server.missing(bare.layout, reachable=True)
    assert [] == server.install(bare, ADMIN) == packages.commands
    assert "user mine on\n" == bare.layout.at(USERS).read_text()


def test_check_mode_says_the_same_and_does_nothing(bare: Host, packages: Packages) -> None:
    """The line of a real run, without a command or a file."""
    assert ["valkey-server installed at 127.0.0.1:6380"] == server.install(bare, ADMIN, check=True)
    assert [] == packages.commands
    assert not bare.layout.at(MARK).exists()


def test_what_was_cut_off_is_finished(bare: Host, packages: Packages) -> None:
    """Between package and users it is ours and not open: the next run goes on."""
    bare.layout.at(MARK).parent.mkdir()
    bare.layout.at(MARK).write_text("")
    bare.layout.at("/usr/bin").mkdir(parents=True)
    bare.layout.at("/usr/bin/valkey-server").touch()
    assert server.missing(bare.layout, reachable=False)
    assert server.install(bare, ADMIN)
    assert INSTALLED == packages.commands


@pytest.mark.parametrize("path", ["/usr/bin/redis-server", "/usr/local/bin/redis-server", "/usr/bin/valkey-server"])
def test_a_redis_that_is_there_is_refused(bare: Host, packages: Packages, path: str) -> None:
    """Whoever installed it: it is named, with the way out, and not touched."""
    bare.layout.at(path).parent.mkdir(parents=True)
    bare.layout.at(path).touch()
    with pytest.raises(ReleaseError, match=rf"Redis already \({path}\), which is never .*: leave router_redis_install"):
        server.install(bare, ADMIN)
    assert [] == packages.commands


@pytest.mark.usefixtures("packages")
def test_a_server_that_answers_is_refused(layout: Layout) -> None:
    """One in a container, of which the host has no program, is a Redis too."""
    with pytest.raises(ReleaseError, match="a server that answers at router_redis_url"):
        server.missing(layout, reachable=True)


@pytest.mark.parametrize(
    ("release", "named"),
    [
        ('ID=ubuntu\nVERSION_ID="24.04"\nPRETTY_NAME="Ubuntu 24.04.3 LTS"\n', "Ubuntu 24.04.3 LTS"),
        (
            'ID="rhel"\nVERSION_ID="9.6"\nPRETTY_NAME="Red Hat Enterprise Linux 9.6 (Plow)"\n',
            "Red Hat Enterprise Linux",
        ),
        ('ID=debian\nVERSION_ID="11"\n', "this system"),
        ("", "this system"),
    ],
)
def test_a_distribution_on_which_it_was_not_tried_is_refused(layout: Layout, release: str, named: str) -> None:
    """The line says which are known and what to do by hand."""
    layout.at("/etc/os-release").write_text(release)
    with pytest.raises(ReleaseError, match=f"knows debian 12 and debian 13, not {named}.*by hand") as refused:
        server.missing(layout, reachable=False)
    assert "\n" not in str(refused.value)


def test_packages_that_do_not_come_leave_nothing_closed(bare: Host, packages: Packages) -> None:
    """Who then installs the package by hand must not find it kept from starting."""
    packages.fails = "apt-get install"
    with pytest.raises(ReleaseError, match=r"^apt-get install failed: E: no way$"):
        server.install(bare, ADMIN)
    assert not bare.layout.at(MARK).exists()
    assert server.missing(bare.layout, reachable=False)


def test_a_server_that_does_not_start_is_told(bare: Host, packages: Packages) -> None:
    """With where it says why."""
    packages.fails = "systemctl restart"
    with pytest.raises(ReleaseError, match=r"does not start: see journalctl --unit=valkey-server, /var/log/valkey$"):
        server.install(bare, ADMIN)
