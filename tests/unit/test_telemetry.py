# SPDX-License-Identifier: Apache-2.0
"""What the router says of itself: a closed set of lines, each counted, and one line of status."""

from __future__ import annotations

import ast
import errno
import inspect
from typing import Any

import pytest

from router import telemetry
from router.config import Settings
from router.core.policy import Capacity, Event, TradingState
from router.log import Log
from router.printable import printable
from router.redis_io.keys import catalogue
from router.redis_io.scripts import Observation
from router.tally import Distribution, Role
from router.telemetry import LINES, Telemetry


@pytest.fixture
def logged() -> list[Any]:
    """What the telemetry logged."""
    return []


@pytest.fixture
def told(logged: list[Any]) -> Telemetry:
    """Telemetry of a router with the default settings."""
    return Telemetry(Log(logged.append), Settings(), catalogue(Settings()))


def seen(open_orders: int | None = 1, state: TradingState = TradingState.ACTIVE, lag: int | None = 7) -> Observation:
    """A look at Redis."""
    by = "" if state is TradingState.ACTIVE else "quantum:kill"
    return Observation(1_000, None, "", by, Capacity(state, open_orders, 1), lag, 0)


def test_the_table_of_lines_is_exactly_what_is_said() -> None:
    """No event is logged that has no level and counter, and none is listed that is never logged."""
    tree = ast.parse(inspect.getsource(telemetry))
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and getattr(n.func, "attr", "") == "_say"]
    said = {call.args[0].value for call in calls if isinstance(call.args[0], ast.Constant)}
    assert set(LINES) == said | {event.value for event in Event} | {"CAPACITY_AVAILABLE"}


def test_every_line_is_counted_under_its_event(told: Telemetry, logged: list[Any]) -> None:
    """The counters of the lines are the lines."""
    told.active("a", "1", "r")
    told.backlog_skipped("1-0", 3)
    told.backlog_skipped("2-0", None)
    counted = {name: n for name, n in told.tally.lines.items() if n}
    assert {"ACTIVE": 1, "BACKLOG_SKIPPED": 2} == counted
    assert ["ACTIVE", "BACKLOG_SKIPPED", "BACKLOG_SKIPPED"] == [line["EVENT"] for line in logged]


def test_an_outage_is_told_once_and_again_after_ten_seconds_but_known_at_once(told: Telemetry) -> None:
    """The line does not flood the log; what metrics and health say never waits for it."""
    told.redis_unavailable("refused", 0.0)
    told.active("a", "1", "r")
    assert told.tally.redis_up
    told.redis_unavailable("refused", 9.0)
    assert (False, Role.CUT_OFF) == (told.tally.redis_up, told.tally.role)
    assert 1 == told.tally.lines["REDIS_UNAVAILABLE"]
    told.redis_unavailable("timed out", 9.1)
    told.redis_unavailable("timed out", 19.2)
    assert 3 == told.tally.lines["REDIS_UNAVAILABLE"]


@pytest.mark.parametrize(
    ("observation", "status"),
    [
        (seen(), "active: CAPACITY_AVAILABLE, lag 7, open 1 of 10 (target 3), in flight 1"),
        (seen(None, lag=None), "active: CAPACITY_UNKNOWN, lag unknown, open unknown of 10 (target 3), in flight 1"),
        (
            seen(state=TradingState.HALTED),
            "active: HALTED by quantum:kill, lag 7, open 1 of 10 (target 3), in flight 1",
        ),
    ],
)
def test_the_status_line_says_state_lag_and_room(told: Telemetry, observation: Observation, status: str) -> None:
    """One line for systemctl; before the first look it says only what the process is."""
    assert "starting" == told.status
    told.active("a", "1", "r")
    told.state(observation, 0.0, 1.0)
    assert status == told.status
    told.tally.window(Event.TARGET_REACHED, 0, 13, 0.001)
    assert status + ", last window TARGET_REACHED 0 of 13" == told.status


def test_a_value_on_a_bound_counts_below_it() -> None:
    """A bound is included, as Prometheus' `le` says."""
    times = Distribution((0.1, 1.0))
    for value_s in (0.1, 0.2, 5.0):
        times.add(value_s)
    assert [1, 1, 1] == times.counts
    assert pytest.approx(5.3) == times.sum_s


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("BTCUSDT ≥ 1", "BTCUSDT ≥ 1"),
        ("\x1b[2J\r\n", r"\x1b[2J\r\n"),
        ("\u202eevil\x9b", r"\u202eevil\x9b"),
        (r"a\n", r"a\\n"),
        ("x" * 300, "x" * 199 + "…"),
    ],
)
def test_what_others_wrote_cannot_steer_a_terminal(text: str, shown: str) -> None:
    """Controls, escapes and marks of direction are shown as their codes."""
    assert shown == printable(text)


def test_a_line_that_cannot_be_written_is_counted_and_no_error() -> None:
    """A full disk or a reader that has gone does not end the service, whatever the line."""

    def refuse(_record: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    telemetry = Telemetry(Log(refuse), Settings(), catalogue(Settings()))
    telemetry.standby("other")
    telemetry.failed("gone", 75)
    assert (2, 2) == (sum(telemetry.tally.lines.values()), telemetry.tally.lines_lost)
