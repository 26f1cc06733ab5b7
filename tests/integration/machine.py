# SPDX-License-Identifier: Apache-2.0
"""Routers in this process, on a clock of ours and a real Redis, that can be made to crash around any call to it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import redis

from router.core.entry_id import order
from router.log import Log
from router.redis_io.client import connect
from router.redis_io.group import Group
from router.redis_io.keys import catalogue
from router.redis_io.reader import Reader
from router.redis_io.scripts import Lease, Scripts
from router.session import Session
from router.telemetry import Telemetry
from router.tenure import Tenure
from tests.integration.conftest import INTENTS, SIGNALS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from router.config import Settings


class CrashError(BaseException):
    """The router is gone, as by SIGKILL: no handler of errors may see it."""


class Trap:
    """Makes one call to Redis crash the router, before or after it is sent."""

    def __init__(self) -> None:
        self._left = 0
        self._before = True

    def set(self, number: int, *, before: bool) -> None:
        """Crash at the *number*-th call from now on; 0: at none."""
        self._left, self._before = number, before

    def lay(self, owner: object, method: str) -> None:
        """Put the trap into the way of a *method*."""
        call: Callable[..., Any] = getattr(owner, method)

        def trapped(*args: Any, **options: Any) -> Any:
            self._left -= 1
            if self._left == 0 and self._before:
                raise CrashError
            result = call(*args, **options)
            if self._left == 0:
                raise CrashError
            return result

        setattr(owner, method, trapped)


class Clock:
    """The local clock of all routers; it moves when told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        """Return seconds since the beginning."""
        return self.now_s


class PromptReader(Reader):
    """Waits for nothing, since no time passes here."""

    def read(self, after: str, wait_s: float) -> Any:
        """Read what is there, or comes within 2 ms."""
        return super().read(after, min(wait_s, 0.002))


class LocalRouter:
    """A router named *name*: a session as the service runs it, once it has the lease."""

    def __init__(self, name: str, settings: Settings, clock: Clock) -> None:
        self.name = name
        self.trap = Trap()
        #: What it logged.
        self.events: list[Mapping[str, Any]] = []
        self.lease: Lease | None = None
        self._clock = clock
        self._settings = settings
        self._client = connect(settings)
        self.trap.lay(self._client, "execute_command")
        keys = catalogue(settings)
        self._scripts = Scripts(self._client, settings, keys)
        self._group = Group(self._client, settings, keys)
        self._reader = PromptReader(self._client, keys.signals)
        self.trap.lay(self._reader, "read")
        self._telemetry = Telemetry(Log(self.events.append), settings, keys)

    def start(self) -> bool:
        """Take the lease and begin; False when another router has it."""
        lease = self._scripts.acquire(self.name, "release")
        if not isinstance(lease, Lease):
            return False
        self.lease = lease
        tenure = Tenure(self._settings, self._scripts, lease, self._telemetry, self._clock, lambda: None)
        self._session = Session(self._settings, tenure, self._group, self._reader, "release", self._telemetry)
        self._session.start()
        return True

    def step(self) -> bool:
        """Do one step; say whether a window was due to be closed in it."""
        opened_s = self._session._window.opened_s  # noqa: SLF001 - nobody else needs to know
        del self.events[:]
        self._session.step()
        return opened_s is not None and self._clock() - opened_s >= self._settings.window_s

    @property
    def outcome_lines(self) -> list[Mapping[str, Any]]:
        """The outcome lines of windows in the last step."""
        return [event for event in self.events if event.get("SCOPE") == "window"]

    def close(self) -> None:
        """Throw the session away."""
        self.trap.set(0, before=True)
        self._reader.close()
        self._client.close()


class Books:
    """What Redis holds of the routers' work, read by *client*."""

    client: Any

    @property
    def intents(self) -> list[dict[str, Any]]:
        """All intents, oldest first."""
        return [json.loads(fields["data"]) for _, fields in self.client.xrange(INTENTS)]

    @property
    def counted(self) -> int:
        """Entries that have an outcome."""
        return sum(int(n) for n in self.client.hvals("quantum:router:outcomes"))

    @property
    def pending(self) -> set[tuple[int, int]]:
        """Entries that somebody was given and has not acknowledged: never by us."""
        if not self.groups:
            return set()
        return {order(row["message_id"]) for row in self.client.xpending_range(SIGNALS, "router", "-", "+", 1000)}

    @property
    def unread(self) -> list[Any]:
        """Entries after the cursor that the stream still holds."""
        unread: list[Any] = self.client.xrange(SIGNALS, "({}-{}".format(*self.cursor), "+")
        return unread

    @property
    def groups(self) -> list[dict[str, Any]]:
        """The router's group, when it exists."""
        try:
            groups = self.client.xinfo_groups(SIGNALS)
        except redis.ResponseError:  # no such stream yet
            return []
        return [group for group in groups if group["name"] == "router"]

    @property
    def cursor(self) -> tuple[int, int]:
        """The last entry that is dealt with."""
        return max((order(group["last-delivered-id"]) for group in self.groups), default=(0, 0))

    def holds_lease(self, router: LocalRouter) -> bool:
        """Say whether *router* is the one that may commit."""
        assert router.lease
        held = self.client.hmget("quantum:router:lease", "holder", "epoch")
        return bool(held == [router.lease.holder, router.lease.epoch])
