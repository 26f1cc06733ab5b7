# SPDX-License-Identifier: Apache-2.0
"""A window counts every entry once and keeps the same candidates in any order of arrival."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from router.config import Settings
from router.core.entry_id import order
from router.core.outcome import Outcome, Reason
from router.core.policy import rank_key
from router.core.window import MAX_PER_SYMBOL, MAX_REJECTS, MAX_SYMBOLS, Entry, Window

NOW_MS = 1_000_000
AGES_MS = st.sampled_from([-20_000, -10_001, -10_000, 0, 5_000, 10_000, 10_001, 50_000])


def fields(**changes: Any) -> dict[bytes, bytes]:
    """The fields of a good signal with *changes*."""
    good = {"symbol": "BTCUSDT", "side": "buy", "confidence": 0.8, "position_size_usd": 100}
    return {b"payload": json.dumps({**good, **changes}).encode()}


entries = st.lists(
    st.tuples(
        AGES_MS,
        st.fixed_dictionaries(
            {
                "symbol": st.sampled_from(["A", "B", "C", "!"]),
                "side": st.sampled_from(["buy", "sell", "hold", "?"]),
                "confidence": st.sampled_from([0.5, 0.75, 0.8, 0.95, 2]),
                "correlation_id": st.sampled_from(["", "x", "y", "z"]),
                "reduce_only": st.booleans(),
            }
        ),
    ),
    max_size=30,
)


def entry(entry_id: str, named: dict[bytes, bytes]) -> Entry:
    """An entry as Redis sends it."""
    return entry_id.encode(), [text for pair in named.items() for text in pair]


def take_all(arrived: list[tuple[str, dict[bytes, bytes]]], **changes: Any) -> tuple[Window, int]:
    """A window that took *arrived* one by one, and how many of them were reduce-only."""
    window = Window("0-0", Settings(**changes))
    reduce_only = sum(len(window.take([entry(entry_id, f)], NOW_MS, 0.0)) for entry_id, f in arrived)
    window.drop_worst_symbols()
    return window, reduce_only


@given(entries)
def test_every_entry_is_counted_once(drawn: list[tuple[int, dict[str, Any]]]) -> None:
    """Counted outcomes, candidates and reduce-only signals add up to what was taken."""
    window, reduce_only = take_all([(f"{NOW_MS - age}-{i}", fields(**f)) for i, (age, f) in enumerate(drawn)])
    assert len(drawn) == window.passed == window.outcomes.total() + len(window.candidates) + reduce_only


@given(entries, st.randoms(use_true_random=False))
def test_candidates_do_not_depend_on_the_order_of_arrival(drawn: list[tuple[int, dict[str, Any]]], random: Any) -> None:
    """The same entries in another order leave the same candidates and the same counts."""
    arrived = [(f"{NOW_MS - age}-{i}", fields(**f)) for i, (age, f) in enumerate(drawn)]
    shuffled = random.sample(arrived, len(arrived))
    first, second = take_all(arrived)[0], take_all(shuffled)[0]
    assert (first.candidates, first.outcomes) == (second.candidates, second.outcomes)


@given(entries)
def test_candidates_are_ranked_best_first(drawn: list[tuple[int, dict[str, Any]]]) -> None:
    """All candidates and nothing else, in the order of the policy."""
    window, _ = take_all([(f"{NOW_MS - age}-{i}", fields(**f)) for i, (age, f) in enumerate(drawn)])
    assert sorted(window.candidates.values(), key=rank_key) == list(window.ranked())
    dropped = list(window.candidates)[::2]
    window.drop(dropped, Reason.STALE)
    assert sorted(window.candidates.values(), key=rank_key) == list(window.ranked())


@given(entries)
def test_the_quick_way_and_the_audited_one_agree(drawn: list[tuple[int, dict[str, Any]]]) -> None:
    """With an audit each entry is looked at by the rule; without, many at once: nothing but the speed differs."""
    arrived = sorted((f"{NOW_MS - age}-{i}", f) for i, (age, f) in enumerate(drawn))
    raw = [entry(entry_id, fields(**f)) for entry_id, f in sorted(arrived, key=lambda each: order(each[0]))]
    quick, audited = Window("0-0", Settings()), Window("0-0", Settings(audit_max=1))
    for window in (quick, audited):
        reduce_only = window.take(raw, NOW_MS, 0.0)
        window.drop_worst_symbols()
        assert len(raw) == window.outcomes.total() + len(window.candidates) + len(reduce_only)
    assert (quick.candidates, quick.outcomes, quick.rejects) == (audited.candidates, audited.outcomes, audited.rejects)
    assert audited.decisions is not None
    assert audited.outcomes == Counter(Reason(reason.partition(":")[0]).outcome for _, reason in audited.decisions)


@given(AGES_MS)
def test_an_entry_is_stale_above_the_maximum_age_and_rejected_beyond_it_in_the_future(age: int) -> None:
    """Exactly 10 s is still fresh on both sides."""
    window, _ = take_all([(f"{NOW_MS - age}-0", fields())])
    expected = {Outcome.STALE: 1} if age > 10_000 else {Outcome.REJECTED: 1} if age < -10_000 else {}
    assert expected == dict(window.outcomes)


@settings(max_examples=5, deadline=None)
@given(st.integers(1, 2500))
def test_at_most_1024_symbols_are_kept_and_they_are_the_best(extra: int) -> None:
    """Whatever number of symbols comes, the worst beyond 1,024 leave as not chosen."""
    total = MAX_SYMBOLS + extra
    arrived = [(f"{NOW_MS}-{i}", fields(symbol=f"S{i}", confidence=0.75 + (i % 97) / 400)) for i in range(total)]
    window, _ = take_all(arrived)
    everything = Window("0-0", Settings())
    everything.take([entry(entry_id, f) for entry_id, f in arrived], NOW_MS, 0.0)
    assert len(window.candidates) == MAX_SYMBOLS
    assert extra == window.outcomes[Outcome.NOT_CHOSEN]
    worst_kept = list(window.ranked())[-1].confidence
    assert worst_kept >= sorted((0.75 + (i % 97) / 400 for i in range(total)), reverse=True)[MAX_SYMBOLS - 1] - 1e-9


def test_rejects_beyond_the_limit_are_counted_but_not_kept() -> None:
    """A flood of garbage does not grow memory."""
    window, _ = take_all([(f"{NOW_MS}-{i}", {b"payload": b"garbage"}) for i in range(MAX_REJECTS + 5)])
    assert (len(window.rejects), window.outcomes[Outcome.REJECTED]) == (MAX_REJECTS, MAX_REJECTS + 5)


def test_an_id_that_is_about_to_be_stale_gives_way_to_its_fresh_repeat() -> None:
    """A better signal that will be too old when the window closes must not silence the repeat that will not be."""
    old, fresh = fields(correlation_id="x", confidence=0.95), fields(correlation_id="x", confidence=0.8)
    for arrived in ([(8_500, old), (0, fresh)], [(0, fresh), (8_500, old)]):
        window, _ = take_all([(f"{NOW_MS - age}-{i}", f) for i, (age, f) in enumerate(arrived)])
        assert [0.8] == [signal.confidence for signal in window.candidates.values()]


def test_of_one_symbol_the_best_32_are_kept() -> None:
    """Memory is bounded by symbols, with room for the best of them to be published already."""
    arrived = [(f"{NOW_MS}-{i}", fields(confidence=0.75 + i / 100_000)) for i in range(20_000)]
    window, _ = take_all(arrived)
    assert MAX_PER_SYMBOL == len(window.candidates)
    assert 20_000 - MAX_PER_SYMBOL == window.outcomes[Outcome.NOT_CHOSEN]
    assert round(0.75 + 19_999 / 100_000, 9) == max(round(s.confidence, 9) for s in window.candidates.values())
