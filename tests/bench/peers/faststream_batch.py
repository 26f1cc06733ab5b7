# SPDX-License-Identifier: Apache-2.0
"""FastStream's batch subscriber of 1,000, which acknowledges a batch once it is handled."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any

from faststream import FastStream
from faststream.redis import RedisBroker, StreamSub

from tests.bench.peers.filtering import CONSUMER, COUNT, GROUP, STREAM, Decision, announce, keep_best

best: dict[str, Decision] = {}


async def handle(entries: list[dict[str, Any]]) -> None:
    """Sort one batch."""
    keep_best(best, [fields["payload"] for fields in entries])


async def say_that_it_begins() -> None:
    """Announce the first read, from the hook that comes right before it."""
    announce()


def main(port: int) -> None:
    """Read until ended."""
    broker = RedisBroker(f"redis://127.0.0.1:{port}/0", logger=None)
    stream = StreamSub(STREAM, group=GROUP, consumer=CONSUMER, batch=True, max_records=COUNT, polling_interval=10)
    broker.subscriber(stream=stream)(handle)
    app = FastStream(broker, on_startup=[say_that_it_begins], logger=None)
    asyncio.run(app.run(log_level=logging.WARNING))


if __name__ == "__main__":
    main(int(sys.argv[1]))
