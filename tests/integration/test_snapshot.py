# SPDX-License-Identifier: Apache-2.0
"""Snapshots and looks against a real Redis; systemd and the journal speak from a record."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from router.config import Settings
from router.core.policy import TradingState
from router.errors import RedisUnavailableError
from router.proof.criteria import Status
from router.proof.evidence import Execution, Governor, Look, Release, Said, Snapshot
from router.proof.host import Host
from router.proof.judge import judge
from router.proof.snapshot import take
from router.proof.soak import Watch
from router.proof.streams import PAGE, IntentTally, Pages, SignalTally
from router.redis_io.client import connect, redis_time_ms
from router.redis_io.keys import catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

UNIT = "quantum-ai-strategy-router.service"
RELEASE = Release("1.0.0-0123456789ab", "/releases/1.0.0-0123456789ab", "/usr/bin/python3")


class World:
    """A Redis with streams to fill, beside a host whose unit has run for *age_s* seconds."""

    def __init__(self, url: str, age_s: float = 3600.0) -> None:
        self.settings = Settings(redis_url=url, key_prefix="test:")
        self.keys = catalogue(self.settings)
        self.client = connect(self.settings)
        self.age_s = age_s
        self.journal = ""
        self.skew_s = 0.0
        self.host = Host(self.run_command, Path("/nonexistent"), lambda: 10_000.0, lambda: time.time() - self.skew_s)

    def run_command(self, command: Sequence[str]) -> str:
        """Answer as systemctl and journalctl do."""
        if command[0] == "journalctl":
            return self.journal
        started_us = int((10_000.0 - self.age_s) * 1e6)
        shown = {"ActiveState": "active", "SubState": "running", "NRestarts": 0, "MainPID": 4711}
        return "".join(f"{k}={v}\n" for k, v in shown.items()) + f"ExecMainStartTimestampMonotonic={started_us}\n"

    def now_ms(self) -> int:
        """Redis' time."""
        return redis_time_ms(self.client)

    def signal(self, at_ms: int, **changes: Any) -> None:
        """Add a signal of *at_ms*, good enough to publish below the target."""
        fields = {"symbol": "BTCUSDT", "side": "BUY", "confidence": 0.8, "quantity": 100} | changes
        self.client.xadd(self.keys.signals, {"payload": json.dumps(fields)}, id=f"{at_ms}-*")

    def intent(self, at_ms: int, **fields: Any) -> None:
        """Add an intent of *at_ms*."""
        self.client.xadd(self.keys.intents, {"data": json.dumps(fields)}, id=f"{at_ms}-*")

    def take(self, **options: Any) -> Snapshot:
        """Take a snapshot."""
        return take(self.client, self.settings, self.keys, UNIT, self.host, **options)

    def watch(self, activated_ms: int) -> Watch:
        """Watch the release, activated at *activated_ms* of the host's clock."""
        return Watch(self.client, self.settings, self.keys, UNIT, self.host, RELEASE, activated_ms)


@pytest.fixture
def world(redis_server: Any) -> Iterator[World]:
    """A world on a real Redis."""
    made = World(redis_server.url)
    yield made
    made.client.close()


def test_empty_host(world: World) -> None:
    """A host that never had a router gives zeros and unknowns, never a guess."""
    snapshot = world.take()
    assert (snapshot.signals, snapshot.intents, snapshot.publish_ratio) == (0, 0, None)
    assert (snapshot.capacity.open_orders, snapshot.governor.count, snapshot.safe_mode) == (None, None, None)
    assert (snapshot.execution, snapshot.dedup_keys) == (Execution(None, None), 0)
    assert snapshot.window_seconds == 120.0


def test_what_counts(world: World) -> None:
    """Holds, rejects and reduce-only signals are not tradeable; reduce-only and older intents are not counted."""
    now_ms = world.now_ms()
    world.signal(now_ms - 130_000)
    world.intent(now_ms - 130_000)
    for changes in ({}, {"confidence": 0.7}, {"side": "hold"}, {"reduce_only": True}, {"confidence": "high"}):
        world.signal(now_ms - 60_000, **changes)
    world.intent(now_ms - 50_000)
    world.intent(now_ms - 50_000, reduce_only="True")
    world.client.xadd(world.keys.intents, {"data": b"\xff not JSON"})
    snapshot = world.take()
    assert (snapshot.signals, snapshot.eligible, snapshot.intents) == (2, 1, 2)
    assert snapshot.publish_ratio == 1.0


def test_state(world: World) -> None:
    """Governor, capacity, dedup keys, lag, pending, safe mode, lease and events come from where they live."""
    now_ms = world.now_ms()
    keys, client = world.keys, world.client
    day = time.strftime("%Y%m%d", time.gmtime(now_ms / 1000))
    client.set(keys.governor(day), 42, ex=1000)
    client.set(keys.open_orders, 7)
    client.set(keys.safe_mode, "1")
    for dedup_id in range(1500):
        client.set(keys.dedup(str(dedup_id)), "1-1")
    client.set("quantum:dedup:trade_intent:of-another-prefix", "1-1")
    client.hset(keys.lease, mapping={"holder": "host/unit", "release": RELEASE.id})
    client.xgroup_create(keys.intents, world.settings.execution_group, "0", mkstream=True)
    for _ in range(3):
        client.xadd(keys.intents, {"data": "{}"})
    client.xreadgroup(world.settings.execution_group, "c", {keys.intents: ">"}, count=1)
    world.journal = f'{{"__REALTIME_TIMESTAMP":"{now_ms * 1000}","MESSAGE":"x Trade Intent published: A BUY"}}\n'
    snapshot = world.take()
    assert (snapshot.governor.count, snapshot.capacity.open_orders, snapshot.safe_mode) == (42, 7, "1")
    assert 990 <= (snapshot.governor.ttl_seconds or 0) <= 1000
    assert (snapshot.dedup_keys, snapshot.execution) == (1500, Execution(2, 1))
    assert (snapshot.service.lease_release, snapshot.service.lease_holder) == (RELEASE.id, "host/unit")
    assert snapshot.events == {"INTENT_PUBLISHED": 1}


def test_governor_without_expiry(world: World) -> None:
    """A counter that never expires has no time left to tell; that of the day before is told beside it."""
    client = world.client
    today, yesterday = (time.strftime("%Y%m%d", time.gmtime(world.now_ms() / 1000 - days * 86_400)) for days in (0, 1))
    client.set(world.keys.governor(today), 1)
    client.set(world.keys.governor(yesterday), 7)
    assert world.take().governor == Governor(1, None, world.now_ms() // 86_400_000, 7)


def test_unknown_lag_stays_unknown(world: World) -> None:
    """Redis answers NULL for the lag of a group that was moved into the middle; that is no 0."""
    keys, group = world.keys, world.settings.execution_group
    ids = [world.client.xadd(keys.intents, {"data": "{}"}) for _ in range(3)]
    world.client.xgroup_create(keys.intents, group, ids[1])
    assert world.take().execution == Execution(None, 0)


@pytest.mark.parametrize("value", ["", "-1", "3.0", "1234567890", " 3", "many"])
def test_malformed_capacity(world: World, value: str) -> None:
    """What the wire contract does not call a count is unknown."""
    world.client.set(world.keys.open_orders, value)
    assert world.take().capacity.open_orders is None


def test_keys_of_another_type(world: World) -> None:
    """A list where a string belongs is unknown, too."""
    for key in (world.keys.open_orders, world.keys.safe_mode):
        world.client.rpush(key, "1")
    snapshot = world.take()
    assert (snapshot.capacity.open_orders, snapshot.safe_mode) == (None, None)


def test_the_pace_tells_when_they_came(world: World) -> None:
    """Every counted signal and intent is in the second of Redis' clock in which it came; nothing else is."""
    now_ms = world.now_ms()
    for age_ms in (130_000, 60_000, 60_000):
        world.signal(now_ms - age_ms)
    world.signal(now_ms - 50_000, side="hold")
    world.signal(now_ms)
    world.intent(now_ms - 50_000, release="other")
    snapshot = world.take()
    first = snapshot.since_ms // 1000
    assert (1, snapshot.signals, snapshot.intents) == (
        snapshot.pace.step_s,
        sum(snapshot.pace.signals),
        sum(snapshot.pace.intents),
    )
    assert 2 == snapshot.pace.signals[(now_ms - 60_000) // 1000 - first]
    assert 1 == snapshot.pace.intents[(now_ms - 50_000) // 1000 - first]


def test_what_was_rejected_is_told_by_reason(world: World) -> None:
    """A code of ours counts as itself, anything else as other; what is older than the snapshot does not count."""
    now_ms = world.now_ms()
    for age_ms, code in ((130_000, "symbol"), (60_000, "symbol"), (50_000, "price"), (40_000, "<b>"), (40_000, "")):
        world.client.xadd(world.keys.rejects, {"code": code}, id=f"{now_ms - age_ms}-*")
    world.client.xadd(world.keys.rejects, {"id": "1-1"})
    assert {"symbol": 1, "price": 1, "other": 3} == world.take().rejects


def test_starts_with_the_process(world: World) -> None:
    """What was before the running process is another router's doing."""
    now_ms = world.now_ms()
    for age_ms in (90_000, 30_000):
        world.signal(now_ms - age_ms)
        world.intent(now_ms - age_ms)
    world.age_s = 60.0
    snapshot = world.take()
    assert (snapshot.signals, snapshot.intents, snapshot.window_seconds) == (1, 1, 60.0)


def test_starts_with_what_a_trim_left(world: World) -> None:
    """A stream trimmed down to less than the window shortens it, for both streams alike."""
    now_ms = world.now_ms()
    for age_s in (100, 80, 60, 40):
        world.signal(now_ms - age_s * 1000)
        world.intent(now_ms - age_s * 1000 + 1)
    world.client.xtrim(world.keys.intents, maxlen=2, approximate=False)
    snapshot = world.take()
    assert (snapshot.signals, snapshot.intents, snapshot.since_ms) == (1, 2, now_ms - 60_000 + 1)


def test_a_young_stream_is_no_trimmed_one(world: World) -> None:
    """A first intent long after the first signal does not hide the silence before it."""
    now_ms = world.now_ms()
    for age_s in (100, 80, 60):
        world.signal(now_ms - age_s * 1000)
    world.intent(now_ms - 60_000)
    assert (world.take().signals, world.take().intents) == (3, 1)


def test_clocks_apart(world: World) -> None:
    """With a host's clock an hour behind Redis', an activation told by the host's clock is found in Redis."""
    world.skew_s = 3600.0
    now_ms = world.now_ms()
    world.signal(now_ms - 60_000)
    world.signal(now_ms - 1_000)
    activated_ms = now_ms - 3_600_000 - 30_000
    assert world.take(since_ms=activated_ms).signals == 1
    assert world.watch(activated_ms).look().signals_since_last == 1


def test_pages(world: World) -> None:
    """More entries than a page are counted once each, also when the count goes on later."""
    pipe = world.client.pipeline(transaction=False)
    for number in range(2 * PAGE):
        pipe.xadd(
            world.keys.signals, {"symbol": "A", "side": "BUY", "confidence": "0.95", "quantity": "1"}, f"1-{number + 1}"
        )
        pipe.xadd(world.keys.intents, {"data": "{}"}, f"1-{number + 1}")
    pipe.execute()
    signals = SignalTally(Pages(world.client, world.keys.signals, 0), world.settings)
    intents = IntentTally(Pages(world.client, world.keys.intents, 0))
    for until_ms in (0, 1, 1):
        signals.advance(until_ms)
        intents.advance(until_ms)
    assert (signals.tradeable, signals.confident, intents.count) == (2 * PAGE, 2 * PAGE, 2 * PAGE)
    world.signal(2)
    signals.advance(2)
    assert (signals.tradeable, signals.eligible, signals.confident) == (2 * PAGE + 1, 2 * PAGE + 1, 2 * PAGE)


def test_an_intent_of_another_release_is_foreign(world: World) -> None:
    """Only intents that name another release are foreign; one that names none counts as the release's own."""
    for named in ({}, {"release": RELEASE.id}, {"release": "1.0.0-ffffffffffff"}):
        world.client.xadd(world.keys.intents, {"data": json.dumps(named)})
    intents = IntentTally(Pages(world.client, world.keys.intents, 0), RELEASE.id)
    intents.advance(2**48)
    assert (3, 2, 1) == (intents.count, len(intents.times_ms), intents.foreign)


def test_redis_away(world: World, redis_server: Any) -> None:
    """Without Redis a snapshot is one line that names the address."""
    redis_server.stop()
    with pytest.raises(RedisUnavailableError, match=f"^{redis_server.url}: "):
        world.take()


def test_looks(world: World) -> None:
    """Each look counts what came since the one before, and sees capacity, lease and trading state."""
    client, keys = world.client, world.keys
    client.set(keys.open_orders, 2)
    client.hset(keys.lease, mapping={"holder": "h", "release": RELEASE.id})
    activated_ms = world.now_ms() - 60_000
    watch = world.watch(activated_ms)
    for age_s in (70, 50, 40):
        world.signal(activated_ms + 60_000 - age_s * 1000, confidence=0.95)
    first = watch.look()
    assert (first.signals_since_last, first.super_since_last) == (2, 2)
    world.signal(world.now_ms())
    client.set(keys.kill, "REDUCE")
    time.sleep(0.005)
    second = watch.look()
    assert (second.signals_since_last, second.eligible_since_last, second.super_since_last) == (1, 1, 0)
    assert (second.open_orders, second.in_flight, second.trading_state) == (2, 0, TradingState.REDUCE)
    assert (second.error, second.service.lease_release) == (None, RELEASE.id)


def test_evidence(world: World) -> None:
    """The last window's signals wait for their decision; intents of another release are no intents of this one."""
    world.client.set(world.keys.open_orders, 0)
    now_ms = world.now_ms()
    watch = world.watch(now_ms - 60_000)
    world.signal(now_ms - 50_000)
    world.intent(now_ms - 40_000, release=RELEASE.id)
    world.intent(now_ms - 39_000)
    world.intent(now_ms - 38_000, release="other")
    look = watch.look()
    assert watch.evidence([look]).signals == 0
    undecided = Look(at_ms=look.at_ms - 3_499, signals_since_last=3)
    decided = Look(at_ms=look.at_ms - 3_500, signals_since_last=5)
    after = watch.evidence([decided, undecided, look])
    assert (after.signals, after.intents) == (5, 3)
    assert after.intents_ms == [now_ms - 40_000, now_ms - 39_000]
    assert (after.capacity.open_orders, after.settings.window_s, after.release) == (0, 3.0, RELEASE)


def test_evidence_of_what_execution_and_producer_do(world: World) -> None:
    """A look tells trades, lag and rejects; what may have waited at the activation is among the invalid signals."""
    client, keys = world.client, world.keys
    now_ms = world.now_ms()
    client.set(keys.governor(time.strftime("%Y%m%d", time.gmtime(now_ms / 1000))), 42)
    for age_s, confidence in ((71, "high"), (69, "high"), (68, 0.8), (5, "high")):
        world.signal(now_ms - age_s * 1000, confidence=confidence)
    watch = world.watch(now_ms - 60_000)
    first = watch.look()
    assert (first.rejected, first.execution, first.signals_since_last) == (0, Execution(None, None), 0)
    for number in range(3):
        client.xadd(keys.rejects, {"id": f"{number}-1"}, maxlen=2, approximate=False)
    client.xgroup_create(keys.intents, world.settings.execution_group, "0", mkstream=True)
    world.intent(world.now_ms(), release=RELEASE.id, size_boost=1.3)
    world.intent(world.now_ms(), release=RELEASE.id, size_boost=1.0)
    world.intent(world.now_ms(), release=RELEASE.id, size_boost="1.3")
    time.sleep(0.005)
    last = watch.look()
    assert (last.rejected, last.execution, last.governor.count) == (3, Execution(3, 0), 42)
    after = watch.evidence([first, last])
    assert (after.invalid, after.boosted, len(after.intents_ms)) == (2, 1, 3)
    assert (0, 3, {"other": 2}) == (sum(after.pace.signals), sum(after.pace.intents), after.rejects)


def test_evidence_of_what_was_asked_for(world: World) -> None:
    """A signal that may have waited at the activation, or is ahead of Redis' clock, may have led to an intent too."""
    now_ms = world.now_ms()
    for age_s in (71, 68, 5, -9, -11):
        world.signal(now_ms - age_s * 1000)
        world.signal(now_ms - age_s * 1000, reduce_only=True)
    for named in ({}, {"release": RELEASE.id}, {"release": "other"}):
        world.intent(now_ms, reduce_only=True, **named)
    watch = world.watch(now_ms - 60_000)
    look = watch.look()
    after = watch.evidence([look])
    assert (3, 3, 3) == (after.offered, after.reduce_only_offered, after.reduce_only)
    assert (2, 0, 0) == (look.signals_since_last, after.intents, after.foreign)


def test_evidence_of_what_the_log_claims(world: World) -> None:
    """Windows and intents that the log claims, without those at the edges, and errors; a halt of its own is none."""
    now_ms = world.now_ms()
    activated_ms = now_ms - 60_000
    published = [(activated_ms + 999, 2), (activated_ms + 1000, 2), (now_ms - 5000, 0), (now_ms - 500, 1)]
    lines: list[dict[str, Any]] = [
        {"__REALTIME_TIMESTAMP": str(at_ms * 1000), "EVENT": "BEST_OF_PUBLISH", "COUNT": str(n), "MESSAGE": "x"}
        for at_ms, n in published
    ]
    at_us = str((now_ms - 9000) * 1000)
    for message, fields in (
        ("Traceback (most recent call last):", {"PRIORITY": "6"}),
        ("REDIS_UNAVAILABLE", {"PRIORITY": "3", "EVENT": "REDIS_UNAVAILABLE"}),
        ("AUTO_HALTED", {"PRIORITY": "3", "EVENT": "AUTO_HALTED"}),
        ("STALE_SIGNALS", {"PRIORITY": "4"}),
        ("no priority", {}),
    ):
        lines.append({"__REALTIME_TIMESTAMP": at_us, "MESSAGE": message, **fields})
    world.journal = "\n".join(json.dumps(line) for line in lines)
    watch = world.watch(activated_ms)
    said = watch.evidence([watch.look()]).said
    assert said == Said(3, 2, 2, ["Traceback (most recent call last):", "REDIS_UNAVAILABLE"])


def test_redis_goes_away_during_a_soak(world: World, redis_server: Any) -> None:
    """A look without Redis says so and the verdict is a fail; what came meanwhile is counted once Redis is back."""
    world.client.set(world.keys.open_orders, 0)
    watch = world.watch(world.now_ms() - 10_000)
    looks = [watch.look()]
    world.signal(world.now_ms())
    redis_server.stop()
    looks.append(watch.look())
    verdict = judge(world_before(), watch.evidence(looks))
    capacity = next(criterion for criterion in verdict.criteria if criterion.name == "capacity known")
    assert (verdict.verdict, capacity.status, watch.dedup_keys()) == (Status.FAILED, Status.FAILED, None)
    assert capacity.detail.startswith("Redis unavailable: ")
    redis_server.start()
    back = watch.look()
    assert (back.error, back.signals_since_last) == (None, 1)


def test_redis_away_from_the_start(world: World, redis_server: Any) -> None:
    """A soak that never reaches Redis is a fail, not a traceback."""
    redis_server.stop()
    watch = world.watch(int(time.time() * 1000))
    after = watch.evidence([watch.look()])
    assert (after.intents, after.capacity.open_orders, after.redis_version) == (0, None, None)
    assert judge(world_before(), after).verdict is Status.FAILED


def test_wrong_stream_name(world: World) -> None:
    """A setting that names a key of another type is one line, not a traceback."""
    settings = replace(world.settings, signal_stream="elsewhere")
    world.client.set(catalogue(settings).signals, 1)
    with pytest.raises(RedisUnavailableError, match=r"key .*elsewhere is a string, not a stream: rename or "):
        take(world.client, settings, catalogue(settings), UNIT, world.host)
    world.client.set(world.keys.lease, 1)
    with pytest.raises(RedisUnavailableError, match=f": key {world.keys.lease} is a string, not a hash: rename or "):
        world.take()


def world_before() -> Snapshot:
    """Return a baseline that published every signal."""
    return Snapshot(taken_at="", taken_at_ms=0, since_ms=0, window_seconds=120.0, signals=130, eligible=80, intents=130)
