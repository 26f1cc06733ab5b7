# SPDX-License-Identifier: Apache-2.0
"""What every peer does with a signal, so that only reading differs: typed decode, quality gate, best per symbol."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

STREAM: Final = "quantum:stream:ai.decision.made"
GROUP: Final = "router"
CONSUMER: Final = "bench"
COUNT: Final = 1000
MIN_CONFIDENCE: Final = 0.75


class Decision(msgspec.Struct, gc=False):
    """What a filter must know of a signal."""

    symbol: str
    side: str
    confidence: float
    rl_gate_pass: bool = False


_decode = msgspec.json.Decoder(Decision).decode


def keep_best(best: dict[str, Decision], payloads: Iterable[bytes | str]) -> None:
    """Put the best signal of each symbol into *best*."""
    decode = _decode
    for payload in payloads:
        signal = decode(payload)
        if signal.confidence >= MIN_CONFIDENCE:
            known = best.get(signal.symbol)
            if known is None or signal.confidence > known.confidence:
                best[signal.symbol] = signal


def announce() -> None:
    """Say that the first read comes now."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
