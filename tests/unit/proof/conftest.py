# SPDX-License-Identifier: Apache-2.0
"""Evidence of a deployment that went well, for tests to spoil in one place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from router.core.policy import TradingState
from router.proof.evidence import Execution, Governor, Look, Policy, Release, Said, Service, Snapshot, Soaked

RELEASE = Release("1.0.0-0123456789ab", "/opt/quantum-router/releases/1.0.0-0123456789ab", "/usr/bin/python3.11")


#: A fixture's function: returns the good evidence with some fields replaced.
Make = Callable[..., Any]


@pytest.fixture
def make_service() -> Make:
    """The service as it runs a minute after the activation."""
    good = Service(
        active_state="active",
        sub_state="running",
        restarts=0,
        main_pid=4711,
        status_text="active",
        exe=RELEASE.exe,
        cmdline=[f"{RELEASE.dir}/venv/bin/python", "-m", "router", "run"],
        lease_release=RELEASE.id,
        lease_holder="host/unit",
    )
    return lambda **changes: msgspec.structs.replace(good, **changes)


@pytest.fixture
def make_look(make_service: Make) -> Make:
    """A look at a host with free slots and trading active."""
    good = Look(
        at_ms=1_000,
        open_orders=0,
        in_flight=0,
        trading_state=TradingState.ACTIVE,
        governor=Governor(200, 1_000, 20_089),
        execution=Execution(0, 0),
        rejected=0,
        service=make_service(),
    )
    return lambda **changes: msgspec.structs.replace(good, **changes)


@pytest.fixture
def make_before() -> Make:
    """A baseline that published every signal, and 100 trades in the 30 s between it and the soak."""
    good = Snapshot(
        taken_at="2025-01-01T00:00:00Z",
        taken_at_ms=0,
        since_ms=0,
        window_seconds=120.0,
        signals=131,
        eligible=80,
        intents=130,
        governor=Governor(100, 1_000, 20_089),
        execution=Execution(60, 1),
    )
    return lambda **changes: msgspec.structs.replace(good, **changes)


@pytest.fixture
def make_after(make_look: Make) -> Make:
    """A soak of a minute in which the best two of each window of 3 s were published, every 6 s."""
    good = Soaked(
        taken_at="2025-01-01T00:01:00Z",
        taken_at_ms=90_000,
        since_ms=30_000,
        window_seconds=60.0,
        signals=130,
        eligible=80,
        intents=20,
        offered=130,
        events={"BEST_OF_PUBLISH": 10, "SIZE_BOOST": 20, "INTENT_PUBLISHED": 20},
        said=Said(10, 20, 0),
        boosted=20,
        intents_ms=[at_ms + rank for at_ms in range(33_000, 93_000, 6_000) for rank in range(2)],
        looks=[make_look(at_ms=at_ms, eligible_since_last=2) for at_ms in range(30_000, 90_000, 1_000)],
        settings=Policy(
            max_open_orders=10,
            target_open_orders=3,
            max_new_per_cycle=2,
            window_s=3.0,
            min_confidence=0.75,
            super_confidence=0.9,
        ),
        release=RELEASE,
    )
    return lambda **changes: msgspec.structs.replace(good, **changes)
