# SPDX-License-Identifier: Apache-2.0
"""What a policy would have made of recorded signals: a row for each setting. Pure."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import msgspec

from router.core.entry_id import order
from router.core.policy import score
from router.core.signal import Signal, parse
from router.simulation.charts import Chart, counted, overlapping, time_at_least_ms
from router.simulation.drive import route
from router.simulation.orders import Delayed, Fixed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from router.config import Settings
    from router.core.window import Entry
    from router.simulation.charts import Steps
    from router.simulation.ledger import Committed, Ledger


class Assumed(msgspec.Struct, frozen=True):
    """What is assumed of open orders: their number, or, where that is None, how each intent becomes one and ends."""

    open_orders: int | None
    open_s: float
    hold_s: float

    def __str__(self) -> str:
        """Return it as a sentence for whoever reads the figures."""
        if self.open_orders is not None:
            return f"Open orders are not recorded. Assumed: {self.open_orders} all the time, nothing in flight."
        held = f"an order {self.open_s:g} s after it, for {self.hold_s:g} s"
        return f"Open orders are not recorded. Assumed: none at first, then each intent is {held}."


class Recorded(msgspec.Struct, frozen=True):
    """What was recorded: all *entries*, and the *signals* among them that ask to open an order and are valid."""

    entries: int
    signals: int
    since_ms: int | None
    until_ms: int | None


class Row(msgspec.Struct, frozen=True):
    """What came of the signals with one setting; intents and signals are those that open orders.

    *missed_better* counts the signals that were not published while an order was held whose signal scored less;
    *at_cap_s* is how long open orders and intents in flight reached MAX_OPEN_ORDERS, *at_cap* its share of the time.
    """

    label: str
    published: int
    of_signals: float | None
    mean_score: float | None
    missed_better: int
    at_cap_s: float
    at_cap: float | None
    reduce_only: int
    halted: str
    outcomes: dict[str, int]
    windows: dict[str, int]


class Replayed(msgspec.Struct, frozen=True):
    """The answer of a replay."""

    recorded: Recorded
    assumed: Assumed
    rows: list[Row]
    #: What the figures rest on, and what else must be known to read them.
    notes: list[str]


def replay(entries: Sequence[Entry], settings: Mapping[str, Settings], assumed: Assumed) -> dict[str, Ledger]:
    """Route *entries* once with each of *settings* (by label), open orders being as *assumed*."""
    return {label: route(entries, each, _orders(assumed)) for label, each in settings.items()}


def summed_up(entries: Sequence[Entry], ledgers: Mapping[str, Ledger], assumed: Assumed) -> Replayed:
    """Return the figures of what `replay` has returned for *entries*."""
    signals = tradeable(entries)
    ends = [order(entries[place][0].decode())[0] for place in (0, -1)] if entries else [None, None]
    rows = [_row(label, signals, ledger, assumed) for label, ledger in ledgers.items()]
    return Replayed(Recorded(len(entries), len(signals), *ends), assumed, rows, _notes(ledgers, assumed))


def charts(ledgers: Mapping[str, Ledger]) -> list[Chart]:
    """Return what is worth a look over time, a curve for each of *ledgers*."""
    published: dict[str, Steps] = {}
    taken: dict[str, Steps] = {}
    for label, ledger in ledgers.items():
        published[label] = counted(_intents_ms(ledger))
        taken[label] = overlapping(ledger.orders.spans)
    return [Chart("Intents published", published), Chart("Slots taken: orders open and intents in flight", taken)]


def _intents_ms(ledger: Ledger) -> list[int]:
    return [each.at_ms for each in ledger.commits if not each.reduce_only for _ in each.published]


def tradeable(entries: Sequence[Entry]) -> list[Signal]:
    """Return the valid signals of *entries* that ask to open an order."""
    parsed = (parse(entry_id.decode(), dict(zip(flat[::2], flat[1::2], strict=True))) for entry_id, flat in entries)
    return [signal for signal in parsed if isinstance(signal, Signal) and not signal.reduce_only]


def missed_better(signals: Sequence[Signal], commits: Sequence[Committed], held_ms: int) -> int:
    """Return how many of *signals* were passed over for a worse one.

    That is: not published when *commits* dealt with it, nor by its id at any time, though it scored more than a signal
    published by then, at most *held_ms* before.
    """
    known = {signal.entry_id: signal for signal in signals}
    done = {known[entry_id].dedup_id for each in commits for entry_id in each.published if entry_id in known}
    held: deque[tuple[int, float]] = deque()
    missed = place = 0
    for each in commits:
        for points in (score(known[entry_id]) for entry_id in each.published if entry_id in known):
            while held and held[-1][1] >= points:  # what is worse and held longer is the worst for as long
                held.pop()
            held.append((each.at_ms, points))
        while held and held[0][0] <= each.at_ms - held_ms:
            held.popleft()
        worst = held[0][1] if held else None
        while place < len(signals) and order(signals[place].entry_id) <= order(each.cursor):
            signal = signals[place]
            place += 1
            missed += worst is not None and score(signal) > worst and signal.dedup_id not in done
    return missed


def _notes(ledgers: Mapping[str, Ledger], assumed: Assumed) -> list[str]:
    notes = [str(assumed)]
    if any(ledger.settings.strategy_url for ledger in ledgers.values()):
        notes.append("The approval gate is not asked: every signal counts as approved.")
    halts = ((label, ledger.halted) for label, ledger in ledgers.items() if ledger.halted)
    return notes + [f"{label} halts itself, and nothing is published after: {why}" for label, why in halts]


def _orders(assumed: Assumed) -> Fixed | Delayed:
    if assumed.open_orders is not None:
        return Fixed(assumed.open_orders)
    return Delayed(int(assumed.open_s * 1000), int(assumed.hold_s * 1000))


def _row(label: str, signals: Sequence[Signal], ledger: Ledger, assumed: Assumed) -> Row:
    chosen = {entry_id for each in ledger.commits if not each.reduce_only for entry_id in each.published}
    scores = [score(signal) for signal in signals if signal.entry_id in chosen]
    begin_ms, end_ms = ledger.clock.began_ms, ledger.clock.now_ms
    free = ledger.settings.max_open_orders - (assumed.open_orders or 0)
    full_ms = time_at_least_ms(overlapping(ledger.orders.spans), free, begin_ms, end_ms)
    return Row(
        label=label,
        published=len(scores),
        of_signals=len(scores) / len(signals) if signals else None,
        mean_score=sum(scores) / len(scores) if scores else None,
        missed_better=missed_better(signals, ledger.commits, int((assumed.open_s + assumed.hold_s) * 1000)),
        at_cap_s=full_ms / 1000,
        at_cap=full_ms / (end_ms - begin_ms) if end_ms > begin_ms else None,
        reduce_only=sum(len(each.published) for each in ledger.commits if each.reduce_only),
        halted=ledger.halted,
        outcomes=dict(sorted(ledger.outcomes.items())),
        windows=dict(sorted(ledger.events.items())),
    )
