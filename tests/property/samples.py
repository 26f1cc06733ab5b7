# SPDX-License-Identifier: Apache-2.0
"""Good signals to start from."""

from __future__ import annotations

import json
from typing import Any

from router.core.signal import Rejected, Signal, parse

NOW_MS = 1_000_000
GOOD: dict[str, Any] = {"symbol": "BTCUSDT", "side": "buy", "confidence": 0.8, "position_size_usd": 100}


def entry(number: int, **changes: Any) -> tuple[bytes, list[bytes]]:
    """An entry of this moment, whose payload is a good signal with *changes*."""
    return f"{NOW_MS}-{number}".encode(), [b"payload", json.dumps({**GOOD, **changes}).encode()]


def signal(number: int = 0, /, **changes: Any) -> Signal | Rejected:
    """What becomes of it."""
    entry_id, (name, text) = entry(number, **changes)
    parsed = parse(entry_id.decode(), {name: text})
    assert isinstance(parsed, (Signal, Rejected))
    return parsed
