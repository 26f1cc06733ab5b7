# SPDX-License-Identifier: Apache-2.0
"""The commit script on a real server: each reason to do nothing really does nothing."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis

import router.redis_io
from router.config import Settings
from router.redis_io.keys import catalogue
from router.redis_io.rights import service
from router.redis_io.scripts import Intent, Lease, Standby
from tests.integration.commit_rig import CommitRig

if TYPE_CHECKING:
    from collections.abc import Callable

#: After this no stream takes another entry.
LAST_ID = f"{2**64 - 1}-{2**64 - 1}"
LUA = Path(next(iter(router.redis_io.__path__))) / "lua"


@pytest.fixture
def rig(redis_server: Any) -> CommitRig:
    """A rig on the test's server."""
    return CommitRig(redis_server)


def _stale(rig: CommitRig) -> None:
    old = f"{int(time.time() * 1000) - 60_000}-0"
    rig.commit = replace(rig.commit, intents=(replace_id(rig.commit.intents[0], old),))


def replace_id(intent: Intent, signal_id: str) -> Intent:
    """The same intent for another entry."""
    return Intent(signal_id, intent.dedup_id, intent.data)


@pytest.mark.parametrize(
    ("spoil", "status"),
    [
        (lambda b: b.client.delete("quantum:router:lease"), "FENCED"),
        (lambda b: b.client.hset("quantum:router:lease", "epoch", "1"), "FENCED"),
        (lambda b: b.client.xgroup_setid("quantum:stream:ai.decision.made", "router", "1-1"), "FENCED"),
        (lambda b: b.client.xgroup_destroy("quantum:stream:ai.decision.made", "router"), "NO_GROUP"),
        (lambda b: b.client.set("quantum:kill", "STOP"), "HALTED"),
        (lambda b: b.client.set("quantum:kill", "1"), "HALTED"),
        (lambda b: b.client.hset("quantum:kill", "a", "b"), "HALTED"),
        (lambda b: b.client.set("quantum:kill", "REDUCE"), "HALTED"),
        (lambda b: b.client.hset("quantum:router:halt", "reason", "x"), "HALTED"),
        (lambda b: b.client.set("quantum:state:open_orders", "2"), "CHANGED"),
        (lambda b: b.client.delete("quantum:state:open_orders"), "CHANGED"),
        (_stale, "STALE"),
        (lambda b: b.client.set("quantum:dedup:trade_intent:id", "other"), "DUPLICATE"),
        (lambda b: b.client.set("quantum:stream:trade.intent", "x"), "DENIED"),
        (lambda b: b.client.set("quantum:router:inflight", "x"), "DENIED"),
        (lambda b: b.client.hset("quantum:router:outcomes", "published", "many"), "DENIED"),
        (lambda b: b.client.hset("quantum:router:outcomes", "published", str(2**63 - 1)), "DENIED"),
        (lambda b: b.client.hset("quantum:router:outcomes", "published", "1" + "0" * 14), "DENIED"),
        (lambda b: b.client.xadd("quantum:stream:trade.intent", {"data": "x"}, LAST_ID), "DENIED"),
        (lambda b: b.client.xadd("quantum:stream:trade.intent", {"data": "x"}, "1" + "0" * 14 + "-0"), "DENIED"),
        (lambda b: b.client.xadd("quantum:stream:router.rejected", {"id": "x"}, LAST_ID), "DENIED"),
        (lambda b: b.client.execute_command("ACL", "SETUSER", "default", "-xlen"), "DENIED"),
        (lambda b: b.client.execute_command("ACL", "SETUSER", "default", "-xadd"), "DENIED"),
        (lambda b: b.client.execute_command("ACL", "SETUSER", "default", "-xack"), "DENIED"),
    ],
)
def test_a_commit_that_may_not_be_made_changes_nothing(
    rig: CommitRig, spoil: Callable[[CommitRig], Any], status: str
) -> None:
    """Whatever changed between decision and commit, it is all or nothing."""
    spoil(rig)
    before = rig.photograph()
    assert status == rig.try_commit().status
    assert before == rig.photograph()


def test_the_same_commit_sent_again_gets_the_first_reply(rig: CommitRig) -> None:
    """A lost reply is repaired by asking again; the second time nothing is written."""
    first = rig.try_commit()
    after_first = rig.photograph()
    assert "OK" == first.status
    assert first == rig.try_commit()
    assert after_first == rig.photograph()


def test_what_this_entry_published_is_said_even_when_halted(rig: CommitRig) -> None:
    """After a crash a published reduce-only entry counts as published, though the desk has halted since."""
    rig.try_commit(cursor_to=None, reduce_only=True, outcomes={})
    rig.client.set("quantum:kill", "STOP")
    again = rig.try_commit("2", cursor_to=None, reduce_only=True)
    assert ("DUPLICATE", [(1, True)]) == (again.status, again.duplicates)


def test_reduce_lets_a_reduce_only_commit_pass_whatever_capacity_is(rig: CommitRig) -> None:
    """Reduce-only skips capacity, and takes no slot."""
    rig.client.set("quantum:kill", "REDUCE")
    rig.client.delete("quantum:state:open_orders")
    assert "OK" == rig.try_commit(reduce_only=True).status
    assert not rig.client.exists("quantum:router:inflight")


@pytest.mark.parametrize("text", ["", "0", "GO"])
def test_a_kill_key_that_is_off_halts_nothing(rig: CommitRig, text: str) -> None:
    """The desk may leave its key where it is."""
    rig.client.set("quantum:kill", text)
    assert "OK" == rig.try_commit().status


def test_a_lease_from_a_clock_that_was_ahead_may_be_taken(rig: CommitRig) -> None:
    """One that claims to live longer than its own TTL was written before the clock stepped back."""
    assert isinstance(rig.scripts.acquire("other", "r"), Standby)
    rig.client.pexpire("quantum:router:lease", 3_600_000)
    taken = rig.scripts.acquire("other", "r")
    assert isinstance(taken, Lease)
    assert int(taken.epoch) > int(rig.lease.epoch)
    assert not rig.scripts.renew(rig.lease)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            lambda c: c.hset("quantum:router:epoch", "epoch", "abc"),
            "quantum:router:epoch epoch is 'abc', no epoch: HDEL",
        ),
        (lambda c: c.hset("quantum:router:epoch", "epoch", "1e300"), "epoch is '1e300', no epoch"),
        (lambda c: c.hset("quantum:router:epoch", "epoch", "9" * 17), f"epoch is '{'9' * 17}', no epoch"),
        (
            lambda c: c.hset("quantum:router:epoch", "epoch", b"\xff\n" + b"x" * 99),
            f"epoch is '??{'x' * 38}', no epoch",
        ),
        (lambda c: c.hset("quantum:router:lease", "ttl_ms", "soon"), "quantum:router:lease ttl_ms is 'soon', no time"),
        (
            lambda c: c.set("quantum:router:epoch", "1"),
            "quantum:router:epoch is a string, not a hash: rename or remove",
        ),
        (
            lambda c: c.set("quantum:router:lease", "1"),
            "quantum:router:lease is a string, not a hash: rename or remove",
        ),
    ],
)
def test_odd_data_in_lease_or_epoch_is_named_and_no_lease_is_given(
    rig: CommitRig, spoil: Callable[[Any], Any], words: str
) -> None:
    """One line with key, value and the way out; an epoch that adding 1 does not change would fence nobody."""
    if "lease ttl_ms" not in words:
        rig.client.delete("quantum:router:lease", *["quantum:router:epoch"] * ("a string" in words))
    spoil(rig.client)
    before = rig.photograph()
    with pytest.raises(redis.ResponseError) as refused:
        rig.scripts.acquire("other", "r")
    assert words in str(refused.value)
    assert "script" not in str(refused.value)
    assert before == rig.photograph()


@pytest.mark.parametrize(
    "key", ["quantum:router:inflight", "quantum:stream:trade.intent", "quantum:stream:ai.decision.made"]
)
def test_a_key_of_a_wrong_type_is_named_when_the_state_is_read(rig: CommitRig, key: str) -> None:
    """Redis' own error would not say which."""
    rig.client.delete(key)
    rig.client.set(key, "x")
    with pytest.raises(redis.ResponseError, match=f"^{key} is a string, not a (set|stream): rename or remove it$"):
        rig.scripts.observe()


@pytest.mark.parametrize("member", ["rubbish", "9" * 30 + "-0", "1-" + "9" * 30])
def test_a_foreign_member_of_the_in_flight_set_is_dropped(rig: CommitRig, member: str) -> None:
    """What is no entry id, or none that a commit can have noted, cannot be in flight."""
    rig.client.xgroup_create("quantum:stream:trade.intent", "quantum:group:execution:trade.intent", mkstream=True)
    rig.client.sadd("quantum:router:inflight", member)
    assert 0 == rig.scripts.observe(forget=True).capacity.in_flight
    assert not rig.client.exists("quantum:router:inflight")


def test_check_asks_for_every_command_that_a_script_calls() -> None:
    """The list of rights and the scripts cannot drift apart."""
    asked = {right.words[0] for right in service(catalogue(Settings()), Settings())}
    for path in LUA.glob("*.lua"):
        called = set(re.findall(r"redis\.p?call\('([A-Z]+)'", path.read_text(encoding="utf-8")))
        assert called <= asked, path.name


def test_the_commit_proves_every_right_that_it_uses_after_its_first_write() -> None:
    """Each command of its last step is asked for before the first one is sent."""
    text = (LUA / "commit.lua").read_text(encoding="utf-8")
    proof, _, writes = text.partition("-- 4. Publish")
    proven = set(re.findall(r"(?:\{|need\()'([A-Z]+)'", proof))
    assert set(re.findall(r"redis\.p?call\('([A-Z]+)'", writes)) <= proven
