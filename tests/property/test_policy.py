# SPDX-License-Identifier: Apache-2.0
"""The policy never publishes more than it allows, whatever comes in whatever order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.config import Settings
from router.core.explain import explain
from router.core.outcome import Outcome, Reason
from router.core.policy import (
    Capacity,
    Event,
    TradingState,
    allowance,
    boosted,
    decide,
    rank_key,
    score,
)
from router.core.signal import Signal

if TYPE_CHECKING:
    from random import Random

SYMBOLS = [f"S{i}USDT" for i in range(8)]


@st.composite
def signals(draw: st.DrawFn) -> list[Signal]:
    """Candidates with few symbols and ids, so that both repeat; entry ids are unique, as in a stream."""
    facts: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
        {
            "symbol": st.sampled_from(SYMBOLS),
            "side": st.sampled_from(["BUY", "SELL"]),
            "confidence": st.sampled_from([0.75, 0.8, 0.82, 0.9, 0.95, 1.0]),
            "rl_gate_pass": st.booleans(),
            "regime_known": st.booleans(),
            "dedup_id": st.sampled_from([f"id{i}" for i in range(25)]),
        }
    )
    return [candidate(number, **drawn) for number, drawn in enumerate(draw(st.lists(facts, max_size=40)))]


def candidate(number: int, symbol: str, confidence: float, **facts: Any) -> Signal:
    """A candidate with an entry id and, unless *facts* say otherwise, a dedup id of its own."""
    entry_id = f"1000-{number}"
    nothing = dict.fromkeys(Signal.__struct_fields__)
    known = {
        "entry_id": entry_id, "symbol": symbol, "side": "BUY", "confidence": confidence, "reduce_only": False,
        "rl_gate_pass": False, "regime_known": False, "dedup_id": entry_id, "position_size_usd": 100.0,
    }  # fmt: skip
    return Signal(**{**nothing, **known, **facts})


def ranked(candidates: list[Signal]) -> list[Signal]:
    """The best of each id, best first, as a window ranks them."""
    by_id: dict[str, Signal] = {}
    for signal in sorted(candidates, key=rank_key):
        by_id.setdefault(signal.dedup_id, signal)
    return list(by_id.values())


def best_per_symbol(candidates: list[Signal]) -> list[Signal]:
    """The best of each symbol among the best of each id, best first."""
    by_symbol: dict[str, Signal] = {}
    for signal in ranked(candidates):
        by_symbol.setdefault(signal.symbol, signal)
    return list(by_symbol.values())


settings_strategy = st.builds(
    lambda cap, target, new: Settings(
        max_open_orders=cap, target_open_orders=min(cap, target), max_new_per_cycle=new
    ),
    st.integers(1, 12), st.integers(0, 12), st.integers(1, 5),
)  # fmt: skip
capacities = st.builds(
    Capacity, st.sampled_from(TradingState), st.one_of(st.none(), st.integers(0, 15)), st.integers(0, 15)
)


@given(signals(), capacities, settings_strategy)
def test_a_window_never_publishes_more_than_the_policy_allows(
    candidates: list[Signal], capacity: Capacity, settings: Settings
) -> None:
    """Nothing when halted or unknown; at most the slots, the cycle's limit, one per symbol and one per id."""
    decision = decide(ranked(candidates), capacity, settings)
    chosen = [choice.signal for choice in decision.choices]
    if capacity.state is not TradingState.ACTIVE or capacity.open_orders is None:
        assert not chosen
        return
    taken = capacity.open_orders + capacity.in_flight
    assert len(chosen) <= max(0, min(settings.max_open_orders - taken, settings.max_new_per_cycle))
    if taken >= settings.target_open_orders:
        assert len(chosen) <= 1
        assert all(signal.confidence >= settings.super_confidence for signal in chosen)
    else:
        assert len(chosen) <= settings.target_open_orders - taken
    assert len(chosen) == len({signal.symbol for signal in chosen}) == len({signal.dedup_id for signal in chosen})


@given(signals(), st.integers(0, 2), st.integers(0, 2))
def test_free_slots_and_good_candidates_are_never_met_with_silence(
    candidates: list[Signal], open_orders: int, in_flight: int
) -> None:
    """Below the target, as many are published as the limit allows and as there are different symbols and ids."""
    settings = Settings(max_open_orders=12, target_open_orders=5)
    capacity = Capacity(TradingState.ACTIVE, open_orders, in_flight)
    expected = min(allowance(capacity, settings).limit, len(best_per_symbol(candidates)))
    assert expected == len(decide(ranked(candidates), capacity, settings).choices)
    assert bool(candidates) == bool(expected)


@given(signals(), capacities, settings_strategy, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(
    candidates: list[Signal], capacity: Capacity, settings: Settings, random: Random
) -> None:
    """A shuffled window is decided alike."""
    shuffled = candidates.copy()
    random.shuffle(shuffled)
    assert decide(ranked(candidates), capacity, settings) == decide(ranked(shuffled), capacity, settings)


@given(signals())
def test_nothing_better_is_left_behind(candidates: list[Signal]) -> None:
    """Every candidate that ranks above the last choice shares its symbol or id with a better candidate."""
    choices = [
        choice.signal for choice in decide(ranked(candidates), Capacity(TradingState.ACTIVE, 0, 0), Settings()).choices
    ]
    for passed_over in candidates:
        if choices and passed_over not in choices and rank_key(passed_over) < rank_key(choices[-1]):
            better = [c for c in candidates if rank_key(c) < rank_key(passed_over)]
            assert any(passed_over.symbol == c.symbol or passed_over.dedup_id == c.dedup_id for c in better)


@given(signals(), capacities, settings_strategy, st.sets(st.integers(0, 40)))
def test_what_the_gate_denies_is_as_if_it_had_never_come(
    candidates: list[Signal], capacity: Capacity, settings: Settings, numbers: set[int]
) -> None:
    """The next best takes place, rank and boost; nothing denied is chosen, and nothing is asked in vain."""
    ranking = ranked(candidates)
    denied = {signal.entry_id for number, signal in enumerate(ranking) if number in numbers}
    asked: list[str] = []

    def approve(signal: Signal) -> bool:
        asked.append(signal.entry_id)
        return signal.entry_id not in denied

    decision = decide(ranked(candidates), capacity, settings, approve)
    without = decide([s for s in ranking if s.entry_id not in denied], capacity, settings)
    assert without.choices == decision.choices
    assert denied & set(asked) == decision.denied
    assert [c.signal.entry_id for c in decision.choices] == [entry_id for entry_id in asked if entry_id not in denied]


@given(signals(), capacities, settings_strategy, st.sets(st.integers(0, 40)))
def test_each_candidate_has_one_reason_that_fits_what_became_of_it(
    candidates: list[Signal], capacity: Capacity, settings: Settings, numbers: set[int]
) -> None:
    """Published exactly what was chosen; the others for reasons that count as halted or not chosen."""
    kept = ranked(candidates)
    denied = {signal.entry_id for number, signal in enumerate(kept) if number in numbers}
    decision = decide(kept, capacity, settings, lambda signal: signal.entry_id not in denied)
    reasons = dict(explain(kept, decision))
    assert [signal.entry_id for signal in kept] == list(reasons)
    chosen = {choice.signal.entry_id for choice in decision.choices}
    assert chosen == {entry_id for entry_id, reason in reasons.items() if reason is Reason.PUBLISHED}
    rest = Outcome.HALTED if decision.event is Event.HALTED else Outcome.NOT_CHOSEN
    assert {rest} >= {reason.outcome for entry_id, reason in reasons.items() if entry_id not in chosen}
    assert decision.denied == {i for i, reason in reasons.items() if reason is Reason.APPROVAL_DENIED}
    for signal in kept:
        if reasons[signal.entry_id] is Reason.SYMBOL_OUTRANKED:
            assert any(s.symbol == signal.symbol and rank_key(s) < rank_key(signal) for s in kept)
        if reasons[signal.entry_id] is Reason.OUTRANKED:
            assert len(chosen) == decision.limit


@given(
    st.lists(st.sampled_from(["window", "open", "lose", "close"]), max_size=80),
    settings_strategy,
)
def test_open_orders_never_exceed_the_cap_whatever_execution_s_delay(steps: list[str], settings: Settings) -> None:
    """Execution opens, drops and closes orders whenever it likes, and counts an order before it acknowledges it."""
    open_orders, in_flight = 0, 0
    for step in steps:
        if step == "window":
            burst = [candidate(i, symbol, 0.95) for i, symbol in enumerate(SYMBOLS)]
            capacity = Capacity(TradingState.ACTIVE, open_orders, in_flight)
            in_flight += len(decide(ranked(burst), capacity, settings).choices)
        elif step == "open" and in_flight:
            open_orders, in_flight = open_orders + 1, in_flight - 1
        elif step == "lose" and in_flight:
            in_flight -= 1
        elif step == "close" and open_orders:
            open_orders -= 1
        assert open_orders + in_flight <= settings.max_open_orders


@pytest.mark.parametrize(
    ("state", "open_orders", "in_flight", "event", "limit"),
    [
        (TradingState.HALTED, 0, 0, Event.HALTED, 0),
        (TradingState.REDUCE, 0, 0, Event.HALTED, 0),
        (TradingState.HALTED, None, 0, Event.HALTED, 0),
        (TradingState.ACTIVE, None, 0, Event.CAPACITY_UNKNOWN, 0),
        (TradingState.ACTIVE, 10, 0, Event.CAPACITY_FULL, 0),
        (TradingState.ACTIVE, 11, 0, Event.CAPACITY_FULL, 0),
        (TradingState.ACTIVE, 8, 2, Event.CAPACITY_FULL, 0),
        (TradingState.ACTIVE, 3, 0, Event.TARGET_REACHED, 1),
        (TradingState.ACTIVE, 1, 2, Event.TARGET_REACHED, 1),
        (TradingState.ACTIVE, 9, 0, Event.TARGET_REACHED, 1),
        (TradingState.ACTIVE, 2, 0, Event.BEST_OF_PUBLISH, 1),
        (TradingState.ACTIVE, 1, 0, Event.BEST_OF_PUBLISH, 2),
        (TradingState.ACTIVE, 0, 0, Event.BEST_OF_PUBLISH, 2),
    ],
)
def test_the_defaults_allow_what_the_guide_says(
    state: TradingState, open_orders: int | None, in_flight: int, event: Event, limit: int
) -> None:
    """The four states of the guide and their edges, with the default settings."""
    allowed = allowance(Capacity(state, open_orders, in_flight), Settings())
    assert (event, limit) == (allowed.event, allowed.limit)


@pytest.mark.parametrize(
    ("state", "open_orders", "hour_intents", "event", "limit"),
    [
        (TradingState.HALTED, 0, 5, Event.HALTED, 0),
        (TradingState.ACTIVE, None, 5, Event.CAPACITY_UNKNOWN, 0),
        (TradingState.ACTIVE, 10, 5, Event.CAPACITY_FULL, 0),
        (TradingState.ACTIVE, 3, 5, Event.LIMIT_REACHED, 0),
        (TradingState.ACTIVE, 0, 6, Event.LIMIT_REACHED, 0),
        (TradingState.ACTIVE, 3, 4, Event.TARGET_REACHED, 1),
        (TradingState.ACTIVE, 0, 4, Event.BEST_OF_PUBLISH, 1),
        (TradingState.ACTIVE, 0, 3, Event.BEST_OF_PUBLISH, 2),
        (TradingState.ACTIVE, 0, 0, Event.BEST_OF_PUBLISH, 2),
    ],
)
def test_the_limit_per_hour_comes_after_capacity_and_before_the_target(
    state: TradingState, open_orders: int | None, hour_intents: int, event: Event, limit: int
) -> None:
    """With five an hour a window gets no more than what the hour has left."""
    allowed = allowance(Capacity(state, open_orders, 0, hour_intents), Settings(max_intents_per_hour=5))
    assert (event, limit) == (allowed.event, allowed.limit)


def test_a_super_signal_at_the_target_counts_as_best_of_publish() -> None:
    """At the target one signal of super confidence passes, logged as count=1 allowed=1."""
    candidates = [candidate(0, "A", 0.89), candidate(1, "B", 0.9), candidate(2, "C", 0.95)]
    decision = decide(ranked(candidates), Capacity(TradingState.ACTIVE, 3, 0), Settings())
    assert (
        decision.event,
        decision.limit,
        [c.signal.symbol for c in decision.choices],
    ) == (Event.BEST_OF_PUBLISH, 1, ["C"])


def test_equal_scores_prefer_confidence_and_then_the_older_entry() -> None:
    """0.82 beats 0.80 with the gate's bonus, although both score 0.82; then age decides."""
    gated = candidate(0, "A", 0.80, rl_gate_pass=True)
    plain = candidate(1, "B", 0.82)
    younger = candidate(2, "C", 0.82)
    assert score(gated) == score(plain)
    assert [plain, younger, gated] == best_per_symbol([younger, gated, plain])


def test_the_boost_is_capped_in_usd() -> None:
    """130 % of 100 is 130, unless the cap is lower; no size stays none."""
    assert (boosted(100, 1.3, None), boosted(100, 1.3, 120), boosted(None, 1.3, 120)) == (130.0, 120.0, None)
