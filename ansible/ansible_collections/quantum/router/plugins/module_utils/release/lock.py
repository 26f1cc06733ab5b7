# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may change this host: one deployment at a time, or nobody while it is frozen.

The lock of a deployment is over when its time is up; then another one may take it, and the journal says so. A freeze
stays until somebody ends it. Times count on the clock of this boot, which nobody sets; those of the wall clock are for
people. A lock of an earlier boot is over: the boot units have settled what it was for.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from . import durable, store
from .errors import ReleaseError

if TYPE_CHECKING:
    from .host import Host, Moment

AUTO, FREEZE = "auto", "freeze"

POLL_S = 1.0
"""Seconds between two looks at a lock that is waited for."""

_VERSION = 1


class HeldError(ReleaseError):
    """Somebody else deploys: waiting helps."""


@dataclass(frozen=True)
class Request:
    """What a lock is asked for; `seconds` None is a freeze, which has no end."""

    message: str
    seconds: float | None
    deployment: str | None = None


@dataclass(frozen=True)
class Lock:
    """A lock as it lies on the host; `began_s` and `ends_s` are on the clock of the boot `boot_id`."""

    token: str
    owner: str
    deployment: str | None
    message: str
    kind: str
    started: str
    expires: str | None
    boot_id: str
    began_s: float
    ends_s: float | None
    version: int = _VERSION

    @property
    def holder(self) -> str:
        """Who holds it and what for, for people."""
        if self.kind == FREEZE:
            return f"frozen by {self.owner} since {self.started}: {self.message}"
        return f"locked by {self.owner} since {self.started}, until {self.expires} at the latest: {self.message}"


def is_over(lock: Lock, now: Moment) -> bool:
    """Whether another one may take it."""
    return lock.ends_s is not None and (lock.boot_id != now.boot_id or now.uptime_s >= lock.ends_s)


def refuse(current: Lock | None, request: Request, now: Moment) -> None:
    """Raise ReleaseError unless the lock is free for the request; HeldError where it will be."""
    if current is None or (request.deployment and request.deployment == current.deployment):
        return
    if current.kind == FREEZE:
        raise ReleaseError(f"the host is {current.holder}; make unfreeze, or router-release unfreeze on it, ends that")
    if not is_over(current, now):
        raise HeldError(
            f"the host is {current.holder}; wait for it, or let the deployment wait with router_lock_wait_s"
        )


def load(host: Host) -> Lock | None:
    """The lock that lies on the host, over or not; one that can't be read is an error, never a free host."""
    path = host.layout.lock
    try:
        lock = Lock(**json.loads(path.read_bytes()))
        is_over(lock, host.moment())  # an end that is no number is damage too
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
    else:
        if lock.version == _VERSION:
            return lock
        reason = f"version {lock.version}"
    raise ReleaseError(f"{path} can't be read ({reason}): see who deploys to this host, then: router-release unlock")


def acquire(host: Host, request: Request, wait_s: float = 0.0) -> Lock:
    """Take the lock, or raise ReleaseError with who holds it; a deployment that has it already gets more time."""
    give_up_s = host.moment().uptime_s + wait_s
    while True:
        try:
            # A start that goes on may take longer than a command usually waits for another.
            with store.locked(host.layout, max(store.WAIT_S, wait_s)):
                check(host, request)
                return _take(host, request)
        except HeldError:
            if host.moment().uptime_s >= give_up_s:
                raise
        host.sleep(POLL_S)


def check(host: Host, request: Request) -> None:
    """Raise what `acquire` would raise at once."""
    refuse(load(host), request, host.moment())
    pending = store.load(host.layout).pending
    if request.deployment and pending and pending.deployment != request.deployment:
        raise HeldError(
            f"deployment {pending.deployment} of release {pending.release} is not judged yet: make confirm or make "
            "rollback, or wait until its guard undoes it"
        )


def require(host: Host, deployment: str) -> Lock:
    """The lock of this deployment; raises ReleaseError if it has none (any more). Call it in a transition."""
    lock = load(host)
    if lock is None or lock.deployment != deployment:
        instead = f": the host is {lock.holder}" if lock else ""
        raise ReleaseError(f"deployment {deployment} does not hold the lock of this host{instead}; deploy again")
    return lock


def prolong(host: Host, lock: Lock, seconds: float) -> None:
    """Let the lock end so many seconds from now. Call it in a transition."""
    ends_s = host.moment().uptime_s + seconds
    _save(host, replace(lock, boot_id=host.moment().boot_id, ends_s=ends_s, expires=host.timestamp(seconds)))


def release(host: Host, deployment: str) -> bool:
    """Give the lock of a deployment back that ended before anything live changed; a pending one keeps it."""
    with store.locked(host.layout):
        pending = store.load(host.layout).pending
        lock = load(host)
        if lock is None or lock.deployment != deployment or (pending and pending.deployment == deployment):
            return False
        durable.remove(host.layout.lock)
    return True


def unlock(host: Host, token: str | None = None) -> bool:
    """Free the host by hand, of a lock that can't be read too; with a token only if that is the lock's."""
    with store.locked(host.layout):
        try:
            lock = load(host)
        except ReleaseError as error:
            if token:
                raise
            store.record(host, "unlocked", was=str(error))
            durable.remove(host.layout.lock)
            return True
        if lock is None:
            return False
        _refuse_unlock(host, lock, token)
        durable.remove(host.layout.lock)
        store.record(host, "unlocked", was=lock.holder)
    return True


def unfreeze(host: Host) -> bool:
    """End a freeze; returns whether there was one."""
    with store.locked(host.layout):
        lock = load(host)
        if lock is None or lock.kind != FREEZE:
            return False
        durable.remove(host.layout.lock)
        store.record(host, "unfrozen", was=lock.holder)
    return True


def _refuse_unlock(host: Host, lock: Lock, token: str | None) -> None:
    pending = store.load(host.layout).pending
    if token not in (None, lock.token):
        raise ReleaseError(f"token {token} is not that of the lock: the host is {lock.holder}")
    if lock.kind == FREEZE and token is None:
        raise ReleaseError(f"the host is {lock.holder}; router-release unfreeze ends that")
    if pending and lock.deployment == pending.deployment:
        raise ReleaseError(f"deployment {lock.deployment} is pending: confirm it or roll it back, which ends its lock")


def _take(host: Host, request: Request) -> Lock:
    old, now = load(host), host.moment()
    lock = Lock(
        token=os.urandom(8).hex(),
        owner=host.who,
        deployment=request.deployment,
        message=request.message,
        kind=FREEZE if request.seconds is None else AUTO,
        started=host.timestamp(),
        expires=None if request.seconds is None else host.timestamp(request.seconds),
        boot_id=now.boot_id,
        began_s=now.uptime_s,
        ends_s=None if request.seconds is None else now.uptime_s + request.seconds,
    )
    if old and old.deployment == lock.deployment and lock.deployment:
        lock = replace(lock, token=old.token, started=old.started, began_s=old.began_s)
    elif old:
        store.record(host, "lock taken over", was=old.holder, deployment=lock.deployment)
    if lock.kind == FREEZE:
        store.record(host, "frozen", message=lock.message)
    _save(host, lock)
    return lock


def _save(host: Host, lock: Lock) -> None:
    durable.write(host.layout.lock, json.dumps(asdict(lock), indent=1).encode() + b"\n")
