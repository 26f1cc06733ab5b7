# SPDX-License-Identifier: Apache-2.0
"""The comparison finds every single record that is missing, doubled or changed, and nothing where all is well."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from router.config import Settings
from router.core.explain import explain
from router.core.intent import chosen_intent, reduce_only_intent
from router.core.policy import Capacity, TradingState, decide
from router.core.reconcile import Bounds, Comparison
from router.core.window import Window

NOW_MS = 1_000_000
SETTINGS = Settings(audit_max=100, max_position_usd=120, target_open_orders=5, max_new_per_cycle=3)
Record = tuple[str, dict[bytes, bytes]]


@dataclass(frozen=True)
class Books:
    """The three streams, as a router leaves them."""

    audit: list[Record]
    signals: list[Record]
    intents: list[Record]


def windows(payloads: list[list[dict[str, Any]]]) -> Books:
    """Route each of *payloads* as a window, with the real core."""
    books = Books([], [], [])
    cursor = "0-0"
    for number, window_payloads in enumerate(payloads):
        entries = [
            (f"{NOW_MS}-{number * 100 + i}".encode(), [b"payload", json.dumps(payload).encode()])
            for i, payload in enumerate(window_payloads, start=1)
        ]
        books.signals.extend((entry_id.decode(), {flat[0]: flat[1]}) for entry_id, flat in entries)
        window = Window(cursor, SETTINGS)
        exits = window.take(entries, NOW_MS, 0.0)
        window.drop_worst_symbols()
        decision = decide(window.ranked(), Capacity(TradingState.ACTIVE, 0, 0), SETTINGS)
        texts = [reduce_only_intent(signal, NOW_MS, "r") for signal in exits]
        texts += [chosen_intent(choice, NOW_MS, "r", SETTINGS.max_position_usd) for choice in decision.choices]
        books.intents.extend((f"{NOW_MS + number}-{i}", {b"data": text.encode()}) for i, text in enumerate(texts, 1))
        # What is reduce-only is published at once, by a commit of its own that leaves the cursor.
        if exits:
            books.audit.append(audit(number, 8, (cursor, cursor), [(signal.entry_id, "published") for signal in exits]))
        decisions = [(entry_id, reason.value) for entry_id, reason in explain(window.candidates.values(), decision)]
        decisions += window.decisions or []
        books.audit.append(audit(number, 9, (cursor, window.cursor), decisions))
        cursor = window.cursor
    return books


def audit(number: int, sequence: int, stretch: tuple[str, str], decisions: list[tuple[str, str]]) -> Record:
    """The audit entry of a commit of window *number*."""
    start, end = stretch
    fields = {"event": "X", "from": start, "to": end, "decisions": json.dumps(decisions), "unlisted": "0"}
    return f"{NOW_MS + number}-{sequence}", {name.encode(): text.encode() for name, text in fields.items()}


def compared(books: Books, **bounds: Any) -> Comparison:
    """Compare *books* as a whole."""
    cursor = books.signals[-1][0] if books.signals else "0-0"
    known = {"since": "0-0", "until": f"{NOW_MS * 2}-0", "cursor": cursor, "cap_usd": SETTINGS.max_position_usd}
    comparison = Comparison(Bounds(**{**known, **bounds}))
    for entry_id, fields in books.audit:
        comparison.audit(entry_id, fields)
    for entry_id, fields in books.signals:
        comparison.signal(entry_id, fields)
    for entry_id, fields in books.intents:
        comparison.intent(entry_id, fields)
    comparison.finish()
    return comparison


payload_strategy = st.fixed_dictionaries(
    {
        "symbol": st.sampled_from(["AAA", "BBB", "CCC", "DDD", "", None]),
        "side": st.sampled_from(["buy", "sell", "hold", "buy"]),
        "confidence": st.sampled_from([0.5, 0.8, 0.91, 0.95, "x"]),
        "position_size_usd": st.sampled_from([10, 100.5, 1e-3]),
        "quantity": st.sampled_from([None, 0.123456789, 500]),
        "reduce_only": st.sampled_from([False, False, True]),
        "rl_gate_pass": st.booleans(),
    }
)
good = {"symbol": "GOOD", "side": "buy", "confidence": 0.99, "position_size_usd": 50}
#: At least one window, each with something that is published.
books_strategy = st.lists(
    st.lists(payload_strategy, max_size=12).map(lambda p: [good, *p]), min_size=1, max_size=4
).map(windows)


@given(books_strategy)
def test_books_that_a_router_leaves_are_equal(books: Books) -> None:
    """Every entry one decision, every publication one intent, every content as the policy has it."""
    comparison = compared(books)
    assert [] == comparison.differences
    assert comparison.compared
    assert len(books.signals) == comparison.counts.signals == comparison.counts.decisions
    assert len(books.intents) == comparison.counts.intents == comparison.counts.published


@given(books_strategy, st.data())
def test_a_record_that_is_missing_is_found(books: Books, data: st.DataObject) -> None:
    """Any signal, decision or intent."""
    stream = data.draw(st.sampled_from(["signals", "intents"]))
    records = getattr(books, stream)
    place = data.draw(st.integers(0, len(records) - 1))
    cursor = books.signals[-1][0]
    assert compared(replace(books, **{stream: records[:place] + records[place + 1 :]}), cursor=cursor).different
    assert compared(with_decisions(books, data, lambda decisions, i: decisions[:i] + decisions[i + 1 :])).different


@given(books_strategy, st.data())
def test_a_record_that_is_there_twice_is_found(books: Books, data: st.DataObject) -> None:
    """Any intent, decision or whole entry of the audit."""
    for stream in ("audit", "intents"):
        records = getattr(books, stream)
        place = data.draw(st.integers(0, len(records) - 1))
        assert compared(replace(books, **{stream: records[: place + 1] + records[place:]})).different
    assert compared(with_decisions(books, data, lambda decisions, i: [*decisions, decisions[i]])).different


@given(books_strategy, st.data())
def test_an_intent_that_was_changed_is_found(books: Books, data: st.DataObject) -> None:
    """Any field but the moment and the release, one that is missing, and one too many."""
    place = data.draw(st.integers(0, len(books.intents) - 1))
    changes = [("symbol", "OTHER"), ("side", "BOTH"), ("confidence", 0.123), ("reduce_only", "yes"), ("quantity", 7.5)]
    changes += [("position_size_usd", 121.0), ("position_size_usd", None), ("signal_id", "1-1"), ("signal_id", None)]
    changes += [(name, 7.5) for name in ("leverage", "entry_price", "stop_loss", "take_profit", "score", "size_boost")]
    changes += [(name, "other") for name in ("action", "source", "trace_id", "correlation_id", "rank", "of_nobody")]
    changes += [("rank", 9), ("rank", 0), ("rank", True), ("stop_loss_pct", 1), ("take_profit_pct", 1), ("score", None)]
    name, value = data.draw(st.sampled_from(changes))
    intent_id, fields = books.intents[place]
    changed = {**json.loads(fields[b"data"]), name: value}
    record = (intent_id, {b"data": json.dumps(changed).encode()})
    assert compared(replace(books, intents=[*books.intents[:place], record, *books.intents[place + 1 :]])).different


def test_a_rank_that_two_intents_of_a_window_claim_is_found() -> None:
    """Each fits its size by itself; one of them is not what the window decided."""
    books = windows([[{**good, "symbol": symbol} for symbol in ("AAA", "BBB")]])
    second = json.loads(books.intents[1][1][b"data"])
    first = {**second, "rank": 1, "size_boost": 1.3, "position_size_usd": 65.0}
    forged = (books.intents[1][0], {b"data": json.dumps(first).encode()})
    (line,) = compared(replace(books, intents=[books.intents[0], forged])).differences
    assert "rank 1 comes after rank 1, of 2 in its window" in line


@given(books_strategy, st.data())
def test_a_rank_that_its_window_did_not_give_is_found(books: Books, data: st.DataObject) -> None:
    """Beyond the second all ranks have the same size, so only their order tells."""
    place = data.draw(st.integers(0, len(books.intents) - 1))
    intent_id, fields = books.intents[place]
    intent = json.loads(fields[b"data"])
    assume(not intent["reduce_only"])
    rank = data.draw(st.integers(1, 12).filter(lambda rank: rank != intent["rank"]))
    record = (intent_id, {b"data": json.dumps({**intent, "rank": rank}).encode()})
    assert compared(replace(books, intents=[*books.intents[:place], record, *books.intents[place + 1 :]])).different


def test_the_moment_and_the_release_of_an_intent_are_not_compared() -> None:
    """The audit does not know them."""
    text = json.loads(FOUR.intents[0][1][b"data"]) | {"timestamp": "then", "release": "other"}
    record = (FOUR.intents[0][0], {b"data": json.dumps(text).encode()})
    assert 0 == compared(replace(FOUR, intents=[record, *FOUR.intents[1:]])).different


@given(books_strategy, st.data())
def test_a_decision_that_was_changed_is_found(books: Books, data: st.DataObject) -> None:
    """One that was published and no longer is, one that now is, and one for another entry."""

    def turn(decisions: list[list[str]], i: int) -> list[list[str]]:
        entry_id, reason = decisions[i]
        turned = [entry_id, "low_confidence" if reason == "published" else "published"]
        return [*decisions[:i], turned, *decisions[i + 1 :]]

    def misplace(decisions: list[list[str]], i: int) -> list[list[str]]:
        return [*decisions[:i], [f"{NOW_MS}-99999", decisions[i][1]], *decisions[i + 1 :]]

    assert compared(with_decisions(books, data, turn)).different
    assert compared(with_decisions(books, data, misplace)).different


def with_decisions(books: Books, data: st.DataObject, change: Any) -> Books:
    """The books with *change* made to the decisions of one audit entry."""
    place = data.draw(st.integers(0, len(books.audit) - 1))
    audit_id, fields = books.audit[place]
    decisions = json.loads(fields[b"decisions"])
    changed = change(decisions, data.draw(st.integers(0, len(decisions) - 1)))
    record = (audit_id, {**fields, b"decisions": json.dumps(changed).encode()})
    return replace(books, audit=[*books.audit[:place], record, *books.audit[place + 1 :]])


FOUR = windows([[good, {**good, "symbol": "LOW", "confidence": 0.1}] for _ in range(4)])


def test_what_was_trimmed_away_is_shown_and_no_difference() -> None:
    """Of each stream the oldest may be gone: what is left must still agree."""
    first_signal = compared(replace(FOUR, signals=FOUR.signals[3:]), first_signal=FOUR.signals[3][0])
    assert (0, 3, 4) == (first_signal.different, first_signal.counts.signals_trimmed, first_signal.counts.published)
    first_intent = compared(replace(FOUR, intents=FOUR.intents[2:]), first_intent=FOUR.intents[2][0])
    assert (0, 2) == (first_intent.different, first_intent.counts.intents_trimmed)
    audit = compared(replace(FOUR, audit=FOUR.audit[2:]))
    assert (0, 4) == (audit.different, audit.counts.before_the_audit)
    assert audit.compared


def test_an_audit_entry_younger_than_its_intents_is_no_difference() -> None:
    """Trimming took the better of two intents of a commit, whose audit entry came in the next millisecond."""
    books = windows([[{**good, "symbol": symbol} for symbol in ("AAA", "BBB")]])
    late = replace(books, audit=[(f"{NOW_MS + 1}-0", books.audit[0][1])], intents=books.intents[1:])
    found = compared(late, first_intent=books.intents[1][0])
    assert ([], 1) == (found.differences, found.counts.intents_trimmed)
    deleted = replace(late, intents=books.intents[:1])
    assert compared(deleted, first_intent=books.intents[0][0]).different


def test_what_is_not_yet_decided_is_shown_and_no_difference() -> None:
    """Entries after the cursor, and those that an older router left pending."""
    later = compared(replace(FOUR, audit=FOUR.audit[:3]), cursor=FOUR.signals[5][0])
    assert (0, 2) == (later.different, later.counts.not_yet_decided)
    pending = compared(replace(FOUR, audit=FOUR.audit[:3]), pending=frozenset(e for e, _ in FOUR.signals[6:]))
    assert (0, 2) == (pending.different, pending.counts.not_yet_decided)


def test_what_is_counted_and_not_listed_is_shown_and_no_difference() -> None:
    """A stretch of the cursor whose entry says unlisted, such as the jump over a backlog."""
    jump = (FOUR.audit[1][0], {**FOUR.audit[1][1], b"decisions": b"[]", b"unlisted": b"-1"})
    kept = [intent for i, intent in enumerate(FOUR.intents) if i != 1]
    jumped = compared(replace(FOUR, audit=[FOUR.audit[0], jump, *FOUR.audit[2:]], intents=kept))
    assert (0, 2) == (jumped.different, jumped.counts.not_listed)


@pytest.mark.parametrize("field", [b"from", b"to", b"decisions", b"unlisted"])
def test_an_audit_entry_that_cannot_be_read_is_a_difference(field: bytes) -> None:
    """Garbage in the audit is told, never raised."""
    spoiled = (FOUR.audit[1][0], {**FOUR.audit[1][1], field: b"\xff{"})
    assert "cannot be read" in compared(replace(FOUR, audit=[FOUR.audit[0], spoiled, *FOUR.audit[2:]])).differences[0]


def test_without_an_audit_nothing_is_compared() -> None:
    """No audit is not the same as no difference."""
    assert not compared(replace(FOUR, audit=[])).compared


def audit_of(number: int, decisions: list[tuple[str, str]], **changes: str) -> Record:
    """The audit entry of FOUR's window *number* with other *decisions*."""
    audit_id, fields = FOUR.audit[number]
    return audit_id, {**fields, b"decisions": json.dumps(decisions).encode(), **_bytes(changes)}


def _bytes(texts: dict[str, str]) -> dict[bytes, bytes]:
    return {name.encode(): text.encode() for name, text in texts.items()}


def test_a_range_includes_both_its_ends_and_the_cursor_s_own_entry_is_decided() -> None:
    """Ids sort by time and then by sequence."""
    bounds = Bounds("5-1", "7-2", "6-3", pending=frozenset({"5-9"}))
    assert [False, True, True, False] == [bounds.holds(entry_id) for entry_id in ("5-0", "5-1", "7-2", "7-3")]
    assert [True, False, False] == [bounds.is_decided(entry_id) for entry_id in ("6-3", "6-4", "5-9")]


@pytest.mark.parametrize(
    ("place", "again", "different"), [(0, "stale", 0), (0, "stale_at_commit", 0), (0, "halted", 1), (1, "stale", 1)]
)
def test_only_what_was_published_may_be_read_again_as_stale(place: int, again: str, different: int) -> None:
    """A reduce-only signal whose router died before the cursor had followed; anything else is decided twice."""
    twice = (f"{NOW_MS + 9}-0", audit_of(3, [(FOUR.signals[place][0], again)])[1])
    found = compared(replace(FOUR, audit=[*FOUR.audit, twice]))
    assert (different, 1 - different) == (found.different, found.counts.read_again_as_stale)


def test_a_stretch_that_is_not_listed_excuses_what_lies_in_it_and_nothing_else() -> None:
    """Its start is excluded, its end included; what follows needs a decision again."""
    silent = [audit_of(i, [], unlisted=str(int(i == 1))) for i in range(3)]
    found = compared(replace(FOUR, audit=[*silent, FOUR.audit[3]], intents=FOUR.intents[3:]))
    assert 2 == found.counts.not_listed
    lost = [FOUR.signals[place][0] for place in (0, 1, 4, 5)]
    assert [f"signal {entry_id} has no decision" for entry_id in lost] == found.differences


def test_differences_are_described_up_to_a_thousand_and_values_up_to_300_characters() -> None:
    """All are counted; whoever writes garbage fills no report."""
    comparison = Comparison(Bounds("0-0", "9-0", "9-0"))
    for i in range(1003):
        comparison.audit(f"1-{i}", {b"decisions": b"{"})
    assert (1003, 1000) == (comparison.different, len(comparison.differences))
    (intent_id, fields), *others = FOUR.intents
    long = {**json.loads(fields[b"data"]), "source": "x" * 1000}
    found = compared(replace(FOUR, intents=[(intent_id, {b"data": json.dumps(long).encode()}), *others]))
    assert [299] == [line.count("x") for line in found.differences]


def test_whether_there_was_anything_to_compare() -> None:
    """An empty range is compared; one whose signals or audit are gone is not, unless some of it is left."""
    assert compared(replace(FOUR, signals=[], audit=[audit_of(0, [])], intents=[])).compared
    before = replace(FOUR, signals=FOUR.signals[:2], audit=FOUR.audit[3:], intents=FOUR.intents[3:])
    assert not compared(before, since=FOUR.signals[0][0], until=FOUR.signals[1][0]).compared
    gone = replace(FOUR, signals=[], audit=FOUR.audit[:1], intents=FOUR.intents[:1])
    assert not compared(gone, first_signal=FOUR.signals[7][0]).compared
    assert compared(replace(FOUR, signals=FOUR.signals[7:], audit=FOUR.audit), first_signal=FOUR.signals[7][0]).compared
