# SPDX-License-Identifier: Apache-2.0
"""A replicated Redis: a master, a replica and three sentinels that agree on who is the master."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from typing import TYPE_CHECKING

import redis

from tests.integration.conftest import RedisServer, eventually

if TYPE_CHECKING:
    from pathlib import Path

SERVICE = "trading"
#: Milliseconds without an answer after which a sentinel takes the master for dead; two of three must agree.
DOWN_AFTER_MS = 1000
CONFIG = f"""
sentinel monitor {SERVICE} 127.0.0.1 %d 2
sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}
sentinel failover-timeout {SERVICE} 3000
"""


class Sentinels:
    """Two servers on TCP and three sentinels, which may want a *password*; *url* is what a router is given."""

    def __init__(self, folder: Path, password: str = "") -> None:
        self._password = password
        ports = free_ports(5)
        self.servers = {port: RedisServer(folder / str(port), "--port", str(port)) for port in ports[:2]}
        self.ports = ports[2:]
        self.url = f"redis+sentinel://{','.join(f'127.0.0.1:{port}' for port in self.ports)}/{SERVICE}/0"
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start all five, and wait until the replica follows and each sentinel knows the others."""
        master, replica = self.servers
        for port, server in self.servers.items():
            (self._folder / str(port)).mkdir()
            server.start()
        self.servers[replica].client.replicaof("127.0.0.1", master)
        program = shutil.which("redis-server")
        assert program
        for port in self.ports:
            config = self._folder / f"sentinel-{port}.conf"
            secret = f"requirepass {self._password}\nsentinel sentinel-pass {self._password}" if self._password else ""
            config.write_text(f"port {port}\ndir {self._folder}\n{CONFIG % master}{secret}\n", encoding="utf-8")
            log = config.with_suffix(".log").open("wb")
            self._processes.append(subprocess.Popen([program, config, "--sentinel"], stdout=log, stderr=log))
            log.close()
        eventually(lambda: all(self._sees_all(port) for port in self.ports), "sentinels that see all", within_s=15)

    @property
    def master(self) -> int:
        """Port of the master that the sentinels name now."""
        for port in self.ports:
            with self.sentinel(port) as sentinel:
                try:
                    state = sentinel.sentinel_masters()[SERVICE]
                except redis.RedisError:
                    continue
                return int(state["port"])
        raise AssertionError("no sentinel answers")

    def sentinel(self, port: int) -> redis.Redis:
        """Return a client of the sentinel on *port*."""
        return redis.Redis(port=port, password=self._password or None, protocol=2, socket_timeout=1)

    def fail_over(self, number: signal.Signals = signal.SIGKILL) -> int:
        """End (or, by SIGSTOP, freeze) the master, wait until the other one has taken over, and return its port."""
        lost = self.master
        self.servers[lost].send(number)
        (other,) = self.servers.keys() - {lost}
        eventually(lambda: self.master == other, "a new master", within_s=15)
        eventually(lambda: self.servers[other].client.role()[0] == "master", "the new master takes writes")
        return other

    def stop(self) -> None:
        """End all of them."""
        for process in self._processes:
            process.kill()
            process.wait(timeout=5)
        for server in self.servers.values():
            server.stop(kill=True)

    def _sees_all(self, port: int) -> bool:
        with self.sentinel(port) as sentinel:
            try:
                state = sentinel.sentinel_masters()[SERVICE]
                replicas = sentinel.sentinel_slaves(SERVICE)
            except redis.RedisError:
                return False
        up = [replica for replica in replicas if replica["master-link-status"] == "ok"]
        return bool(state["num-other-sentinels"] == 2 and up)


def free_ports(count: int) -> list[int]:
    """Return TCP ports that nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(bound.getsockname()[1]) for bound in sockets]
    for bound in sockets:
        bound.close()
    return ports
