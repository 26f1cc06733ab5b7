# SPDX-License-Identifier: Apache-2.0
"""Signals to measure with: 6 fields, a JSON payload of about 320 bytes, 12 symbols, half above the quality gate."""

from __future__ import annotations

import contextlib
import itertools
import random
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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
#: Payloads that differ in more than their ids; after so many they come again, with other ids.
VARIETY: Final = 50_000
#: Ids are numbers of as many digits, so that lengths on the wire are known before the number is.
FIRST_NUMBER: Final = 100_000_000

_PAYLOAD: Final = (
    '{{"symbol":"{symbol}","side":"{side}","confidence":{confidence:.6f},"position_size_usd":{size},"leverage":3,'
    '"entry_price":43251.75,"stop_loss":42810.5,"take_profit":44120.25,"regime":"{regime}","rl_gate_pass":{gate},'
    '"model":"ensemble-v7","strategy":"momentum","timestamp":"2026-01-01T00:00:00.000Z",'
    '"trace_id":"t%d","correlation_id":"c%d"}}'
)
#: The beginning of an XADD whose id Redis makes, and of one whose id is a time in ms.
_NOW: Final = b"*15\r\n$4\r\nXADD\r\n$31\r\nquantum:stream:ai.decision.made\r\n$1\r\n*\r\n"
_AT: Final = b"*15\r\n$4\r\nXADD\r\n$31\r\nquantum:stream:ai.decision.made\r\n$15\r\n%d-0\r\n"
#: The rest, with slots for the numbers.
_FIELDS: Final = (
    "$7\r\npayload\r\n${length}\r\n{payload}\r\n$10\r\nevent_type\r\n$16\r\nai.decision.made\r\n"
    "$9\r\ntimestamp\r\n$24\r\n2026-01-01T00:00:00.000Z\r\n$6\r\nsource\r\n$11\r\nai-engine-1\r\n"
    "$8\r\ntrace_id\r\n$10\r\nt%d\r\n$14\r\ncorrelation_id\r\n$10\r\nc%d\r\n"
)


class Feed:
    """A producer on a connection of its own: the same signals in every run, but for their times.

    *first* numbers the first signal; two feeds of one stream must differ in it by more than they send.
    """

    def __init__(
        self,
        server: Server,
        symbols: Sequence[str] = SYMBOLS,
        confidences: tuple[float, float] = (0.5, 1.0),
        first: int = FIRST_NUMBER,
    ) -> None:
        draw = random.Random(1)
        self._templates = itertools.cycle([_template(draw, symbols, confidences) for _ in range(VARIETY)])
        self._numbers = itertools.count(first)
        self._wire = server.connect()

    def batch(self, count: int) -> bytes:
        """Return the commands that add the next *count* signals; Redis gives the ids."""
        return b"".join([_NOW + t % (n, n, n, n) for n, t in self._next(count)])

    def fill(self, count: int, *, age_ms: int = 0) -> None:
        """Add *count* signals, one id a millisecond, the newest *age_ms* old."""
        first_ms = int(time.time() * 1000) - age_ms - count + 1
        for start_ms in range(first_ms, first_ms + count, BATCH):
            size = min(BATCH, first_ms + count - start_ms)
            ids = range(start_ms, start_ms + size)
            self.send(
                b"".join([_AT % ms + t % (n, n, n, n) for ms, (n, t) in zip(ids, self._next(size), strict=True)]), size
            )

    def send(self, commands: bytes, count: int) -> list[bytes]:
        """Send *count* commands and return the replies, once all have come."""
        self._wire.send(commands)
        return [self._wire.reply() for _ in range(count)]

    def close(self) -> None:
        """Leave the server."""
        self._wire.close()

    def _next(self, count: int) -> Iterator[tuple[int, bytes]]:
        return itertools.islice(zip(self._numbers, self._templates, strict=False), count)


def fill(server: Server, count: int, *, age_ms: int = 0, symbols: Sequence[str] = SYMBOLS) -> None:
    """Add *count* signals of *symbols*, one id a millisecond, the newest *age_ms* old."""
    with contextlib.closing(Feed(server, symbols)) as feed:
        feed.fill(count, age_ms=age_ms)


def _template(draw: random.Random, symbols: Sequence[str], confidences: tuple[float, float]) -> bytes:
    payload = _PAYLOAD.format(
        symbol=draw.choice(symbols),
        side=draw.choice(("buy", "sell")),
        confidence=draw.uniform(*confidences),
        size=draw.randint(100, 999),
        regime=draw.choice(("unknown", "trending")),
        gate=draw.choice(("true", "false")),
    )
    digits = len(str(FIRST_NUMBER)) - len("%d")
    return _FIELDS.format(length=len(payload) + 2 * digits, payload=payload).encode()
