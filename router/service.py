# SPDX-License-Identifier: Apache-2.0
"""The service: hold the lease or stand by, run one session after another, and end in under a second when told to."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final

import redis

from router.errors import ConfigError, RedisUnavailableError
from router.redis_io.acl import naming_rights
from router.redis_io.client import connect, explained, require_supported_server
from router.redis_io.group import Group
from router.redis_io.keys import catalogue
from router.redis_io.reader import Reader
from router.redis_io.rights import service
from router.redis_io.scripts import Scripts, Standby
from router.session import Session
from router.tenure import Tenure

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.config import Settings
    from router.notify import ServiceManager
    from router.redis_io.keys import Keys
    from router.redis_io.scripts import Lease
    from router.telemetry import Telemetry

#: Pause between a standby's attempts, and before Redis is tried again; the latter doubles up to the longest.
PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 2.0
#: After this long without an outage the pause is the shortest again.
CALM_S: Final = 10.0


class StopError(BaseException):
    """The service was told to stop: what is not committed is left to the next one. No handler of errors may keep it."""


class AbandonError(StopError):
    """It was told to stop and Redis hangs: even the lease is left, to expire."""


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
        self._pause_s = PAUSE_S

    def run(self) -> bool:
        """Work until told to stop; return whether a lease was given back.

        Raises:
            RedisUnavailableError, ConfigError: Redis, or a file with a password for it, cannot be used at start. Later
                the service waits for it, publishing nothing.
            FencedError, BrokenCommitError: this process may not go on.
        """
        try:
            while True:
                try:
                    self._serve()
                except (redis.RedisError, RedisUnavailableError, ConfigError) as error:
                    if not self._ready and isinstance(error, ConfigError):
                        raise
                    self._wait_out(explained(self._settings, error))
                else:
                    return True
        except StopError:
            return False

    def _serve(self) -> None:
        """Run one session from the first connection until told to stop, then give the lease back."""
        keys = catalogue(self._settings)
        rights = service(keys, self._settings)
        with contextlib.closing(connect(self._settings)) as client, naming_rights(client, self._settings, rights):
            require_supported_server(client)
            scripts = Scripts(client, self._settings, keys)
            scripts.load()
            lease = self._wait_for_lease(scripts)
            try:
                self._route(client, keys, scripts, lease)
            except AbandonError:
                raise
            except StopError:
                scripts.release(lease)

    def _route(self, client: redis.Redis, keys: Keys, scripts: Scripts, lease: Lease) -> None:
        """Route signals as holder of *lease*."""
        settings, telemetry, group = self._settings, self._telemetry, Group(client, self._settings, keys)
        telemetry.active(self._holder, lease.epoch, self._release)
        with contextlib.closing(Reader(client, keys.signals)) as reader:
            clock = time.monotonic
            tenure = Tenure(settings, scripts, lease, telemetry, clock, self._tick)
            session = Session(settings, tenure, group, reader, self._release, telemetry)
            session.start()
            self._say_ready()
            started_s, told = clock(), None
            while True:
                session.step()
                if telemetry.tally.seen is not told:
                    told = telemetry.tally.seen
                    self._manager.status(telemetry.status)
                if clock() - started_s > CALM_S:
                    self._pause_s = PAUSE_S

    def _wait_for_lease(self, scripts: Scripts) -> Lease:
        """Take the lease, standing by while another holds it."""
        seen = ""
        while True:
            lease = scripts.acquire(self._holder, self._release)
            if not isinstance(lease, Standby):
                return lease
            if lease.holder != seen:
                seen = lease.holder
                self._telemetry.standby(seen)
                self._manager.status(f"standby: {seen} holds the lease")
            self._say_ready()
            self._sleep(PAUSE_S)

    def _wait_out(self, reason: str) -> None:
        """Say that Redis cannot be used, and pause before the next attempt."""
        if not self._ready:
            raise RedisUnavailableError(f"Redis at {self._settings.redis_url}: {reason}") from None
        self._telemetry.redis_unavailable(reason, time.monotonic())
        self._manager.status(f"Redis unavailable: {reason}")
        self._sleep(self._pause_s)
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    def _say_ready(self) -> None:
        if not self._ready:
            self._ready = True
            self._manager.ready()

    def _tick(self) -> None:
        """Feed the watchdog, and end what is under way when told to stop."""
        self._telemetry.tally.turned()
        self._manager.alive(time.monotonic())
        if self._stopping():
            raise StopError

    def _sleep(self, seconds: float) -> None:
        deadline_s = time.monotonic() + seconds
        while time.monotonic() < deadline_s:
            self._tick()
            time.sleep(min(PAUSE_S, seconds))
