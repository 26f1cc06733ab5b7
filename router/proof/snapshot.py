# SPDX-License-Identifier: Apache-2.0
"""A snapshot of a host: what its router did over the last minutes, told from what streams and journal still hold.

It is retrospective: entry ids carry time, so nothing has to be waited for. Read only. Redis' clock is the clock.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
import redis

from router.errors import RedisUnavailableError, one_line
from router.proof.evidence import Capacity, Execution, Governor, RedisState, Service, Snapshot
from router.proof.streams import IntentTally, Pages, RejectTally, SignalTally, pace
from router.redis_io.client import redis_time_ms, wrong_type
from router.redis_io.rights import types

if TYPE_CHECKING:
    from router.config import Settings
    from router.proof.host import Host
    from router.redis_io.keys import Keys

#: How far back a snapshot looks unless told otherwise.
WINDOW_S: Final = 120.0
_OPEN_ORDERS: Final = re.compile(r"[0-9]{1,9}")
_SCAN_COUNT: Final = 1000
_DAY_MS: Final = 86_400_000


def take(
    client: redis.Redis,
    settings: Settings,
    keys: Keys,
    unit: str,
    host: Host,
    *,
    window_s: float = WINDOW_S,
    since_ms: int | None = None,
) -> Snapshot:
    """Return the last *window_s* seconds of *unit*'s router, or all since *since_ms* of the host's clock.

    The window begins later where the router's process is younger, or a stream was trimmed down to less: what was
    before tells nothing about this router, or can no longer be counted.

    Raises:
        RedisUnavailableError: Redis does not answer, or a stream's key holds something else.
    """
    service, age_s = host.service(unit)
    try:
        now_ms = redis_time_ms(client)
        skew_ms = now_ms - host.wall_ms
        if since_ms is None:
            back_s = window_s if age_s is None else min(window_s, age_s)
            start_ms = max(now_ms - int(back_s * 1000), *oldest_countable_ms(client, keys))
        else:
            start_ms = since_ms + skew_ms
        fields = _fields(client, settings, keys, start_ms, now_ms)
        service = with_lease(client, keys, service)
    except redis.RedisError as error:
        named = []
        if str(error).startswith("WRONGTYPE"):  # Redis does not say of which key
            named = [text for key, kind in types(keys).items() if (text := wrong_type(client, key, kind))]
        raise RedisUnavailableError(f"{settings.redis_url}: {'; '.join(named) or one_line(error)}") from None
    journal = host.journal(unit, start_ms - skew_ms)
    return Snapshot(**fields, service=service, events=journal.events if journal else None)


def _fields(client: redis.Redis, settings: Settings, keys: Keys, start_ms: int, now_ms: int) -> dict[str, Any]:
    """Return the fields of a snapshot that Redis tells."""
    signals = SignalTally(Pages(client, keys.signals, start_ms), settings)
    intents = IntentTally(Pages(client, keys.intents, start_ms))
    signals.advance(now_ms)
    intents.advance(now_ms)
    rejects = RejectTally(Pages(client, keys.rejects, start_ms))
    rejects.advance(now_ms)
    return {
        **frame(now_ms, start_ms),
        "signals": signals.tradeable,
        "eligible": signals.eligible,
        "intents": intents.count,
        "publish_ratio": ratio(intents.count, signals.tradeable),
        "pace": pace(signals.seconds, intents.seconds, start_ms, now_ms),
        "rejects": dict(rejects.codes),
        "dedup_keys": count_dedup_keys(client, keys),
        **msgspec.structs.asdict(read_state(client, settings, keys, now_ms)),
    }


def frame(now_ms: int, start_ms: int) -> dict[str, Any]:
    """Return the fields of a snapshot that say which time it covers."""
    moment = datetime.fromtimestamp(now_ms / 1000, timezone.utc)
    return {
        "taken_at": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "taken_at_ms": now_ms,
        "since_ms": start_ms,
        "window_seconds": max(0, now_ms - start_ms) / 1000,
    }


def ratio(intents: int, signals: int) -> float | None:
    """Return intents per signal; None without signals."""
    return round(intents / signals, 4) if signals else None


def oldest_countable_ms(client: redis.Redis, keys: Keys) -> list[int]:
    """Return 0 and, for each stream that lost entries, the time of the oldest one left: nothing before it counts."""
    oldest = [0]
    for stream in (keys.signals, keys.intents):
        if not client.exists(stream):
            continue
        info = client.xinfo_stream(stream)
        if info["first-entry"] and info["length"] < info["entries-added"]:
            oldest.append(int(info["first-entry"][0].split(b"-")[0]))
    return oldest


def read_state(client: redis.Redis, settings: Settings, keys: Keys, now_ms: int) -> RedisState:
    """Read what Redis holds besides the streams at *now_ms*; the dedup keys are left out, since they take a scan."""
    return RedisState(
        governor=read_governor(client, keys, now_ms),
        capacity=Capacity(read_open_orders(client, keys)),
        execution=read_execution(client, settings, keys),
        safe_mode=_text(client, keys.safe_mode),
        redis_version=str(client.info("server")["redis_version"]),
    )


def read_open_orders(client: redis.Redis, keys: Keys) -> int | None:
    """Read the count of open orders; None when it is missing or no count."""
    return _whole(_text(client, keys.open_orders))


def read_governor(client: redis.Redis, keys: Keys, now_ms: int) -> Governor:
    """Read execution's count of trades on the day (UTC) of *now_ms*, and on the day before."""
    today = datetime.fromtimestamp(now_ms / 1000, timezone.utc)
    key, key_before = (keys.governor(f"{moment:%Y%m%d}") for moment in (today, today - timedelta(days=1)))
    ttl_s = client.ttl(key)
    count, yesterday = _whole(_text(client, key)), _whole(_text(client, key_before))
    return Governor(count, ttl_s if ttl_s >= 0 else None, now_ms // _DAY_MS, yesterday)


def read_execution(client: redis.Redis, settings: Settings, keys: Keys) -> Execution:
    """Return lag and pending of execution's group; unknown without one, and Redis itself may not know the lag."""
    if not client.exists(keys.intents):
        return Execution()
    for group in client.xinfo_groups(keys.intents):
        if group["name"] == settings.execution_group.encode():
            return Execution(group["lag"], group["pending"])
    return Execution()


def count_rejected(client: redis.Redis, keys: Keys) -> int:
    """Return how many signals were ever rejected, whatever was trimmed since; none where there is no such stream."""
    if client.type(keys.rejects) != b"stream":
        return 0
    return int(client.xinfo_stream(keys.rejects)["entries-added"])


def count_dedup_keys(client: redis.Redis, keys: Keys) -> int:
    """Count the ids that are remembered as published; a scan of the whole database, page by page."""
    return sum(1 for _ in client.scan_iter(match=keys.dedup_pattern, count=_SCAN_COUNT))


def with_lease(client: redis.Redis, keys: Keys, service: Service) -> Service:
    """Return *service* with the release and the name that hold the router's lease; None for each that is missing."""
    release, holder = cast("list[bytes | None]", client.hmget(keys.lease, ["release", "holder"]))
    return msgspec.structs.replace(service, lease_release=_decoded(release), lease_holder=_decoded(holder))


def _text(client: redis.Redis, key: str) -> str | None:
    """Return a string key; None when it is missing or no string."""
    try:
        return _decoded(cast("bytes | None", client.get(key)))
    except redis.ResponseError as error:
        if str(error).startswith("WRONGTYPE"):
            return None
        raise


def _decoded(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode("utf-8", "replace")


def _whole(text: str | None) -> int | None:
    """Return a count in the form that the wire contract demands; None for any other."""
    return int(text) if text is not None and _OPEN_ORDERS.fullmatch(text) else None
