# SPDX-License-Identifier: Apache-2.0
"""The AI engine of the lab: bursts of signals for 13 symbols within milliseconds, then a pause.

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

STREAM = "quantum:stream:ai.decision.made"
MAX_ENTRIES = 20_000
RETRY_S = 1.0
PRICES_USD = {
    "BTCUSDT": 94000.0,
    "ETHUSDT": 3300.0,
    "BNBUSDT": 920.0,
    "SOLUSDT": 140.0,
    "XRPUSDT": 2.1,
    "ADAUSDT": 0.39,
    "DOGEUSDT": 0.14,
    "AVAXUSDT": 13.6,
    "LINKUSDT": 13.4,
    "DOTUSDT": 2.2,
    "LTCUSDT": 75.0,
    "TRXUSDT": 0.31,
    "ATOMUSDT": 2.5,
}


def confidence(rng: random.Random) -> float:
    """Half of the signals between 0.75 and 0.90, one in 26 above, the rest below the router's quality gate."""
    draw = rng.random()
    if draw < 1 / 26:
        return round(rng.uniform(0.90, 0.98), 4)
    if draw < 0.55:
        return round(rng.uniform(0.75, 0.8999), 4)
    return round(rng.uniform(0.45, 0.7499), 4)


def signal(rng: random.Random, symbol: str) -> dict[str, Any]:
    """The attributes of one signal; one in 50 is a hold, one in 200 invalid (a negative size)."""
    draw = rng.random()
    side = "hold" if draw < 1 / 50 else rng.choice(("buy", "sell"))
    price = PRICES_USD[symbol] * rng.uniform(0.99, 1.01)
    away = 0.02 if side == "sell" else -0.02
    size_usd = float(rng.randrange(100, 1000, 50))
    return {
        "symbol": symbol,
        "side": side,
        "confidence": confidence(rng),
        "position_size_usd": -size_usd if draw > 1 - 1 / 200 else size_usd,
        "leverage": rng.choice((1, 2, 3, 5)),
        "entry_price": round(price, 6),
        "stop_loss": round(price * (1 + away), 6),
        "take_profit": round(price * (1 - 2 * away), 6),
        "regime": rng.choice(("trending", "ranging", "volatile", "unknown")),
        "rl_gate_pass": rng.random() < 0.4,
        "model": "lab-ensemble",
    }


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
