# SPDX-License-Identifier: Apache-2.0
"""Properties of the judge over any evidence that a file can hold."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from router.core.policy import TradingState
from router.proof.criteria import CRITERIA, Status, Thresholds
from router.proof.evidence import Answer, Execution, Governor, Look, Policy, Release, Said, Service, Snapshot, Soaked
from router.proof.judge import judge

POLICY = Policy(
    max_open_orders=10,
    target_open_orders=3,
    max_new_per_cycle=2,
    window_s=3.0,
    min_confidence=0.75,
    super_confidence=0.9,
)
RELEASE = Release("1.0.0-0123456789ab", "/releases/1.0.0-0123456789ab", "/usr/bin/python3")
GOOD_SERVICE = Service(
    active_state="active",
    sub_state="running",
    restarts=0,
    main_pid=1,
    exe=RELEASE.exe,
    cmdline=[f"{RELEASE.dir}/venv/bin/python"],
    lease_release=RELEASE.id,
)
counts = st.integers(0, 10**6)
times = st.integers(0, 10**7)
spans = st.floats(0, 10**9)
maybe_text = st.none() | st.text(max_size=8)
services = st.just(GOOD_SERVICE) | st.builds(
    Service,
    active_state=st.sampled_from(["active", "failed", None]),
    sub_state=st.sampled_from(["running", None]),
    restarts=st.none() | st.integers(0, 2),
    main_pid=st.none() | st.integers(0, 2),
    exe=maybe_text,
    cmdline=st.none() | st.lists(st.text(max_size=8), max_size=2),
    lease_release=maybe_text,
)
maybe_count = st.none() | st.integers(0, 50)
maybe_some = st.integers(0, 20)
governors = st.builds(
    Governor,
    count=maybe_count,
    day=st.sampled_from([20_088, 20_089, 20_091, None]),
    yesterday=maybe_count,
)
executions = st.builds(Execution, lag=maybe_count, pending=maybe_count)
looks = st.builds(
    Look,
    at_ms=times,
    open_orders=st.none() | st.integers(0, 12),
    in_flight=st.none() | st.integers(0, 3),
    trading_state=st.none() | st.sampled_from(TradingState),
    eligible_since_last=st.integers(0, 20),
    super_since_last=st.integers(0, 5),
    governor=governors,
    execution=executions,
    rejected=maybe_count,
    service=services,
    error=st.none() | st.just("Redis unavailable"),
)
befores = st.builds(
    Snapshot,
    taken_at=st.just("2025-01-01T00:00:00Z"),
    taken_at_ms=times,
    since_ms=times,
    window_seconds=spans,
    signals=counts,
    eligible=counts,
    intents=counts,
    governor=governors,
    execution=executions,
)
afters = st.builds(
    Soaked,
    taken_at=st.just("2025-01-01T00:01:00Z"),
    taken_at_ms=times,
    since_ms=times,
    window_seconds=spans,
    signals=counts,
    eligible=counts,
    intents=counts,
    events=st.none() | st.dictionaries(st.sampled_from(["CAPACITY_UNKNOWN", "SIZE_BOOST"]), st.integers(0, 3)),
    said=st.none() | st.builds(Said, publishing_windows=maybe_some, claimed=maybe_some, errors=st.just(0)),
    boosted=maybe_some,
    invalid=maybe_some,
    answers=st.lists(
        st.builds(Answer, name=st.just("mine"), exit_status=st.none() | st.integers(0, 3), said=st.text(max_size=8)),
        max_size=1,
    ),
    error_share=st.floats(0, 1),
    intents_ms=st.lists(times, max_size=20),
    offered=st.just(10**9),
    looks=st.lists(looks, max_size=12).map(lambda found: sorted(found, key=lambda look: look.at_ms)),
    settings=st.just(POLICY),
    release=st.just(RELEASE),
)


@given(befores, afters)
def test_total_and_worst_wins(before: Snapshot, after: Soaked) -> None:
    """Any evidence gets a verdict that is the worst of its criteria, and can be written as JSON."""
    verdict = judge(before, after)
    statuses = {criterion.status for criterion in verdict.criteria} - {Status.SKIPPED}
    order = [Status.PASSED, Status.INCONCLUSIVE, Status.FAILED]
    assert max(statuses, key=order.index) is verdict.verdict
    assert verdict.reduction is None or 0 <= verdict.reduction <= 1
    assert all("\n" not in criterion.detail for criterion in verdict.criteria)
    assert msgspec.json.decode(msgspec.json.encode(verdict))["verdict"] == verdict.verdict.value


@given(befores, afters, st.sampled_from(["open_orders", "trading_state", "service", "events", "looks"]))
def test_missing_evidence_never_passes(before: Snapshot, after: Soaked, missing: str) -> None:
    """Whatever else is true, evidence that is missing keeps the verdict from being a pass."""
    blanks: dict[str, Any] = {"open_orders": None, "trading_state": None, "service": Service()}
    if missing in blanks:
        spoiled = [msgspec.structs.replace(look, **{missing: blanks[missing]}) for look in after.looks]
        after = msgspec.structs.replace(after, looks=spoiled)
    else:
        after = msgspec.structs.replace(after, **{missing: None if missing == "events" else []})
    assert Status.PASSED is not judge(before, after).verdict


@given(befores, afters)
def test_silent_router_never_passes(before: Snapshot, after: Soaked) -> None:
    """A router without a single intent never passes, however large the reduction is."""
    after = msgspec.structs.replace(after, intents=0, intents_ms=[])
    assert Status.PASSED is not judge(before, after).verdict


@given(befores, afters)
def test_flooding_by_brute_force(before: Snapshot, after: Soaked) -> None:
    """The sliding window agrees with counting around every intent."""
    most = max((sum(start <= at <= start + 2_700 for at in after.intents_ms) for start in after.intents_ms), default=0)
    after = msgspec.structs.replace(after, looks=[])
    found = CRITERIA["not flooding"](before, after, Thresholds())
    assert most == found.numbers["most"]
    assert (most > 2) is (found.status is Status.FAILED)
