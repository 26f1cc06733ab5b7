# SPDX-License-Identifier: Apache-2.0
"""What each line of the log looks like: the router's own telemetry, told one example of everything it can tell."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from router.config import Settings
from router.core.outcome import Outcome
from router.core.policy import Capacity, TradingState, decide
from router.core.window import Window
from router.log import Log
from router.redis_io.keys import catalogue
from router.redis_io.scripts import Commit, Observation, Reply
from router.telemetry import LINES, Telemetry
from tests.property.samples import NOW_MS, entry
from tests.reference.tables import table

_SETTINGS: Final = Settings(max_intents_per_hour=40)
#: Of every record, or told beside the line.
_COMMON: Final = {"MESSAGE", "PRIORITY", "EVENT"}


def samples() -> str:
    """One line of each event, and the names of the facts that it carries as fields."""
    records = {record["EVENT"]: record for record in _told()}
    rows = [
        [f"`{name}`", f"`{records[name]['MESSAGE']}`", " ".join(sorted(set(records[name]) - _COMMON))] for name in LINES
    ]
    return table(("event", "line", "fields"), rows)


def _told() -> list[Any]:
    records: list[Any] = []
    telemetry = Telemetry(Log(records.append), _SETTINGS, catalogue(_SETTINGS))
    telemetry.active("router-1", "42", "1.0.0-098de0846d42")
    telemetry.standby("router-2")
    _capacity(telemetry)
    _windows(telemetry)
    telemetry.backlog_skipped("989000-0", 52)
    telemetry.adopted(3, 1)
    telemetry.audit_truncated(17)
    reply = Reply("ok", trimmed=4, halted="5 intents for BTCUSDT BUY within 60 s")
    telemetry.committed(Commit(), reply, 0.001)
    telemetry.redis_unavailable("Connection refused", 100.0)
    telemetry.failed("ROUTER_LEASE_TTL_SEC=90 must be a number from 0.5 to 60", 78)
    telemetry.stopped(released=True)
    return records


def _seen(state: TradingState, open_orders: int | None, hour: int = 0) -> Observation:
    halted = ("quantum:router:halt", "exchange is down", "ann@desk") if state is TradingState.HALTED else ("", "", "")
    by, reason, who = halted
    capacity = Capacity(state, open_orders, 0, hour)
    problem = "missing" if open_orders is None else ""
    return Observation(NOW_MS, None, problem, by, capacity, 0, 0, reason, who)


def _capacity(telemetry: Telemetry) -> None:
    active = TradingState.ACTIVE
    for seen in (
        _seen(TradingState.HALTED, 1),
        _seen(active, None),
        _seen(active, 10),
        _seen(active, 1, 40),
        _seen(active, 3),
        _seen(active, 1),
    ):
        telemetry.state(seen, 0.0, 1.0)


def _windows(telemetry: Telemetry) -> None:
    window = Window("0-0", _SETTINGS)
    window.take([entry(1, symbol="BTCUSDT", confidence=0.93), entry(2, symbol="ETHUSDT", side="sell")], NOW_MS, 0.0)
    seen = _seen(TradingState.ACTIVE, 1)
    decision = decide(window.ranked(), seen.capacity, _SETTINGS)
    telemetry.window(decision, seen, Reply("ok", intents=["1003000-0", "1003000-1"]), window, 3.0)
    telemetry.approval_denied({"not approved": [choice.signal for choice in decision.choices]})
    window.outcomes = Counter({Outcome.STALE: 2})
    window.from_future = 2
    telemetry.wrong_ages(window)
