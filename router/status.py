# SPDX-License-Identifier: Apache-2.0
"""What the router is doing, for people: read from Redis alone, so it works from anywhere and when the router hangs."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
import redis

from router.core.entry_id import order
from router.core.outcome import Outcome
from router.core.policy import Event, TradingState, allowance
from router.printable import printable
from router.redis_io.halt import moment_ms
from router.redis_io.scripts import Scripts

if TYPE_CHECKING:
    from router.config import Settings
    from router.redis_io.keys import Keys
    from router.redis_io.scripts import Observation

#: Rates count this far back, or as far as the newest 1,000 entries reach.
RATE_SPAN_S: Final = 180.0
RATE_ENTRIES: Final = 1000
_COUNT: Final = re.compile(r"[0-9]{1,18}")
_LEASE: Final = ("holder", "epoch", "release")
_HALT: Final = ("reason", "who", "when")
_LAST_WINDOW: Final = ("event", "count", "allowed", "candidates", "denied", "at_ms")
#: Hash -> the line that shows it.
_ROWS: Final = {"lease": "router", "halt": "halt", "last_window": "window", "outcomes": "outcomes"}


class Status(msgspec.Struct, frozen=True):
    """One look. *problem* says why nothing that opens an order is routed, empty when it is.

    *lease*, *halt*, *last_window* and *outcomes* are the hashes of these names as Redis has them, empty where there is
    none; *wrong_types* names those of which the key holds something else. Rates are entries per minute.
    """

    problem: str
    state: str
    now_ms: int
    lease: dict[str, str]
    lag: int | None
    pending: int | None
    open_orders: int | None
    open_orders_max: int
    open_orders_target: int
    in_flight: int
    halt: dict[str, str]
    last_window: dict[str, str]
    signals_per_minute: float
    intents_per_minute: float
    outcomes: dict[str, int]
    wrong_types: list[str]

    @property
    def routing(self) -> bool:
        """Whether signals that open orders are routed."""
        return not self.problem


def look(client: redis.Redis, settings: Settings, keys: Keys) -> Status:
    """Return the state of the router of *settings*.

    Raises:
        redis.RedisError: Redis does not answer, or refuses.
    """
    seen = Scripts(client, settings, keys).observe()
    found, wrong_types = _hashes(client, keys)
    event = allowance(seen.capacity, settings).event
    return Status(
        problem=_problem(seen, found["lease"], keys),
        state="CAPACITY_AVAILABLE" if event is Event.BEST_OF_PUBLISH else event.value,
        now_ms=seen.now_ms,
        lease=found["lease"],
        lag=seen.lag,
        pending=seen.pending,
        open_orders=seen.capacity.open_orders,
        open_orders_max=settings.max_open_orders,
        open_orders_target=settings.target_open_orders,
        in_flight=seen.capacity.in_flight,
        halt=found["halt"],
        last_window=found["last_window"],
        signals_per_minute=_per_minute(client, keys.signals, seen.now_ms),
        intents_per_minute=_per_minute(client, keys.intents, seen.now_ms),
        outcomes={name: int(count) for name, count in found["outcomes"].items() if _COUNT.fullmatch(count)},
        wrong_types=wrong_types,
    )


def _hashes(client: redis.Redis, keys: Keys) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Return the hashes for people by name, and the names of those whose key somebody has made something else."""
    asked = {
        "lease": _LEASE,
        "halt": _HALT,
        "last_window": _LAST_WINDOW,
        "outcomes": tuple(outcome.value for outcome in Outcome),
    }
    pipeline: Any = client.pipeline(transaction=False)
    for name, fields in asked.items():
        pipeline.hmget(getattr(keys, name), fields)
    found: dict[str, dict[str, str]] = {name: {} for name in asked}
    wrong_types = []
    for (name, fields), values in zip(asked.items(), pipeline.execute(raise_on_error=False), strict=True):
        if not isinstance(values, redis.RedisError):
            pairs = zip(fields, values, strict=True)
            found[name] = {field: value.decode("utf-8", "replace") for field, value in pairs if value is not None}
        elif str(values).startswith("WRONGTYPE"):
            wrong_types.append(name)
        else:
            raise values
    return found, wrong_types


def lines(status: Status) -> list[str]:
    """Return *status* as lines for a terminal; nothing that others wrote can steer it."""
    lease, halt = _shown(status.lease), _shown(status.halt)
    open_orders = "unknown" if status.open_orders is None else status.open_orders
    room = (
        f"{open_orders} of {status.open_orders_max}, target {status.open_orders_target}, in flight {status.in_flight}"
    )
    rates = f"{status.signals_per_minute:.1f} signals and {status.intents_per_minute:.1f} intents"
    rows = {
        "state": f"not routing: {status.problem}" if status.problem else f"routing, {status.state}",
        "router": "{holder}, release {release}, epoch {epoch}".format(**lease) if lease else "none holds the lease",
        "open": room,
        "lag": f"{_or_unknown(status.lag)}, pending {_or_unknown(status.pending)}",
        "window": _window_line(_shown(status.last_window), status.now_ms),
        # The streams do not say who routed: after a deployment the router before counts too.
        "rates": f"{rates} a minute, all routers",
        "outcomes": ", ".join(f"{name} {count}" for name, count in status.outcomes.items()) or "none yet",
    }
    if halt:
        rows["halt"] = f"{halt['reason']} (by {halt['who']}, {_when(halt['when'])})"
    rows |= {_ROWS[name]: "(wrong type)" for name in status.wrong_types}
    return [f"{name:9} {text}" for name, text in rows.items()]


def _problem(seen: Observation, lease: dict[str, str], keys: Keys) -> str:
    if not lease:
        return "no router holds the lease"
    if seen.capacity.state is TradingState.HALTED:
        return f"halted by {seen.halted_by}"
    if seen.capacity.state is TradingState.REDUCE:
        return f"only what reduces passes, by {seen.halted_by}"
    if seen.capacity.open_orders is None:
        return f"capacity unknown, {keys.open_orders} is {seen.open_orders_problem}"
    return ""


def _per_minute(client: redis.Redis, stream: str, now_ms: int) -> float:
    since_ms = int(now_ms - RATE_SPAN_S * 1000)
    reply = client.xrevrange(stream, "+", str(since_ms), count=RATE_ENTRIES)
    entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", reply)
    if len(entries) == RATE_ENTRIES:
        since_ms = order(entries[-1][0].decode())[0]
    return round(len(entries) * 60_000 / max(1, now_ms - since_ms), 1)


def _shown(found: dict[str, str]) -> dict[str, str]:
    """Return a hash of which anything is there with all its names, made printable."""
    names = {name for names in (_LEASE, _HALT, _LAST_WINDOW) for name in names}
    return {name: printable(found.get(name, "?")) for name in names} if found else {}


def _window_line(window: dict[str, str], now_ms: int) -> str:
    if not window:
        return "none yet"
    age = (
        f"{(now_ms - int(window['at_ms'])) / 1000:.1f} s ago"
        if _COUNT.fullmatch(window["at_ms"])
        else "at a time unknown"
    )
    denied = ", {denied} denied by the gate".format(**window) if window["denied"] not in {"0", "?"} else ""
    return "{event}, {count} of {candidates} candidates (allowed {allowed}{}), ".format(denied, **window) + age


def _when(text: str) -> str:
    """Return a time in milliseconds as a date, and anything else as it is: a person may have written it."""
    at_ms = moment_ms(text)
    return text if at_ms is None else f"{datetime.fromtimestamp(at_ms / 1000, timezone.utc):%Y-%m-%d %H:%M:%S} UTC"


def _or_unknown(count: int | None) -> str:
    return "unknown" if count is None else str(count)
