# SPDX-License-Identifier: Apache-2.0
"""The settings: one table that names, types and bounds every environment variable.

Only the standard library is imported, so that a deployment can check settings straight from the wheel
(`PYTHONPATH=quantum_router.whl python3 -m router.config MAX_OPEN_ORDERS=12`) before anything is installed.
"""

from __future__ import annotations

import difflib
import json
import math
import os
import re
import sys
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from router import redis_url
from router.errors import ConfigError
from router.printable import printable
from router.redis_io.keys import catalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_KEY = re.compile(r"[A-Za-z0-9._:{}-]{1,128}")
_PREFIX = re.compile(r"[A-Za-z0-9._:{}-]{0,128}")
_LOG_FORMATS = ("auto", "journal", "text", "json")


@dataclass(frozen=True)
class Settings:
    """All settings of the router, valid by construction when they come from *load*.

    The names end with the unit (`_s` seconds, `_usd` US dollars); `CATALOGUE` says what each is in the environment.
    """

    max_open_orders: int = 10
    target_open_orders: int = 3
    max_new_per_cycle: int = 2
    window_s: float = 3.0
    min_confidence: float = 0.75
    super_confidence: float = 0.90
    redis_url: str = "redis://127.0.0.1:6379/0"
    redis_password_file: str = ""
    sentinel_password_file: str = ""
    key_prefix: str = ""
    signal_stream: str = "quantum:stream:ai.decision.made"
    group: str = "router"
    intent_stream: str = "quantum:stream:trade.intent"
    execution_group: str = "quantum:group:execution:trade.intent"
    max_age_s: float = 10.0
    inflight_ttl_s: float = 30.0
    dedup_ttl_s: float = 300.0
    lease_ttl_s: float = 3.0
    max_position_usd: float | None = None
    max_intents_per_hour: int | None = None
    repeat_limit: int | None = None
    repeat_window_s: float = 60.0
    strategy_url: str = ""
    audit_max: int | None = None
    metrics_listen: str = ""
    log_format: str = "auto"


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if re.fullmatch(r"[0-9]{1,9}", text) and low <= int(text) <= high:
            return int(text)
        raise ValueError(f"must be a whole number from {low} to {high}")

    return parse


def _number(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if low <= value <= high:
            return value
        raise ValueError(f"must be a number from {low:g} to {high:g}")

    return parse


def _matching(pattern: re.Pattern[str], meaning: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if pattern.fullmatch(text):
            return text
        raise ValueError(f"must be {meaning}")

    return parse


def _redis_url(text: str) -> str:
    redis_url.parse(text)
    return text


def _http_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        usable = parts.scheme == "http" and bool(parts.hostname) and parts.port != 0 and not parts.query
    except ValueError:
        usable = False
        parts = urlsplit("")
    if not usable or any(c <= " " or c > "~" for c in text):
        raise ValueError("must look like http://HOST:PORT/PATH")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user or password")
    return text


def _loopback_address(text: str) -> str:
    host, _, port = text.rpartition(":")
    if host in {"127.0.0.1", "[::1]", "localhost"} and re.fullmatch(r"[0-9]{1,5}", port) and 0 < int(port) < 65_536:
        return text
    raise ValueError("must be a loopback address with a port, such as 127.0.0.1:9108")


def _choice(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text in choices:
            return text
        raise ValueError(f"must be one of {', '.join(choices)}")

    return parse


_key = _matching(_KEY, "a Redis key of 1 to 128 letters, digits and ._:{}-")

#: Environment name -> (field of Settings, parser, meaning), one for each field; nothing else can be set.
CATALOGUE: dict[str, tuple[str, Callable[[str], Any], str]] = {
    "MAX_OPEN_ORDERS": ("max_open_orders", _whole(1, 100_000), "hard cap of open orders"),
    "TARGET_OPEN_ORDERS": ("target_open_orders", _whole(0, 100_000), "open orders to aim for"),
    "MAX_NEW_PER_CYCLE": ("max_new_per_cycle", _whole(1, 1_000), "most intents a window publishes"),
    "CANDIDATE_WINDOW_SEC": ("window_s", _number(0.05, 600), "length of a window in seconds"),
    "MIN_CONFIDENCE": ("min_confidence", _number(0, 1), "confidence that makes a signal a candidate"),
    "SUPER_CONFIDENCE": ("super_confidence", _number(0, 1), "confidence that passes at the target"),
    "ROUTER_REDIS_URL": ("redis_url", _redis_url, "Redis server, without a password"),
    "ROUTER_REDIS_PASSWORD_FILE": ("redis_password_file", str, "password file; relative: a systemd credential"),
    "ROUTER_SENTINEL_PASSWORD_FILE": ("sentinel_password_file", str, "the same for sentinels that want one"),
    "ROUTER_KEY_PREFIX": (
        "key_prefix",
        _matching(_PREFIX, "up to 128 of letters, digits, ._:{}-"),
        "put before every key",
    ),
    "ROUTER_SIGNAL_STREAM": ("signal_stream", _key, "stream of signals"),
    "ROUTER_GROUP": ("group", _key, "consumer group whose last-delivered id is the cursor"),
    "ROUTER_INTENT_STREAM": ("intent_stream", _key, "stream of intents"),
    "ROUTER_EXECUTION_GROUP": ("execution_group", _key, "execution's consumer group on the intent stream"),
    "ROUTER_SIGNAL_MAX_AGE_SEC": ("max_age_s", _number(0.1, 86_400), "age in seconds above which a signal is stale"),
    "ROUTER_INFLIGHT_TTL_SEC": ("inflight_ttl_s", _number(1, 86_400), "seconds a delivered intent counts as in flight"),
    "ROUTER_DEDUP_TTL_SEC": ("dedup_ttl_s", _number(1, 604_800), "seconds an id is remembered as published"),
    "ROUTER_LEASE_TTL_SEC": ("lease_ttl_s", _number(0.5, 60), "seconds until a standby may take over"),
    "ROUTER_MAX_POSITION_USD": ("max_position_usd", _number(0.01, 1e12), "cap on a boosted size in USD; empty: none"),
    "ROUTER_MAX_INTENTS_PER_HOUR": (
        "max_intents_per_hour",
        _whole(1, 1_000_000),
        "most intents within any 60 minutes; empty: no limit",
    ),
    "ROUTER_REPEAT_LIMIT": (
        "repeat_limit",
        _whole(1, 100_000),
        "intents for one symbol and side that halt the router; empty: none",
    ),
    "ROUTER_REPEAT_WINDOW_SEC": ("repeat_window_s", _number(1, 86_400), "seconds in which repeats are counted"),
    "ROUTER_STRATEGY_URL": ("strategy_url", _http_url, "approval gate asked before each intent; empty: none"),
    "ROUTER_AUDIT_MAX": (
        "audit_max",
        _whole(1, 100_000_000),
        "audit entries that are kept, each up to about 450 kB; empty: no audit",
    ),
    "ROUTER_METRICS_LISTEN": ("metrics_listen", _loopback_address, "where metrics are served; empty: nowhere"),
    "ROUTER_LOG_FORMAT": ("log_format", _choice(*_LOG_FORMATS), "auto (journal under systemd), journal, text or json"),
}


def _contradictions(settings: Settings) -> list[str]:
    """Name every pair of settings that cannot hold together (design: policy)."""
    s = settings
    max_age = f"ROUTER_SIGNAL_MAX_AGE_SEC={s.max_age_s:g}"
    window = f"CANDIDATE_WINDOW_SEC={s.window_s:g}"
    remembered_s = s.max_age_s + 2 * s.window_s
    problems = []
    if s.target_open_orders > s.max_open_orders:
        problems.append(f"TARGET_OPEN_ORDERS={s.target_open_orders} is above MAX_OPEN_ORDERS={s.max_open_orders}")
    if s.super_confidence < s.min_confidence:
        problems.append(f"SUPER_CONFIDENCE={s.super_confidence:g} is below MIN_CONFIDENCE={s.min_confidence:g}")
    if s.window_s >= s.max_age_s:
        problems.append(f"{window} is not below {max_age}: every signal would be stale, shorten the window")
    if s.lease_ttl_s + s.window_s >= s.max_age_s:
        problems.append(
            f"ROUTER_LEASE_TTL_SEC={s.lease_ttl_s:g} + {window} is not below {max_age}: "
            "a standby would take over only stale signals, shorten either"
        )
    if s.dedup_ttl_s <= remembered_s:
        problems.append(
            f"ROUTER_DEDUP_TTL_SEC={s.dedup_ttl_s:g} is not above {max_age} + 2 x {window}: "
            f"a signal could be published twice, set more than {remembered_s:g}"
        )
    if s.sentinel_password_file and not redis_url.parse(s.redis_url).service:
        problems.append("ROUTER_SENTINEL_PASSWORD_FILE is set, and ROUTER_REDIS_URL names no sentinels: remove it")
    return problems + _shared_names(s)


def _shared_names(settings: Settings) -> list[str]:
    """Name each stream that the settings give the key of something else."""
    keys = catalogue(settings)
    taken = {key: name for name, key in vars(keys).items() if name not in {"prefix", "signals", "intents"}}
    problems = []
    for setting, stream, text in (
        ("ROUTER_SIGNAL_STREAM", keys.signals, settings.signal_stream),
        ("ROUTER_INTENT_STREAM", keys.intents, settings.intent_stream),
    ):
        counted = stream.startswith((keys.dedup(""), keys.governor("")))
        if meaning := "dedup or governor" if counted else taken.get(stream):
            problems.append(f"{setting}={text} is a key with a meaning of its own ({meaning}): name another stream")
    if keys.signals == keys.intents:
        problems.append(
            f"ROUTER_INTENT_STREAM={settings.intent_stream} is ROUTER_SIGNAL_STREAM too: "
            "intents would be read as signals"
        )
    return problems


def load(environ: Mapping[str, str], *, only_settings: bool = False) -> Settings:
    """Return the settings in *environ*, as `read` takes it.

    Raises:
        ConfigError: with one line for everything that is wrong.
    """
    settings, problems = read(environ, only_settings=only_settings)
    if problems:
        raise ConfigError(problems)
    return settings


def read(environ: Mapping[str, str], *, only_settings: bool = False) -> tuple[Settings, list[str]]:
    """Read the settings from *environ*; an empty value means the default, a bad one counts as it until it is mended.

    With them comes a line for every bad value, unknown `ROUTER_*` name and contradiction. A service's environment holds
    other names too, so there only those that begin with `ROUTER_` must be known; with *only_settings* all must.
    """
    values: dict[str, Any] = {}
    bad: dict[str, str] = {}
    for name, (field, parse, _meaning) in CATALOGUE.items():
        text = environ.get(name, "").strip()
        if not text:
            continue
        try:
            values[field] = parse(text)
        except ValueError as error:
            # An address may hold a password.
            shown = redis_url.shown(text) if name.endswith("_URL") else repr(text[:64])
            bad[name] = f"{name}={shown} {error}"
    problems = list(bad.values())
    for name in sorted(environ):
        if name not in CATALOGUE and (only_settings or name.startswith("ROUTER_")):
            near = difflib.get_close_matches(name, CATALOGUE, n=1, cutoff=0.8)
            hint = f"did you mean {near[0]}?" if near else "remove it"
            problems.append(f"{printable(name)} is not a setting: {hint}")
    settings = Settings(**values)
    # Each names the settings that it is between; the default of a bad one contradicts nothing.
    problems += [line for line in _contradictions(settings) if not any(name in line for name in bad)]
    return settings, problems


def as_environment(settings: Settings) -> dict[str, str]:
    """Return *settings* as environment values by name, defaults included; `load` of it gives the same settings."""
    values = asdict(settings)
    shown = {name: values[field] for name, (field, _parse, _meaning) in CATALOGUE.items()}
    return {name: "" if v is None else str(v) for name, v in shown.items()}


def main(assignments: list[str]) -> int:
    """Print the effective settings of *assignments* (NAME=VALUE) as JSON, or every error on a line of its own; 0 or 78.

    Without any, the settings are those of the environment.
    """
    given = dict(text.partition("=")[::2] for text in assignments)
    try:
        settings = load(given or os.environ, only_settings=bool(given))
    except ConfigError as error:
        sys.stderr.write("".join(f"{line}\n" for line in error.problems))
        return error.exit_code
    sys.stdout.write(json.dumps({field.name: getattr(settings, field.name) for field in fields(settings)}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
