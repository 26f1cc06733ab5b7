# SPDX-License-Identifier: Apache-2.0
"""Recorded signals through the service's own session, on a clock that jumps: what must hold of any recording."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from router.config import Settings
from router.core.entry_id import order
from router.core.signal import Signal
from router.redis_io.scripts import Intent
from router.simulation.charts import most, overlapping, time_at_least_ms
from router.simulation.drive import route
from router.simulation.ledger import Committed
from router.simulation.orders import Delayed, Fixed
from router.simulation.recording import as_lines, of_lines
from router.simulation.replay import Assumed, missed_better, replay, summed_up, tradeable
from tests.property.samples import GOOD, NOW_MS, signal

Entry = tuple[bytes, list[bytes]]


def entry(at_ms: int, place: int = 0, **changes: Any) -> Entry:
    """A good signal of that millisecond, with *changes*."""
    return f"{NOW_MS + at_ms}-{place}".encode(), [b"payload", json.dumps({**GOOD, **changes}).encode()]


#: Gaps between entries, from the same millisecond to longer than any time-out; and what an entry says.
GAPS = st.one_of(st.just(0), st.integers(1, 10), st.integers(0, 12_000))
SAYS = st.fixed_dictionaries(
    {"symbol": st.sampled_from("ABCDE"), "confidence": st.sampled_from([0.5, 0.76, 0.8, 0.85, 0.92, 0.97, 7])},
    optional={
        "side": st.sampled_from(["sell", "hold"]),
        "reduce_only": st.sampled_from([True]),
        "correlation_id": st.sampled_from(["one", "two"]),
        "rl_gate_pass": st.sampled_from([True]),
    },
)
POLICIES = st.builds(
    Settings,
    max_open_orders=st.integers(3, 6),
    target_open_orders=st.integers(0, 3),
    max_new_per_cycle=st.integers(1, 3),
    window_s=st.sampled_from([0.05, 0.7, 3.0]),
    max_intents_per_hour=st.sampled_from([None, 4]),
    repeat_limit=st.sampled_from([None, 3]),
)


@st.composite
def recordings(draw: st.DrawFn) -> list[Entry]:
    """Entries in the order of their ids."""
    at_ms, entries = 0, []
    for place, (gap_ms, says) in enumerate(draw(st.lists(st.tuples(GAPS, SAYS), max_size=40))):
        at_ms += gap_ms
        entries.append(entry(at_ms, place, **says))
    return entries


@given(recordings(), POLICIES, st.sampled_from([0.1, 2, 20]))
@settings(deadline=None)
def test_every_entry_gets_one_outcome_and_the_cap_holds(entries: list[Entry], policy: Settings, hold_s: float) -> None:
    """Orders open and in flight never exceed the cap, whatever comes; and nothing is counted twice or left out."""
    orders = Delayed(150, int(hold_s * 1000))
    ledger = route(entries, policy, orders)
    assert len(entries) == sum(ledger.outcomes.values())
    published = [entry_id for each in ledger.commits for entry_id in each.published]
    assert len(set(published)) == len(published) == ledger.outcomes["published"]
    assert most(overlapping(orders.spans)) <= policy.max_open_orders
    for each in ledger.commits:
        assert each.reduce_only or len(each.intents) <= policy.max_new_per_cycle


@given(recordings(), POLICIES)
@settings(deadline=None)
def test_the_same_recording_gives_the_same_figures_even_through_a_file(entries: list[Entry], policy: Settings) -> None:
    """Nothing depends on the time of day or on chance."""
    assumed = Assumed(None, 0.15, 5)
    again = of_lines((line.encode() for line in as_lines(entries)), "file")
    assert entries == again
    first, second = (summed_up(each, replay(each, {"x": policy}, assumed), assumed) for each in (entries, again))
    assert first == second


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_a_file_keeps_any_bytes(name: bytes, value: bytes) -> None:
    """Also those that are no text."""
    entries = [(b"1-0", [name, value])]
    assert entries == of_lines((line.encode() for line in as_lines(entries)), "file")


def test_the_best_two_of_a_burst_are_published_when_its_window_closes() -> None:
    """The id of the first entry opens the window; three seconds later ranks and boosts are the service's own."""
    burst = [entry(i, i, symbol=f"S{i}", confidence=0.76 + i / 100) for i in range(13)]
    (commit,) = [each for each in route(burst, Settings(), Fixed(0)).commits if each.intents]
    assert NOW_MS + 3000 == commit.at_ms
    shown = [(data["signal_id"], data["rank"], data["size_boost"]) for data in map(json.loads, _data(commit))]
    assert [(burst[12][0].decode(), 1, 1.3), (burst[11][0].decode(), 2, 1.1)] == shown


def _data(commit: Committed) -> list[str]:
    return [intent.data for intent in commit.intents]


def test_a_fixed_count_is_what_each_window_meets() -> None:
    """At the target only a super signal passes, at the cap none."""
    burst = [entry(0, 0, symbol="A", confidence=0.8), entry(0, 1, symbol="B", confidence=0.95)]
    published = {n: sum(len(c.intents) for c in route(burst, Settings(), Fixed(n)).commits) for n in (0, 2, 3, 9, 10)}
    assert {0: 2, 2: 1, 3: 1, 9: 1, 10: 0} == published


def test_years_without_a_signal_take_no_time() -> None:
    """The clock jumps to the next entry where nothing can happen before."""
    late = entry(3_000_000_000_000, symbol="B")
    assert 2 == route([entry(0), late], Settings(), Fixed(0)).outcomes["published"]


def test_a_router_that_was_dead_skips_what_grew_stale_and_publishes_nothing_twice() -> None:
    """As after a crash of the service: 20 to 30 s are skipped, and 31 to 33 s grow stale in the window after it."""
    entries = [entry(at_ms, symbol=f"S{at_ms}") for at_ms in range(0, 60_000, 1000)]
    begin_ms = NOW_MS + 20_500
    ledger = route(entries, Settings(), Fixed(0), down=[(begin_ms, begin_ms + 20_000)])
    published = [entry_id for each in ledger.commits for entry_id in each.published]
    assert len(set(published)) == len(published)
    assert [] == [each for each in ledger.commits if begin_ms <= each.at_ms < begin_ms + 20_000]
    assert (60, 14) == (sum(ledger.outcomes.values()), ledger.outcomes["stale"])


def test_a_repeat_too_many_is_told_and_ends_the_publishing() -> None:
    """As in the service a person would have to resume it."""
    entries = [entry(i * 4000, i) for i in range(5)]
    assumed = Assumed(0, 0, 0)
    done = summed_up(entries, replay(entries, {"x": Settings(repeat_limit=2)}, assumed), assumed)
    assert 2 == done.rows[0].published
    assert "x halts itself, and nothing is published after: 2 intents for BTCUSDT BUY within 60 s" in done.notes


def test_no_approval_gate_is_asked_and_that_is_said() -> None:
    """A replay must not speak to anybody about trades of the past."""
    policy, assumed = Settings(strategy_url="http://127.0.0.1:9/ask"), Assumed(0, 0, 0)
    done = summed_up([entry(0)], replay([entry(0)], {"x": policy}, assumed), assumed)
    assert 1 == done.rows[0].published
    assert "The approval gate is not asked: every signal counts as approved." in done.notes


def _signals(*confidences: float) -> list[Signal]:
    found = [signal(place, confidence=each, correlation_id=f"c{place}") for place, each in enumerate(confidences)]
    return [each for each in found if isinstance(each, Signal)]


def _commit(at_ms: int, cursor: int, *published: int) -> Committed:
    intents = tuple(Intent(f"{NOW_MS}-{place}", f"c{place}", "") for place in published)
    return Committed(at_ms, f"{NOW_MS}-{cursor}", intents, reduce_only=False)


def test_missed_is_what_scores_more_than_an_order_that_is_held() -> None:
    """Not what scores less, was published, or came when the worse order was gone."""
    signals = _signals(0.8, 0.9, 0.7, 0.85, 0.95)
    first, second = _commit(0, 0, 0), _commit(1000, 2)
    assert 1 == missed_better(signals, [first, second], 5000)
    assert 0 == missed_better(signals, [first, _commit(5000, 2)], 5000)
    assert 2 == missed_better(signals, [first, second, _commit(2000, 4, 4)], 5000)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)).map(lambda pair: (min(pair), max(pair)))))
def test_the_time_at_a_level_is_that_of_every_millisecond_counted(spans: list[tuple[int, int]]) -> None:
    """Between any two times, also where nothing overlaps."""
    for level in (0, 1, 2):
        counted = sum(sum(begin <= ms < end for begin, end in spans) >= level for ms in range(5, 15))
        assert counted == time_at_least_ms(overlapping(spans), level, 5, 15)


def test_only_valid_signals_that_open_orders_count() -> None:
    """A hold, a rejection and a reduce-only signal are none."""
    says: list[dict[str, Any]] = [{}, {"side": "hold"}, {"confidence": 7}, {"reduce_only": True}, {"confidence": 0.1}]
    entries = [entry(0, place, **each) for place, each in enumerate(says)]
    assert [(NOW_MS, 0), (NOW_MS, 4)] == [order(each.entry_id) for each in tradeable(entries)]
