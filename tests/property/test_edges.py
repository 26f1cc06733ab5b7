# SPDX-License-Identifier: Apache-2.0
"""The numbers of the contract, each from both sides."""

from __future__ import annotations

from typing import Any

import pytest

from router.config import Settings
from router.core.entry_id import age_ms, order
from router.core.outcome import Outcome, Reason
from router.core.policy import Event, TradingState
from router.core.signal import RejectCode, Rejected, Signal
from router.core.window import Window
from tests.property.samples import NOW_MS, entry, signal


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
    assert rejected.detail.endswith("...")
    whole = signal(symbol="?")
    assert isinstance(whole, Rejected)
    assert not whole.detail.endswith("...")


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
    assert ["active", "reduce", "halted"] == [state.value for state in TradingState]


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
    many.drop_worst_symbols()
    assert (1024, "S1029", "S6") == (len(many.candidates), *(list(many.ranked())[i].symbol for i in (0, -1)))
    bad = taken([entry(i, side="?") for i in range(2010)], audit_max=audit_max)
    assert (2000, {Outcome.REJECTED: 2010}) == (len(bad.rejects), bad.outcomes)
    bad.take([entry(2010 + i, side="hold") for i in range(8000)], NOW_MS, 0.0)
    assert {Outcome.REJECTED: 2010, Outcome.IGNORED: 8000} == bad.outcomes
    assert ((10_000, 10) if audit_max else (None, 0)) == (bad.decisions and len(bad.decisions), bad.unlisted)


def at(age_ms: int) -> tuple[bytes, list[bytes]]:
    """A good entry of that age at NOW_MS; one from the future has a negative age."""
    return f"{NOW_MS - age_ms}-0".encode(), entry(0)[1]


@pytest.mark.parametrize("audit_max", [None, 10])
@pytest.mark.parametrize(
    ("age_ms", "outcome"),
    [(10_001, Outcome.STALE), (10_000, None), (0, None), (-10_000, None), (-10_001, Outcome.REJECTED)],
)
def test_an_entry_is_fresh_up_to_the_maximum_age_in_both_directions(
    age_ms: int, outcome: Outcome | None, audit_max: int | None
) -> None:
    """To the millisecond, by the quick way and by the rule."""
    window = taken([at(age_ms)], audit_max=audit_max)
    assert ({outcome: 1} if outcome else {}) == window.outcomes
    assert (outcome is Outcome.REJECTED) == window.from_future
    assert (outcome is None) == bool(window.candidates)


def test_candidates_expire_to_the_millisecond() -> None:
    """Those older than allowed leave the ranking as stale; one exactly as old stays."""
    window = taken([at(0), (f"{NOW_MS + 1}-0".encode(), entry(1, symbol="ETHUSDT")[1])])
    window.expire(NOW_MS + 10_000)
    assert (2, {}) == (len(window.candidates), window.outcomes)
    window.expire(NOW_MS + 10_001)
    assert (["ETHUSDT"], {Outcome.STALE: 1}) == ([s.symbol for s in window.ranked()], window.outcomes)


@pytest.mark.parametrize("audit_max", [None, 100])
def test_a_full_symbol_keeps_only_what_is_as_good_as_its_worst(audit_max: int | None) -> None:
    """As good as the worst of 32 is a question of age; once one has left the ranking anything may come in again."""
    full = [entry(i, confidence=0.8 + i / 1000) for i in range(1, 33)]
    window = taken(full, audit_max=audit_max)
    for i, (confidence, rl_gate_pass, kept) in enumerate(
        [(0.8, False, False), (0.78, True, False), (0.801, False, False), (0.79, True, True)], start=100
    ):
        window.take([entry(i, confidence=confidence, rl_gate_pass=rl_gate_pass)], NOW_MS, 0.0)
        assert kept == (f"{NOW_MS}-{i}" in window.candidates), confidence
    assert (32, {Outcome.NOT_CHOSEN: 4}) == (len(window.candidates), window.outcomes)
    window.drop([f"{NOW_MS}-32"], Reason.ID_PUBLISHED)
    window.take([entry(200, confidence=0.76)], NOW_MS, 0.0)
    assert f"{NOW_MS}-200" in window.candidates


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


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"confidence": 0.75}, {"confidence": 0.7499999}, {"symbol": "B"}, {"symbol": "!"}, {"side": "hold"},
        {"side": "HOLD"}, {"side": "sell"}, {"side": "BUY"}, {"side": "SELL"}, {"side": "Buy"}, {"reduce_only": True},
        {"reduce_only": 1}, {"quantity": 5}, {"quantity": 2e12}, {"position_size_usd": None},
        {"position_size_usd": None, "quantity": 5}, {"position_size_usd": 1e-6}, {"position_size_usd": 9e-7},
        {"position_size_usd": 1e12}, {"position_size_usd": 2e12}, {"correlation_id": None}, {"trace_id": None},
        {"correlation_id": "x" * 257}, {"trace_id": "x" * 257}, {"action": "sell"}, {"side": None, "action": "sell"},
        {"confidence": 1}, {"confidence": 1.01}, {"confidence": 1.5}, {"confidence": 0}, {"confidence": -0.01},
        {"confidence": -0.5}, {"position_size_usd": -1}, {"quantity": -0.5}, {"leverage": -1}, {"entry_price": -0.5},
        {"stop_loss": -1}, {"take_profit": -1}, {"stop_loss_pct": -1}, {"take_profit_pct": -1},
    ],
)  # fmt: skip
@pytest.mark.parametrize("beside", [[], [b"trace_id", b"t2"], [b"correlation_id", b"\xff"], [b"side", b"sell"]])
def test_the_quick_way_decides_as_the_rule_does(changes: dict[str, Any], beside: list[bytes]) -> None:
    """An entry that is not good enough, with one thing changed, after one that has taught the sieve its shape."""
    full = {"confidence": 0.5, "trace_id": "t", "correlation_id": "c"}
    entries = [(i, flat + beside) for i, flat in (entry(0, **full), entry(1, **{**full, **changes}))]
    quick, ruled = taken(entries), taken(entries, audit_max=10)
    assert (quick.outcomes, quick.rejects, quick.candidates) == (ruled.outcomes, ruled.rejects, ruled.candidates)


@pytest.mark.parametrize(("confidence", "kept"), [(0.772, True), (0.768, False)])
def test_bonuses_may_lift_a_signal_above_the_best_32_of_its_symbol(confidence: float, kept: bool) -> None:  # noqa: FBT001
    """What cannot be among them is passed over early, but not what its bonuses of 0.03 put there."""
    better = {"rl_gate_pass": True, "regime": "bull", "trace_id": "t"}
    window = taken([entry(i, confidence=0.8, trace_id="t", correlation_id=f"c{i}") for i in range(32)])
    window.take([entry(32, confidence=confidence, correlation_id="better", **better)], NOW_MS, 0.0)
    assert kept is ("better" in window.candidates)
    assert (32, {Outcome.NOT_CHOSEN: 1}) == (len(window.candidates), window.outcomes)


_NO_SYMBOL = " is not 1 to 32 of letters, digits and ._:/-"


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"symbol": 42}, f"symbol=42{_NO_SYMBOL}"),
        ({"symbol": None}, f"symbol=None{_NO_SYMBOL}"),
        ({"symbol": 2**64 - 1}, f"symbol=18446744073709551615{_NO_SYMBOL}"),
        ({"symbol": 2**64}, f"symbol=(int){_NO_SYMBOL}"),
        ({"symbol": ["BTC"]}, f"symbol=(list){_NO_SYMBOL}"),
        ({"side": "x" * 50}, f"side='{'x' * 39} is not buy, sell or hold"),
        ({"confidence": 1.5}, "confidence=1.5 is not a number from 0 to 1"),
        ({"position_size_usd": "x"}, "position_size_usd='x' is not a finite number"),
        ({"quantity": True}, "quantity=True is not a finite number"),
        ({"quantity": -1}, "quantity=-1 is negative"),
        ({"position_size_usd": None}, "size 0 is not from 1e-06 to 1e+12 USD"),
        ({"position_size_usd": 5e-7}, "size 5e-07 is not from 1e-06 to 1e+12 USD"),
        ({"quantity": 2e12}, "size 2e+12 is not from 1e-06 to 1e+12 USD"),
        ({"trace_id": 2**64}, "trace_id has 257 characters, at most 256 count"),
        ({"correlation_id": "x" * 300}, "correlation_id has 300 characters, at most 256 count"),
    ],
)
def test_a_rejection_says_what_was_there_and_what_should_be(changes: dict[str, Any], detail: str) -> None:
    """In words for the producer; containers and endless numbers by their type alone."""
    rejected = signal(**changes)
    assert isinstance(rejected, Rejected)
    assert detail == rejected.detail


def test_a_detail_of_exactly_80_characters_is_whole() -> None:
    """Only what is longer is cut."""
    rejected = signal(symbol="?" * (80 - len(f"symbol=''{_NO_SYMBOL}")))
    assert isinstance(rejected, Rejected)
    assert rejected.detail.endswith("?" + "'" + _NO_SYMBOL)


@pytest.mark.parametrize("regime", ["", "  ", "none", "None", "unknown", " UNKNOWN "])
def test_a_regime_that_names_none_gives_no_bonus(regime: str) -> None:
    """However it is spelt."""
    found = signal(regime=regime)
    assert isinstance(found, Signal)
    assert not found.regime_known


def test_a_number_as_text_has_at_most_64_characters() -> None:
    """No double needs more."""
    assert isinstance(signal(confidence="0.8".ljust(64, "0")), Signal)
    assert isinstance(signal(confidence="0.8".ljust(65, "0")), Rejected)
