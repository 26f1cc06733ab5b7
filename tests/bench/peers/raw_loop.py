# SPDX-License-Identifier: Apache-2.0
"""The raw loop: a socket, hiredis.Reader, XREADGROUP COUNT 1000 with one read in flight, best signal per symbol.

The acknowledgement of what was sorted and the next read go out in one write, before the reply that has just come is
decoded: while this sorts, the server reads. Ends when nothing is left.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
from typing import Any

import hiredis
import msgspec

pack: Any = hiredis.pack_command  # its types know no tuple of more than one
STREAM, GROUP, COUNT, MIN_CONFIDENCE = b"quantum:stream:ai.decision.made", b"router", 1000, 0.75


class Decision(msgspec.Struct, gc=False):
    """What a filter must know of a signal."""

    symbol: str
    side: str
    confidence: float
    rl_gate_pass: bool = False


def announce() -> None:
    """Say that the first read comes now."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])


def main(port: int) -> None:
    """Read the group's stream to its end."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    reader = hiredis.Reader()
    decode = msgspec.json.Decoder(Decision).decode
    read = pack((b"XREADGROUP", b"GROUP", GROUP, b"bench", b"COUNT", COUNT, b"STREAMS", STREAM, b">"))
    best: dict[str, Decision] = {}

    def reply() -> Any:
        while (value := reader.gets()) is False:
            reader.feed(connection.recv(1 << 18))
        return value

    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    announce()
    connection.sendall(read)
    entries = reply()
    acknowledge = b""
    while entries:
        came = entries[0][1]
        connection.sendall(acknowledge + read)
        for _, fields in came:
            signal = decode(fields[1])
            if signal.confidence >= MIN_CONFIDENCE:
                known = best.get(signal.symbol)
                if known is None or signal.confidence > known.confidence:
                    best[signal.symbol] = signal
        if acknowledge:
            reply()
        acknowledge = pack((b"XACK", STREAM, GROUP, *[entry_id for entry_id, _ in came]))
        entries = reply()
    connection.sendall(acknowledge)
    reply()


if __name__ == "__main__":
    main(int(sys.argv[1]))
