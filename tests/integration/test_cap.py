# SPDX-License-Identifier: Apache-2.0
"""The cap with a real execution behind the router: slow, bursty, and counting an order before it acknowledges it."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

INTENTS = "quantum:stream:trade.intent"
GROUP = "quantum:group:execution:trade.intent"
OPEN_ORDERS = "quantum:state:open_orders"


class Execution(threading.Thread):
    """Takes intents, opens each after a delay of its own, closes it later; remembers the most that were open."""

    def __init__(self, client: Any, seed: int) -> None:
        super().__init__(daemon=True)
        self._client = client
        self._random = random.Random(seed)
        self._stop_asked = threading.Event()
        self.most_open = 0
        self.opened = 0

    def run(self) -> None:
        """Work until stopped: intents wait up to 0.8 s to be opened, orders up to 1.5 s to be closed."""
        waiting: list[tuple[float, str]] = []
        closing: list[float] = []
        while not self._stop_asked.is_set():
            now_s = time.monotonic()
            for _, entries in self._client.xreadgroup(GROUP, "execution", {INTENTS: ">"}, count=10, block=10) or []:
                waiting += [(now_s + self._random.uniform(0, 0.8), entry_id) for entry_id, _ in entries]
            for due_s, entry_id in [intent for intent in waiting if intent[0] <= now_s]:
                waiting.remove((due_s, entry_id))
                self.most_open = max(self.most_open, self._client.incr(OPEN_ORDERS))
                self.opened += 1
                self._client.xack(INTENTS, GROUP, entry_id)
                closing.append(now_s + self._random.uniform(0, 1.5))
            for due_s in [due_s for due_s in closing if due_s <= now_s]:
                closing.remove(due_s)
                self._client.decr(OPEN_ORDERS)

    def stop(self) -> None:
        """End the thread."""
        self._stop_asked.set()
        self.join(timeout=5)


@pytest.fixture
def start_execution(redis_server: Any) -> Iterator[Callable[[int], Execution]]:
    """Start an execution with a seed; all end with the test."""
    started: list[Execution] = []

    def start(seed: int) -> Execution:
        redis_server.client.xgroup_create(INTENTS, GROUP, "0", mkstream=True)
        started.append(Execution(redis_server.client, seed))
        started[-1].start()
        return started[-1]

    yield start
    for execution in started:
        execution.stop()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_open_orders_never_exceed_the_cap_with_a_slow_execution(
    start_router: Callable[..., Any], start_execution: Callable[[int], Execution], market: Any, seed: int
) -> None:
    """Windows close faster than execution opens: what is in flight keeps the router from overshooting."""
    execution = start_execution(seed)
    limits = {"MAX_OPEN_ORDERS": "3", "TARGET_OPEN_ORDERS": "3", "CANDIDATE_WINDOW_SEC": "0.1"}
    start_router(**limits).wait_for("ACTIVE")
    for _ in range(30):
        market.burst()
        time.sleep(0.15)
    market.audit()
    assert execution.opened >= 6
    assert execution.most_open <= 3
