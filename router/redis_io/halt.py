# SPDX-License-Identifier: Apache-2.0
"""Halting and resuming by a key of our own, which the commit itself looks at: no router need be answering."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from router.core.policy import TradingState
from router.redis_io.scripts import register

if TYPE_CHECKING:
    import redis

    from router.config import Settings
    from router.redis_io.keys import Keys


class Halt(msgspec.Struct, frozen=True):
    """A halt: why, by whom, since when (Redis' clock; None when the key says none)."""

    reason: str
    who: str
    when_ms: int | None


def halt(client: redis.Redis, settings: Settings, keys: Keys, reason: str, who: str) -> tuple[bool, Halt]:
    """Halt, even when Redis is out of memory; return whether this was new, and the halt that holds: the first one."""
    script = register(client, "halt", flags="allow-oom")
    new, *facts = script(keys=[keys.halt, keys.audit], args=[reason, who, _kept(settings)])
    return bool(new), _halt(facts)


def resume(client: redis.Redis, settings: Settings, keys: Keys, who: str) -> tuple[Halt | None, TradingState]:
    """End our own halt; return it (None when there was none) and the trading state that the desk's switch leaves."""
    reply = register(client, "resume")(
        keys=[keys.halt, keys.repeats, keys.kill, keys.audit], args=[who, _kept(settings)]
    )
    was_halted, *facts, state = reply
    return _halt(facts) if was_halted else None, TradingState(state.decode())


def _kept(settings: Settings) -> str:
    return "" if settings.audit_max is None else str(settings.audit_max)


def _halt(facts: list[bytes]) -> Halt:
    reason, who, when = (fact.decode("utf-8", "replace") for fact in facts)
    return Halt(reason, who, moment_ms(when))


def moment_ms(text: str) -> int | None:
    """Return what a halt says of its time in milliseconds since 1970 (2001 to 2286), None for anything else.

    A person may have written it: seconds or nanoseconds are no milliseconds, and many of those are no date.
    """
    return int(text) if re.fullmatch("[0-9]{13}", text) else None
