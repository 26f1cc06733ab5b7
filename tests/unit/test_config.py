# SPDX-License-Identifier: Apache-2.0
"""Settings: defaults, errors that name everything at once, and contradictions."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.config import CATALOGUE, Settings, as_environment, load, read
from router.errors import ConfigError
from router.redis_io.keys import catalogue


def problems(environ: dict[str, str]) -> list[str]:
    """What is wrong with *environ*."""
    with pytest.raises(ConfigError) as raised:
        load(environ)
    return raised.value.problems


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    """The design's numbers, and empty values count as absent."""
    expected = Settings()
    assert expected == load({}) == load(dict.fromkeys(CATALOGUE, ""))
    assert (10, 3, 2, 3.0, 0.75, 0.9) == (
        expected.max_open_orders,
        expected.target_open_orders,
        expected.max_new_per_cycle,
        expected.window_s,
        expected.min_confidence,
        expected.super_confidence,
    )


def test_every_setting_has_one_field_and_every_field_one_setting() -> None:
    """No field is left that cannot be set, no name that sets nothing, and no two names set one."""
    assert sorted(field.name for field in fields(Settings)) == sorted(field for field, _, _ in CATALOGUE.values())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_OPEN_ORDERS", "0"),
        ("MAX_OPEN_ORDERS", "3.5"),
        ("MAX_OPEN_ORDERS", "١٢"),
        ("TARGET_OPEN_ORDERS", "-1"),
        ("MAX_NEW_PER_CYCLE", "many"),
        ("CANDIDATE_WINDOW_SEC", "nan"),
        ("CANDIDATE_WINDOW_SEC", "0"),
        ("MIN_CONFIDENCE", "1.01"),
        ("ROUTER_REDIS_URL", "http://127.0.0.1"),
        ("ROUTER_REDIS_URL", "redis://127.0.0.1:0"),
        ("ROUTER_KEY_PREFIX", "a*b"),
        ("ROUTER_SIGNAL_STREAM", "with space"),
        ("ROUTER_LOG_FORMAT", "xml"),
        ("ROUTER_METRICS_LISTEN", "0.0.0.0:9108"),
        ("ROUTER_METRICS_LISTEN", "127.0.0.1:0"),
        ("ROUTER_STRATEGY_URL", "ftp://gate"),
    ],
)
def test_a_bad_value_is_named_with_its_setting(name: str, value: str) -> None:
    """One line: the name, the value, what it must be."""
    (problem,) = problems({name: value})
    assert problem.startswith(f"{name}={value!r} ")


def test_an_unknown_name_is_an_error_with_the_nearest_known_one() -> None:
    """A mistyped setting must not be silence."""
    assert ["ROUTER_KEY_PREFX is not a setting: did you mean ROUTER_KEY_PREFIX?"] == problems({"ROUTER_KEY_PREFX": "a"})


def test_everything_wrong_is_named_at_once_and_in_printable_text() -> None:
    """Bad values, unknown names and contradictions in one go; escapes and stray bytes are shown, not sent."""
    wrong = {
        "MAX_OPEN_ORDERS": "\x1b[2J",
        "ROUTER_GROUP": "a\nb",
        "ROUTER_\x1b[2J\udcff": "x",
        "SUPER_CONFIDENCE": "0.7",
        "ROUTER_REDIS_URL": "redis://ho\rst",
    }
    lines = problems(wrong)
    assert 5 == len(lines)
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize(
    "environ",
    [
        {"MAX_OPEN_ORDERS": "5O", "TARGET_OPEN_ORDERS": "12"},
        {"SUPER_CONFIDENCE": "x", "MIN_CONFIDENCE": "0.95"},
        {"CANDIDATE_WINDOW_SEC": "x", "ROUTER_SIGNAL_MAX_AGE_SEC": "1"},
        {"ROUTER_DEDUP_TTL_SEC": "x", "ROUTER_SIGNAL_MAX_AGE_SEC": "400"},
        {"ROUTER_REDIS_URL": "http://x", "ROUTER_SENTINEL_PASSWORD_FILE": "/secret"},
        {"ROUTER_INTENT_STREAM": "a b", "ROUTER_SIGNAL_STREAM": "quantum:stream:trade.intent"},
    ],
)
def test_the_default_of_a_bad_value_contradicts_nothing(environ: dict[str, str]) -> None:
    """What would hold once the value is mended is no problem now: only the bad value is named."""
    (problem,) = problems(environ)
    assert problem.startswith(f"{next(iter(environ))}=")


def test_where_only_settings_are_given_every_unknown_name_is_an_error() -> None:
    """A deployment's settings hold nothing else, so a mistyped one without the prefix is named too."""
    with pytest.raises(ConfigError, match="MAX_OPEN_ORDER is not a setting: did you mean MAX_OPEN_ORDERS"):
        load({"MAX_OPEN_ORDER": "7"}, only_settings=True)


def test_a_password_in_the_gate_s_address_is_refused_and_not_shown() -> None:
    """Secrets come from files; an error text is no place for one (Redis' own address: test_redis_url.py)."""
    for url in ("http://user:hunter2@gate", "http://gate/?token=hunter2"):
        (problem,) = problems({"ROUTER_STRATEGY_URL": url})
        assert "hunter2" not in problem


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"TARGET_OPEN_ORDERS": "11"}, "TARGET_OPEN_ORDERS=11"),
        ({"SUPER_CONFIDENCE": "0.7"}, "SUPER_CONFIDENCE=0.7"),
        ({"CANDIDATE_WINDOW_SEC": "10", "ROUTER_LEASE_TTL_SEC": "0.5"}, "CANDIDATE_WINDOW_SEC=10"),
        ({"ROUTER_LEASE_TTL_SEC": "7"}, "ROUTER_LEASE_TTL_SEC=7"),
        ({"ROUTER_DEDUP_TTL_SEC": "16"}, "ROUTER_DEDUP_TTL_SEC=16"),
        ({"ROUTER_SENTINEL_PASSWORD_FILE": "/secret"}, "ROUTER_SENTINEL_PASSWORD_FILE is set"),
        ({"ROUTER_SIGNAL_STREAM": "s", "ROUTER_INTENT_STREAM": "s"}, "ROUTER_INTENT_STREAM=s"),
        ({"ROUTER_SIGNAL_STREAM": "quantum:stream:trade.intent"}, "ROUTER_INTENT_STREAM=quantum:stream:trade.intent"),
    ],
)
def test_settings_that_cannot_hold_together_are_named(environ: dict[str, str], named: str) -> None:
    """Each contradiction is an error on its own line, at its very edge."""
    assert any(line.startswith(named) for line in problems(environ))


OTHER_KEYS = {
    name: key for name, key in vars(catalogue(Settings())).items() if name not in {"prefix", "signals", "intents"}
}


@pytest.mark.parametrize("setting", ["ROUTER_SIGNAL_STREAM", "ROUTER_INTENT_STREAM"])
@pytest.mark.parametrize("prefix", ["", "desk:"])
@pytest.mark.parametrize(
    "key",
    [
        *OTHER_KEYS.values(),
        "quantum:dedup:trade_intent:",
        "quantum:dedup:trade_intent:x",
        "quantum:governor:daily_trades:1",
    ],
)
def test_a_stream_that_has_the_key_of_something_else_is_named(setting: str, prefix: str, key: str) -> None:
    """Rejected signals read as signals would feed themselves, and intents among the audit would be lost in it."""
    (problem,) = problems({setting: key, "ROUTER_KEY_PREFIX": prefix})
    assert problem.startswith(f"{setting}={key} is a key with a meaning of its own ")


@pytest.mark.parametrize("environ", [{"TARGET_OPEN_ORDERS": "10"}, {"ROUTER_DEDUP_TTL_SEC": "16.1"}])
def test_the_edge_of_a_contradiction_is_allowed(environ: dict[str, str]) -> None:
    """Target = cap, and a dedup TTL just above the least."""
    assert load(environ) != Settings()


@given(st.floats(0.1, 86_400), st.floats(0, 1), st.none() | st.floats(0.01, 1e12))
def test_settings_as_an_environment_are_the_same_settings(max_age_s: float, least: float, cap: float | None) -> None:
    """To the last bit of every number, since a drill must run on what the release runs on."""
    settings = replace(Settings(), max_age_s=max_age_s, min_confidence=least, max_position_usd=cap)
    assert settings == read(as_environment(settings))[0]


@given(st.dictionaries(st.sampled_from(sorted(CATALOGUE)), st.text(max_size=20)))
def test_any_text_gives_settings_or_a_config_error(environ: dict[str, str]) -> None:
    """Nothing else is ever raised."""
    try:
        outcome: Settings | list[str] = load(environ)
    except ConfigError as error:
        outcome = error.problems
    assert outcome


def test_the_module_validates_an_environment_with_the_standard_library_alone() -> None:
    """A controller checks settings straight from the wheel, before anything is installed."""
    without_packages = "import runpy, sys; sys.modules.update(redis=None, msgspec=None, click=None); "
    script = without_packages + "runpy.run_module('router.config', run_name='__main__')"
    command = [sys.executable, "-c", script, "MAX_OPEN_ORDERS=7"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    assert 7 == json.loads(done.stdout)["max_open_orders"]
    command.append("ROUTER_SIGNAL_STREAM=quantum:stream:router.rejected")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert 78 == done.returncode
    assert "ROUTER_SIGNAL_STREAM=quantum:stream:router.rejected is a key" in done.stderr
