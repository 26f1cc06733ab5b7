# SPDX-License-Identifier: Apache-2.0
"""The raw loop: a socket, hiredis.Reader, XREADGROUP COUNT 1000 with one read in flight, best signal per symbol.

The acknowledgement of what was sorted and the next read go out in one write, before the reply that has just come is
decoded: while this sorts, the server reads. Ends when nothing is left.
"""

from __future__ import annotations

import gc
import socket
import sys
from typing import Any

import hiredis

from tests.bench.peers.filtering import CONSUMER, COUNT, GROUP, STREAM, Decision, announce, keep_best

pack: Any = hiredis.pack_command  # its types know no tuple of more than one


def main(port: int) -> None:
    """Read the group's stream to its end."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    reader = hiredis.Reader()
    read = pack(("XREADGROUP", "GROUP", GROUP, CONSUMER, "COUNT", COUNT, "STREAMS", STREAM, ">"))
    best: dict[str, Decision] = {}

    def reply() -> Any:
        while (value := reader.gets()) is False:
            reader.feed(connection.recv(1 << 18))
        return value

    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    announce()
    connection.sendall(read)
    streams = reply()
    acknowledge = b""
    while streams:
        entries = streams[0][1]
        connection.sendall(acknowledge + read)
        keep_best(best, [fields[1] for _, fields in entries])
        if acknowledge:
            reply()
        acknowledge = pack(("XACK", STREAM, GROUP, *[entry_id for entry_id, _ in entries]))
        streams = reply()
    connection.sendall(acknowledge)
    reply()


if __name__ == "__main__":
    main(int(sys.argv[1]))
