# SPDX-License-Identifier: Apache-2.0
"""What a drill has in Redis: all of it behind one prefix of its own, and nothing of it afterwards.

Whoever kills a drill leaves its keys to the transient unit's ExecStopPost, and that one's to the next drill.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from router.errors import ConfigError
from router.redis_io.keys import DRILL_KEYS, catalogue

if TYPE_CHECKING:
    import redis

    from router.config import Settings

#: What a deployment may be called, so that its prefix is one.
DEPLOYMENT: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PREFIX: Final = re.compile(rf"{re.escape(DRILL_KEYS)}[^:]*:")
_PAGE: Final = 1000


def prefix_of(deployment: str) -> str:
    """Return what stands before every key of *deployment*'s drill."""
    return f"{DRILL_KEYS}{deployment}:"


def refuse_live_names(settings: Settings) -> None:
    """Raise ConfigError when a live key of *settings* looks like a drill's: the next drill would remove it."""
    taken = [key for key in vars(catalogue(settings)).values() if key.startswith(DRILL_KEYS)]
    if taken:
        raise ConfigError([f"key {taken[0]} begins with {DRILL_KEYS}, which is a drill's: choose another name"])


def claim(client: redis.Redis, deployment: str, for_s: float) -> None:
    """Say for *for_s* seconds at most that *deployment*'s drill runs, so that no other drill removes its keys."""
    client.set(_running(prefix_of(deployment)), "1", px=int(for_s * 1000))


def clear(client: redis.Redis, deployment: str) -> None:
    """Remove every key of *deployment*'s drill."""
    _remove(client, list(client.scan_iter(match=f"{prefix_of(deployment)}*", count=_PAGE)))


def sweep(client: redis.Redis) -> int:
    """Remove what drills left that do not run any more; return how many keys that were."""
    left: dict[str, list[bytes]] = {}
    for key in client.scan_iter(match=f"{DRILL_KEYS}*", count=_PAGE):
        found = _PREFIX.match(key.decode("utf-8", "replace"))
        left.setdefault(found[0] if found else "", []).append(key)
    gone = [key for prefix, keys in left.items() if not (prefix and client.exists(_running(prefix))) for key in keys]
    _remove(client, gone)
    return len(gone)


def _running(prefix: str) -> str:
    return f"{prefix}running"


def _remove(client: redis.Redis, keys: list[bytes]) -> None:
    for start in range(0, len(keys), _PAGE):
        client.delete(*keys[start : start + _PAGE])
