# SPDX-License-Identifier: Apache-2.0
"""An execution service: takes intents, opens orders late, counts each before it acknowledges it, closes them."""

from __future__ import annotations

import json
import random
import threading
import time
from typing import Any

import redis

INTENTS = "quantum:stream:trade.intent"
GROUP = "quantum:group:execution:trade.intent"
OPEN_ORDERS = "quantum:state:open_orders"
#: The orders that are open, so that counting one again after a lost reply changes nothing.
BOOK = "execution:book"
OPEN = """
if redis.call('SADD', KEYS[1], ARGV[1]) == 1 then redis.call('INCR', KEYS[2]) end
return redis.call('GET', KEYS[2])
"""
CLOSE = "if redis.call('SREM', KEYS[1], ARGV[1]) == 1 then return redis.call('DECR', KEYS[2]) end"


class Execution(threading.Thread):
    """Works with *client* until stopped, through any outage; intents wait up to 0.8 s, orders are open up to 1.5 s."""

    def __init__(self, client: Any, seed: int) -> None:
        super().__init__(daemon=True)
        self._client = client
        self._random = random.Random(seed)
        self._stop_asked = threading.Event()
        self._waiting: dict[str, float] = {}
        self._closing: dict[str, float] = {}
        self._from = "0"
        #: Most orders that were open at once, and all that ever were.
        self.most_open = 0
        self.opened = 0

    def run(self) -> None:
        """Work; after an error, ask for everything that was delivered and not acknowledged."""
        while not self._stop_asked.is_set():
            try:
                self._take()
                self._open()
                self._close()
            except redis.RedisError:
                self._from = "0"
                time.sleep(0.05)

    def stop(self) -> None:
        """End the thread."""
        self._stop_asked.set()
        self.join(timeout=5)

    def _take(self) -> None:
        reply = self._client.xreadgroup(GROUP, "execution", {INTENTS: self._from}, count=100, block=10) or []
        self._from = ">"
        for _, entries in reply:
            for entry_id, fields in entries:
                if json.loads(fields["data"])["reduce_only"]:
                    self._client.xack(INTENTS, GROUP, entry_id)
                else:
                    self._waiting.setdefault(entry_id, time.monotonic() + self._random.uniform(0, 0.8))

    def _open(self) -> None:
        for entry_id in _due(self._waiting):
            self.most_open = max(self.most_open, int(self._client.eval(OPEN, 2, BOOK, OPEN_ORDERS, entry_id)))
            self._client.xack(INTENTS, GROUP, entry_id)
            del self._waiting[entry_id]
            self.opened += 1
            self._closing[entry_id] = time.monotonic() + self._random.uniform(0, 1.5)

    def _close(self) -> None:
        for entry_id in _due(self._closing):
            self._client.eval(CLOSE, 2, BOOK, OPEN_ORDERS, entry_id)
            del self._closing[entry_id]


def _due(times_s: dict[str, float]) -> list[str]:
    now_s = time.monotonic()
    return [entry_id for entry_id, due_s in times_s.items() if due_s <= now_s]
