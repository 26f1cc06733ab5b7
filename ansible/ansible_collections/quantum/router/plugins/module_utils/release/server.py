# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Redis from the distribution's packages for a host that has none, closed before it starts for the first time.

A drop-in of its unit, written before the package comes, marks it as ours, keeps it from starting until its users are
there, and holds its settings: so no file of the package is touched, and an upgrade asks nothing. Once installed it is
the administrator's: it is never changed again, and no rollback removes it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import durable, preflight, store, systemctl
from .errors import ReleaseError

if TYPE_CHECKING:
    from pathlib import Path

    from .host import Host
    from .layout import Layout
    from .resp import Address

PACKAGED = {("debian", "12"): "redis", ("debian", "13"): "valkey"}
"""Which server is installed on which distribution, by ID and VERSION_ID of os-release: those that it was tried on."""

PACKAGES_S, START_S = 300.0, 60.0
"""Seconds for each command of the package manager, and for a server without data to start."""

_APT = ("apt-get", "-qq", "--yes", "--no-install-recommends", "--option=DPkg::Lock::Timeout=120")
_FOLDERS = ("/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin")
_DROP_IN = """\
# Written once by quantum.router, which installed this server. From then on it is yours.
[Unit]
# The package starts it at once, and without these users anybody on this host may do everything.
ConditionPathExists={users}

[Service]
ExecStart=
ExecStart=/usr/bin/{name}-server /etc/{name}/{name}.conf --supervised systemd --daemonize no --port {port} \
--bind 127.0.0.1 -::1 --protected-mode yes --appendonly yes --appendfsync everysec --maxmemory-policy noeviction \
--aclfile {users}
"""


@dataclass(frozen=True)
class Server:
    """What a distribution has: `name`, redis or valkey, is that of its folders."""

    name: str

    @property
    def package(self) -> str:
        """Name of the package, of its unit and of its program."""
        return f"{self.name}-server"

    def drop_in(self, layout: Layout) -> Path:
        """What marks it as ours and holds its settings."""
        return layout.units / f"{self.package}.service.d" / "quantum-router.conf"

    def users(self, layout: Layout) -> Path:
        """Its users, which it keeps itself from then on; written last: it is whole once they are there."""
        return layout.at(f"/var/lib/{self.name}/users.acl")


def missing(layout: Layout, *, reachable: bool) -> bool:
    """Whether this host is still to get its Redis; one that was installed half counts.

    Raises ReleaseError where there is one that is not ours, *reachable* or not, or where none is packaged.
    """
    ours = [server for server in map(Server, PACKAGED.values()) if server.drop_in(layout).exists()]
    if ours:
        return not ours[0].users(layout).exists()
    programs = [f"{folder}/{name}-server" for folder in _FOLDERS for name in PACKAGED.values()]
    found = [path for path in programs if layout.at(path).exists()]
    if found or reachable:
        what = found[0] if found else "a server that answers at router_redis_url"
        raise ReleaseError(f"there is a Redis already ({what}), which is never changed: leave router_redis_install out")
    _of_distribution(layout)
    return True


def install(host: Host, admin: Address, *, check: bool = False) -> list[str]:
    """Have a Redis on *admin*'s port of this host, which lets in *admin* alone; returns what was done, a line each.

    Nothing is done where it is there already. What was cut off is finished by the next call.
    """
    if not missing(host.layout, reachable=False):
        return []
    server = _of_distribution(host.layout)
    if not check:
        with store.locked(host.layout):
            _install(host, server, admin)
            store.record(host, "redis installed", package=server.package, where=admin.where)
    return [f"{server.package} installed at {admin.where}"]


def _of_distribution(layout: Layout) -> Server:
    release = preflight.os_release(layout.at("/etc/os-release"))
    name = PACKAGED.get((release.get("ID", ""), release.get("VERSION_ID", "")))
    if name is None:
        known = " and ".join(f"{distribution} {version}" for distribution, version in PACKAGED)
        raise ReleaseError(
            f"router_redis_install knows {known}, not {release.get('PRETTY_NAME') or 'this system'}: "
            "install Redis 7.0 or newer, or Valkey, by hand and leave router_redis_install out"
        )
    return Server(name)


def _install(host: Host, server: Server, admin: Address) -> None:
    drop_in, users = server.drop_in(host.layout), server.users(host.layout)
    text = _DROP_IN.format(name=server.name, port=admin.port, users=host.layout.host_path(users))
    drop_in.parent.mkdir(mode=0o755, exist_ok=True)
    durable.write(drop_in, text.encode())
    for words in (("update",), ("install", server.package)):
        done = host.run((*_APT, *words), PACKAGES_S, {"DEBIAN_FRONTEND": "noninteractive"})
        if done.code != 0:
            # Who installs the package by hand now must not find it closed.
            durable.remove(drop_in)
            raise ReleaseError(f"apt-get {words[0]} failed: {systemctl.last_line(done.err or done.out)}")
    owner = users.parent.stat()
    digest = hashlib.sha256(admin.password.encode()).hexdigest()
    lines = f"user default off\nuser {admin.user} on #{digest} ~* &* +@all\n"
    durable.write(users, lines.encode(), 0o640, (owner.st_uid, owner.st_gid))
    host.systemctl("daemon-reload")
    if host.run(("systemctl", "restart", server.package), START_S).code != 0:
        where = f"journalctl --unit={server.package}, /var/log/{server.name}"
        raise ReleaseError(f"{server.package} is installed but does not start: see {where}")
