# SPDX-License-Identifier: Apache-2.0
"""A real router's metrics on a real Redis: they add up with its books, and health tells a hang."""

from __future__ import annotations

import re
import signal
import socket
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.conftest import INTENTS, OPEN_ORDERS, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    Start = Callable[..., Any]

MONITORING = Path(__file__).parents[2] / "ansible/ansible_collections/quantum/router/roles/monitoring/files"


@pytest.fixture
def listen() -> str:
    """A free address for the metrics."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def get(listen: str, page: str) -> tuple[int, str]:
    """Return status and body of a page; status 0 where nobody listens."""
    try:
        with urllib.request.urlopen(f"http://{listen}/{page}", timeout=5) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def scrape(listen: str, name: str) -> dict[str, float]:
    """Return the samples of the metric *name* by the value of their first label ('' without)."""
    families = text_string_to_metric_families(get(listen, "metrics")[1])
    samples = [s for f in families for s in f.samples if s.name == f"quantum_router_{name}"]
    return {next(iter(s.labels.values()), ""): s.value for s in samples}


def test_metrics_add_up_with_the_books_in_redis(start_router: Start, market: Any, listen: str) -> None:
    """Outcomes, intents, windows, lines and capacity are what Redis and the log have."""
    router = start_router(ROUTER_METRICS_LISTEN=listen)
    router.wait_for("ACTIVE")
    market.burst()
    market.signal(confidence="NaN")
    market.signal("EXITUSDT", reduce_only=True)
    router.wait_for("BEST_OF_PUBLISH")
    market.audit()
    eventually(lambda: sum(scrape(listen, "signals_total").values()) == 15, "all signals counted")
    assert market.outcomes == {name: n for name, n in scrape(listen, "signals_total").items() if n}
    assert {"chosen": 2, "reduce_only": 1} == scrape(listen, "intents_total")
    assert 1 == scrape(listen, "rejects_total")["confidence"] == sum(scrape(listen, "rejects_total").values())
    windows, lines = scrape(listen, "windows_total"), scrape(listen, "log_events_total")
    assert len(router.events("BEST_OF_PUBLISH")) == windows["BEST_OF_PUBLISH"] == lines["BEST_OF_PUBLISH"]
    assert sum(windows.values()) == scrape(listen, "window_close_seconds_count")[""]
    assert 3 == scrape(listen, "signal_to_intent_seconds_count")[""]
    assert {"": 1} == scrape(listen, "lease_held") == scrape(listen, "redis_up") == scrape(listen, "capacity_known")
    assert (200, "active\n") == get(listen, "readyz")
    market.client.delete(OPEN_ORDERS)
    eventually(lambda: scrape(listen, "capacity_known")[""] == 0, "capacity unknown")
    assert "quantum_router_open_orders NaN" in get(listen, "metrics")[1]


def test_how_far_execution_is_behind_is_served_and_unknown_without_its_group(
    start_router: Start, market: Any, listen: str
) -> None:
    """Lag and pending as Redis has them; nobody there is no 0."""
    start_router(ROUTER_METRICS_LISTEN=listen).wait_for("ACTIVE")
    assert "quantum_router_execution_lag_entries NaN" in get(listen, "metrics")[1]
    assert "quantum_router_execution_pending_entries NaN" in get(listen, "metrics")[1]
    group = "quantum:group:execution:trade.intent"
    market.client.xgroup_create(INTENTS, group, "0", mkstream=True)
    for _ in range(5):
        market.client.xadd(INTENTS, {"data": "{}"})
    market.client.xreadgroup(group, "execution", {INTENTS: ">"}, count=2)
    eventually(lambda: scrape(listen, "execution_lag_entries") == {"": 3}, "the lag")
    assert {"": 2} == scrape(listen, "execution_pending_entries")


def test_every_metric_of_rules_and_dashboard_is_served(start_router: Start, market: Any, listen: str) -> None:
    """A renamed metric would leave an alert silent for ever."""
    start_router(ROUTER_METRICS_LISTEN=listen).wait_for("ACTIVE")
    families = text_string_to_metric_families(get(listen, "metrics")[1])
    served = {sample.name for family in families for sample in family.samples}
    files = [path for path in MONITORING.iterdir() if path.suffix in {".yml", ".json"}]
    named = set(re.findall(r"quantum_router_\w+", " ".join(path.read_text(encoding="utf-8") for path in files)))
    assert 2 == len(files)
    assert len(named) > 20
    assert set() == named - served
    assert market.group


def test_a_standby_is_ready_and_one_without_redis_is_not(
    start_router: Start, redis_server: Any, market: Any, listen: str
) -> None:
    """Readiness follows Redis both ways, with a line that says why."""
    start_router(holder="a").wait_for("ACTIVE")
    start_router(holder="b", ROUTER_METRICS_LISTEN=listen)
    eventually(lambda: get(listen, "readyz") == (200, "standby\n"), "standby is ready")
    assert {"": 1} == scrape(listen, "standby")
    redis_server.stop()
    problem = (503, "cut off: Redis cannot be used, trying again\n")
    eventually(lambda: get(listen, "readyz") == problem, "without Redis it is not")
    assert {"": 0} == scrape(listen, "redis_up")
    redis_server.start()
    eventually(lambda: get(listen, "readyz")[0] == 200, "ready again")
    assert market.group


def test_health_fails_while_the_loop_hangs(start_router: Start, redis_server: Any, listen: str) -> None:
    """Metrics are served all the same: it is the loop's turning that counts."""
    redis_server.client.hset("quantum:router:lease", mapping={"holder": "a", "epoch": 1, "ttl_ms": 60_000})
    redis_server.client.expire("quantum:router:lease", 60)
    standby = start_router(ROUTER_METRICS_LISTEN=listen, ROUTER_LEASE_TTL_SEC="0.5", CANDIDATE_WINDOW_SEC="0.05")
    standby.wait_for("STANDBY")
    eventually(lambda: get(listen, "healthz") == (200, "alive\n"), "alive")
    redis_server.send(signal.SIGSTOP)
    eventually(lambda: get(listen, "healthz")[0] == 503, "a loop that waits for Redis hangs")
    redis_server.send(signal.SIGCONT)
    eventually(lambda: get(listen, "healthz")[0] == 200, "alive again")


def test_being_fenced_is_counted_by_the_process_after(
    start_router: Start, market: Any, listen: str, tmp_path: Path
) -> None:
    """A process that ends cannot be scraped, so the next one tells how it ended."""
    environ = {"ROUTER_METRICS_LISTEN": listen, "RUNTIME_DIRECTORY": str(tmp_path)}
    router = start_router(**environ)
    router.wait_for("ACTIVE")
    market.client.delete("quantum:router:lease")
    assert 75 == router.wait()
    start_router(**environ).wait_for("ACTIVE")
    assert {"69": 0, "75": 1, "78": 0} == scrape(listen, "failures_total")


def test_a_taken_port_ends_with_78_and_one_line(start_router: Start, redis_server: Any) -> None:
    """Nobody finds out at night that a router runs unseen."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        router = start_router(ROUTER_METRICS_LISTEN=listen, ROUTER_LOG_FORMAT="text")
        assert 78 == router.wait()
    assert 1 == len(router.log.strip().splitlines())
    assert f"ROUTER_METRICS_LISTEN='{listen}' cannot listen there" in router.log
    assert redis_server.client.exists("quantum:router:lease") == 0
