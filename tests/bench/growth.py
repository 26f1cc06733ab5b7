# SPDX-License-Identifier: Apache-2.0
"""How the cost of a signal grows with what there is more of."""

from __future__ import annotations

import contextlib
import math
import statistics
import time
from typing import TYPE_CHECKING, Final

from tests.bench.contenders import FRESH, router
from tests.bench.data import OPEN_ORDERS, SYMBOLS, Feed, fill
from tests.bench.drain import drained_s, rewind
from tests.bench.report import Figure, median

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.bench.server import Server

#: Signals a second that are offered, for this many seconds.
OFFERED: Final = (1_000, 5_000, 20_000, 50_000)
OFFERED_S: Final = 3.0
#: Producer's writes a second.
WRITES: Final = 100
SYMBOL_COUNTS: Final = (12, 100, 1_000, 10_000)
WINDOWS_S: Final = (0.1, 0.25, 1, 3)
BACKLOGS: Final = (50_000, 200_000, 1_000_000)
#: Signals that are drained where something else grows.
DRAINED: Final = 200_000


def measure(server: Server, rounds: int) -> list[Figure]:
    """Take the processor time that the router spends on a signal, all of its threads, from READY on.

    A table each for signals offered a second (3 s of a steady flow), for symbols, for the length of the window and for
    the backlog; the last three drain 200,000 fresh signals, or what the table says, in windows of 0.25 s. The slope is
    that of a straight line through the logarithms: 0 means that a signal costs the same however many there are, 1 that
    its cost doubles with twice as many; at low rates the fixed cost of windows is shared by few signals.
    """
    figures: list[Figure] = []
    drained = _Drained(server)
    tables: dict[str, tuple[Sequence[float], Callable[[float], float]]] = {
        "signals offered a second": (OFFERED, lambda rate: _offered_us(server, int(rate))),
        "symbols": (SYMBOL_COUNTS, lambda count: drained.cost_us(DRAINED, int(count))),
        "seconds of a window": (WINDOWS_S, lambda window_s: drained.cost_us(DRAINED, window_s=window_s)),
        "signals of backlog": (BACKLOGS, lambda backlog: drained.cost_us(int(backlog))),
    }
    for what, (sizes, cost_us) in tables.items():
        costs: dict[float, list[float]] = {size: [] for size in sizes}
        for size, values in costs.items():
            values.extend(cost_us(size) for _ in range(rounds))
        figures += [median(f"growth, {what}: {size:,}", "us a signal", values) for size, values in costs.items()]
        figures.append(median(f"growth, {what}: slope", "exponent", _slopes(costs)))
    return figures


def _slopes(costs: Mapping[float, list[float]]) -> list[float]:
    """Return each round's slope of log cost over log size."""
    sizes = [math.log(size) for size in costs]
    return [
        statistics.linear_regression(sizes, [math.log(cost) for cost in turn]).slope
        for turn in zip(*costs.values(), strict=True)
    ]


def _offered_us(server: Server, rate: int) -> float:
    """Offer *rate* signals a second to an idle router; return its processor time a signal, in microseconds."""
    server.clear()
    server.client.set(OPEN_ORDERS, 0)
    with router(server, FRESH) as process, contextlib.closing(Feed(server)) as feed:
        writes = [feed.batch(rate // WRITES) for _ in range(int(OFFERED_S * WRITES))]
        before_s, start_s = process.cpu_s, time.monotonic()
        for number, write in enumerate(writes):
            time.sleep(max(0.0, start_s + number / WRITES - time.monotonic()))
            feed.send(write, rate // WRITES)
        drained_s(server, process)
        return (process.cpu_s - before_s) / (rate * OFFERED_S) * 1e6


class _Drained:
    """Drains a stream that it fills anew only when another is asked for."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._filled = (0, 0)

    def cost_us(self, count: int, symbols: int = len(SYMBOLS), window_s: float = 0.25) -> float:
        """Drain *count* signals; return the router's processor time a signal, in microseconds."""
        if self._filled != (count, symbols):
            self._server.clear()
            fill(self._server, count, symbols=SYMBOLS if symbols == len(SYMBOLS) else _symbols(symbols))
            self._filled = (count, symbols)
        rewind(self._server, count)
        self._server.client.set(OPEN_ORDERS, 0)
        settings = {**FRESH, "CANDIDATE_WINDOW_SEC": str(window_s)}
        with router(self._server, settings) as process:
            before_s = process.cpu_s
            drained_s(self._server, process)
            return (process.cpu_s - before_s) / count * 1e6


def _symbols(count: int) -> list[str]:
    return [f"S{number:05}USDT" for number in range(count)]
