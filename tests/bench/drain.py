# SPDX-License-Identifier: Apache-2.0
"""How fast a backlog of fresh signals is worked off: the router against others, in turn, on the same stream.

Everybody is timed from outside and alike: from the word that the first read comes now to the moment when the group's
cursor stands at the last signal and nothing is pending.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from tests.bench.contenders import FRESH, RAW_LOOP, Contender, Started, router, running
from tests.bench.data import GROUP, OPEN_ORDERS, SIGNALS, fill
from tests.bench.report import Figure, median

if TYPE_CHECKING:
    from tests.bench.server import Server

#: Signals of the backlog.
BACKLOG: Final = 2_000_000
#: Seconds between two looks at the group (0.2 % of the shortest run).
LOOK_EVERY_S: Final = 0.01
#: Seconds after which a contender is given up.
PATIENCE_S: Final = 120.0
ROUTER: Final = "router"
BARS: Final = {RAW_LOOP.name: ">= 1.5"}


def measure(server: Server, rounds: int) -> list[Figure]:
    """Return everybody's rate, and the router's as a multiple of each other's in the same round."""
    found = rates(server, rounds)
    own = found[ROUTER]
    figures = [median(f"drain: {name}", "signals/s", values) for name, values in found.items()]
    for name, bar in BARS.items():
        ratios = [mine / other for mine, other in zip(own, found[name], strict=True)]
        figures.append(median(f"drain: router / {name}", "times", ratios, bar))
    return figures


def rates(server: Server, rounds: int) -> dict[str, list[float]]:
    """Return signals per second of everybody, a value a round; each round runs all, every other one backwards."""
    server.clear()
    fill(server, BACKLOG)
    others = {contender.name: contender for contender in (RAW_LOOP,)}
    found: dict[str, list[float]] = {ROUTER: [], **{name: [] for name in others}}
    for turn in range(rounds):
        for name in list(found)[:: -1 if turn % 2 else 1]:
            found[name].append(_contender_rate(server, others[name]) if name in others else _router_rate(server))
    return found


def _router_rate(server: Server) -> float:
    _rewind(server, BACKLOG)
    server.client.set(OPEN_ORDERS, 0)
    with router(server, FRESH) as process:
        return BACKLOG / (_drained_s(server, process) - process.ready_s)


def _contender_rate(server: Server, contender: Contender) -> float:
    count = int(BACKLOG * contender.share)
    _rewind(server, count)
    with running(contender, server) as process:
        return count / (_drained_s(server, process) - process.ready_s)


def _rewind(server: Server, count: int) -> None:
    """Put the group before the last *count* signals, as if nobody had ever read."""
    server.clear(keep=[SIGNALS])
    for group in server.client.xinfo_groups(SIGNALS):
        server.client.xgroup_destroy(SIGNALS, group["name"])
    before = int(server.client.xinfo_stream(SIGNALS)["last-generated-id"].split(b"-")[0]) - count
    server.client.xgroup_create(SIGNALS, GROUP, f"{before}-0", entries_read=BACKLOG - count)


def _drained_s(server: Server, process: Started) -> float:
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
