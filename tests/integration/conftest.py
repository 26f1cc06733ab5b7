# SPDX-License-Identifier: Apache-2.0
"""A real redis-server of its own for each test that asks for one."""

from __future__ import annotations

import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
import redis

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class RedisServer:
    """A redis-server on a unix socket, append-only, that a test may stop, kill and start again on the same data."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.socket = folder / "redis.sock"
        self.url = f"unix://{self.socket}"
        self.client = redis.Redis(unix_socket_path=str(self.socket), decode_responses=True, protocol=2)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        program = shutil.which("redis-server")
        assert program, "redis-server is missing: run make setup"
        options = ["--port", "0", "--unixsocket", str(self.socket), "--dir", str(self._folder), "--save", ""]
        options += ["--appendonly", "yes", "--maxmemory-policy", "noeviction", *self._options]
        log = (self._folder / "redis.log").open("ab")
        self._process = subprocess.Popen([program, *options], stdout=log, stderr=log)
        log.close()
        for _ in range(200):
            try:
                if self.client.ping():
                    return
            except redis.ConnectionError:
                time.sleep(0.02)
        raise AssertionError((self._folder / "redis.log").read_text(encoding="utf-8"))

    def stop(self, *, kill: bool = False) -> None:
        """End the server, in order or by SIGKILL."""
        if self._process is not None:
            self.client.close()
            (self._process.kill if kill else self._process.terminate)()
            self._process.wait(timeout=10)
            self._process = None


@pytest.fixture
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A running server with empty data."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()
