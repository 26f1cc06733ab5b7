# SPDX-License-Identifier: Apache-2.0
"""What a commit writes, each thing it demands before that, and where the cursor stands afterwards."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import pytest
import redis

from router.config import Settings
from router.redis_io.keys import catalogue
from router.redis_io.scripts import Audit
from tests.integration.commit_rig import CommitRig

LIMITS = {"max_intents_per_hour": 5, "repeat_limit": 3, "audit_max": 100}
KEYS = catalogue(Settings())
DEDUP = KEYS.dedup("id")
#: Everything that a commit can be asked to write besides intents.
EVERYTHING: dict[str, Any] = {
    "rejects": (("1-1", "side", "none"),),
    "last_window": {"event": "BEST_OF_PUBLISH"},
    "audit": Audit("BEST_OF_PUBLISH", (("1-1", "rejected"),)),
}
EXECUTION = "quantum:group:execution:trade.intent"
#: What a commit does after its first write: (command, key).
RIGHTS = [
    ("xadd", KEYS.intents), ("xadd", KEYS.rejects), ("xadd", KEYS.audit), ("xlen", KEYS.intents),
    ("xinfo|groups", KEYS.intents), ("xinfo|stream", KEYS.intents), ("xinfo|stream", KEYS.rejects),
    ("xinfo|stream", KEYS.audit), ("xrange", KEYS.intents), ("set", DEDUP), ("sadd", KEYS.inflight),
    ("hincrby", KEYS.outcomes), ("hset", KEYS.epoch), ("hset", KEYS.halt), ("hset", KEYS.last_window),
    ("xgroup|setid", KEYS.signals), ("xinfo|stream", KEYS.signals), ("xack", KEYS.signals), ("zadd", KEYS.recent),
    ("zremrangebyscore", KEYS.recent), ("zadd", KEYS.repeats), ("zremrangebyscore", KEYS.repeats),
    ("zrange", KEYS.repeats),
]  # fmt: skip


@pytest.fixture
def rig(redis_server: Any) -> CommitRig:
    """A rig with every limit and an audit."""
    return CommitRig(redis_server, **LIMITS)


@pytest.mark.parametrize(("command", "key"), RIGHTS)
def test_one_right_that_is_missing_refuses_the_commit_before_its_first_write(
    rig: CommitRig, command: str, key: str
) -> None:
    """Without it the script would fail half-way, and what it has written by then would stay."""
    others = [name for field, name in asdict(KEYS).items() if field != "prefix" and name not in {key, ""}]
    others += [] if key == DEDUP else [DEDUP]
    rules = [*(f"~{name}" for name in others), "+@all", f"(~{key} +@all -{command})", "(~* +evalsha)"]
    rig.client.execute_command("ACL", "SETUSER", "default", "resetkeys", *rules)
    reply = rig.try_commit(**EVERYTHING)
    rig.client.execute_command("ACL", "SETUSER", "default", "clearselectors", "allkeys")
    assert ("DENIED", f"no right to {command.partition('|')[0].upper()}") == (
        reply.status,
        " ".join(reply.reason.split()[:4]),
    )
    assert not rig.client.exists(KEYS.intents, KEYS.outcomes, KEYS.rejects)
    assert "0-0" == rig.group["last-delivered-id"]


@pytest.mark.parametrize(
    "name", ["intents", "rejects", "inflight", "outcomes", "audit", "last_window", "recent", "repeats"]
)
def test_one_key_of_another_type_refuses_it_too(rig: CommitRig, name: str) -> None:
    """The reply names the key; nothing is written."""
    key = getattr(KEYS, name)
    rig.client.set(key, "x")
    before = rig.photograph()
    reply = rig.try_commit(**EVERYTHING)
    assert ("DENIED", f"{key} is a string, ") == (reply.status, reply.reason[: len(key) + 14])
    assert before == rig.photograph()


def test_a_count_of_the_hour_that_is_none_is_named(rig: CommitRig) -> None:
    """Where the state is read."""
    rig.client.set(KEYS.recent, "x")
    with pytest.raises(redis.ResponseError, match=KEYS.recent):
        rig.scripts.observe()


def test_a_commit_writes_all_that_it_was_asked_to(rig: CommitRig) -> None:
    """Intent, id, in flight, reject, outcome, window, audit and cursor, at once."""
    assert "OK" == rig.try_commit(**EVERYTHING).status
    ((intent_id, fields),) = rig.client.xrange(KEYS.intents)
    assert {"data": '{"symbol":"BTCUSDT"}'} == fields
    assert {intent_id} == rig.client.smembers(KEYS.inflight)
    assert [intent_id] == rig.client.zrange(KEYS.recent, 0, -1)
    assert [f"BTCUSDT BUY {intent_id}"] == rig.client.zrange(KEYS.repeats, 0, -1)
    assert rig.signal_id == rig.client.get(DEDUP)
    assert [{"id": "1-1", "code": "side", "detail": "none"}] == [
        fields for _, fields in rig.client.xrange(KEYS.rejects)
    ]
    assert "BEST_OF_PUBLISH" == rig.client.hget(KEYS.last_window, "event")
    assert 1 == rig.client.xlen(KEYS.audit)
    assert {"published": "1"} == rig.client.hgetall(KEYS.outcomes)
    assert (rig.signal_id, 1, 0) == tuple(rig.group[name] for name in ("last-delivered-id", "entries-read", "lag"))


def test_what_was_not_asked_for_is_not_written(redis_server: Any) -> None:
    """Without limits, audit, rejects and a window's end their keys do not appear."""
    rig = CommitRig(redis_server)
    rig.try_commit()
    absent = (KEYS.recent, KEYS.repeats, KEYS.audit, KEYS.rejects, KEYS.last_window, KEYS.halt)
    assert [] == [key for key in absent if rig.client.exists(key)]


def test_a_commit_that_publishes_nothing_passes_whatever_the_state_is(rig: CommitRig) -> None:
    """Halted and without a count of open orders the cursor still moves, and nothing is noted against the limits."""
    rig.client.set(KEYS.kill, "STOP")
    rig.client.delete(KEYS.open_orders)
    assert "OK" == rig.try_commit(intents=(), outcomes={"halted": 1}).status
    assert (rig.signal_id, 0) == (rig.group["last-delivered-id"], rig.client.exists(KEYS.recent, KEYS.repeats))


def test_what_only_reduces_counts_against_no_limit(rig: CommitRig) -> None:
    """Neither in the hour nor as a repeat nor in flight."""
    assert "OK" == rig.try_commit(reduce_only=True).status
    assert 0 == rig.client.exists(KEYS.recent, KEYS.repeats, KEYS.inflight)


def test_what_a_foreign_reader_was_given_is_acknowledged(rig: CommitRig) -> None:
    """The commit that counts a pending entry takes it off the list."""
    rig.client.xreadgroup("router", "foreign", {KEYS.signals: ">"})
    reply = rig.try_commit(cursor=rig.signal_id, cursor_to=None, acknowledge=(rig.signal_id,))
    assert ("OK", 0) == (reply.status, rig.group["pending"])


def test_at_the_end_of_the_stream_the_lag_is_known_however_the_entries_were_counted(rig: CommitRig) -> None:
    """Whoever has read everything has read all that was ever added."""
    rig.try_commit(entries=0)
    assert (1, 0) == rig.reading()


def test_before_the_end_an_unknown_count_stays_unknown_and_a_known_one_grows(rig: CommitRig) -> None:
    """A guess would show an operator a wrong lag."""
    second = rig.client.xadd(KEYS.signals, {"payload": "{}"})
    rig.client.xadd(KEYS.signals, {"payload": "{}"})
    rig.client.xgroup_setid(KEYS.signals, "router", "0")
    assert "OK" == rig.try_commit("1", intents=()).status
    assert rig.reading()[0] is None
    assert "OK" == rig.try_commit("2", rig.signal_id, cursor_to=second, intents=(), entries_read=2).status
    assert (2, 1) == rig.reading()
    rig.client.xgroup_setid(KEYS.signals, "router", rig.signal_id, entries_read=1)
    rig.try_commit("3", rig.signal_id, cursor_to=second, intents=())
    assert (2, 1) == rig.reading()
    rig.client.xgroup_setid(KEYS.signals, "router", rig.signal_id, entries_read=1)
    rig.try_commit("4", rig.signal_id, cursor_to=second, intents=(), entries_read=-1)
    assert rig.reading()[0] is None


def test_a_cursor_that_stays_leaves_the_group_as_it_is(rig: CommitRig) -> None:
    """A reduce-only commit moves nothing; a commit that only counts what was read sets the count."""
    rig.client.xadd(KEYS.signals, {"payload": "{}"})
    rig.client.xgroup_setid(KEYS.signals, "router", rig.signal_id)
    rig.try_commit("1", rig.signal_id, cursor_to=None, reduce_only=True)
    assert rig.reading()[0] is None
    rig.try_commit("2", rig.signal_id, cursor_to=None, intents=(), entries_read=1)
    assert (1, 1) == rig.reading()


@pytest.mark.parametrize(("delivered", "trimmed"), [("0-0", True), ("$", False)])
def test_only_intents_that_execution_was_not_given_count_as_trimmed(
    rig: CommitRig,
    delivered: str,
    trimmed: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """Trimming drops whole nodes of a stream; what execution has been given is no loss."""
    pipe = rig.client.pipeline()
    for _ in range(10_200):
        pipe.xadd(KEYS.intents, {"data": "{}"})
    pipe.execute()
    rig.client.xgroup_create(KEYS.intents, EXECUTION, delivered)
    reply = rig.try_commit()
    gone = 10_201 - rig.client.xlen(KEYS.intents)
    assert gone > 0
    assert (gone if trimmed else 0) == reply.trimmed


def test_a_repeat_too_many_is_told_to_the_audit(rig: CommitRig) -> None:
    """The halt names what repeated, how often, and who halted."""
    now_ms = int(time.time() * 1000)
    rig.client.zadd(KEYS.repeats, {"BTCUSDT BUY 1-1": now_ms, "BTCUSDT BUY 2-1": now_ms, "ETHUSDT BUY 3-1": now_ms})
    reply = rig.try_commit()
    assert "3 intents for BTCUSDT BUY within 60 s" == reply.halted == rig.client.hget(KEYS.halt, "reason")
    ((_, fields),) = rig.client.xrange(KEYS.audit)
    assert ("AUTO_HALTED", reply.halted, "holder") == (fields["event"], fields["reason"], fields["who"])


def test_repeats_below_the_limit_or_outside_the_window_halt_nothing(rig: CommitRig) -> None:
    """The limit is the first count that halts; what is older than the window is forgotten."""
    now_ms = int(time.time() * 1000)
    rig.client.zadd(KEYS.repeats, {"BTCUSDT BUY 1-1": now_ms, "BTCUSDT BUY 2-1": now_ms - 61_000})
    assert "" == rig.try_commit().halted
    assert 2 == rig.client.zcard(KEYS.repeats)


def test_the_hour_is_full_at_its_limit_and_not_before(rig: CommitRig) -> None:
    """Four of five leave room for one."""
    now_ms = int(time.time() * 1000)
    rig.client.zadd(KEYS.recent, {f"{i}-0": now_ms - i for i in range(4)})
    assert "OK" == rig.try_commit().status
    assert "CHANGED" == rig.try_commit("2", rig.signal_id, intents=(_another(rig),)).status


def _another(rig: CommitRig) -> Any:
    (intent,) = rig.commit.intents
    return type(intent)(rig.client.xadd(KEYS.signals, {"payload": "{}"}), "other", intent.data, "ETHUSDT BUY")


def test_an_entry_that_is_both_published_and_stale_is_told_as_published(rig: CommitRig) -> None:
    """What is done comes first, whatever has become of it since."""
    (intent,) = rig.commit.intents
    old = type(intent)("1-0", "id", intent.data)
    rig.client.set(DEDUP, "1-0")
    reply = rig.try_commit(intents=(old,))
    assert ("DUPLICATE", [(1, True)]) == (reply.status, reply.duplicates)
    rig.client.set(DEDUP, "2-0")
    assert "STALE" == rig.try_commit(intents=(old,)).status


def test_a_failure_after_the_first_write_halts_the_router(rig: CommitRig) -> None:
    """It should be impossible; if it happens nothing more is published, and the halt says why."""
    reply = rig.try_commit(audit=Audit("X", (("1-1", "x"),)), acknowledge=("no id",))
    assert "BROKEN" == reply.status
    assert rig.client.hget(KEYS.halt, "reason").startswith("commit failed half-way: ")
    assert "HALTED" == rig.try_commit("2", intents=(_another(rig),)).status


@pytest.mark.parametrize("setting", list(LIMITS))
def test_a_wrong_type_counts_only_for_a_feature_that_is_on(redis_server: Any, setting: str) -> None:
    """A limit or an audit that is off does not touch its key, so the key is no reason to stop trading."""
    keys = {"max_intents_per_hour": KEYS.recent, "repeat_limit": KEYS.repeats, "audit_max": KEYS.audit}
    rig = CommitRig(redis_server, **{name: value for name, value in LIMITS.items() if name != setting})
    rig.client.set(keys[setting], "of somebody else")
    assert "OK" == rig.try_commit(**EVERYTHING).status
    assert "of somebody else" == rig.client.get(keys[setting])


def test_an_audit_that_can_take_no_entry_refuses_the_commit(rig: CommitRig) -> None:
    """An id at the end of all ids is named with the way out, before anything is published."""
    rig.client.xadd(KEYS.audit, {"event": "x"}, f"{2**64 - 1}-{2**64 - 1}")
    reply = rig.try_commit(**EVERYTHING)
    assert "DENIED" == reply.status
    assert f"{KEYS.audit} has the last id 18446744073709551615-18446744073709551615" in reply.reason
    assert not rig.client.exists(KEYS.intents, KEYS.outcomes)
