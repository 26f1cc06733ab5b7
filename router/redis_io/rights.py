# SPDX-License-Identifier: Apache-2.0
"""What the router must be able to do in Redis: the one list that `check` asks about and `acl` makes users of.

A right is a command on keys. In an ACL it becomes part of a selector of its own, so that DEL on one key is no DEL on
another (Redis 7.0, `ACL SETUSER`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from router.redis_io.keys import DRILL_KEYS
from router.redis_url import parse

if TYPE_CHECKING:
    from router.config import Settings
    from router.redis_io.keys import Keys

#: Commands whose subcommands have rights of their own.
_CONTAINERS: Final = {"CLIENT", "SCRIPT", "XGROUP", "XINFO"}
#: What a command does to its key, as COMMAND GETKEYSANDFLAGS has it; all others only write.
_READING: Final = (
    {"EXISTS", "GET", "HGET", "HGETALL", "HMGET", "MGET", "PTTL", "SMEMBERS", "TTL", "TYPE"}
    | {"XINFO", "XLEN", "XPENDING", "XRANGE", "XREAD", "XREVRANGE", "ZCOUNT", "ZRANGE"}
)  # fmt: skip
_BOTH: Final = {"EVALSHA", "HINCRBY"}


@dataclass(frozen=True)
class Right:
    """A command on *keys* (patterns; none for a command without): *words* are an example that an ACL can judge."""

    words: tuple[str, ...]
    keys: tuple[str, ...]

    @property
    def command(self) -> str:
        """The command as ACL rules name it, such as `xinfo|groups`."""
        return "|".join(self.words[: 2 if self.words[0] in _CONTAINERS else 1]).lower()

    @property
    def reads(self) -> bool:
        """Whether it needs the right to read its keys."""
        return self.words[0] in _READING | _BOTH or self.words[-1] == "GET"  # SET that returns the old value

    @property
    def writes(self) -> bool:
        """Whether it needs the right to write its keys."""
        return self.words[0] not in _READING

    def __str__(self) -> str:
        """Return it as a person reads it: the command and its key."""
        return " ".join([self.command.replace("|", " ").upper(), *self.keys[:1]])


def service(keys: Keys, settings: Settings) -> list[Right]:
    """Return every right of the service: what it sends, and what its scripts call, which Redis judges one by one."""
    group, execution, dedup = settings.group, settings.execution_group, keys.dedup_pattern
    rights = _on("", ["INFO server", "TIME", "SCRIPT LOAD x", "CLIENT SETNAME x"])
    if parse(settings.redis_url).db:
        rights += _on("", ["SELECT 0"])
    info = ["XINFO STREAM @", "XINFO GROUPS @"]
    reading_signals = ["XREAD STREAMS @ 0", "XRANGE @ - +", "XREVRANGE @ + -", *info]
    pending = [f"XPENDING @ {group}", f"XACK @ {group} 0-0"]
    cursor = [f"XGROUP CREATE @ {group} 0 MKSTREAM", f"XGROUP SETID @ {group} 0"]
    on = {
        keys.signals: [*reading_signals, *pending, *cursor],
        keys.intents: ["XADD @ * data x", "XLEN @", "XRANGE @ - +", *info, f"XPENDING @ {execution}"],
        keys.rejects: ["XADD @ * id x", "XINFO STREAM @"],
        keys.open_orders: ["GET @"],
        keys.kill: ["GET @"],
        keys.halt: ["EXISTS @", "HMGET @ reason", "HSET @ reason x"],
        keys.inflight: ["SMEMBERS @", "SADD @ 0-0", "SREM @ 0-0"],
        keys.outcomes: ["HINCRBY @ published 0"],
        keys.last_window: ["HSET @ event x"],
        keys.recent: ["ZADD @ 0 x", "ZCOUNT @ 0 0", "ZREMRANGEBYSCORE @ 0 0"],
        keys.repeats: ["ZADD @ 0 x", "ZRANGE @ 0 -1", "ZREMRANGEBYSCORE @ 0 0"],
        keys.audit: ["XADD @ * event x", "XINFO STREAM @"],
        keys.epoch: ["HGET @ epoch", "HMGET @ epoch", "HSET @ epoch 0"],
        keys.lease: ["HMGET @ holder", "HSET @ holder x", "PTTL @", "PEXPIRE @ 1", "DEL @"],
    }
    for key, commands in on.items():
        rights += _on(key, [*commands, "TYPE @"])
    rights += _on(dedup, ["GET @", "MGET @", "SET @ x PX 1"])
    # A script must be allowed every key that it is given, whatever it does with it.
    scripted = (*on, dedup)
    rights.append(Right(("EVALSHA", "0" * 40, str(len(scripted)), *scripted), scripted))
    return rights


def drilled_service(keys: Keys, settings: Settings) -> list[Right]:
    """Return every right of the service, and the same on the keys of a drill, which runs it as its own user."""
    rights = service(keys, settings)
    return rights + _of_a_drill(rights)


def deployment(keys: Keys, settings: Settings) -> list[Right]:
    """Return every right of who deploys and operates: the service's, and those of the other commands."""
    on = {
        "": ["PING", "SCAN 0"],
        keys.signals: ["EXISTS @"],
        keys.intents: ["EXISTS @", "XREVRANGE @ + -"],
        keys.rejects: ["XRANGE @ - +"],
        keys.outcomes: ["HMGET @ published"],
        keys.last_window: ["HMGET @ event"],
        keys.open_orders: ["SET @ 0", "SET @ 0 GET"],
        keys.halt: ["DEL @"],
        keys.repeats: ["DEL @"],
        keys.audit: ["XRANGE @ - +"],
        keys.settled: ["TYPE @", "HGET @ x", "HSET @ x x"],
        keys.safe_mode: ["GET @"],
        keys.governor("*"): ["GET @", "TTL @"],
    }
    adding = (keys.open_orders, keys.settled)
    rights = service(keys, settings) + [right for key, commands in on.items() for right in _on(key, commands)]
    rights.append(Right(("EVALSHA", "0" * 40, str(len(adding)), *adding), adding))
    return rights + _of_a_drill(rights)


def _of_a_drill(rights: list[Right]) -> list[Right]:
    """Return *rights* on the keys of a drill, any of them on any: there is nothing to protect there from the router."""
    pattern = f"{DRILL_KEYS}*"
    moved = [tuple(pattern if word in right.keys else word for word in right.words) for right in rights if right.keys]
    return [Right(words, (pattern,)) for words in dict.fromkeys(moved)]


def types(keys: Keys) -> dict[str, str]:
    """Return the Redis type that each key must have when it exists."""
    return {
        keys.signals: "stream",
        keys.intents: "stream",
        keys.rejects: "stream",
        keys.open_orders: "string",
        keys.kill: "string",
        keys.halt: "hash",
        keys.lease: "hash",
        keys.epoch: "hash",
        keys.inflight: "set",
        keys.outcomes: "hash",
        keys.last_window: "hash",
        keys.recent: "zset",
        keys.repeats: "zset",
        keys.audit: "stream",
    }


def rules(rights: list[Right]) -> str:
    """Return *rights* as ACL rules: commands without a key, then a selector for each key with its commands."""
    commands: dict[tuple[str, ...], list[Right]] = {}
    for right in rights:
        commands.setdefault(right.keys, []).append(right)
    selectors: list[str] = []
    for keys, group in commands.items():
        allowed = [f"+{command}" for command in dict.fromkeys(right.command for right in group)]
        if not keys:
            selectors.insert(0, " ".join(allowed))
            continue
        access = ("R" if any(r.reads for r in group) else "") + ("W" if any(r.writes for r in group) else "")
        mark = "~" if access == "RW" else f"%{access}~"
        selectors.append(f"({' '.join([mark + key for key in keys] + allowed)})")
    return " ".join(selectors)


def _on(key: str, commands: list[str]) -> list[Right]:
    """Return rights on *key*, which stands as `@` in each of *commands*."""
    examples = [tuple(key if word == "@" else word for word in command.split()) for command in commands]
    return [Right(words, (key,) if key else ()) for words in examples]
