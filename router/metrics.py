# SPDX-License-Identifier: Apache-2.0
"""The tally as Prometheus metrics, in a registry of their own (prometheus.io/docs/practices/naming).

Base units, `_total`, `_seconds`, `_info`; every label set is there from the start; no id and no symbol is a label. What
is unknown is NaN: a comparison with it is false, so it neither fires an alert nor passes for a number.
"""

from __future__ import annotations

import itertools
import os
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from router import __version__
from router.core.policy import TradingState
from router.tally import Role
from router.telemetry import LINES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client.core import Metric

    from router.config import Settings
    from router.redis_io.scripts import Observation
    from router.tally import Distribution, Tally

PREFIX: Final = "quantum_router_"
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_UNKNOWN: Final = float("nan")


def registry(tally: Tally, settings: Settings, release: str) -> CollectorRegistry:
    """Return a registry that holds the metrics of *tally* and nothing else."""
    own = CollectorRegistry(auto_describe=False)
    own.register(_Router(tally, settings, release))
    return own


class _Router(Collector):
    """Reads the tally anew for each scrape; takes no lock and calls nothing that waits."""

    def __init__(self, tally: Tally, settings: Settings, release: str) -> None:
        self._tally = tally
        self._settings = settings
        self._build = {"version": __version__, "release": release, "python": platform.python_version()}

    def collect(self) -> Iterator[Metric]:
        """Yield every metric (the name is prometheus-client's)."""
        yield InfoMetricFamily(PREFIX + "build", "What runs: version, release and Python", self._build)
        yield from _process(self._tally)
        yield from _work(self._tally)
        yield from _state(self._tally)
        yield from _capacity(self._tally, self._settings)
        yield from _settings(self._settings)


def _process(tally: Tally) -> Iterator[Metric]:
    # Read from our own entry: the usual collector wants /proc/stat, which ProcSubset=pid hides.
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    yield _gauge("process_start_time_seconds", "When this process started", tally.started_at_s)
    yield _counter("process_cpu_seconds", "Processor time used", time.process_time())
    yield _gauge("process_resident_memory_bytes", "Memory in use", pages * _PAGE_BYTES)
    lines = CounterMetricFamily(PREFIX + "log_events", "Lines logged, by event and level", labels=["event", "level"])
    for name, count in tally.lines.items():
        lines.add_metric([name, LINES[name].name.lower()], count)
    yield lines
    yield _counter("log_lost", "Lines among them that could not be written", tally.lines_lost)
    yield _counters("failures", "Ends of the service by exit code, kept over restarts", "exit_code", tally.failures)


def _work(tally: Tally) -> Iterator[Metric]:
    yield _counters("signals", "Signal entries dealt with, by outcome", "outcome", tally.outcomes)
    yield _counters("rejects", "Rejected signal entries, by reason code", "code", tally.rejects)
    yield _counters("intents", "Intents published, by kind", "kind", tally.intents)
    yield _counter("intents_trimmed", "Intents that trimming took before execution had been given them", tally.trimmed)
    yield _counters("windows", "Windows decided, by outcome", "event", tally.windows)
    yield _histogram("window_close_seconds", "From a window's due time until its commit is taken", tally.close_s)
    yield _histogram("commit_seconds", "From sending a commit to its reply", tally.commit_s)
    yield _histogram("signal_to_intent_seconds", "From a signal's entry to its intent's", tally.signal_to_intent_s)
    yield _gauge("last_turn_timestamp_seconds", "When the work loop last turned", tally.turned_at_s)
    yield _gauge("last_read_timestamp_seconds", "When signals were last read", tally.read_at_s)
    yield _gauge("last_commit_timestamp_seconds", "When a commit was last taken", tally.committed_at_s)
    yield _gauge("last_window_timestamp_seconds", "When a window was last decided", tally.window_at_s)


def _state(tally: Tally) -> Iterator[Metric]:
    seen = tally.seen
    yield _gauge("redis_up", "Whether Redis answered at the last attempt", tally.redis_up)
    yield _gauge("lease_held", "Whether this router is the active one", tally.role is Role.ACTIVE)
    yield _gauge("standby", "Whether it waits for the lease of another", tally.role is Role.STANDBY)
    states = {state.value: float(seen is not None and seen.capacity.state is state) for state in TradingState}
    family = GaugeMetricFamily(PREFIX + "trading_state", "What the desk allows: 1 for the state", labels=["state"])
    for state, value in states.items():
        family.add_metric([state], value)
    yield family
    yield _gauge("lag_entries", "Signal entries after the last commit's cursor", seen.lag if seen else None)
    yield _gauge("pending_entries", "Entries an older router left pending", seen.pending if seen else None)


def _capacity(tally: Tally, settings: Settings) -> Iterator[Metric]:
    capacity = tally.seen.capacity if tally.seen else None
    open_orders = capacity.open_orders if capacity else None
    yield _gauge("capacity_known", "Whether the count of open orders is known", open_orders is not None)
    yield _gauge("open_orders", "Open orders, as execution counts them", open_orders)
    yield _gauge("in_flight_intents", "Intents execution has not dealt with", capacity.in_flight if capacity else None)
    yield from _execution(tally.seen)
    yield _gauge("open_orders_max", "Setting MAX_OPEN_ORDERS", settings.max_open_orders)
    yield _gauge("open_orders_target", "Setting TARGET_OPEN_ORDERS", settings.target_open_orders)


def _execution(seen: Observation | None) -> Iterator[Metric]:
    lag, pending = (seen.execution_lag, seen.execution_pending) if seen else (None, None)
    yield _gauge("execution_lag_entries", "Intents execution has not been given", lag)
    yield _gauge("execution_pending_entries", "Intents it was given and has not acknowledged", pending)


def _settings(settings: Settings) -> Iterator[Metric]:
    yield _gauge("window_seconds", "Setting CANDIDATE_WINDOW_SEC", settings.window_s)
    yield _gauge("lease_ttl_seconds", "Setting ROUTER_LEASE_TTL_SEC", settings.lease_ttl_s)
    yield _gauge("signal_max_age_seconds", "Setting ROUTER_SIGNAL_MAX_AGE_SEC", settings.max_age_s)


def _gauge(name: str, meaning: str, value: float | None) -> Metric:
    return GaugeMetricFamily(PREFIX + name, meaning, _UNKNOWN if value is None else value)


def _counter(name: str, meaning: str, value: float) -> Metric:
    return CounterMetricFamily(PREFIX + name, meaning, value)


def _counters(name: str, meaning: str, label: str, values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(PREFIX + name, meaning, labels=[label])
    for value, count in values.items():
        family.add_metric([value], count)
    return family


def _histogram(name: str, meaning: str, times: Distribution) -> Metric:
    bounds = [*map(floatToGoString, times.bounds_s), "+Inf"]
    buckets = list(zip(bounds, map(float, itertools.accumulate(times.counts)), strict=True))
    return HistogramMetricFamily(PREFIX + name, meaning, buckets, times.sum_s)
