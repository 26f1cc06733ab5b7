# SPDX-License-Identifier: Apache-2.0
"""Whether the router grows with what it has dealt with."""

from __future__ import annotations

import contextlib
import statistics
import time
from typing import TYPE_CHECKING, Final

from tests.bench.contenders import Started, router
from tests.bench.data import BATCH, OPEN_ORDERS, SIGNALS, Feed
from tests.bench.report import Figure, whole

if TYPE_CHECKING:
    from tests.bench.server import Server

EARLY: Final = 100_000
LATE: Final = 10_000_000
#: Signals offered a second, and kept in the stream by the producer.
RATE: Final = 60_000
KEPT: Final = 200_000
#: Signals that wait when the router starts, so that its reads are as large at first as they may ever be.
AHEAD: Final = 20_000
#: Samples of the resident memory, and signals between two of them.
SAMPLES: Final = 10
SAMPLE_EVERY: Final = 10_000


def measure(server: Server, rounds: int) -> list[Figure]:
    """Take the resident memory after 100,000 and after 10,000,000 signals, each the median of 10 samples.

    20,000 signals wait when the router starts. The producer offers 60,000 a second all the while, trims its stream to
    about 200,000 and waits when the router is half of that behind, so that nothing is lost. The samples are taken while
    it goes on, 10,000 signals apart.
    """
    grown: list[float] = []
    early: list[float] = []
    for _ in range(rounds):
        server.clear()
        server.client.set(OPEN_ORDERS, 0)
        with contextlib.closing(Feed(server)) as feed:
            feed.send(feed.batch(AHEAD), AHEAD)
            with router(server, {"CANDIDATE_WINDOW_SEC": "0.25"}) as process:
                first, last = _fed(server, process, feed)
        early.append(first)
        grown.append(last - first)
    note = f"memory: resident after {EARLY:,} signals"
    return [
        whole(note, "MB", statistics.median(early), early),
        whole(f"memory: growth from {EARLY:,} to {LATE:,} signals", "MB", statistics.median(grown), grown),
    ]


def _fed(server: Server, process: Started, feed: Feed) -> tuple[float, float]:
    """Feed it all; return the resident memory, in MB, early and late."""
    resident: dict[int, list[float]] = {EARLY: [], LATE: []}
    total = LATE + SAMPLES * SAMPLE_EVERY
    due_s = time.monotonic()
    for sent in range(AHEAD, total, BATCH):
        feed.send(feed.batch(BATCH), BATCH)
        due_s = max(due_s + BATCH / RATE, time.monotonic() - 1)  # what was missed for long is not caught up with
        time.sleep(max(0.0, due_s - time.monotonic()))
        if sent % SAMPLE_EVERY == 0:
            server.client.xtrim(SIGNALS, maxlen=KEPT, approximate=True)
            _wait_for(process, server)
            for after, samples in resident.items():
                if sent >= after and len(samples) < SAMPLES:
                    samples.append(process.status("VmRSS") * 1024 / 1e6)
    return statistics.median(resident[EARLY]), statistics.median(resident[LATE])


def _wait_for(process: Started, server: Server) -> None:
    """Wait while the router is more than half of the stream behind."""
    process.check()
    while (server.client.xinfo_groups(SIGNALS)[0]["lag"] or 0) > KEPT // 2:
        process.check()
        time.sleep(0.01)
