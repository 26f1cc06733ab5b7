# SPDX-License-Identifier: Apache-2.0
"""Two routers in the same market: one that publishes everything, and ours, each with an execution service of its own.

Pure: the same conditions and settings give the same figures.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from router.core.entry_id import order
from router.core.policy import score
from router.redis_io.scripts import INTENTS_MAX
from router.simulation import market
from router.simulation.charts import Chart, counted, most, overlapping, summed
from router.simulation.drive import route
from router.simulation.execution import Execution
from router.simulation.replay import tradeable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from router.config import Settings
    from router.core.signal import Signal
    from router.simulation.market import Fault
    from router.simulation.orders import Span

EVERYTHING: Final = "publish everything"
#: Seconds that the router from before remembers an id.
_DEDUP_TTL_S: Final = 300


class Conditions(msgspec.Struct, frozen=True):
    """The market: the same for everybody, and the same again with the same *seed*."""

    seed: int = 1
    minutes: int = 60
    place_s: float = 1.0
    hold_s: float = 20.0
    faults: int = 0

    @property
    def lasts_ms(self) -> int:
        """How long signals come."""
        return self.minutes * 60_000

    def chance(self, of: str) -> random.Random:
        """Return the generator of one thing, which no other thing disturbs."""
        return random.Random(f"{self.seed}/{of}")  # noqa: S311 - a simulation, no secret


@dataclass(frozen=True)
class Side:
    """A router at work: what it published of the signals, and what execution made of it."""

    published: frozenset[str]
    execution: Execution


class Standing(msgspec.Struct, frozen=True):
    """What came of it. *in_stream* is the most intents that the stream held; *full_after_s* when it first held 10,001.

    *lag_half* and *lag_end* are the intents that execution had not been given, half-way and in the end, *lost* those of
    them that were trimmed away; *most_open* the most orders that were open at a time.
    """

    label: str
    intents: int
    of_signals: float | None
    mean_score: float | None
    in_stream: int
    full_after_s: float | None
    lag_half: int
    lag_end: int
    lost: int
    most_open: int


class Simulated(msgspec.Struct, frozen=True):
    """The answer of a simulation; *faults* are lines, *end_ms* is when the last signals came."""

    conditions: Conditions
    signals: int
    end_ms: int
    standings: list[Standing]
    faults: list[str]


def simulate(conditions: Conditions, settings: Mapping[str, Settings]) -> tuple[Simulated, list[Chart]]:
    """Let the router from before, and ours with each of *settings*, loose on the same market."""
    entries = market.signals(conditions.chance("signals"), conditions.lasts_ms)
    faults = market.faults(conditions.chance("faults"), conditions.faults, conditions.lasts_ms)
    down = market.spans_of(faults, "the router is dead")
    sides = {EVERYTHING: _everything(entries, _execution(conditions, faults), down)}
    for label, each in settings.items():
        execution = _execution(conditions, faults)
        ledger = route(entries, each, execution, down)
        sides[label] = Side(frozenset(i for commit in ledger.commits for i in commit.published), execution)
    signals, end_ms = tradeable(entries), market.BEGIN_MS + conditions.lasts_ms
    for side in sides.values():
        side.execution.count(end_ms)
    standings = [_standing(label, side, signals, end_ms) for label, side in sides.items()]
    return Simulated(conditions, len(signals), end_ms, standings, [_told(fault) for fault in faults]), _charts(sides)


def _everything(entries: Sequence[tuple[bytes, list[bytes]]], execution: Execution, down: Sequence[Span]) -> Side:
    """Publish each valid signal, unless its id was published in the last five minutes."""
    known: dict[str, int] = {}
    published = set()
    for signal in tradeable(entries):
        at_ms = order(signal.entry_id)[0]
        # What came while it was dead it reads when it is back, however old.
        at_ms = next((end for begin, end in down if begin <= at_ms < end), at_ms)
        if known.get(signal.dedup_id, at_ms) <= at_ms:
            known[signal.dedup_id] = at_ms + _DEDUP_TTL_S * 1000
            execution.publish(at_ms)
            published.add(signal.entry_id)
    return Side(frozenset(published), execution)


def _execution(conditions: Conditions, faults: Sequence[Fault]) -> Execution:
    stopped = market.spans_of(faults, "execution stands still")
    unknown = market.spans_of(faults, "open_orders is missing")
    return Execution(conditions.chance("execution"), conditions.place_s, conditions.hold_s, stopped, unknown)


def _standing(label: str, side: Side, signals: Sequence[Signal], end_ms: int) -> Standing:
    execution = side.execution
    scores = [score(signal) for signal in signals if signal.entry_id in side.published]
    full = execution.published_ms[INTENTS_MAX] if len(execution.published_ms) > INTENTS_MAX else None
    return Standing(
        label=label,
        intents=len(scores),
        of_signals=len(scores) / len(signals) if signals else None,
        mean_score=sum(scores) / len(scores) if scores else None,
        in_stream=execution.longest,
        full_after_s=None if full is None else (full - market.BEGIN_MS) / 1000,
        lag_half=_lag(execution, (market.BEGIN_MS + end_ms) // 2),
        lag_end=_lag(execution, end_ms),
        lost=execution.lost,
        most_open=most(overlapping(execution.open_spans)),
    )


def _lag(execution: Execution, at_ms: int) -> int:
    return bisect_right(execution.published_ms, at_ms) - bisect_right(execution.delivered_ms, at_ms)


def _told(fault: Fault) -> str:
    begin_ms, end_ms = fault.span
    return f"{fault.what} for {(end_ms - begin_ms) / 1000:.0f} s after {(begin_ms - market.BEGIN_MS) / 1000:.0f} s"


def _charts(sides: Mapping[str, Side]) -> list[Chart]:
    every = {label: side.execution for label, side in sides.items()}
    lags = {
        label: summed([(ms, 1) for ms in each.published_ms] + [(ms, -1) for ms in each.delivered_ms])
        for label, each in every.items()
    }
    return [
        Chart("Intents published", {label: counted(each.published_ms) for label, each in every.items()}),
        Chart("Execution's lag in intents", lags),
        Chart("Open orders", {label: overlapping(each.open_spans) for label, each in every.items()}),
    ]
