# SPDX-License-Identifier: Apache-2.0
"""What a drill asks and expects, for any settings."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from router.config import Settings, as_environment, load
from router.core.signal import Signal, parse
from router.core.window import MAX_SYMBOLS
from router.errors import ConfigError
from router.proof.drill.expectation import Expected, difference, expect, without_time
from router.proof.drill.plan import LONGEST_WINDOW_S, State, drilled, overrides, plan

MARK = "drill-d-"
PREFIX = "quantum-drill:d:"
PORT = 19108


@st.composite
def settings(draw: st.DrawFn) -> Settings:
    """Settings that the router takes, the extremes among them."""
    cap = draw(st.integers(1, 20) | st.just(100_000))
    low, high = sorted((draw(confidences), draw(confidences)))
    chosen: dict[str, Any] = {
        "MAX_OPEN_ORDERS": cap,
        "TARGET_OPEN_ORDERS": draw(st.integers(0, cap) | st.just(cap)),
        "MAX_NEW_PER_CYCLE": draw(st.integers(1, 6) | st.just(1000)),
        "MIN_CONFIDENCE": low,
        "SUPER_CONFIDENCE": high,
        "CANDIDATE_WINDOW_SEC": draw(st.sampled_from([0.05, 1, 3, 600])),
        "ROUTER_SIGNAL_MAX_AGE_SEC": 700,
        "ROUTER_DEDUP_TTL_SEC": 3600,
        "ROUTER_KEY_PREFIX": draw(st.sampled_from(["", "desk2:"])),
        "ROUTER_MAX_INTENTS_PER_HOUR": draw(st.sampled_from(["", 1, 5])),
        "ROUTER_REPEAT_LIMIT": draw(st.sampled_from(["", 1])),
        "ROUTER_STRATEGY_URL": draw(st.sampled_from(["", "http://127.0.0.1/gate"])),
        "ROUTER_MAX_POSITION_USD": draw(st.sampled_from(["", 50])),
        "ROUTER_METRICS_LISTEN": draw(st.sampled_from(["", "[::1]:9108"])),
        "ROUTER_AUDIT_MAX": draw(st.sampled_from(["", 10])),
    }
    return load({name: repr(value) if isinstance(value, float) else str(value) for name, value in chosen.items()})


#: Any confidence, the bounds, and neighbours in floating point.
confidences = st.floats(0, 1) | st.sampled_from([0.0, 0.75, 0.9, math.nextafter(0.9, 1), 1.0])


def entries(state: State) -> list[tuple[bytes, list[bytes]]]:
    """The state's signals as a stream holds them."""
    flat = ([text.encode() for pair in fields.items() for text in pair] for fields in state.signals)
    return [(f"1000-{place}".encode(), each) for place, each in enumerate(flat)]


def signals(state: State) -> list[Signal]:
    """What the router makes of them."""
    parsed = [
        parse(f"1000-{i}", {k.encode(): v.encode() for k, v in each.items()}) for i, each in enumerate(state.signals)
    ]
    assert all(isinstance(each, Signal) for each in parsed)
    return [each for each in parsed if isinstance(each, Signal)]


def planned(live: Settings) -> tuple[Settings, dict[str, tuple[State, Expected]]]:
    """The drill's settings, and its states with what is expected of them."""
    own = drilled(live, overrides(live, PREFIX, PORT))
    return own, {state.name: (state, expect(state, entries(state), own, "release")) for state in plan(own, MARK)}


NEIGHBOURS = {"MIN_CONFIDENCE": "0.9", "SUPER_CONFIDENCE": repr(math.nextafter(0.9, 1)), "MAX_NEW_PER_CYCLE": "3"}


@given(settings())
@example(load(NEIGHBOURS))
def test_the_states_expect_what_their_settings_allow(live: Settings) -> None:
    """Nothing when full or unknown, one super signal at the target, as many as allowed below it."""
    own, states = planned(live)
    events = {name: (expected.event.value, len(expected.intents)) for name, (_, expected) in states.items()}
    best = ("BEST_OF_PUBLISH", 1)
    per_hour = own.max_intents_per_hour or 10**9
    below = ("BEST_OF_PUBLISH", min(own.target_open_orders, own.max_new_per_cycle, per_hour))
    wanted = {"full": ("CAPACITY_FULL", 0), "unknown": ("CAPACITY_UNKNOWN", 0)}
    if own.target_open_orders < own.max_open_orders:
        wanted["super"] = best
        if own.min_confidence < own.super_confidence:
            wanted["target"] = ("TARGET_REACHED", 0)
    if own.target_open_orders:
        wanted["below"] = below
    assert wanted == events


@given(settings())
@example(load(NEIGHBOURS))
def test_some_state_must_publish_and_every_state_has_something_to_keep_back(live: Settings) -> None:
    """So that neither silence nor a flood can pass, whatever the settings."""
    own, states = planned(live)
    assert any(expected.intents for _, expected in states.values())
    for state, expected in states.values():
        candidates = [each for each in signals(state) if each.confidence >= own.min_confidence]
        assert len(expected.intents) < len(candidates) <= MAX_SYMBOLS
        assert all(intent["reduce_only"] is False for intent in expected.intents)


@given(settings())
def test_no_signal_of_a_drill_comes_twice(live: Settings) -> None:
    """Each has a symbol and an id of its own, by which it is known as the drill's."""
    _, states = planned(live)
    everything = [each for state, _ in states.values() for each in signals(state)]
    assert len(everything) == len({each.symbol for each in everything}) == len({each.dedup_id for each in everything})
    assert all(each.dedup_id.startswith(MARK) for each in everything)


@given(settings())
def test_a_drill_changes_no_setting_that_decides(live: Settings) -> None:
    """Only keys, metrics, gate, repeats and the length of a long window are its own."""
    own = drilled(live, overrides(live, PREFIX, PORT))
    changed = {n for n, v in as_environment(own).items() if v != as_environment(live)[n]}
    allowed = {"ROUTER_KEY_PREFIX", "ROUTER_METRICS_LISTEN", "ROUTER_STRATEGY_URL", "ROUTER_REPEAT_LIMIT"}
    assert changed <= allowed | ({"CANDIDATE_WINDOW_SEC"} if live.window_s > LONGEST_WINDOW_S else set())
    assert own.window_s <= LONGEST_WINDOW_S
    assert (PREFIX, "", None) == (own.key_prefix, own.strategy_url, own.repeat_limit)
    assert own.metrics_listen == ("127.0.0.1:19108" if live.metrics_listen else "")


@given(settings(), st.data())
def test_whatever_differs_from_what_is_expected_is_told_in_one_line(live: Settings, data: st.DataObject) -> None:
    """An intent too few, too many, in another order, or changed in any field; the same intents are no difference."""
    _, states = planned(live)
    expected = next(expected for _, expected in states.values() if expected.intents)
    seen = [dict(intent) for intent in expected.intents]
    assert difference(expected, seen) is None
    assert difference(expected, [{**intent, "further": 1} for intent in seen]) is None
    place = data.draw(st.integers(0, len(seen) - 1))
    name = data.draw(st.sampled_from(sorted(seen[place])))
    bad = [
        seen[:-1],
        [*seen, seen[0]],
        [*seen[:place], {**seen[place], name: data.draw(st.sampled_from([None, "a\nb", -1]))}, *seen[place + 1 :]],
    ]
    if len(seen) > 1:
        bad.append(seen[::-1])
    for each in bad:
        line = difference(expected, each)
        assert line
        assert line.startswith("expected ")
        assert line.isprintable()
    assert without_time({"timestamp": "now", "a": 1}) == {"a": 1}


def test_the_defaults_give_the_guide_s_lines() -> None:
    """What the guide's operator greps for, word by word."""
    _, states = planned(Settings())
    lines = [expected.lines[0] for _, expected in states.values()]
    assert "🔴 CAPACITY_FULL open=10 max=10" == lines[0]
    assert "⏸️ TARGET_REACHED open=3 target=3 (awaiting super-signal)" == lines[1]
    assert lines[2].startswith("📤 BEST_OF_PUBLISH count=1 allowed=1 open=3 slots=7 top=[")
    assert lines[3].startswith("📤 BEST_OF_PUBLISH count=2 allowed=2 open=1 slots=9 top=[")
    assert "🔴 CAPACITY_UNKNOWN: quantum-drill:d:quantum:state:open_orders missing → fail-closed" == lines[4]
    assert "💰 SIZE_BOOST rank=1 factor=1.30 symbol=DRILLBELOW11USDT" in states["below"][1].lines
    assert "Trade Intent published: DRILLBELOW11USDT SELL" in states["below"][1].lines
    assert 13 == len(states["below"][0].signals)


def test_a_prefix_that_is_too_long_is_no_prefix() -> None:
    """What cannot be a setting is refused where it is made."""
    with pytest.raises(ConfigError, match="ROUTER_KEY_PREFIX"):
        drilled(Settings(), overrides(Settings(), "x" * 129, PORT))


def test_the_intent_that_is_expected_is_the_router_s_own() -> None:
    """Boosted, capped, of this release: as JSON would have it."""
    live = load({"ROUTER_MAX_POSITION_USD": "120"})
    _, states = planned(live)
    first, second = states["below"][1].intents
    sizes = [first.get("position_size_usd") or first["quantity"], second.get("position_size_usd") or second["quantity"]]
    assert ([120.0, 110.0], ["release", "release"]) == (sizes, [first["release"], second["release"]])
    assert msgspec.json.decode(msgspec.json.encode(first)) == first
