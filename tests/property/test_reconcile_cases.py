# SPDX-License-Identifier: Apache-2.0
"""Single cases of the comparison: what each line says, and what trimming excuses to the very entry."""

from __future__ import annotations

import json
from typing import Any

import pytest

from router.core.intent import chosen_intent, reduce_only_intent
from router.core.policy import Choice
from router.core.reconcile import Bounds, Comparison
from router.core.signal import Signal
from tests.property.samples import entry, signal


def comparison(decisions: list[tuple[str, str]], **bounds: Any) -> Comparison:
    """A comparison that has read one audit entry, of the commit at 2000-5, from the beginning to 1000000-99."""
    known = {"since": "0-0", "until": "9000000-0", "cursor": "1000000-99"}
    begun = Comparison(Bounds(**{**known, **bounds}))
    begun.audit("2000-5", audit(decisions))
    return begun


def audit(decisions: list[tuple[str, str]], **changes: str) -> dict[bytes, bytes]:
    """The fields of an audit entry."""
    fields = {"from": "0-0", "to": "1000000-99", "decisions": json.dumps(decisions), "unlisted": "0", **changes}
    return {name.encode(): text.encode() for name, text in fields.items()}


def feed(begun: Comparison, number: int, **changes: Any) -> None:
    """Feed the signal *number*."""
    entry_id, (name, text) = entry(number, **changes)
    begun.signal(entry_id.decode(), {name: text})


def intent(number: int, rank: int, /, **changes: Any) -> dict[bytes, bytes]:
    """The fields of the intent for signal *number* at *rank*."""
    found = signal(number)
    assert isinstance(found, Signal)
    made = json.loads(chosen_intent(Choice(found, rank), 5, "any", None))
    return {b"data": json.dumps({**made, **changes}).encode()}


@pytest.mark.parametrize(
    ("changes", "reason", "kind"),
    [
        ({"side": "?"}, "hold", "invalid (side)"),
        ({"side": "?"}, "rejected:size", "invalid (side)"),
        ({"side": "hold"}, "outranked", "a hold"),
        ({"reduce_only": True}, "outranked", "reduce-only"),
        ({"reduce_only": True}, "capacity_full", "reduce-only"),
        ({}, "hold", "valid"),
        ({}, "rejected:side", "valid"),
        ({}, "nonsense", "valid"),
    ],
)
def test_a_reason_that_does_not_fit_names_what_the_signal_is(changes: dict[str, Any], reason: str, kind: str) -> None:
    """The line tells a person which of the two to doubt."""
    begun = comparison([("1000000-1", reason)])
    feed(begun, 1, **changes)
    assert [f"signal 1000000-1 is {kind}, and was decided as {reason!r}"] == begun.differences


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"side": "?"}, "rejected:side"), ({"side": "?"}, "rejected:clock"), ({"side": "?"}, "stale"),
        ({}, "rejected:clock"), ({}, "stale_at_commit"), ({"side": "hold"}, "hold"), ({"side": "hold"}, "stale"),
        ({"reduce_only": True}, "halted"), ({"reduce_only": True}, "id_in_window"), ({}, "approval_denied"),
        ({}, "crowded_out"), ({"reduce_only": True}, "id_published"), ({}, "low_confidence"),
    ],
)  # fmt: skip
def test_a_reason_that_fits_is_no_difference(changes: dict[str, Any], reason: str) -> None:
    """Age and clock are looked at before anything is read."""
    begun = comparison([("1000000-1", reason)])
    feed(begun, 1, **changes)
    begun.finish()
    assert [] == begun.differences


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"rank": 0}, "rank is 0, not a whole number from 1"),
        ({"rank": True}, "rank is True, not a whole number from 1"),
        ({"rank": None}, "rank is None, not a whole number from 1"),
        ({"side": "SELL"}, "side is 'SELL', not 'BUY'"),
        ({"extra": 1}, "'extra' is 1, not None"),
        ({"size_boost": 1.1}, "size_boost is 1.1, not 1.3"),
        ({"timestamp": "then", "release": "other"}, None),
    ],
)
def test_an_intent_that_is_not_the_signal_s_says_in_what(changes: dict[str, Any], line: str | None) -> None:
    """But for its moment and its release."""
    begun = comparison([("1000000-1", "published")])
    feed(begun, 1)
    begun.intent("2000-0", intent(1, 1, **changes))
    begun.finish()
    assert [f"intent 2000-0 of signal 1000000-1: {line}"] * bool(line) == begun.differences
    assert (1, 1) == (begun.counts.intents, begun.counts.published)


def test_a_reduce_only_intent_is_compared_without_a_rank() -> None:
    """Any number of them may leave one commit."""
    begun = comparison([("1000000-1", "published"), ("1000000-2", "published")])
    for number in (1, 2):
        feed(begun, number, reduce_only=True)
    for number in (1, 2):
        found = signal(number, reduce_only=True)
        assert isinstance(found, Signal)
        begun.intent(f"2000-{number}", {b"data": reduce_only_intent(found, 5, "any").encode()})
    begun.finish()
    assert ([], 2) == (begun.differences, begun.counts.published)


@pytest.mark.parametrize(
    ("first_left", "kept", "trimmed", "different"),
    [
        (None, [1, 2, 3], 0, 0),
        (None, [2, 3], 0, 1),
        ("2000-2", [2, 3], 1, 0),
        ("2000-3", [3], 2, 0),
        ("2000-1", [1, 3], 0, 1),
        ("2000-2", [2], 1, 1),
        ("2000-4", [], 3, 0),
        ("2001-0", [], 3, 0),
        ("1999-0", [], 0, 3),
        ("2000-2", [], 2, 1),
    ],
)
def test_only_intents_before_the_oldest_that_is_left_may_be_gone(
    first_left: str | None, kept: list[int], trimmed: int, different: int
) -> None:
    """Of the commit whose intents are partly gone as many as came before the oldest that is left."""
    begun = comparison([(f"1000000-{number}", "published") for number in (1, 2, 3)], first_intent=first_left)
    for number in (1, 2, 3):
        feed(begun, number)
    for number in kept:
        begun.intent(f"2000-{number}", intent(number, number))
    begun.finish()
    assert (trimmed, different) == (begun.counts.intents_trimmed, begun.different)


def test_decisions_whose_signal_was_trimmed_are_counted_and_others_are_differences() -> None:
    """The oldest signal left is the first that must be there."""
    decided = [(f"1000000-{number}", "outranked") for number in (3, 1, 4, 2)]
    begun = comparison(decided, first_signal="1000000-3")
    begun.finish()
    lines = [f"signal 1000000-{number} was decided as 'outranked', and is not in the stream" for number in (3, 4)]
    assert (2, lines) == (begun.counts.signals_trimmed, begun.differences)


def test_an_intent_without_a_decision_is_excused_only_outside_what_the_audit_covers() -> None:
    """After the cursor, or before the oldest audit entry that is left."""
    begun = Comparison(Bounds("0-0", "9000000-0", "1000000-5"))
    begun.audit("2000-5", audit([], **{"from": "1000000-2"}))
    for number in (1, 2, 3, 5, 6):
        begun.intent(f"2000-{number}", intent(number, 1))
    begun.intent("2000-9", {b"data": b"[]"})
    begun.intent("9999999-9", {b"data": b"[]"})
    second = "has no decision to publish signal 1000000-{}, or is its second"
    lines = [f"intent 2000-{number} {second.format(number)}" for number in (3, 5)]
    assert [*lines, "intent 2000-9 names no signal"] == begun.differences


def test_what_is_no_decision_is_passed_over_and_bad_ids_are_told() -> None:
    """Halts and resumes stand in the audit too."""
    begun = Comparison(Bounds("0-0", "9000000-0", "1000000-5"))
    begun.audit("1-0", {b"event": b"HALTED"})
    assert (False, []) == (begun.compared, begun.differences)
    begun.audit("2-0", audit([("no id", "hold")]))
    assert ["audit entry 2-0 cannot be read"] == begun.differences
