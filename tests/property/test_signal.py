# SPDX-License-Identifier: Apache-2.0
"""Any bytes give a signal, a rejection or an ignored hold."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.policy import score
from router.core.sieve import Sieve
from router.core.signal import MAX_DETAIL_LENGTH, Ignored, RejectCode, Rejected, Signal, parse, signal_of

NAMES = [
    b"symbol", b"side", b"action", b"confidence", b"position_size_usd", b"quantity", b"leverage", b"entry_price",
    b"stop_loss", b"regime", b"rl_gate_pass", b"reduce_only", b"trace_id", b"correlation_id", b"payload", b"other",
]  # fmt: skip
GOOD = {"symbol": "btcusdt", "side": "buy", "confidence": 0.8, "position_size_usd": 100}
ODD_NUMBERS = st.one_of(st.integers(), st.floats(), st.just(10**400), st.just(10**5000), st.booleans(), st.none())
ODD_VALUES = st.one_of(ODD_NUMBERS, st.text(max_size=300), st.lists(st.integers(), max_size=3))


def payload(**changes: Any) -> dict[bytes, bytes]:
    """The fields of an entry whose payload is a good signal with *changes*."""
    return {b"payload": json.dumps({**GOOD, **changes}).encode()}


def check_result(result: Signal | Rejected | Ignored) -> None:
    """Assert what every result promises."""
    assert isinstance(result, (Signal, Rejected, Ignored))
    if isinstance(result, Rejected):
        assert len(result.detail) <= MAX_DETAIL_LENGTH
        assert result.detail.isascii()
    if isinstance(result, Signal):
        assert 0 <= result.confidence <= 1
        assert (result.position_size_usd or 0) > 0 or (result.quantity or 0) > 0
        assert result.side in {"BUY", "SELL"}
        assert result.dedup_id.encode()


@given(st.dictionaries(st.sampled_from(NAMES), st.binary(max_size=200)))
def test_any_bytes_in_any_field_give_a_result(fields: dict[bytes, bytes]) -> None:
    """Random bytes under known and unknown names never raise."""
    check_result(parse("1-1", fields))


@given(st.dictionaries(st.sampled_from([name.decode() for name in NAMES]), ODD_VALUES))
def test_any_json_values_in_a_payload_give_a_result(values: dict[str, Any]) -> None:
    """Odd JSON values under known names never raise, whatever else is good."""
    check_result(parse("1-1", {b"payload": _dumps({**GOOD, **values})}))


@given(st.sampled_from([name.decode() for name in NAMES]), st.text(max_size=400))
def test_any_text_in_one_flat_field_of_a_good_signal_gives_a_result(name: str, text: str) -> None:
    """One odd text among good flat fields never raises."""
    fields = {key.encode(): str(value).encode() for key, value in GOOD.items()}
    check_result(parse("1-1", {**fields, name.encode(): text.encode("utf-8", "surrogatepass")}))


@pytest.mark.parametrize("name", [name.decode() for name in NAMES if name != b"payload"])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_any_nesting_in_any_attribute_gives_a_result(name: str, opening: str, closing: str) -> None:
    """Depths around Python's recursion limit, where decoding still works and printing does not."""
    for depth in range(900, 1100):
        nested = opening * depth + "1" + closing * depth
        text = json.dumps({key: value for key, value in GOOD.items() if key != name})
        check_result(parse("1-1", {b"payload": f'{text[:-1]}, "{name}": {nested}}}'.encode()}))


@pytest.mark.parametrize("name", ["confidence", "position_size_usd", "entry_price", "take_profit_pct"])
def test_a_million_digits_are_rejected_without_a_second_look(name: str) -> None:
    """A number as text is bounded and read in one pass: a quadratic rule would hold the router for hours."""
    text = "1" * 1_000_000 + "x"
    assert isinstance(parse("1-1", payload(**{name: text})), Rejected)
    flat = {key: str(value) for key, value in GOOD.items()} | {name: text}
    assert isinstance(parse("1-1", {key.encode(): value.encode() for key, value in flat.items()}), Rejected)


def _dumps(values: dict[str, Any]) -> bytes:
    """JSON as lax producers write it, with huge integers and NaN."""
    parts = [f"{json.dumps(key)}: {hex_free(value)}" for key, value in values.items()]
    return ("{" + ", ".join(parts) + "}").encode()


def hex_free(value: Any) -> str:
    """JSON of *value*; an integer beyond Python's printing limit as its digits."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**4000:
        return "1" + "0" * 5000
    return json.dumps(value)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"symbol": "BTC USDT"}, RejectCode.SYMBOL),
        ({"symbol": "X" * 33}, RejectCode.SYMBOL),
        ({"symbol": None}, RejectCode.SYMBOL),
        ({"side": "long"}, RejectCode.SIDE),
        ({"side": None}, RejectCode.SIDE),
        ({"confidence": 1.01}, RejectCode.CONFIDENCE),
        ({"confidence": True}, RejectCode.CONFIDENCE),
        ({"confidence": "nan"}, RejectCode.CONFIDENCE),
        ({"confidence": None}, RejectCode.CONFIDENCE),
        ({"position_size_usd": -1}, RejectCode.SIZE),
        ({"position_size_usd": None}, RejectCode.SIZE),
        ({"position_size_usd": 0}, RejectCode.SIZE),
        ({"position_size_usd": 1e-9}, RejectCode.SIZE),
        ({"position_size_usd": 1.5e308}, RejectCode.SIZE),
        ({"entry_price": -1}, RejectCode.PRICE),
        ({"stop_loss": "1e999"}, RejectCode.PRICE),
        ({"correlation_id": "x" * 257}, RejectCode.IDENTIFIER),
    ],
)
def test_an_invalid_attribute_is_rejected_with_its_code(changes: dict[str, Any], code: RejectCode) -> None:
    """Each rule of the wire contract has a code of its own."""
    result = parse("1-1", payload(**changes))
    assert isinstance(result, Rejected)
    assert code == result.code


def test_a_hold_is_ignored_even_without_sizes() -> None:
    """A hold asks for nothing, so nothing about it needs to be valid but symbol and side."""
    assert Ignored("1-1") == parse("1-1", payload(side="Hold", position_size_usd=None, confidence=None))


def test_numeric_strings_and_flags_are_understood() -> None:
    """Producers write numbers and flags as text; the symbol is upper-cased; action stands in for side."""
    fields = {
        b"symbol": b"ethusdt", b"action": b"SELL", b"confidence": b"0.9", b"quantity": b"5e1", b"reduce_only": b"Yes",
        b"rl_gate_pass": b"1", b"regime": b"Unknown",
    }  # fmt: skip
    signal = parse("7-0", fields)
    assert isinstance(signal, Signal)
    assert (signal.symbol, signal.side, signal.confidence, signal.quantity) == ("ETHUSDT", "SELL", 0.9, 50.0)
    assert (signal.reduce_only, signal.rl_gate_pass, signal.regime_known) == (True, True, False)


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ({"correlation_id": "c", "trace_id": "t"}, "c"),
        ({"correlation_id": "none", "trace_id": "t"}, "t"),
        ({"correlation_id": "0", "trace_id": ""}, "9-9"),
        ({"correlation_id": 0, "trace_id": None}, "9-9"),
        ({"correlation_id": 42}, "42"),
    ],
)
def test_the_dedup_id_is_the_first_id_that_counts(ids: dict[str, Any], expected: str) -> None:
    """Correlation id, else trace id, else entry id; empty, 0, null and none do not count."""
    signal = parse("9-9", payload(**ids))
    assert isinstance(signal, Signal)
    assert expected == signal.dedup_id


def test_a_flat_side_never_overrules_the_payload_s_action() -> None:
    """Side and action are one attribute: the payload's wins under either name."""
    text = json.dumps({**{k: v for k, v in GOOD.items() if k != "side"}, "action": "sell"})
    signal = parse("1-1", {b"payload": text.encode(), b"side": b"buy"})
    assert isinstance(signal, Signal)
    assert "SELL" == signal.side


def test_the_payload_wins_over_flat_fields() -> None:
    """Where both name an attribute the payload's counts; flat fields fill what it lacks."""
    fields = {**payload(), b"confidence": b"0.1", b"trace_id": b"abc"}
    signal = parse("1-1", fields)
    assert isinstance(signal, Signal)
    assert (signal.confidence, signal.trace_id) == (0.8, "abc")


def check_agreement(fields: dict[bytes, bytes]) -> bool:
    """Assert that the sieve says what the rule says, or asks it; return whether it knew."""
    flat = [text for pair in fields.items() for text in pair]
    ruled = parse("1-1", fields)
    sieve, knew = Sieve(min_confidence=0.5), True
    for floor in (0.0, 0.9, 0.0, 0.9):  # the second time it remembers the fields
        for symbol in ("BTCUSDT", "btcusdt"):
            sieve.raise_floor(symbol, floor) if floor else sieve.drop_floor(symbol)
        through, passed_over = sieve.sift([(b"1-1", flat)])
        assert 1 == len(through) + passed_over
        if passed_over:
            assert isinstance(ruled, Signal)
            assert not ruled.reduce_only
            assert ruled.confidence < 0.5 or score(ruled) < floor
        elif (attributes := through[0][2]) is None:
            knew = False
        elif attributes.side in {"hold", "HOLD"}:
            assert Ignored("1-1") == ruled
        else:
            assert ruled == signal_of("1-1", attributes)
    return knew


FLAT = st.dictionaries(st.sampled_from([*NAMES[:-2], b"other"]), st.binary(max_size=20) | st.just(b"1"), max_size=4)


@given(st.dictionaries(st.sampled_from([name.decode() for name in NAMES]), ODD_VALUES), FLAT)
def test_the_sieve_agrees_with_the_rule_on_odd_values(values: dict[str, Any], flat: dict[bytes, bytes]) -> None:
    """Whatever stands in payload and flat fields, in whatever types."""
    check_agreement({b"payload": _dumps({**GOOD, **values}), **flat})


@given(st.binary(max_size=300), FLAT)
def test_the_sieve_agrees_with_the_rule_on_any_bytes(text: bytes, flat: dict[bytes, bytes]) -> None:
    """Whatever the payload is."""
    check_agreement({b"payload": text, **flat})


@given(
    st.fixed_dictionaries(
        {"confidence": st.floats(0, 1), "position_size_usd": st.floats(1e-6, 1e12) | st.integers(1, 10**12)},
        optional={
            "side": st.sampled_from(["buy", "SELL", "hold"]),
            "entry_price": st.floats(0, 1e9) | st.integers(0, 10**20),
            "take_profit_pct": st.floats(-1e9, 1e9),
            "regime": st.sampled_from(["", "unknown", " None", "BULL"]),
            "rl_gate_pass": st.booleans() | st.none(),
            "reduce_only": st.booleans(),
            "correlation_id": st.sampled_from(["", "null", "0", "c-1", None]),
        },
    ),
    st.sampled_from([b"", b"null", b"t-1"]),
)
def test_the_sieve_knows_what_producers_write(values: dict[str, Any], trace_id: bytes) -> None:
    """Attributes of the right types in a payload that comes first, ids beside it."""
    assert check_agreement({**payload(**values), b"source": b"ai", b"trace_id": trace_id, b"correlation_id": b"f-1"})
