# SPDX-License-Identifier: Apache-2.0
"""Whether a drill touched anything behind the live prefix.

Most live keys change by themselves while a drill runs: signals and intents come, execution counts, and a live router of
ours commits, which writes lease, epoch, dedup keys, outcomes and in-flight ids. So what is compared is what nothing but
the release in the drill, or a person, could have changed:

- `kill` and `halt`: a person's. Changed within these seconds: better told and done again than taken for nothing.
- `open_orders`: execution changes the count, and nobody takes it away.
- signals, intents, the place of our group and the outcomes: whoever works, they only go on.
- `epoch` and the commit id in it, and what is in flight, while nobody holds the lease: no router of ours runs, and each
  of ours would begin there, before it may write anything else.
- `lease`: never held under the drill's name.
- intents and dedup keys: none for a signal of the drill; no intent of the drilled release, unless it runs there too.

Not compared, since others change it as well and nobody can tell who did: another count of open orders, entries that are
taken out of a stream, dedup keys of live signals, and with a live router of ours what is in flight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import msgspec

from router.core.entry_id import order
from router.core.outcome import Outcome
from router.printable import printable
from router.proof.snapshot import read_open_orders
from router.proof.streams import Pages
from router.redis_io.client import redis_time_ms

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import redis

    from router.config import Settings
    from router.redis_io.keys import Keys

Fields = tuple[str | None, ...]


@dataclass(frozen=True)
class Live:
    """The live keys that are compared, at one moment; *now_ms* is Redis' clock. None and empty: nothing there.

    *reached* says of what only goes on how far it is.
    """

    now_ms: int
    kill: str | None
    halt: Fields
    epoch: Fields
    holder: str | None
    release: str | None
    in_flight: frozenset[bytes]
    open_orders: int | None
    reached: Mapping[str, tuple[int, int]]


def look(client: redis.Redis, settings: Settings, keys: Keys) -> Live:
    """Read the live keys that `touched` compares."""
    holder, release = _fields(client, keys.lease, "holder", "release")
    return Live(
        now_ms=redis_time_ms(client),
        kill=_text(cast("bytes | None", client.get(keys.kill))),
        halt=_fields(client, keys.halt, "reason", "who", "when"),
        epoch=_fields(client, keys.epoch, "epoch", "commit_id"),
        holder=holder,
        release=release,
        in_flight=frozenset(cast("set[bytes]", client.smembers(keys.inflight))),
        open_orders=read_open_orders(client, keys),
        reached=_reached(client, settings, keys),
    )


def touched(before: Live, after: Live, keys: Keys, drill_holder: str) -> str | None:
    """Return which live key the drill may have changed between *before* and *after*; None when none did."""
    if after.holder == drill_holder:
        return f"the release took the live lease {keys.lease}"
    for key, then, now in ((keys.kill, before.kill, after.kill), (keys.halt, before.halt, after.halt)):
        if then != now:
            return f"live key {key} changed while the drill ran: if a person did that, deploy again"
    if before.open_orders is not None and after.open_orders is None:
        return f"live key {keys.open_orders} is no count any more since the drill ran: make capacity sets it again"
    for name, then_reached in before.reached.items():
        if after.reached.get(name, (-1, -1)) < then_reached:
            return f"live key {name} went back while the drill ran: if a person did that, deploy again"
    alone = ((keys.epoch, before.epoch, after.epoch), (keys.inflight, before.in_flight, after.in_flight))
    changed = next((key for key, then, now in alone if then != now), None)
    if before.holder is None and changed:
        return f"live key {changed} changed while the drill ran and no router held the lease"
    return None


def strays(
    client: redis.Redis, keys: Keys, span: tuple[Live, Live], release: str, drill_ids: Collection[str]
) -> str | None:
    """Return what live key holds anything, since the first look of *span*, of the drill or of *release*; None for none.

    *drill_ids* are the ids of the drill's signals.
    """
    before, after = span
    for intent_id, fields in Pages(client, keys.intents, before.now_ms).until(after.now_ms):
        try:
            intent = msgspec.json.decode(fields.get(b"data", b""), type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        sidelong = intent.get("release") == release and release not in {before.release, after.release}
        if sidelong or str(intent.get("correlation_id")) in drill_ids:
            return f"the release published the live intent {intent_id} for {printable(str(intent.get('symbol')), 40)}"
    names = [keys.dedup(each) for each in drill_ids]
    found = cast("list[bytes | None]", client.mget(names)) if names else []
    return next(
        (f"the release wrote the live key {n}" for n, v in zip(names, found, strict=True) if v is not None), None
    )


def _reached(client: redis.Redis, settings: Settings, keys: Keys) -> dict[str, tuple[int, int]]:
    """Return how far streams, group and outcomes are; what is not there is left out."""
    reached = {}
    for stream in (keys.signals, keys.intents):
        if client.exists(stream):
            reached[stream] = order(client.xinfo_stream(stream)["last-generated-id"].decode())
    if keys.signals in reached:
        for group in client.xinfo_groups(keys.signals):
            if group["name"] == settings.group.encode():
                reached[f"{keys.signals} (group {settings.group})"] = order(group["last-delivered-id"].decode())
    counts = _fields(client, keys.outcomes, *(outcome.value for outcome in Outcome))
    for outcome, count in zip(Outcome, counts, strict=True):
        if count is not None and count.isdecimal():
            reached[f"{keys.outcomes} ({outcome.value})"] = (int(count), 0)
    return reached


def _fields(client: redis.Redis, key: str, *names: str) -> Fields:
    return tuple(_text(value) for value in cast("list[bytes | None]", client.hmget(key, list(names))))


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")
