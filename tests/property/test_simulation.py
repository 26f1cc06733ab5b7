# SPDX-License-Identifier: Apache-2.0
"""Both routers in the lab's market, in one process: what the audit found of the one, and what ours does instead."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.config import Settings
from router.core.entry_id import order
from router.simulation import market
from router.simulation.charts import most, overlapping
from router.simulation.contest import EVERYTHING, Conditions, Simulated, simulate
from router.simulation.drive import route
from router.simulation.execution import Execution
from router.simulation.market import signals

HOUR = Conditions()


@pytest.fixture(scope="module")
def hour() -> Simulated:
    """An hour as it comes without any option."""
    return simulate(HOUR, {"ours": Settings()})[0]


def test_publishing_everything_fills_the_stream_and_execution_falls_behind(hour: Simulated) -> None:
    """As the audit found it: 10,001 intents, a lag that grows, and more orders open than the cap."""
    standing = hour.standings[0]
    assert EVERYTHING == standing.label
    assert standing.in_stream >= 10_001
    assert standing.full_after_s is not None
    assert 1.0 == standing.of_signals
    assert standing.lag_end > 1.9 * standing.lag_half > 5000
    assert standing.most_open > Settings().max_open_orders


def test_ours_leaves_the_stream_short_and_execution_keeps_up(hour: Simulated) -> None:
    """At least 80% fewer intents, better ones, no lag, and the cap holds."""
    before, ours = hour.standings
    assert ours.intents <= 0.2 * before.intents
    assert ours.mean_score is not None
    assert before.mean_score is not None
    assert ours.mean_score > before.mean_score
    assert (0, ours.intents) == (ours.lost, ours.in_stream)
    assert max(ours.lag_half, ours.lag_end) <= Settings().max_new_per_cycle
    assert 0 < ours.most_open <= Settings().max_open_orders


def test_the_audit_s_lag_comes_within_a_working_day() -> None:
    """67,448 messages behind, most of which execution will never see: the stream no longer holds them."""
    standing = simulate(replace_minutes(540), {})[0].standings[0]
    assert standing.lag_end > 67_448
    assert standing.lost > 50_000


def replace_minutes(minutes: int) -> Conditions:
    """The market as shipped, for longer."""
    return Conditions(minutes=minutes)


CONDITIONS = st.builds(
    Conditions,
    seed=st.integers(),
    minutes=st.integers(1, 3),
    place_s=st.sampled_from([0.05, 1, 7]),
    hold_s=st.sampled_from([0, 5, 120]),
    faults=st.integers(0, 5),
)


@given(CONDITIONS)
@settings(deadline=None, max_examples=25)
def test_the_same_seed_gives_the_same_twice(conditions: Conditions) -> None:
    """Figures and curves."""
    assert simulate(conditions, {"ours": Settings()}) == simulate(conditions, {"ours": Settings()})


def test_another_seed_gives_another_market() -> None:
    """Else a seed would be for nothing."""
    assert signals(random.Random("1/signals"), 60_000) != signals(random.Random("2/signals"), 60_000)


@given(CONDITIONS, st.integers(1, 12), st.integers(1, 5))
@settings(deadline=None, max_examples=50)
def test_ours_never_exceeds_the_cap_whatever_goes_wrong(conditions: Conditions, cap: int, new: int) -> None:
    """Orders open, and intents that are on their way to be, in the closed loop with faults of every kind."""
    policy = replace(Settings(), max_open_orders=cap, target_open_orders=min(3, cap), max_new_per_cycle=new)
    faults = market.faults(conditions.chance("faults"), conditions.faults, conditions.lasts_ms)
    spans = {what: market.spans_of(faults, what) for what in market.FAULTS}
    execution = Execution(
        conditions.chance("execution"), conditions.place_s, conditions.hold_s,
        stopped=spans["execution stands still"], unknown=spans["open_orders is missing"],
    )  # fmt: skip
    entries = signals(conditions.chance("signals"), conditions.lasts_ms)
    ledger = route(entries, policy, execution, spans["the router is dead"])
    execution.count(1 << 60)
    assert len(execution.spans) == ledger.outcomes["published"] == len(execution.published_ms)
    assert most(overlapping(execution.spans)) <= cap
    assert len(entries) == sum(ledger.outcomes.values())
    for each in ledger.commits:
        for begin, end in spans["open_orders is missing"]:
            assert not (each.intents and begin <= each.at_ms < end)


def test_the_bursts_are_those_of_the_field() -> None:
    """13 symbols within 10 ms, then a pause; ids ascend and every signal has an id of its own."""
    entries = signals(random.Random(7), 60_000)
    places = [order(entry_id.decode()) for entry_id, _ in entries]
    assert sorted(set(places)) == places
    for first in range(0, len(entries), 13):
        burst = entries[first : first + 13]
        assert len({json.loads(flat[3])["symbol"] for _, flat in burst}) == 13
        assert places[first + 12][0] - places[first][0] < 10
    assert all(3500 < places[i][0] - places[i - 13][0] < 4500 for i in range(13, len(places), 13))
