# SPDX-License-Identifier: Apache-2.0
"""The numbers of the contract, each from both sides."""

from __future__ import annotations

import json
from typing import Any

import pytest

from router.config import Settings
from router.core.entry_id import age_ms, order
from router.core.explain import explain
from router.core.outcome import Outcome, Reason
from router.core.policy import Capacity, Event, TradingState, decide, rank_key, score
from router.core.signal import RejectCode, Rejected, Signal, parse
from router.core.window import Window

NOW_MS = 1_000_000
GOOD = {"symbol": "BTCUSDT", "side": "buy", "confidence": 0.8, "position_size_usd": 100}


def entry(number: int, **changes: Any) -> tuple[bytes, list[bytes]]:
    """An entry of this moment, whose payload is a good signal with *changes*."""
    return f"{NOW_MS}-{number}".encode(), [b"payload", json.dumps({**GOOD, **changes}).encode()]


def signal(number: int = 0, /, **changes: Any) -> Signal | Rejected:
    """What becomes of it."""
    entry_id, (name, text) = entry(number, **changes)
    parsed = parse(entry_id.decode(), {name: text})
    assert isinstance(parsed, (Signal, Rejected))
    return parsed


@pytest.mark.parametrize(
    ("name", "last", "beyond", "code"),
    [
        ("symbol", "X" * 32, "X" * 33, RejectCode.SYMBOL),
        ("symbol", "aZ09._:/-", "aZ09._:/-+", RejectCode.SYMBOL),
        ("confidence", 0, -0.001, RejectCode.CONFIDENCE),
        ("confidence", 1, 1.001, RejectCode.CONFIDENCE),
        ("confidence", "1e0", "1e0 ", RejectCode.CONFIDENCE),
        ("position_size_usd", 1e-6, 9.99e-7, RejectCode.SIZE),
        ("position_size_usd", 1e12, 1.001e12, RejectCode.SIZE),
        ("quantity", 1e12, 1.001e12, RejectCode.SIZE),
        ("leverage", 0, -0.1, RejectCode.SIZE),
        ("entry_price", 0, -0.1, RejectCode.PRICE),
        ("stop_loss", 0, -0.1, RejectCode.PRICE),
        ("take_profit", 0, -0.1, RejectCode.PRICE),
        ("stop_loss_pct", -5, "x", RejectCode.PRICE),
        ("take_profit_pct", -5, "x", RejectCode.PRICE),
        ("correlation_id", "x" * 256, "x" * 257, RejectCode.IDENTIFIER),
        ("trace_id", "x" * 256, "x" * 257, RejectCode.IDENTIFIER),
        ("trace_id", 2**64 - 1, 2**64, RejectCode.IDENTIFIER),
    ],
)
def test_the_last_value_that_is_valid_and_the_first_that_is_not(
    name: str, last: object, beyond: object, code: RejectCode
) -> None:
    """A rejection has the code of its rule, and a detail that names the attribute or the size it makes."""
    assert isinstance(signal(**{name: last}), Signal)
    rejected = signal(**{name: beyond})
    assert isinstance(rejected, Rejected)
    assert code == rejected.code
    assert rejected.detail.startswith((name, "size"))


def test_a_detail_is_cut_at_80_characters() -> None:
    """However long what it shows is."""
    rejected = signal(symbol="\N{SNOWMAN}" * 300)
    assert isinstance(rejected, Rejected)
    assert 80 == len(rejected.detail)


@pytest.mark.parametrize("value", [True, 1, 1.0, "true", "TRUE", "1", "yes", "Yes"])
def test_what_counts_as_true(value: object) -> None:
    """For every flag alike."""
    found = signal(reduce_only=value, rl_gate_pass=value)
    assert isinstance(found, Signal)
    assert (True, True) == (found.reduce_only, found.rl_gate_pass)


@pytest.mark.parametrize("value", [False, 0, 2, -1, 1.5, "no", "false", "", "0", None, [1], {"a": 1}])
def test_what_does_not_count_as_true(value: object) -> None:
    """Anything else."""
    found = signal(reduce_only=value, rl_gate_pass=value)
    assert isinstance(found, Signal)
    assert (False, False) == (found.reduce_only, found.rl_gate_pass)


@pytest.mark.parametrize(
    ("regime", "known"), [("bull", True), ("", False), (" ", False), ("Unknown ", False), (5, False)]
)
def test_which_regime_is_known(regime: object, known: bool) -> None:  # noqa: FBT001 - a column of the table
    """A text that says something."""
    found = signal(regime=regime)
    assert isinstance(found, Signal)
    assert known is found.regime_known


@pytest.mark.parametrize("value", ["", "0", "null", "NULL", "None", 0, True, 1.5, ["a"], None])
def test_what_is_no_id(value: object) -> None:
    """Then the entry's own id is what duplicates are known by."""
    found = signal(correlation_id=value, trace_id=value)
    assert isinstance(found, Signal)
    assert (None, None, f"{NOW_MS}-0") == (found.correlation_id, found.trace_id, found.dedup_id)


def test_an_entry_id_sorts_by_time_and_then_by_sequence() -> None:
    """One without a sequence is the first of its millisecond."""
    assert [(7, 0), (7, 2), (10, 1)] == [order("7"), order("7-2"), order("10-1")]
    assert (3, -3) == (age_ms("7-9", 10), age_ms("7-9", 4))


#: What the audit may say of an entry, by the outcome that it counts as: the fields of a hash in Redis.
REASONS = {
    "published": "published",
    "not_chosen": """low_confidence crowded_out outranked symbol_outranked approval_denied capacity_unknown
        capacity_full limit_reached target_reached""",
    "duplicate": "id_in_window id_published",
    "rejected": "rejected",
    "ignored": "hold",
    "stale": "stale stale_at_commit",
    "halted": "halted",
}


def test_each_reason_counts_as_its_outcome_under_the_names_that_people_know() -> None:
    """Renaming one breaks whoever greps for it or counts it."""
    expected = {reason: outcome for outcome, reasons in REASONS.items() for reason in reasons.split()}
    assert expected == {reason.value: reason.outcome.value for reason in Reason}
    assert list(REASONS) == [outcome.value for outcome in Outcome]


def test_rejections_and_windows_have_the_names_that_people_know() -> None:
    """The same for them."""
    codes = "payload encoding symbol side confidence size price identifier clock"
    assert codes.split() == [code.value for code in RejectCode]
    events = "HALTED CAPACITY_UNKNOWN CAPACITY_FULL LIMIT_REACHED TARGET_REACHED BEST_OF_PUBLISH"
    assert set(events.split()) == {event.value for event in Event}


def taken(entries: list[tuple[bytes, list[bytes]]], now_s: float = 0.0, **changes: Any) -> Window:
    """A window that took *entries* at once."""
    window = Window("0-0", Settings(**changes))
    window.take(entries, NOW_MS, now_s)
    return window


@pytest.mark.parametrize("audit_max", [None, 10])
def test_a_candidate_needs_the_least_confidence_and_opens_the_window(audit_max: int | None) -> None:
    """0.75 is enough, anything below is not; a later one does not open it again."""
    window = taken([entry(1, confidence=0.7499), entry(2, confidence=0.2)], 5.0, audit_max=audit_max)
    assert (None, {}, {Outcome.NOT_CHOSEN: 2}) == (window.opened_s, window.candidates, window.outcomes)
    assert (2, f"{NOW_MS}-2") == (window.passed, window.cursor)
    window.take([entry(3, confidence=0.75)], NOW_MS, 6.0)
    window.take([entry(4, symbol="ETHUSDT")], NOW_MS, 7.0)
    window.take([], NOW_MS, 8.0)
    assert (6.0, 2, 4, f"{NOW_MS}-4") == (window.opened_s, len(window.candidates), window.passed, window.cursor)


@pytest.mark.parametrize("audit_max", [None, 10])
def test_what_a_window_keeps_is_bounded(audit_max: int | None) -> None:
    """32 of a symbol, the best; 1,024 symbols, the best; 2,000 rejects; 10,000 decisions."""
    one = taken([entry(i, confidence=0.75 + i / 1000) for i in range(40)], audit_max=audit_max)
    assert [f"{NOW_MS}-{i}" for i in range(39, 7, -1)] == [kept.entry_id for kept in one.ranked()]
    assert {Outcome.NOT_CHOSEN: 8} == one.outcomes
    many = taken([entry(i, symbol=f"S{i}", confidence=0.75 + i / 10_000) for i in range(1030)], audit_max=audit_max)
    many.close()
    assert (1024, "S1029", "S6") == (len(many.candidates), *(list(many.ranked())[i].symbol for i in (0, -1)))
    bad = taken([entry(i, side="?") for i in range(2010)], audit_max=audit_max)
    assert (2000, {Outcome.REJECTED: 2010}) == (len(bad.rejects), bad.outcomes)
    bad.take([entry(2010 + i, side="hold") for i in range(8000)], NOW_MS, 0.0)
    assert {Outcome.REJECTED: 2010, Outcome.IGNORED: 8000} == bad.outcomes
    assert ((10_000, 10) if audit_max else (None, 0)) == (bad.decisions and len(bad.decisions), bad.unlisted)


def test_symbols_are_bounded_while_the_window_is_open() -> None:
    """Memory does not wait for the window to close: above 2,048 symbols the worst leave."""
    window = taken([entry(i, symbol=f"S{i}", confidence=0.75 + i / 10_000) for i in range(2049)])
    assert 1024 == len(window.candidates)
    window = taken([entry(i, symbol=f"S{i}", confidence=0.75 + i / 10_000) for i in range(2048)])
    assert 2048 == len(window.candidates)


def test_the_reason_of_each_decision_is_listed() -> None:
    """With the code of a rejection; what is published is listed by the commit that does it."""
    window = taken([entry(1, side="?"), entry(2, side="hold"), entry(3, confidence=0.1), entry(4)], audit_max=10)
    window.drop([f"{NOW_MS}-4"], Reason.PUBLISHED)
    names = [(f"{NOW_MS}-{i}", text) for i, text in enumerate(["rejected:side", "hold", "low_confidence"], start=1)]
    assert (names, {}) == (window.decisions, window.candidates)
    assert 1 == window.outcomes[Outcome.PUBLISHED]


def test_what_an_older_router_left_is_adopted_without_moving_the_cursor() -> None:
    """One that the stream no longer holds has no outcome."""
    window = Window("5-5", Settings())
    assert window.adopt(f"{NOW_MS}-1", None, NOW_MS, 0.0) is None
    assert window.adopt(f"{NOW_MS}-2", entry(2)[1], NOW_MS, 0.0) is None
    freeing = window.adopt(f"{NOW_MS}-3", entry(3, reduce_only=True)[1], NOW_MS, 0.0)
    assert freeing is not None
    assert ([f"{NOW_MS}-{i}" for i in (1, 2, 3)], 0, "5-5") == (window.adopted, window.passed, window.cursor)
    assert ([f"{NOW_MS}-2"], 0) == (list(window.candidates), window.outcomes.total())


def test_a_repeat_that_lives_beats_a_better_one_that_will_be_stale_when_the_window_closes() -> None:
    """Exactly as old as allowed at the close still counts; a millisecond more does not."""
    for age, expected in ((7_000, 0.95), (7_001, 0.8)):
        old = f"{NOW_MS - age}-0".encode(), entry(0, correlation_id="x", confidence=0.95)[1]
        window = taken([old], 100.0)
        window.take([entry(1, correlation_id="x")], NOW_MS + 1_000, 101.0)
        assert [expected] == [kept.confidence for kept in window.ranked()]
        assert {Outcome.DUPLICATE: 1} == window.outcomes


def test_why_each_candidate_was_not_chosen() -> None:
    """At the target: below super confidence; above, the better of the symbol, then the better of all."""
    facts = {"a": ("A", 0.97), "b": ("A", 0.95), "c": ("B", 0.9), "d": ("C", 0.89)}
    parsed = [signal(i, symbol=s, confidence=c, correlation_id=name) for i, (name, (s, c)) in enumerate(facts.items())]
    ranked = [found for found in parsed if isinstance(found, Signal)]
    decision = decide(ranked, Capacity(TradingState.ACTIVE, 3, 0), Settings())
    expected = [Reason.PUBLISHED, Reason.SYMBOL_OUTRANKED, Reason.OUTRANKED, Reason.TARGET_REACHED]
    assert expected == [reason for _, reason in explain(ranked, decision)]
    assert 0.9 == decision.least


def test_the_first_ranks_are_boosted() -> None:
    """Rank 1 by 1.30, rank 2 by 1.10, the others not at all; bonuses of 0.02 and 0.01 make the ranks."""
    plain, gated = signal(1, symbol="A", confidence=0.8), signal(2, symbol="B", confidence=0.785, rl_gate_pass=True)
    known, last = signal(3, symbol="C", confidence=0.792, regime="bull"), signal(4, symbol="D", confidence=0.79)
    ranked = sorted((s for s in (plain, gated, known, last) if isinstance(s, Signal)), key=rank_key)
    room = Settings(max_open_orders=10, target_open_orders=10, max_new_per_cycle=4)
    choices = decide(ranked, Capacity(TradingState.ACTIVE, 0, 0), room).choices
    assert [("B", 1, 1.3), ("C", 2, 1.1), ("A", 3, 1.0), ("D", 4, 1.0)] == [
        (choice.signal.symbol, choice.rank, choice.boost) for choice in choices
    ]
    assert [0.805, 0.802, 0.8, 0.79] == [score(choice.signal) for choice in choices]
