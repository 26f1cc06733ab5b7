# SPDX-License-Identifier: Apache-2.0
"""The service: hold the lease or stand by, run one session after another, and end in under a second when told to."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final

import redis

from router.errors import RedisUnavailableError
from router.redis_io.client import connect, require_supported_server
from router.redis_io.group import Group
from router.redis_io.keys import catalogue
from router.redis_io.reader import Reader
from router.redis_io.scripts import Scripts, Standby
from router.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.config import Settings
    from router.notify import ServiceManager
    from router.redis_io.scripts import Lease
    from router.telemetry import Telemetry

#: Pause before Redis is tried again, and between a standby's attempts.
PAUSE_S: Final = 0.25


class Service:
    """Routes signals until *stopping* says so. *holder* names this router on this host, *release* what it runs."""

    def __init__(
        self,
        settings: Settings,
        holder: str,
        release: str,
        telemetry: Telemetry,
        manager: ServiceManager,
        stopping: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._holder = holder
        self._release = release
        self._telemetry = telemetry
        self._manager = manager
        self._stopping = stopping
        self._ready = False

    def run(self) -> None:
        """Work until told to stop.

        Raises:
            RedisUnavailableError: Redis cannot be used at start. Later the service waits for it, publishing nothing.
            FencedError, BrokenCommitError: this process may not go on.
        """
        while not self._stopping():
            try:
                self._serve()
            except (redis.RedisError, OSError, RedisUnavailableError) as error:
                reason = " ".join(str(error).split()) or type(error).__name__
                if not self._ready:
                    raise RedisUnavailableError(f"Redis at {self._settings.redis_url}: {reason}") from None
                self._telemetry.redis_unavailable(reason)
                self._manager.status(f"Redis unavailable: {reason}")
                self._pause()

    def _serve(self) -> None:
        """Run one session from the first connection to its end."""
        keys = catalogue(self._settings)
        with contextlib.closing(connect(self._settings)) as client:
            require_supported_server(client)
            scripts = Scripts(client, self._settings, keys)
            scripts.load()
            lease = self._lease(scripts)
            if lease is None:
                return
            self._telemetry.active(self._holder, lease.epoch, self._release)
            group = Group(client, self._settings, keys)
            with contextlib.closing(Reader(client, keys.signals)) as reader:
                session = Session(
                    self._settings, scripts, group, reader, lease, self._release, self._telemetry, time.monotonic
                )
                session.start()
                self._say_ready()
                while not self._stopping():
                    session.step()
                    self._manager.alive(time.monotonic())
                    self._manager.status(session.status)
            scripts.release(lease)

    def _lease(self, scripts: Scripts) -> Lease | None:
        """Take the lease, standing by while another holds it; None when told to stop meanwhile."""
        seen = ""
        while not self._stopping():
            lease = scripts.acquire(self._holder, self._release)
            if not isinstance(lease, Standby):
                return lease
            if lease.holder != seen:
                seen = lease.holder
                self._telemetry.standby(seen)
                self._manager.status(f"standby: {seen} holds the lease")
            self._say_ready()
            self._pause()
        return None

    def _say_ready(self) -> None:
        if not self._ready:
            self._ready = True
            self._manager.ready()

    def _pause(self) -> None:
        self._manager.alive(time.monotonic())
        time.sleep(PAUSE_S)
