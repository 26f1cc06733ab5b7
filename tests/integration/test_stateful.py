# SPDX-License-Identifier: Apache-2.0
"""The promise as invariants: hypothesis looks for a sequence of events on a real Redis that breaks one."""

from __future__ import annotations

import functools
import json
import math
import time
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from router.config import Settings
from router.core.entry_id import order
from router.errors import FencedError
from tests.integration.conftest import INTENTS, OPEN_ORDERS, SIGNALS
from tests.integration.execution import GROUP
from tests.integration.machine import Books, Clock, CrashError, LocalRouter

POLICY = {"max_open_orders": 3, "target_open_orders": 2, "max_new_per_cycle": 2}
#: Redis' clock is the real one, so the lease lives longer than any example and is deleted where it shall expire.
TIMES = {"window_s": 0.5, "lease_ttl_s": 30.0, "max_age_s": 10.0}
#: Milliseconds by which the producer's clock is off: right, stale, about to be stale, ahead, too far ahead.
OFFSETS_MS = st.sampled_from([*[0] * 20, -30_000, -9_980, -9_900, 3_000, 15_000])
FAULTS = [
    "lease expires",
    "sleep past the lease",
    "scripts are lost",
    "entries grow stale",
    "stream is trimmed",
    "foreign reader",
]
NAMES = st.sampled_from(["a", "b"])
#: Where a router crashes: number of the call to Redis, before or after it is sent; mostly nowhere.
NO_CRASH = (0, True)
CRASHES = st.one_of(*[st.just(NO_CRASH)] * 4, st.tuples(st.integers(1, 8), st.booleans()))
PAYLOADS = st.fixed_dictionaries(
    {
        "symbol": st.sampled_from([*"ABCDABCD", "!"]),
        "side": st.sampled_from(["buy", "buy", "sell", "hold"]),
        "confidence": st.sampled_from([0.8, 0.85, 0.95, 0.9, 0.75, 0.5, "?"]),
        "position_size_usd": st.just(100),
        "correlation_id": st.sampled_from(["", "", "", "x", "y", "z"]),
        "reduce_only": st.sampled_from([False, False, False, True]),
    }
)


class Desk(Books, RuleBasedStateMachine):
    """A producer, two routers, an execution and a desk, each of them acting whenever it likes."""

    def __init__(self, client: Any, url: str) -> None:
        super().__init__()
        client.flushall()
        client.script_flush()
        client.xgroup_create(INTENTS, GROUP, "0", mkstream=True)
        client.set(OPEN_ORDERS, 0)
        self.client = client
        self.clock = Clock()
        self.settings = Settings(redis_url=url, **POLICY, **TIMES)  # type: ignore[arg-type]  # two tables of numbers
        self.routers: dict[str, LocalRouter] = {}
        #: Ids of all entries ever added, in their order.
        self.added: list[tuple[int, int]] = []
        #: Entries that were trimmed before they were counted, though perhaps after they were read.
        self.doubtful: set[tuple[int, int]] = set()
        #: Whether somebody else has read with our group since a router began.
        self.read_by_others = False
        #: Entries that were given to somebody else.
        self.foreign: set[tuple[int, int]] = set()
        #: Intents that execution has been given, and how many it has acknowledged.
        self.waiting: list[str] = []
        self.acknowledged = 0
        self.open = 0

    # What the routers do.

    @rule(name=NAMES, crash=CRASHES)
    def start(self, name: str, crash: tuple[int, bool]) -> None:
        """A router of this name starts, where one runs already as a second process."""
        self.end(name)
        router = LocalRouter(name, self.settings, self.clock)
        router.trap.set(crash[0], before=crash[1])
        try:
            active = router.start()
        except CrashError:
            active = False
        if active:
            self.read_by_others = False
            self.routers[name] = router
        else:
            router.close()

    @rule(name=NAMES, waits=st.lists(st.booleans(), min_size=1, max_size=6), crash=CRASHES)
    def work(self, name: str, waits: list[bool], crash: tuple[int, bool]) -> None:
        """A router does some steps, each perhaps so late that its window is over, and may crash in the last."""
        if not self.routers:
            self.start(name, NO_CRASH)
        for place, late in enumerate(waits, start=1):
            if router := self.routers.get(name) or next(iter(self.routers.values()), None):
                router.trap.set(crash[0] if place == len(waits) else 0, before=crash[1])
                self.clock.now_s += self.settings.window_s if late else 0.01
                self.step(router)

    def step(self, router: LocalRouter) -> None:
        """Let *router* do one step; only one that has lost lease or cursor may be fenced, and must not do anything."""
        lost = not self.holds_lease(router)
        before, counted = len(self.intents), self.counted
        try:
            due = router.step()
        except CrashError:
            self.end(router.name)
        except FencedError:
            assert lost or self.read_by_others
            self.end(router.name)
        else:
            assert int(due) == len(router.outcome_lines)
            self.check_published(router, self.intents[before:])
        assert not lost or (before, counted) == (len(self.intents), self.counted)

    # What happens to Redis and to the lease.

    @rule(fault=st.sampled_from(FAULTS), kept=st.integers(0, 20))
    def suffer(self, fault: str, kept: int) -> None:
        """One of FAULTS happens; a stream that is trimmed keeps its last *kept* entries, whether others were read."""
        if fault in {"lease expires", "sleep past the lease"}:
            self.client.delete("quantum:router:lease")
        if fault == "sleep past the lease":
            self.clock.now_s += self.settings.lease_ttl_s
        if fault == "scripts are lost":
            self.client.script_flush()
        if fault == "entries grow stale":
            time.sleep(0.03)
        if fault == "stream is trimmed":
            self.client.xtrim(SIGNALS, maxlen=kept, approximate=False)
            gone = self.added[: len(self.added) - self.client.xlen(SIGNALS)]
            self.doubtful |= set(gone) - set(self.dealt_with)
        if fault == "foreign reader" and self.groups:
            self.read_by_others = True
            for _, entries in self.client.xreadgroup("router", "foreign", {SIGNALS: ">"}, count=3) or []:
                self.foreign |= {order(entry_id) for entry_id, _ in entries}

    # What the producer does.

    @rule(payloads=st.lists(PAYLOADS, min_size=1, max_size=13), offset_ms=OFFSETS_MS)
    def add(self, payloads: list[dict[str, Any]], offset_ms: int) -> None:
        """A burst of signals, good and bad, from a clock that may be off."""
        pipe = self.client.pipeline(transaction=False)
        for payload in payloads:
            pipe.xadd(SIGNALS, {"payload": json.dumps(payload)}, id=self.next_id(offset_ms))
        pipe.execute()

    # What execution and the desk do.

    @rule(acts=st.lists(st.sampled_from(["deliver", "open", "drop", "close"]), min_size=1, max_size=4))
    def execute(self, acts: list[str]) -> None:
        """Execution takes an intent, counts an order before it acknowledges one or drops it, closes an order."""
        for act in acts:
            if act == "deliver":
                self.deliver()
            elif act == "close" and self.open:
                self.set_open(self.open - 1)
            elif act in {"open", "drop"} and self.waiting:
                if act == "open":
                    self.set_open(self.open + 1)
                self.client.xack(INTENTS, GROUP, self.waiting.pop(0))
                self.acknowledged += 1

    def deliver(self) -> None:
        """Give execution an intent; one that only reduces opens nothing."""
        for _, entries in self.client.xreadgroup(GROUP, "execution", {INTENTS: ">"}, count=1) or []:
            for entry_id, fields in entries:
                if json.loads(fields["data"])["reduce_only"]:
                    self.client.xack(INTENTS, GROUP, entry_id)
                else:
                    self.waiting.append(entry_id)

    @rule(value=st.sampled_from([*["right"] * 6, None, "-1", "many"]))
    def count(self, value: str | None) -> None:
        """The count of open orders is missing, is none, or is right."""
        if value == "right":
            self.set_open(self.open)
        elif value is None:
            self.client.delete(OPEN_ORDERS)
        else:
            self.client.set(OPEN_ORDERS, value)

    @rule(
        kill=st.sampled_from(["", "0", "GO", "", "0", "GO", "REDUCE", "STOP"]),
        halted=st.sampled_from([*[False] * 9, True]),
    )
    def control(self, kill: str, halted: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
        """The desk turns its kill switch, a person halts or resumes the router."""
        self.client.set("quantum:kill", kill)
        self.client.delete("quantum:router:halt")
        if halted:
            self.client.hset("quantum:router:halt", mapping={"reason": "test", "who": "me", "when": 0})

    # What must hold.

    @invariant()
    def every_entry_up_to_the_cursor_has_one_outcome(self) -> None:
        """Counted is what the cursor has passed: neither more nor less, but for what was trimmed unread."""
        dealt_with = self.dealt_with
        assert len(dealt_with) - len(self.doubtful.intersection(dealt_with)) <= self.counted <= len(dealt_with)

    @invariant()
    def nothing_is_pending_and_the_lag_is_true(self) -> None:
        """What `XINFO GROUPS` shows an operator is so; pending is only what a foreign reader was given."""
        assert self.pending <= self.foreign
        if self.groups and self.cursor > (0, 0) and not self.doubtful:
            assert len([entry_id for entry_id in self.added if entry_id > self.cursor]) == self.groups[0]["lag"]

    @invariant()
    def nothing_is_published_twice(self) -> None:
        """Neither an entry nor an id, and only what is an entry."""
        intents = self.intents
        entries = [intent["signal_id"] for intent in intents]
        ids = [intent["correlation_id"] for intent in intents if "correlation_id" in intent]
        assert (len(entries), len(ids)) == (len(set(entries)), len(set(ids)))
        assert set(map(order, entries)) <= set(self.added)
        assert all(math.isfinite(intent["confidence"]) for intent in intents)

    @invariant()
    def the_cap_holds(self) -> None:
        """Even if execution opened at once all that it has not acknowledged."""
        in_flight = sum(not intent["reduce_only"] for intent in self.intents) - self.acknowledged
        assert self.open + in_flight <= self.settings.max_open_orders

    def check_published(self, router: LocalRouter, published: list[dict[str, Any]]) -> None:
        """Assert that one step of *router* published what the state of the desk allows, and said so."""
        chosen = [intent for intent in published if not intent["reduce_only"]]
        kill = self.client.get("quantum:kill") or ""
        halted = kill == "STOP" or bool(self.client.exists("quantum:router:halt"))
        assert not (halted and published)
        unknown = not (self.client.get(OPEN_ORDERS) or "").isdigit()
        assert not ((unknown or kill == "REDUCE") and chosen)
        assert sum(line["COUNT"] for line in router.outcome_lines) == len(chosen) <= self.settings.max_new_per_cycle

    def teardown(self) -> None:
        """Whatever happened, a router that starts now deals with all that is left."""
        for name in list(self.routers):
            self.end(name)
        self.suffer("lease expires", 0)
        self.start("last", NO_CRASH)
        for _ in range(10):
            self.work("last", [False, True], NO_CRASH)
        self.end("last")
        assert not self.unread
        assert not self.pending
        self.every_entry_up_to_the_cursor_has_one_outcome()
        self.nothing_is_pending_and_the_lag_is_true()
        self.nothing_is_published_twice()
        self.the_cap_holds()

    @property
    def dealt_with(self) -> list[tuple[int, int]]:
        """Entries that the cursor has passed, and that no foreign reader holds."""
        cursor, pending = self.cursor, self.pending
        return [entry_id for entry_id in self.added if entry_id <= cursor and entry_id not in pending]

    def next_id(self, offset_ms: int) -> str:
        """An entry id by a clock that is off by *offset_ms*, above all others."""
        seconds, microseconds = self.client.time()
        last_ms, last_seq = max(self.added, default=(0, 0))
        ms = seconds * 1000 + microseconds // 1000 + offset_ms
        self.added.append((ms, 0) if ms > last_ms else (last_ms, last_seq + 1))
        return "{}-{}".format(*self.added[-1])

    def set_open(self, count: int) -> None:
        """Raise or lower the count of open orders."""
        self.open = count
        self.client.set(OPEN_ORDERS, count)

    def end(self, name: str) -> None:
        """Throw a router away; its lease stays."""
        if router := self.routers.pop(name, None):
            router.close()


def test_no_sequence_of_events_breaks_the_promise(redis_server: Any) -> None:
    """Eighty histories of up to fifty events; every invariant after every event, all dealt with in the end."""
    desk: Any = functools.partial(Desk, redis_server.client, redis_server.url)
    run_state_machine_as_test(
        desk,
        settings=settings(max_examples=80, stateful_step_count=50, suppress_health_check=list(HealthCheck)),
    )
