# SPDX-License-Identifier: Apache-2.0
"""The AI engine of the lab: bursts of signals for 13 symbols within milliseconds, then a pause.

The signals are those of `router simulate`: the image has that one module of the router beside this one.

Environment: REDIS_URL, FEED_PERIOD_S (between bursts, 4), FEED_JITTER_S (either way, 0.3), FEED_SEED (1).
"""

from __future__ import annotations

import json
import os
import random
import time
import uuid
from datetime import datetime, timezone
from typing import Any

import redis

from router.simulation.market import PRICES_USD, signal

STREAM = "quantum:stream:ai.decision.made"
MAX_ENTRIES = 20_000
RETRY_S = 1.0


def fields(attributes: dict[str, Any], now: datetime, trace_id: str) -> dict[str, str]:
    """The stream entry of one signal, as the AI engine writes it."""
    return {
        "event_type": "ai.decision.made",
        "payload": json.dumps(attributes | {"timestamp": now.isoformat()}),
        "timestamp": now.isoformat(),
        "source": "lab-signal-feed",
        "trace_id": trace_id,
        "correlation_id": trace_id,
    }


def burst(rng: random.Random, client: redis.Redis) -> None:
    """One signal for each symbol, in one round trip and in any order."""
    now = datetime.now(timezone.utc)
    pipe = client.pipeline(transaction=False)
    for symbol in rng.sample(sorted(PRICES_USD), len(PRICES_USD)):
        # The seed repeats the signals of a run, but never an id: it would be taken for a duplicate after a restart.
        entry: Any = fields(signal(rng, symbol), now, str(uuid.uuid4()))
        pipe.xadd(STREAM, entry, maxlen=MAX_ENTRIES, approximate=True)
    pipe.execute()


def main() -> None:
    """Feed for ever, through Redis' absences."""
    rng = random.Random(int(os.environ.get("FEED_SEED", "1")))
    period_s = float(os.environ.get("FEED_PERIOD_S", "4"))
    jitter_s = float(os.environ.get("FEED_JITTER_S", "0.3"))
    client = redis.Redis.from_url(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"))
    while True:
        try:
            burst(rng, client)
        except redis.RedisError as error:
            print(f"Redis unavailable: {error}", flush=True)
            time.sleep(RETRY_S)
            continue
        time.sleep(period_s + rng.uniform(-jitter_s, jitter_s))


if __name__ == "__main__":
    main()
