# SPDX-License-Identifier: Apache-2.0
"""Each alert fires on what it is for, in the time it promises, and a healthy router fires none (promtool)."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from router.log import Level
from router.telemetry import LINES

if TYPE_CHECKING:
    from collections.abc import Callable

yaml = importlib.import_module("yaml")  # it carries no types

ROOT = Path(__file__).resolve().parents[3]
RULES = ROOT / "ansible/ansible_collections/quantum/router/roles/monitoring/files/quantum-router.rules.yml"
ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule for rule in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"][0]["rules"]
}
#: Scrape interval; the trouble of each case begins with the 80th scrape, 20 minutes in.
STEP_S, BREAK, END = 15, 80, 240

Series = dict[str, "Callable[[int], float | str]"]


def at(text: str) -> str:
    """The series of a metric on the router under test."""
    name, _, labels = text.partition("{")
    return f'quantum_router_{name}{{job="quantum-router",instance="a"{"," + labels if labels else "}"}'


def value(after: float | str, before: float | str = 0) -> Callable[[int], float | str]:
    """A value that changes when the trouble begins."""
    return lambda i: after if i >= BREAK else before


def growing(per_scrape: float) -> Callable[[int], float]:
    """A counter that grows from when the trouble begins."""
    return lambda i: max(0, i - BREAK + 1) * per_scrape


def ticking(offset_s: float = 0) -> Callable[[int], float]:
    """A time stamp that keeps up with the clock."""
    return lambda i: i * STEP_S + offset_s


def stuck() -> Callable[[int], float]:
    """A time stamp that stands still once the trouble has begun."""
    return lambda i: min(i, BREAK) * STEP_S


HEALTHY: Series = {
    'up{job="quantum-router",instance="a"}': lambda _: 1,
    at('build_info{release="r1"}'): lambda _: 1,
    at("process_start_time_seconds"): lambda _: -3600,
    at("redis_up"): lambda _: 1,
    at("lease_held"): lambda _: 1,
    at("capacity_known"): lambda _: 1,
    at("open_orders"): lambda _: 3,
    at("open_orders_max"): lambda _: 10,
    at("window_seconds"): lambda _: 3,
    at("lease_ttl_seconds"): lambda _: 3,
    at("pending_entries"): lambda _: 0,
    at("lag_entries"): lambda i: 2000 + 500 * (i % 3),
    at("execution_lag_entries"): lambda i: 200 + 50 * (i % 3),
    at("last_turn_timestamp_seconds"): ticking(),
    at("last_commit_timestamp_seconds"): ticking(),
    at('trading_state{state="halted"}'): lambda _: 0,
    at('trading_state{state="reduce"}'): lambda _: 0,
    at('failures_total{exit_code="69"}'): lambda _: 0,
    at('failures_total{exit_code="75"}'): lambda _: 3,
    at("intents_trimmed_total"): lambda _: 0,
    at('intents_total{kind="chosen"}'): lambda i: i,
    at('windows_total{event="LIMIT_REACHED"}'): lambda _: 0,
    at('log_events_total{event="APPROVAL_DENIED"}'): lambda i: i,
    at('log_events_total{event="AUDIT_TRUNCATED"}'): lambda _: 0,
    at('log_events_total{event="BACKLOG_SKIPPED"}'): lambda _: 1,
    at('log_events_total{event="FUTURE_SIGNALS"}'): lambda _: 1,
    at('signals_total{outcome="published"}'): lambda i: 10 * i,
    at('signals_total{outcome="stale"}'): lambda i: i,
    at('signals_total{outcome="rejected"}'): lambda i: i / 10,
    at('window_close_seconds_bucket{le="0.05"}'): lambda i: i,
    at('window_close_seconds_bucket{le="0.1"}'): lambda i: i,
    at('window_close_seconds_bucket{le="+Inf"}'): lambda i: i,
}
GONE = value("_", 1)
#: Alert -> what is different, and seconds from the first scrape that shows it to the alert (a rate needs its range).
CASES: dict[str, tuple[Series, int]] = {
    "RouterTargetMissing": ({'up{job="quantum-router",instance="a"}': GONE}, 615),
    "RouterDown": ({'up{job="quantum-router",instance="a"}': value(0, 1)}, 45),
    "RouterRestarting": ({at("process_start_time_seconds"): lambda i: max(0, i - BREAK + 1)}, 45),
    "RouterFenced": ({at('failures_total{exit_code="75"}'): value(4, 3)}, 15),
    "RouterFailed": ({at('failures_total{exit_code="69"}'): value(1)}, 15),
    "RouterRedisDown": ({at("redis_up"): value(0, 1)}, 30),
    "RouterNoneActive": ({at("lease_held"): value(0, 1)}, 45),
    "RouterNotDeciding": ({at("last_turn_timestamp_seconds"): stuck()}, 45),
    "RouterHalted": ({at('trading_state{state="halted"}'): value(1)}, 15),
    "RouterReducing": ({at('trading_state{state="reduce"}'): value(1)}, 315),
    "RouterCapacityUnknown": ({at("capacity_known"): value(0, 1), at("open_orders"): value("NaN", 3)}, 30),
    "RouterCapacityFull": ({at("open_orders"): value(10, 3)}, 1815),
    "RouterLimitReached": ({at('windows_total{event="LIMIT_REACHED"}'): growing(5)}, 30),
    "RouterApprovalDenied": ({at('intents_total{kind="chosen"}'): lambda i: min(i, BREAK)}, 630),
    "RouterLagGrowing": ({at("lag_entries"): lambda i: 2000 + 500 * (i % 3) + max(0, i - BREAK) * 1000}, 300),
    "RouterExecutionLagGrowing": (
        {at("execution_lag_entries"): lambda i: 200 + 50 * (i % 3) + max(0, i - BREAK) * 100},
        300,
    ),
    "RouterStaleSignals": ({at('signals_total{outcome="stale"}'): growing(100)}, 300),
    "RouterFutureSignals": ({at('log_events_total{event="FUTURE_SIGNALS"}'): growing(1)}, 90),
    "RouterSignalsRejected": ({at('signals_total{outcome="rejected"}'): growing(10)}, 630),
    "RouterIntentsTrimmed": ({at("intents_trimmed_total"): value(7)}, 15),
    "RouterAuditTruncated": ({at('log_events_total{event="AUDIT_TRUNCATED"}'): value(1)}, 15),
    "RouterPendingStuck": ({at("pending_entries"): value(1)}, 315),
    "RouterStartedBehind": ({at("process_start_time_seconds"): value(BREAK * STEP_S, -3600)}, 15),
    "RouterDecidesSlowly": ({at('window_close_seconds_bucket{le="0.05"}'): lambda i: min(i, BREAK)}, 630),
    "RouterVersionSkew": (
        {'quantum_router_build_info{job="quantum-router",instance="b",release="r2"}': value(1, "_")},
        930,
    ),
}


def promtool(*arguments: str) -> str:
    """Run promtool; it must be content."""
    program = shutil.which("promtool")
    assert program, "promtool is missing: run make setup"
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


def judge(series: Series, alert: str, folder: Path, *, fires: dict[int, bool]) -> None:
    """Let promtool assert at which seconds *alert* (a regular expression) fires on *series*."""
    active = f'ALERTS{{alertname=~"{alert}",alertstate="firing"}}'
    test = {
        "interval": f"{STEP_S}s",
        "input_series": [
            {"series": metric, "values": " ".join(str(of(i)) for i in range(END))} for metric, of in series.items()
        ],
        "promql_expr_test": [
            {
                "expr": f"count({active}) or vector(0)",
                "eval_time": f"{at_s}s",
                "exp_samples": [{"labels": "{}", "value": int(expected)}],
            }
            for at_s, expected in fires.items()
        ],
    }
    document = {"rule_files": [str(RULES)], "evaluation_interval": f"{STEP_S}s", "tests": [test]}
    path = folder / "test.yml"
    path.write_text(json.dumps(document), encoding="utf-8")
    promtool("test", "rules", str(path))


def test_the_rules_are_valid_and_each_has_a_case() -> None:
    """Promtool accepts the file, and no alert goes untested."""
    assert f"{len(ALERTS)} rules found" in promtool("check", "rules", str(RULES))
    assert set(ALERTS) == set(CASES)


@pytest.mark.parametrize("alert", CASES)
def test_an_alert_fires_on_its_trouble_in_time(alert: str, tmp_path: Path) -> None:
    """Not before the trouble, and at the latest one scrape after its `for` (a rate after its range too)."""
    changed, within_s = CASES[alert]
    begins_s = BREAK * STEP_S
    judge(HEALTHY | changed, alert, tmp_path, fires={begins_s - STEP_S: False, begins_s + within_s: True})


def test_a_router_that_commits_nothing_while_signals_wait_does_not_decide(tmp_path: Path) -> None:
    """The loop may turn and yet do nothing."""
    series = HEALTHY | {at("last_commit_timestamp_seconds"): stuck()}
    judge(series, "RouterNotDeciding", tmp_path, fires={BREAK * STEP_S + 60: True})


def test_a_healthy_router_fires_nothing(tmp_path: Path) -> None:
    """An alert that cries without cause is not read."""
    judge(HEALTHY, ".+", tmp_path, fires={600: False, STEP_S * END - STEP_S: False})


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_says_how_bad_it_is_and_what_to_do(alert: str) -> None:
    """Severity, a summary, a description, and a heading in the operator's guide."""
    rule = ALERTS[alert]
    assert re.fullmatch(r"Router([A-Z][a-z]+)+", alert)
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert {"summary", "description", "runbook_url"} == set(rule["annotations"])
    assert rule["annotations"]["runbook_url"].endswith(f"docs/operations.md#{alert.lower()}")
    assert f"\n### {alert}\n" in (ROOT / "docs/operations.md").read_text(encoding="utf-8")


def test_every_warning_in_the_log_has_an_alert() -> None:
    """A line that warns and alarms nobody is noise: the table of lines names the alert of each."""
    text = (ROOT / "docs/reference/log-events.md").read_text(encoding="utf-8")
    for name, level in LINES.items():
        row = re.search(rf"^\| `{name}` \| .*\| (.*) \|$", text, re.MULTILINE)
        assert row, name
        named = re.findall(r"Router\w+", row[1])
        assert bool(named) == (level is not Level.INFO), name
        assert set(named) <= set(ALERTS), name
