# SPDX-License-Identifier: Apache-2.0
"""How long the router takes from its start to READY, whatever waits in the stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.bench.contenders import peer, router, started
from tests.bench.data import OPEN_ORDERS, SIGNALS, fill
from tests.bench.report import Figure, median

if TYPE_CHECKING:
    from tests.bench.server import Server

#: Stale signals that wait, by the prefix of the keys.
BACKLOGS: Final = {"none:": 0, "legacy:": 67_448, "million:": 1_000_000}
STALE_AGE_MS: Final = 3_600_000


def measure(server: Server, rounds: int) -> list[Figure]:
    """Start the router with no, 67,448 and 1,000,000 stale signals before it, and import what it stands on, in turn.

    From the start of the process to the datagram READY=1, or for the imports (redis, hiredis, msgspec, structlog,
    prometheus-client, click) to a datagram of the same kind right after them. A first start of each, which writes
    bytecode, does not count. Before each start the group is removed, so that the backlog is met anew.
    """
    for prefix, count in BACKLOGS.items():
        server.client.set(f"{prefix}{OPEN_ORDERS}", 0)
        if count:
            fill(server, count, age_ms=STALE_AGE_MS)
            server.client.rename(SIGNALS, f"{prefix}{SIGNALS}")
    ready: dict[str, list[float]] = {prefix: [] for prefix in BACKLOGS}
    imported: list[float] = []
    for _ in range(rounds + 1):
        for prefix, values in ready.items():
            values.append(_ready_s(server, prefix))
        with started(peer("imports"), {}) as process:
            imported.append(process.ready_s - process.started_s)
    return _figures({BACKLOGS[prefix]: values[1:] for prefix, values in ready.items()}, imported[1:])


def _figures(ready: dict[int, list[float]], imported: list[float]) -> list[Figure]:
    names = {n: f"READY with {n:,} stale signals" if n else "READY with no stale signals" for n in ready}
    figures = [median(f"start: {names[count]}", "s", values) for count, values in ready.items()]
    figures.append(median("start: import of the five dependencies", "s", imported))
    for count in list(ready)[1:]:
        ratios = [one / other for one, other in zip(ready[count], ready[0], strict=True)]
        figures.append(median(f"start: {names[count]} / with none", "times", ratios))
    ratios = [one / other for one, other in zip(ready[0], imported, strict=True)]
    return [*figures, median(f"start: {names[0]} / import of the five dependencies", "times", ratios)]


def _ready_s(server: Server, prefix: str) -> float:
    signals = f"{prefix}{SIGNALS}"
    for group in server.client.xinfo_groups(signals) if server.client.exists(signals) else []:
        server.client.xgroup_destroy(signals, group["name"])
    with router(server, {"ROUTER_KEY_PREFIX": prefix}) as process:
        return process.ready_s - process.started_s
