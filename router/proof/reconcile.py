# SPDX-License-Identifier: Apache-2.0
"""Reading what `router.core.reconcile` compares, by pages, while the router may go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from router.core.reconcile import Bounds, Comparison
from router.proof.streams import PAGE, Pages

if TYPE_CHECKING:
    import redis

    from router.config import Settings
    from router.redis_io.keys import Keys

#: After every entry that there will ever be.
_END_MS: Final = (1 << 63) - 1
_LAST_SEQUENCE: Final = (1 << 63) - 1


def compare(client: redis.Redis, settings: Settings, keys: Keys, range_ms: tuple[int, int], now_ms: int) -> Comparison:
    """Compare the signals whose ids lie in *range_ms* (both included) with their decisions and intents."""
    since_ms, until_ms = range_ms
    bounds = _bounds(client, settings, keys, range_ms)
    comparison = Comparison(bounds)
    # A producer's clock may be ahead by the maximum age, so that a decision seems to come before its signal.
    from_ms = since_ms - int(settings.max_age_s * 1000)
    for entry_id, fields in Pages(client, keys.audit, from_ms).until(now_ms):
        comparison.audit(entry_id, fields)
    for entry_id, fields in Pages(client, keys.signals, since_ms).until(until_ms):
        comparison.signal(entry_id, fields)
    for entry_id, fields in Pages(client, keys.intents, from_ms).until(_END_MS):
        comparison.intent(entry_id, fields)
    comparison.finish()
    return comparison


def _bounds(client: redis.Redis, settings: Settings, keys: Keys, range_ms: tuple[int, int]) -> Bounds:
    """Ask how far the streams reach; before anything is read, so that what is decided meanwhile is no difference."""
    cursor = "0-0"
    pending: set[str] = set()
    groups: list[Any] = client.xinfo_groups(keys.signals) if client.exists(keys.signals) else []
    for group in groups:
        if group["name"] == settings.group.encode():
            cursor = group["last-delivered-id"].decode()
            pending = _pending(client, keys.signals, settings.group)
    return Bounds(
        since=f"{range_ms[0]}-0",
        until=f"{range_ms[1]}-{_LAST_SEQUENCE}",
        cursor=cursor,
        pending=frozenset(pending),
        first_signal=_first_left(client, keys.signals),
        first_intent=_first_left(client, keys.intents),
        cap_usd=settings.max_position_usd,
    )


def _pending(client: redis.Redis, stream: str, group: str) -> set[str]:
    """Return what an older router has left pending."""
    found: list[str] = []
    start, full = "-", True
    while full:
        page = cast("list[dict[str, bytes]]", client.xpending_range(stream, group, start, "+", PAGE))
        found += [row["message_id"].decode() for row in page]
        full = len(page) == PAGE
        start = f"({found[-1]}" if found else "-"
    return set(found)


def _first_left(client: redis.Redis, stream: str) -> str | None:
    """Return the oldest entry that trimming has left, the one after the last if it took all; None if it took none."""
    if not client.exists(stream):
        return None
    facts = client.xinfo_stream(stream)
    if facts["length"] == facts["entries-added"]:
        return None
    if facts["first-entry"]:
        return str(facts["first-entry"][0].decode())
    ms, _, sequence = facts["last-generated-id"].decode().partition("-")
    return f"{ms}-{int(sequence) + 1}"
