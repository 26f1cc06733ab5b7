# SPDX-License-Identifier: Apache-2.0
"""The execution service of the lab: opens an order for each intent, holds it for a while, closes it.

Environment: REDIS_URL, EXECUTION_HOLD_S (5), EXECUTION_HOLD_JITTER_S (either way, 1), EXECUTION_SEED (1).
"""

from __future__ import annotations

import heapq
import json
import os
import random
import time
from datetime import datetime, timezone
from typing import Any

import redis

INTENTS = "quantum:stream:trade.intent"
GROUP = "quantum:group:execution:trade.intent"
OPEN_ORDERS = "quantum:state:open_orders"
GOVERNOR = "quantum:governor:daily_trades:"
GOVERNOR_TTL_S = 48 * 3600
INTENT_MAX_AGE_MS = 5000
PLACE_S = (0.1, 0.2)
POLL_MS = 100
RETRY_S = 1.0


class Execution:
    """Orders held by this process; Redis has their number for everybody else."""

    def __init__(self, client: redis.Redis, rng: random.Random, hold_s: float, jitter_s: float) -> None:
        self.client = client
        self.rng = rng
        self.hold_s = hold_s
        self.jitter_s = jitter_s
        self.closings: list[float] = []  # heap of the times at which held orders close

    def serve_until_lost(self) -> None:
        """Serve; when Redis goes away, say so and give it a moment."""
        try:
            self.serve()
        except redis.RedisError as error:
            print(f"Redis unavailable: {error}", flush=True)
            time.sleep(RETRY_S)

    def serve(self) -> None:
        """Work until Redis goes away; the number of open orders begins as what this process holds."""
        try:
            self.client.xgroup_create(INTENTS, GROUP, id="0", mkstream=True)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise
        self.client.set(OPEN_ORDERS, len(self.closings))
        while self.take("0"):  # delivered before the connection was lost, never acknowledged
            self.close_due()
        while True:
            self.take(">")
            self.close_due()

    def take(self, start: str) -> bool:
        """Deal with the next intent from `start` on, if there is one."""
        reply: Any = self.client.xreadgroup(GROUP, "execution-1", {INTENTS: start}, count=1, block=POLL_MS)
        entries = reply[0][1] if reply else []
        for entry_id, fields in entries:
            age_ms = time.time() * 1000 - int(entry_id.split("-")[0])
            if age_ms <= INTENT_MAX_AGE_MS:
                self.place(json.loads(fields["data"]))
            self.client.xack(INTENTS, GROUP, entry_id)
        return bool(entries)

    def place(self, intent: dict[str, object]) -> None:
        """Open an order, counted before its intent is acknowledged; a reduce-only intent closes one instead."""
        time.sleep(self.rng.uniform(*PLACE_S))
        if intent.get("reduce_only"):
            if self.closings:
                self.closings[0] = 0.0
            return
        self.client.incr(OPEN_ORDERS)
        heapq.heappush(self.closings, time.monotonic() + self.hold_s + self.rng.uniform(-self.jitter_s, self.jitter_s))
        governor = GOVERNOR + datetime.now(timezone.utc).strftime("%Y%m%d")
        self.client.incr(governor)
        self.client.expire(governor, GOVERNOR_TTL_S)
        print(f"Order opened: {intent.get('symbol')} {intent.get('action')}", flush=True)

    def close_due(self) -> None:
        """Close the orders whose time has come; somebody may have set the number, so it stops at 0."""
        while self.closings and self.closings[0] <= time.monotonic():
            count: Any = self.client.get(OPEN_ORDERS) or ""
            if count.isdigit() and int(count) > 0:
                self.client.decr(OPEN_ORDERS)
            heapq.heappop(self.closings)


def main() -> None:
    """Serve, and come back whenever Redis does."""
    execution = Execution(
        redis.Redis.from_url(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"), decode_responses=True),
        random.Random(int(os.environ.get("EXECUTION_SEED", "1"))),
        hold_s=float(os.environ.get("EXECUTION_HOLD_S", "5")),
        jitter_s=float(os.environ.get("EXECUTION_HOLD_JITTER_S", "1")),
    )
    while True:
        execution.serve_until_lost()


if __name__ == "__main__":
    main()
