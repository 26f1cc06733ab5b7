# SPDX-License-Identifier: Apache-2.0
"""What every peer does with a signal, so that only reading differs: typed decode, quality gate, best per symbol."""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

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


typed = msgspec.json.Decoder(Decision).decode


def untyped(payload: bytes | str) -> Decision:
    """Decode with Python's own json, as most services do."""
    fields = json.loads(payload)
    return Decision(fields["symbol"], fields["side"], fields["confidence"], fields.get("rl_gate_pass", False))


def keep_best(
    best: dict[str, Decision], payloads: Iterable[bytes | str], decode: Callable[[bytes | str], Decision] = typed
) -> None:
    """Put the best signal of each symbol into *best*."""
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
