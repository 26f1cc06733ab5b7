# SPDX-License-Identifier: Apache-2.0
"""A walrus consumer group that reads 1,000 signals and acknowledges them together; decoding is `typed` or `untyped`."""

from __future__ import annotations

import sys

import walrus

from tests.bench.peers.filtering import CONSUMER, COUNT, GROUP, STREAM, Decision, announce, keep_best, typed, untyped


def main(decoding: str, port: int) -> None:
    """Read until ended."""
    decode = {"typed": typed, "untyped": untyped}[decoding]
    database = walrus.Database(host="127.0.0.1", port=port)
    group = database.consumer_group(GROUP, [STREAM], consumer=CONSUMER)
    signals = getattr(group, walrus.utils.make_python_attr(STREAM))
    best: dict[str, Decision] = {}
    announce()
    while True:
        entries = signals.read(count=COUNT, block=100)
        if entries:
            keep_best(best, [fields[b"payload"] for _, fields in entries], decode)
            signals.ack(*[entry_id for entry_id, _ in entries])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
