# SPDX-License-Identifier: Apache-2.0
"""The old router: publishes every signal, knows no capacity, picks no best."""

from __future__ import annotations

import json
import logging
import os
import time
from datetime import datetime, timezone
from typing import Any

import redis

SIGNALS = "quantum:stream:ai.decision.made"
INTENTS = "quantum:stream:trade.intent"
GROUP = "router"
DEDUP_TTL_S = 300
RETRY_S = 1.0

log = logging.getLogger("ai_strategy_router")


def to_intent(fields: dict[str, str]) -> dict[str, Any] | None:
    """The intent for one signal in either form, or None where there is nothing to trade."""
    try:
        signal = {**fields, **json.loads(fields.get("payload", "{}"))}
        intent = {
            "symbol": str(signal["symbol"]).upper(),
            "action": str(signal.get("side") or signal["action"]).upper(),
            "confidence": float(signal["confidence"]),
            "position_size_usd": float(signal.get("position_size_usd") or signal["quantity"]),
        }
    except (KeyError, TypeError, ValueError):
        return None
    if intent["action"] not in {"BUY", "SELL"}:
        return None
    optional = ("leverage", "entry_price", "stop_loss", "take_profit", "trace_id", "correlation_id")
    intent.update({name: signal[name] for name in optional if signal.get(name)})
    return intent | {
        "side": intent["action"],
        "source": "ai_strategy_router",
        "timestamp": datetime.now(timezone.utc).isoformat(),
    }


def handle(client: redis.Redis, entry_id: str, fields: dict[str, str]) -> None:
    """Publish one signal unless its id was published in the last five minutes, then acknowledge it."""
    intent = to_intent(fields)
    if intent is not None:
        dedup_id = fields.get("correlation_id") or fields.get("trace_id") or entry_id
        if client.set(f"quantum:dedup:trade_intent:{dedup_id}", "1", nx=True, ex=DEDUP_TTL_S):
            client.xadd(INTENTS, {"data": json.dumps(intent)}, maxlen=10_000, approximate=True)
            log.info("Trade Intent published: %s %s", intent["symbol"], intent["action"])
    client.xack(SIGNALS, GROUP, entry_id)


def serve(client: redis.Redis) -> None:
    """Read and publish until Redis goes away."""
    try:
        client.xgroup_create(SIGNALS, GROUP, id="$", mkstream=True)
    except redis.ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise
    while True:
        reply: Any = client.xreadgroup(GROUP, "router-1", {SIGNALS: ">"}, count=50, block=2000)
        for _, entries in reply:
            for entry_id, fields in entries:
                handle(client, entry_id, fields)


def serve_until_lost(client: redis.Redis) -> None:
    """Serve; when Redis goes away, say so and give it a moment."""
    try:
        serve(client)
    except redis.RedisError as error:
        log.warning("Redis unavailable: %s", error)
        time.sleep(RETRY_S)


def main() -> None:
    """Serve, and come back whenever Redis does."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    client = redis.Redis.from_url(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"), decode_responses=True)
    while True:
        serve_until_lost(client)


if __name__ == "__main__":
    main()
