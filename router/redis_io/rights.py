# SPDX-License-Identifier: Apache-2.0
"""What the router must be able to do in Redis: one list of commands on keys, and the type of each key."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from router.config import Settings
    from router.redis_io.keys import Keys

Command = tuple[str, ...]


def commands(keys: Keys, settings: Settings) -> list[Command]:
    """Return every command that the service sends or its scripts call, each in a form that an ACL can judge."""
    group, execution, dedup = settings.group, settings.execution_group, keys.dedup("any")
    return [
        ("INFO", "server"),
        ("TIME",),
        ("SCRIPT", "LOAD", "return 1"),
        ("EVALSHA", "0" * 40, "1", keys.lease),
        ("XGROUP", "CREATE", keys.signals, group, "0", "MKSTREAM"),
        ("XGROUP", "SETID", keys.signals, group, "0"),
        ("XINFO", "GROUPS", keys.signals),
        ("XINFO", "STREAM", keys.signals),
        ("XREAD", "STREAMS", keys.signals, "0"),
        ("XRANGE", keys.signals, "-", "+"),
        ("XREVRANGE", keys.signals, "+", "-"),
        ("XPENDING", keys.signals, group),
        ("XACK", keys.signals, group, "0-0"),
        ("XADD", keys.intents, "MAXLEN", "~", "1", "*", "data", ""),
        ("XLEN", keys.intents),
        ("XRANGE", keys.intents, "-", "+"),
        ("XINFO", "GROUPS", keys.intents),
        ("XPENDING", keys.intents, execution),
        ("XADD", keys.rejects, "MAXLEN", "~", "1", "*", "id", ""),
        ("GET", keys.open_orders),
        ("GET", keys.kill),
        ("EXISTS", keys.halt),
        ("HSET", keys.halt, "reason", ""),
        ("GET", dedup),
        ("MGET", dedup),
        ("SET", dedup, "", "PX", "1"),
        ("SMEMBERS", keys.inflight),
        ("SADD", keys.inflight, "0-0"),
        ("SREM", keys.inflight, "0-0"),
        ("HINCRBY", keys.outcomes, "published", "0"),
        ("HSET", keys.last_window, "event", ""),
        ("ZADD", keys.recent, "0", ""),
        ("ZCOUNT", keys.recent, "0", "0"),
        ("ZREMRANGEBYSCORE", keys.recent, "0", "0"),
        ("ZADD", keys.repeats, "0", ""),
        ("ZRANGE", keys.repeats, "0", "-1"),
        ("ZREMRANGEBYSCORE", keys.repeats, "0", "0"),
        ("HMGET", keys.epoch, "epoch"),
        ("HGET", keys.epoch, "epoch"),
        ("HSET", keys.epoch, "epoch", "0"),
        ("HMGET", keys.lease, "holder"),
        ("HSET", keys.lease, "holder", ""),
        ("PTTL", keys.lease),
        ("PEXPIRE", keys.lease, "1"),
        ("DEL", keys.lease),
        ("TYPE", keys.intents),
    ]


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
    }
