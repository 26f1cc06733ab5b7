# SPDX-License-Identifier: Apache-2.0
"""A router that publishes everything one message at a time, as an asyncio service with a blocking client does it.

COUNT 10; for each signal SET NX EX, XADD, a line in the log and XACK, each call in a thread: the loop stays free.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from typing import Any

import redis

from tests.bench.peers.filtering import CONSUMER, GROUP, STREAM, announce
from tests.bench.peers.lab_router import old_router

log = logging.getLogger(__name__)


async def handle(client: redis.Redis, entry_id: str, fields: dict[str, str]) -> None:
    """Publish one signal unless its id was published in the last five minutes, then acknowledge it."""
    intent = old_router.to_intent(fields)
    dedup_id = fields.get("correlation_id") or entry_id
    if await asyncio.to_thread(client.set, f"quantum:dedup:trade_intent:{dedup_id}", "1", nx=True, ex=300):
        data: Any = {"data": json.dumps(intent)}
        await asyncio.to_thread(client.xadd, old_router.INTENTS, data, maxlen=10_000, approximate=True)
        log.info("Trade Intent published: %s %s", intent["symbol"], intent["action"])
    await asyncio.to_thread(client.xack, STREAM, GROUP, entry_id)


async def main(port: int) -> None:
    """Read and publish until ended."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    client = redis.Redis(port=port, decode_responses=True)
    announce()
    while True:
        reply: Any = await asyncio.to_thread(client.xreadgroup, GROUP, CONSUMER, {STREAM: ">"}, count=10, block=100)
        for _, entries in reply:
            for entry_id, fields in entries:
                await handle(client, entry_id, fields)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
