# SPDX-License-Identifier: Apache-2.0
"""Signals to measure with: 6 fields, a JSON payload of about 320 bytes, 12 symbols, half above the quality gate."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Final

import hiredis

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from tests.bench.server import Server

SIGNALS: Final = "quantum:stream:ai.decision.made"
INTENTS: Final = "quantum:stream:trade.intent"
OPEN_ORDERS: Final = "quantum:state:open_orders"
GROUP: Final = "router"
SYMBOLS: Final = tuple(
    f"{coin}USDT" for coin in ("BTC", "ETH", "SOL", "BNB", "XRP", "ADA", "DOGE", "AVAX", "LINK", "DOT", "LTC", "ATOM")
)
#: Signals a write.
BATCH: Final = 1000

_XADD: Final = (
    b"*15\r\n$4\r\nXADD\r\n$31\r\nquantum:stream:ai.decision.made\r\n$%d\r\n%b\r\n"
    b"$7\r\npayload\r\n$%d\r\n%b\r\n$10\r\nevent_type\r\n$16\r\nai.decision.made\r\n"
    b"$9\r\ntimestamp\r\n$24\r\n2026-01-01T00:00:00.000Z\r\n$6\r\nsource\r\n$11\r\nai-engine-1\r\n"
    b"$8\r\ntrace_id\r\n$%d\r\nt%b\r\n$14\r\ncorrelation_id\r\n$%d\r\nc%b\r\n"
)
_PAYLOAD: Final = (
    '{{"symbol":"{}","side":"{}","confidence":{:.6f},"position_size_usd":{},"leverage":{},"entry_price":43251.75,'
    '"stop_loss":42810.5,"take_profit":44120.25,"regime":"{}","rl_gate_pass":{},"model":"ensemble-v7",'
    '"strategy":"momentum","timestamp":"2026-01-01T00:00:00.000Z","trace_id":"t{}","correlation_id":"c{}"}}'
)


def payloads(seed: int, symbols: tuple[str, ...] = SYMBOLS, first: int = 1) -> Iterator[tuple[int, str]]:
    """Yield (number, payload) without end; numbers from *first* make trace and correlation ids unique."""
    # A generator of our own kind per seed: the same seed gives the same signals in every run.
    draw = random.Random(seed)
    number = first
    while True:
        chance = draw.random()
        bits = draw.getrandbits(8)
        yield (
            number,
            _PAYLOAD.format(
                symbols[draw.getrandbits(16) % len(symbols)],
                "buy" if bits & 1 else "sell",
                0.5 + chance / 2,
                100 + bits,
                1 + bits % 10,
                "unknown" if bits & 2 else "trending",
                "true" if bits & 4 else "false",
                number,
                number,
            ),
        )
        number += 1


def command(entry_id: str, number: int, payload: str) -> bytes:
    """Return the XADD of one signal as it goes over the wire; *entry_id* may be `*`."""
    at, text, digits = entry_id.encode(), payload.encode(), b"%d" % number
    return _XADD % (len(at), at, len(text), text, len(digits) + 1, digits, len(digits) + 1, digits)


def fill(server: Server, count: int, *, age_ms: int = 0, seed: int = 1) -> None:
    """Add *count* signals, one id a millisecond, the newest *age_ms* old."""
    newest_ms = int(time.time() * 1000) - age_ms
    source = payloads(seed)
    reader = hiredis.Reader()
    with server.connect() as connection:
        for start in range(0, count, BATCH):
            size = min(BATCH, count - start)
            first_ms = newest_ms - count + start + 1
            connection.sendall(b"".join(command(f"{first_ms + i}-0", *next(source)) for i in range(size)))
            for _ in range(size):
                _reply(connection, reader)


def _reply(connection: Any, reader: Any) -> Any:
    """Return the next reply, raising what Redis refuses."""
    while (reply := reader.gets()) is False:
        reader.feed(connection.recv(1 << 16))
    if isinstance(reply, Exception):
        raise reply
    return reply
