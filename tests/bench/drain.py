# SPDX-License-Identifier: Apache-2.0
"""How fast a backlog of fresh signals is worked off: the router against others, in turn, on the same stream."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from tests.bench.contenders import BACKLOG, FRESH, PEERS, RAW_LOOP, Contender, Started, router, running
from tests.bench.data import GROUP, OPEN_ORDERS, SIGNALS, fill
from tests.bench.report import Figure, median

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.server import Server

#: Seconds between two looks at the group (0.2 % of the shortest run).
LOOK_EVERY_S: Final = 0.01
#: Seconds after which a contender is given up.
PATIENCE_S: Final = 120.0


def measure(server: Server, rounds: int) -> list[Figure]:
    """Compare with the raw loop.

    3,000,000 signals of 6 fields with a payload of about 320 bytes, 12 symbols, half of them above the quality gate,
    stand in the stream before anybody starts. Everybody is timed from outside and alike: from the datagram that says
    that the first read comes now (the router's is READY=1) to the moment when the group's cursor stands at the last
    signal and nothing is pending. The router commits windows of 0.25 s with a maximum age of a day; the wait for its
    last window counts. In each round everybody runs once, in every other round backwards, and the router at both ends:
    the machine's speed drifts, so a ratio compares the mean of its two runs with what ran between them. Redis has one
    core, whoever reads has the other. All Python runs on the distribution's interpreter where there is one, as on a
    host: one compiled without profiles takes a fifth longer. Beyond the bar, 2.0 is the goal.

    A profile (a sample each millisecond of processor time) gives 51 % to the sieve, half of that to the one typed
    decode that validates all attributes, 22 % to the reply's parse and the socket, 9 % to keeping each symbol's best
    and 6 % to freeing what was read; commits, clock and lease share the rest. Validated attribute by attribute, as the
    rule in `router/core/signal.py` does, the same path made about 45,000 signals a second.

    The raw loop is `tests/bench/peers/raw_loop.py`: XREADGROUP COUNT 1000 with one read in flight, the acknowledgement
    and the next read in one write, sent before the reply that came is sorted.
    """
    return _compare(server, rounds, "drain", (RAW_LOOP,))


def measure_peers(server: Server, rounds: int) -> list[Figure]:
    """Compare with what others built.

    As above, with the same filter in every peer (`tests/bench/peers`); the C client looks at ids alone; to be as fast
    is the goal. FastStream has the raw loop's typed decoder. walrus has Python's own json like most services and like
    the measurement that its bar comes from, and beside it, without a bar, the typed decoder too. Slow ones read only
    the end of the same stream, for some seconds: walrus 1,000,000, FastStream 300,000, those that publish everything
    2,000 signals. These take a message at a time: the one with the bar is an asyncio service that gives each call of a
    blocking client to a thread, the lab's is a plain loop.
    """
    return _compare(server, rounds, "peers", PEERS)


def _compare(server: Server, rounds: int, part: str, others: Sequence[Contender]) -> list[Figure]:
    """Return everybody's signals per second, and the router's as a multiple of each other's in the same round."""
    fill(server, BACKLOG)
    own: list[float] = []
    theirs: dict[str, list[float]] = {other.name: [] for other in others}
    for turn in range(rounds):
        first = _router_rate(server)
        for other in reversed(others) if turn % 2 else others:
            theirs[other.name].append(_rate(server, other))
        own.append((first + _router_rate(server)) / 2)
    figures = [median(f"{part}: {name}", "signals/s", values) for name, values in {"router": own, **theirs}.items()]
    for other in others:
        ratios = [mine / its for mine, its in zip(own, theirs[other.name], strict=True)]
        figures.append(median(f"{part}: router / {other.name}", "times", ratios))
    return figures


def _router_rate(server: Server) -> float:
    rewind(server, BACKLOG)
    server.client.set(OPEN_ORDERS, 0)
    with router(server, FRESH) as process:
        return BACKLOG / (drained_s(server, process) - process.ready_s)


def _rate(server: Server, contender: Contender) -> float:
    rewind(server, contender.signals)
    with running(contender, server) as process:
        return contender.signals / (drained_s(server, process) - process.ready_s)


def rewind(server: Server, count: int) -> None:
    """Put the group before the last *count* signals, as if nobody had ever read."""
    server.clear(keep=[SIGNALS])
    for group in server.client.xinfo_groups(SIGNALS):
        server.client.xgroup_destroy(SIGNALS, group["name"])
    stream = server.client.xinfo_stream(SIGNALS)
    before = int(stream["last-generated-id"].split(b"-")[0]) - count
    server.client.xgroup_create(SIGNALS, GROUP, f"{before}-0", entries_read=stream["length"] - count)


def drained_s(server: Server, process: Started) -> float:
    """Wait until everything is read and acknowledged; return when that was seen."""
    last = server.client.xinfo_stream(SIGNALS)["last-generated-id"]
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        (group,) = server.client.xinfo_groups(SIGNALS)
        if group["last-delivered-id"] == last and not group["pending"]:
            return time.monotonic()
        time.sleep(LOOK_EVERY_S)
    state: dict[str, Any] = server.client.xinfo_groups(SIGNALS)[0]
    raise TimeoutError(f"not drained within {PATIENCE_S:g} s: {state}\n{process.log[-2000:]}")
