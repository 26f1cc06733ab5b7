# SPDX-License-Identifier: Apache-2.0
"""The lease in use: Redis' clock and state, renewal, and commits, each from where the last one left the cursor."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from router.errors import BrokenCommitError, FencedError, GroupMissingError, RedisUnavailableError
from router.telemetry import REPEAT_STATE_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.config import Settings
    from router.ports import Store
    from router.redis_io.scripts import Commit, Lease, Observation, Reply
    from router.telemetry import Telemetry


class Tenure:
    """What may be done while *lease* is ours.

    *monotonic_s* is the local clock. *tick* is called wherever work may go on for long; it may raise to end it.
    """

    def __init__(
        self,
        settings: Settings,
        scripts: Store,
        lease: Lease,
        telemetry: Telemetry,
        monotonic_s: Callable[[], float],
        tick: Callable[[], None],
    ) -> None:
        self.scripts = scripts
        #: The entry that the last commit left the group at.
        self.cursor = "0-0"
        #: The local clock.
        self.now_s = monotonic_s
        #: Local time of the last look at the state, and of the last renewal.
        self.observed_s = self.renewed_s = monotonic_s()
        #: Capacity is read each window, and often enough for the state line to be repeated in time.
        self.observe_every_s = min(settings.window_s, REPEAT_STATE_S / 2)
        self.renew_every_s = settings.lease_ttl_s / 3
        self._settings = settings
        self._lease = lease
        self._telemetry = telemetry
        self._tick = tick
        self._commit_numbers = itertools.count(1)
        self._redis_ahead_ms = 0.0

    def now_ms(self) -> int:
        """Redis' clock in milliseconds, by the last look at it."""
        return int(self._redis_ahead_ms + self.now_s() * 1000)

    def observe(self) -> Observation:
        """Read the state of Redis, set our idea of its clock, and log a state that changed or lasts."""
        seen = self.scripts.observe(forget=True)
        self.observed_s = self.now_s()
        self._redis_ahead_ms = seen.now_ms - self.observed_s * 1000
        self._telemetry.state(seen, self.observed_s, self.observed_s + self.observe_every_s)
        return seen

    def renew_if_due(self) -> None:
        """Keep the lease; raise when it is another's, or whatever *tick* raises."""
        self._tick()
        now_s = self.now_s()
        if now_s - self.renewed_s < self.renew_every_s:
            return
        if not self.scripts.renew(self._lease):
            raise FencedError("FENCED: the lease is gone or another router holds it")
        self.renewed_s = now_s

    def commit(self, commit: Commit) -> Reply:
        """Commit, and keep the new cursor; raise when this session may not go on."""
        commit_id = f"{self._lease.epoch}-{next(self._commit_numbers)}"
        began_s = self.now_s()
        reply = self.scripts.commit(self._lease, commit_id, self.cursor, commit)
        match reply.status:
            case "OK":
                self.cursor = commit.cursor_to or self.cursor
                self._telemetry.committed(commit, reply, self.now_s() - began_s)
            case "FENCED":
                raise FencedError(f"FENCED: {reply.reason}")
            case "NO_GROUP":
                raise GroupMissingError(self._settings.group)
            case "DENIED":
                raise RedisUnavailableError(f"the commit is refused: {reply.reason}")
            case "BROKEN":
                raise BrokenCommitError(f"BROKEN_COMMIT: {reply.reason}; halted until a person resumes")
        return reply
