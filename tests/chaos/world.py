# SPDX-License-Identifier: Apache-2.0
"""The world that the faults strike: Redis, two supervised routers behind proxies, a producer and an execution."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.integration.conftest import SIGNALS, Market, RedisServer, RouterProcess, eventually
from tests.integration.execution import GROUP, INTENTS, Execution
from tests.integration.fault_proxy import FaultProxy

if TYPE_CHECKING:
    from collections import deque

#: Short enough that a fault and its repair take about a second; everything else is as shipped.
LEASE_TTL_S = 0.6
SETTINGS = {"CANDIDATE_WINDOW_SEC": "0.15", "ROUTER_LEASE_TTL_SEC": str(LEASE_TTL_S), "MAX_OPEN_ORDERS": "4"}
MAX_OPEN_ORDERS = 4
#: How a router may end: told to, Redis away at start, fenced, killed by a fault. systemd starts it again.
EXPECTED_CODES = {0, 69, 75, -9}
CRASH_AT = str(Path(__file__).parents[1] / "integration" / "crash_at.py")


class Supervisor(threading.Thread):
    """Keeps one router running as systemd does: whatever it ends with, it is started again, but for 78."""

    def __init__(self, holder: str, url: str, logs: Path) -> None:
        super().__init__(daemon=True)
        self.holder = holder
        self._url = url
        self._logs = logs
        self._numbers = iter(range(1_000_000))
        self._stop_asked = threading.Event()
        self._next: tuple[str, ...] = ()
        #: Every process that ran under this name.
        self.routers: list[RouterProcess] = []
        #: Ends that a fault does not explain.
        self.failures: list[str] = []
        self.router = self.start_router()

    def start_router(self, *crash: str) -> RouterProcess:
        """Start a router under this name; *crash* says where it gets which signal, as crash_at.py wants it."""
        program = (CRASH_AT, *crash) if crash else ("-m", "router")
        log = self._logs / f"{self.holder}-{next(self._numbers)}.log"
        self.routers.append(RouterProcess(self._url, log, SETTINGS, (*program, "run", "--holder", self.holder)))
        return self.routers[-1]

    def restart_to(self, *crash: str) -> RouterProcess:
        """Kill the router and return the next one, which gets a signal where *crash* says."""
        ended, self._next = self.router, crash
        ended.process.kill()
        eventually(lambda: self.router is not ended, "a new router process")
        return self.router

    def run(self) -> None:
        """Start the router again whenever it ends."""
        while not self._stop_asked.wait(0.02):
            code = self.router.process.poll()
            if code is None:
                continue
            if code not in EXPECTED_CODES:
                self.failures.append(f"{self.holder} ended with {code}:\n{self.router.log[-2000:]}")
            crash, self._next = self._next, ()
            self.router = self.start_router(*crash)

    def stop(self) -> None:
        """End thread and router."""
        self._stop_asked.set()
        self.join(timeout=5)
        self.router.process.kill()
        self.router.process.wait(timeout=5)


class Producer(threading.Thread):
    """Adds bursts of signals, good and bad; what Redis refuses is not added again."""

    def __init__(self, client: Any, seed: int) -> None:
        super().__init__(daemon=True)
        self._market = Market(client)
        self._random = random.Random(seed)
        self._stop_asked = threading.Event()
        #: Signals that Redis has acknowledged.
        self.acknowledged = 0
        self._works = threading.Event()
        self._works.set()

    def run(self) -> None:
        """Add about forty signals a second."""
        while not self._stop_asked.wait(self._random.uniform(0.1, 0.5)):
            self._works.wait(timeout=60)
            with contextlib.suppress(redis.RedisError):
                for i in range(13):
                    self._signal(f"S{i}USDT")

    def pause(self) -> None:
        """Add nothing more; what is being added comes still."""
        self._works.clear()
        time.sleep(0.1)

    def resume(self) -> None:
        """Go on."""
        self._works.set()

    def stop(self) -> None:
        """End the thread."""
        self._stop_asked.set()
        self._works.set()
        self.join(timeout=5)

    def _signal(self, symbol: str) -> None:
        confidence = round(self._random.uniform(0.6, 1), 3)
        kinds: list[dict[str, Any]] = [{}, {"side": "hold"}, {"side": "?"}, {"reduce_only": True}]
        facts = self._random.choices(kinds, [20, 1, 1, 1])[0]
        if not self._random.randrange(10):
            facts = {**facts, "correlation_id": f"d{int(time.monotonic())}"}  # ids that several signals share
        self._market.signal(symbol, confidence, **facts)
        self.acknowledged += 1


class World:
    """All of it, on *folder*."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        #: Effects of the router in the order in which a signal is to strike at them, the next one last.
        self.effects: dict[int, deque[tuple[str, str, str]]] = {}
        self.server = RedisServer(folder, "--appendfsync", "always", "--busy-reply-threshold", "20")
        self.server.start()
        self.market = Market(self.server.client)
        self.market.set_open_orders(0)
        self.server.client.xgroup_create(INTENTS, GROUP, "0", mkstream=True)
        self.proxies = [FaultProxy(str(self.server.socket)) for _ in range(2)]
        self.supervisors = [Supervisor(f"router-{i}", proxy.url, folder) for i, proxy in enumerate(self.proxies)]
        self.execution = Execution(self.connect(), seed)
        self.producer = Producer(self.connect(), seed)
        #: Entries that had been counted when the group was destroyed: all entries are dealt with anew from then on.
        self.counted_before = 0

    def connect(self) -> Any:
        """Return a client that reports a lost connection instead of sending again."""
        return redis.Redis(
            unix_socket_path=str(self.server.socket),
            decode_responses=True,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=3,
        )

    def start(self) -> None:
        """Start everything but Redis, which runs already."""
        threads: list[threading.Thread] = [*self.supervisors, self.execution, self.producer]
        for thread in threads:
            thread.start()

    def close(self) -> None:
        """End everything."""
        self.producer.stop()
        self.execution.stop()
        for supervisor in self.supervisors:
            supervisor.stop()
        for proxy in self.proxies:
            proxy.close()
        self.server.stop()

    @property
    def active(self) -> int:
        """The place of the router that holds the lease; of any when none does."""
        holder = self.server.client.hget("quantum:router:lease", "holder")
        return next((i for i, s in enumerate(self.supervisors) if s.holder == holder), 0)

    @property
    def counts(self) -> dict[str, int]:
        """What went in and came out so far."""
        return counts(self.market, self.counted_before)

    def audit(self) -> None:
        """Let the routers catch up while nothing is added, and assert the promise."""
        self.producer.pause()
        check(self.market, self.supervisors, self.counted_before)
        assert self.execution.most_open <= MAX_OPEN_ORDERS


def counts(market: Market, counted_before: int = 0) -> dict[str, int]:
    """What went in and came out. A loss is an entry without an outcome, a duplicate an intent too many."""
    intents = market.intents
    added = int(market.client.xinfo_stream(SIGNALS)["entries-added"])
    ids = [intent.get("correlation_id") for intent in intents]
    entries = [intent["signal_id"] for intent in intents]
    counted = sum(market.outcomes.values()) - counted_before
    return {
        "signals in": added,
        "intents out": len(intents),
        "duplicates": max(len(ids) - len(set(ids)), len(entries) - len(set(entries))),
        "losses": max(0, added - counted),
        "counted twice": max(0, counted - added),
    }


def check(market: Market, supervisors: list[Supervisor], counted_before: int = 0) -> None:
    """Assert the promise, once everything that was added is dealt with; nothing may be added meanwhile."""

    def settled() -> bool:
        group, stream = market.group, market.client.xinfo_stream(SIGNALS)
        return bool(group) and group["last-delivered-id"] == stream["last-generated-id"] and not group["pending"]

    eventually(settled, "every signal dealt with", within_s=20)
    failures = [failure for supervisor in supervisors for failure in supervisor.failures]
    assert not failures, "\n".join(failures)
    found = counts(market, counted_before)
    assert (0, 0, 0) == (found["duplicates"], found["losses"], found["counted twice"]), found
