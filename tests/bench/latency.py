# SPDX-License-Identifier: Apache-2.0
"""How long after a window has closed its intents can be seen, whatever the window held."""

from __future__ import annotations

import itertools
import statistics
import time
from typing import TYPE_CHECKING, Final

from tests.bench.contenders import router
from tests.bench.data import FIRST_NUMBER, INTENTS, OPEN_ORDERS, SIGNALS, Feed
from tests.bench.report import Figure, median, whole

if TYPE_CHECKING:
    from typing_extensions import Self

    from tests.bench.server import Server

WINDOW_S: Final = 0.25
SMALL: Final = 10
LARGE: Final = 10_000
#: Windows of each size in one round.
WINDOWS: Final = 60
#: All but the first signal come in writes of this many, spread over this part of the window.
WRITE: Final = 200
#: Windows that may be filled too late, one after another, before the bench gives up.
ATTEMPTS: Final = 20
SPREAD_S: Final = 0.8 * WINDOW_S


def measure(server: Server, rounds: int) -> list[Figure]:
    """Time windows of 10 and of 10,000 signals in turn, 60 of each a round, on one router.

    A window closes 0.25 s after Redis has acknowledged its first candidate to the producer; from then it counts until
    the reply to a blocked XREAD of the intents has arrived. So the figure holds everything between the two outsiders,
    the router's own wake-up at the first candidate included. A p99 is that of all rounds together, since one round
    has too few windows for it; beside it stand the rounds' own. A window that the machine did not get filled in time
    (the cursor after it is not at the last signal) is filled anew.
    """
    server.client.set(OPEN_ORDERS, 0)
    found: dict[int, list[list[float]]] = {SMALL: [], LARGE: []}
    with router(server, {"CANDIDATE_WINDOW_SEC": str(WINDOW_S)}) as process, _Windows(server) as windows:
        for turn in range(rounds + 1):
            for values in found.values():
                values.append([])
            for _ in range(WINDOWS if turn else 1):  # the very first of each size warms up
                for size, values in found.items():
                    values[-1].append(windows.latency_ms(size))
        process.check()
    return _figures({size: turns[1:] for size, turns in found.items()})


class _Windows:
    """Fills one window after another and waits for its intents."""

    def __init__(self, server: Server) -> None:
        self._server = server
        # The first signal must be a candidate: it opens the window.
        self._openers = Feed(server, confidences=(0.75, 0.76), first=5 * FIRST_NUMBER)
        self._others = Feed(server)
        self._reader = server.connect()
        self._seen = b"0-0"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in (self._openers, self._others, self._reader):
            connection.close()

    def latency_ms(self, size: int) -> float:
        """Return the latency of a window of *size* signals, of the first that the machine gets filled in time."""
        for _ in range(ATTEMPTS):
            opened_s, last = self._fill(size)
            streams = self._reader.reply()
            seen_s = time.monotonic()
            if streams is None:
                raise TimeoutError(f"no intent within 5 s of a window of {size} signals")
            in_time = self._server.client.xinfo_groups(SIGNALS)[0]["last-delivered-id"] == last
            time.sleep(0.02 if in_time else 3 * WINDOW_S)  # nothing is under way when the next begins
            self._seen = self._server.client.xrevrange(INTENTS, count=1)[0][0]
            self._server.client.xtrim(SIGNALS, maxlen=LARGE, approximate=True)
            if in_time:
                return (seen_s - opened_s - WINDOW_S) * 1000
        raise TimeoutError(f"{size} signals never came into one window in {ATTEMPTS} attempts: the machine is too busy")

    def _fill(self, size: int) -> tuple[float, bytes]:
        """Feed one window; return when its first candidate was acknowledged, and the id of its last signal."""
        writes = [(self._others.batch(n), n) for n in _writes(size - 1)]
        opener = self._openers.batch(1)
        self._reader.ask("XREAD", "BLOCK", 5000, "STREAMS", INTENTS, self._seen)
        self._openers.send(opener, 1)
        opened_s = time.monotonic()
        ids: list[bytes] = []
        for number, write in enumerate(writes, start=1):
            time.sleep(max(0.0, opened_s + SPREAD_S * number / len(writes) - time.monotonic()))
            ids = self._others.send(*write)
        return opened_s, ids[-1]


def _writes(count: int) -> list[int]:
    """Return how many signals each write holds."""
    return [*[WRITE] * (count // WRITE), *([count % WRITE] if count % WRITE else [])]


def _figures(found: dict[int, list[list[float]]]) -> list[Figure]:
    figures: list[Figure] = []
    p50 = {size: [statistics.median(values) for values in rounds] for size, rounds in found.items()}
    p99 = {size: [_p99(values) for values in rounds] for size, rounds in found.items()}
    pooled = {size: _p99(list(itertools.chain(*rounds))) for size, rounds in found.items()}
    for size in found:
        figures.append(median(f"latency: window of {size:,} signals, p50", "ms", p50[size]))
        figures.append(whole(f"latency: window of {size:,} signals, p99", "ms", pooled[size], p99[size]))
    ratios = [large / small for large, small in zip(p50[LARGE], p50[SMALL], strict=True)]
    figures.append(median("latency: p50 of 10,000 / of 10 signals", "times", ratios))
    ratios = [large / small for large, small in zip(p99[LARGE], p99[SMALL], strict=True)]
    figures.append(whole("latency: p99 of 10,000 / of 10 signals", "times", pooled[LARGE] / pooled[SMALL], ratios))
    return figures


def _p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[98]
