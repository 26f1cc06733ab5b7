# SPDX-License-Identifier: Apache-2.0
"""The cap with a real execution behind the router: slow, bursty, and counting an order before it acknowledges it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.execution import GROUP, INTENTS, Execution

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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
