# SPDX-License-Identifier: Apache-2.0
"""What is chosen of a window's candidates and why the others are not: single cases, with the numbers of the policy."""

from __future__ import annotations

from router.config import Settings
from router.core.explain import explain
from router.core.outcome import Reason
from router.core.policy import Capacity, Event, TradingState, boosted, decide, rank_key, score
from router.core.signal import Signal
from tests.property.samples import NOW_MS, signal


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


def asked(number: int, symbol: str, confidence: float) -> Signal:
    """A signal for the approval gate."""
    found = signal(number, symbol=symbol, confidence=confidence)
    assert isinstance(found, Signal)
    return found


def test_the_gate_is_asked_best_first_and_no_more_than_needed() -> None:
    """A denied signal gives way to the next of its symbol, a chosen one does not; the last is not asked for."""
    ranked = [asked(0, "A", 0.99), asked(1, "A", 0.98), asked(2, "A", 0.97), asked(3, "B", 0.96), asked(4, "C", 0.95)]
    questions: list[str] = []

    def approve(asked_for: Signal) -> bool:
        questions.append(asked_for.entry_id.partition("-")[2])
        return asked_for.confidence != 0.99

    decision = decide(ranked, Capacity(TradingState.ACTIVE, 0, 0), Settings(), approve)
    assert ["0", "1", "3"] == questions
    assert {f"{NOW_MS}-0"} == decision.denied
    assert [f"{NOW_MS}-1", f"{NOW_MS}-3"] == [choice.signal.entry_id for choice in decision.choices]
    reasons = [Reason.APPROVAL_DENIED, Reason.PUBLISHED, Reason.SYMBOL_OUTRANKED, Reason.PUBLISHED, Reason.OUTRANKED]
    assert reasons == [reason for _, reason in explain(ranked, decision)]


def test_at_the_target_only_super_confidence_is_asked_for_and_chosen() -> None:
    """0.90 is enough; a better score of less confidence settles its symbol without a question."""
    gated = signal(0, symbol="A", confidence=0.899, rl_gate_pass=True)
    assert isinstance(gated, Signal)
    ranked = [gated, asked(1, "A", 0.9), asked(2, "B", 0.9), asked(3, "C", 0.9)]
    questions: list[Signal] = []

    def approve(asked_for: Signal) -> bool:
        questions.append(asked_for)
        return True

    decision = decide(ranked, Capacity(TradingState.ACTIVE, 3, 0), Settings(), approve)
    assert ([ranked[2]], [ranked[2]]) == (questions, [choice.signal for choice in decision.choices])
    none = decide([gated], Capacity(TradingState.ACTIVE, 3, 0), Settings())
    assert (Event.TARGET_REACHED, 0, ()) == (none.event, none.limit, none.choices)


def test_sizes_and_scores_are_rounded_where_floats_would_differ() -> None:
    """Sizes to 1e-8 USD, scores to 1e-9."""
    assert [0.12345679, 0.2, 30.0] == [boosted(0.123456789, 1, None), boosted(0.1, 2, 0.3), boosted(100, 1.3, 30)]
    assert [0.800000003, 0.8] == [score(asked(0, "A", confidence)) for confidence in (0.8 + 3.2e-9, 0.8 + 4e-10)]
