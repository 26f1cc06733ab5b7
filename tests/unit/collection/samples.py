# SPDX-License-Identifier: Apache-2.0
"""Reports of deployments that ended in every way: what the lab shows, judged and assembled by the real code."""

from __future__ import annotations

import importlib
from typing import Any

import msgspec

from router.core.policy import TradingState
from router.proof.evidence import (
    Capacity,
    Execution,
    Governor,
    Look,
    Pace,
    Policy,
    Release,
    Said,
    Service,
    Snapshot,
    Soaked,
)
from router.proof.judge import Action, act, judge

report = importlib.import_module("ansible_collections.quantum.router.plugins.action.report")

RELEASE = Release("1.0.0-0123456789ab", "/opt/quantum-router/releases/1.0.0-0123456789ab", "/usr/bin/python3.11")
LEGACY = "legacy-e7cc7d50fbc5"
NOW = "2026-01-19T12:02:10+00:00"
#: 12:00 on that day, when the baseline begins; when it ends, and what came after.
BEGAN_MS = 1_768_824_000_000
TAKEN_MS, ACTIVATED_MS, ENDED_MS = BEGAN_MS + 59_000, BEGAN_MS + 83_000, BEGAN_MS + 115_000
NASTY = (
    "\"'\\\n\r\x00\x1b[2J\x9b31m\u2028\u202e</td></pre></style></title>"
    "<script>alert(1)</script><img src=x onerror=x>&amp; é"
)


def bursts(seconds: int, of: int) -> list[int]:
    """Counts of each second: *of* of them at once, then a pause of 4 s."""
    return [of if second % 4 == 2 else 0 for second in range(seconds)]


def before(**changes: Any) -> Snapshot:
    """A minute of a router that published every signal."""
    counts = bursts(60, 13)
    good = Snapshot(
        taken_at="2026-01-19T12:00:59.000Z",
        taken_at_ms=TAKEN_MS,
        since_ms=BEGAN_MS,
        window_seconds=59.0,
        signals=sum(counts),
        eligible=120,
        intents=sum(counts),
        publish_ratio=1.0,
        pace=Pace(1, counts, counts),
        governor=Governor(200, 41_000, 20_472),
        capacity=Capacity(19),
        dedup_keys=204,
        execution=Execution(23, 1),
        service=Service("active", "running", 0, 58, cmdline=["/usr/bin/python3", "/home/qt/router.py"]),
        events={"INTENT_PUBLISHED": sum(counts)},
        redis_version="7.0.15",
    )
    return msgspec.structs.replace(good, **changes)


def after(**changes: Any) -> Soaked:
    """Half a minute of a release that published two of every second burst."""
    signals = bursts(33, 13)
    intents = [2 if second % 8 == 6 else 0 for second in range(33)]
    times_ms = [ACTIVATED_MS + second * 1000 + 100 for second, count in enumerate(intents) for _ in range(count)]
    looks = [_look(second, signals[second - 1], intents[second - 1]) for second in range(1, 33)]
    good = Soaked(
        taken_at="2026-01-19T12:01:55.000Z",
        taken_at_ms=ENDED_MS,
        since_ms=ACTIVATED_MS,
        window_seconds=32.0,
        signals=sum(signals),
        eligible=60,
        intents=sum(intents),
        publish_ratio=round(sum(intents) / sum(signals), 4),
        pace=Pace(1, signals, intents),
        rejects={"price": 1, "symbol": 4, "other": 2},
        governor=Governor(206, 40_900, 20_472),
        capacity=Capacity(2),
        dedup_keys=212,
        execution=Execution(0, 0),
        service=looks[-1].service,
        events={"BEST_OF_PUBLISH": 4, "INTENT_PUBLISHED": 8, "SIZE_BOOST": 8, "TARGET_REACHED": 2},
        redis_version="7.0.15",
        intents_ms=times_ms,
        offered=sum(signals),
        looks=looks,
        settings=Policy(
            max_open_orders=10,
            target_open_orders=3,
            max_new_per_cycle=2,
            window_s=3.0,
            min_confidence=0.75,
            super_confidence=0.9,
        ),
        release=RELEASE,
        boosted=len(times_ms),
        invalid=7,
        said=Said(4, 8, 0),
        error_share=0.5,
        systemctl_status=[
            "● quantum-ai-strategy-router.service - Quantum Router",
            "     Active: active (running) since Mon 2026-01-19 12:01:23 UTC; 32s ago",
            '     Status: "active: CAPACITY_AVAILABLE, lag 0, open 2 of 10 (target 3), in flight 0"',
            "   Main PID: 4711 (python)",
        ],
        log_sample=[
            "📤 BEST_OF_PUBLISH count=2 allowed=2 open=1 slots=9 top=[DOTUSDT:SELL:0.915,LTCUSDT:BUY:0.901] inflight=0",
            "💰 SIZE_BOOST rank=1 factor=1.30 symbol=DOTUSDT",
            "Trade Intent published: DOTUSDT SELL",
            "⏸️ TARGET_REACHED open=3 target=3 (awaiting super-signal)",
        ],
    )
    return msgspec.structs.replace(good, **changes)


def _look(second: int, signals: int, published: int) -> Look:
    return Look(
        at_ms=ACTIVATED_MS + second * 1000,
        open_orders=max(1 + second % 3, 19 - 2 * second),
        in_flight=published,
        trading_state=TradingState.ACTIVE,
        signals_since_last=signals,
        eligible_since_last=signals // 2,
        governor=Governor(200 + second // 5, 41_000, 20_472),
        execution=Execution(max(0, 24 - 3 * second), published),
        rejected=7 * (second > 20),
        service=Service(
            "active",
            "running",
            0,
            465,
            "active: CAPACITY_AVAILABLE, lag 0, open 1 of 10 (target 3), in flight 0",
            RELEASE.exe,
            [f"{RELEASE.dir}/venv/bin/python", "-I", "-m", "router", "run"],
            RELEASE.id,
            "lab/unit",
        ),
    )


def measured(earlier: Snapshot, seen: Soaked, on_inconclusive: Action = Action.ROLLBACK) -> dict[str, Any]:
    """The facts of the report action that come from measuring and judging."""
    verdict = act(judge(earlier, seen), earlier, seen, on_inconclusive, drilled=True)
    return {"before": _plain(earlier), "after": _plain(seen), "verdict": _plain(verdict)}


def _plain(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


PHASES = {
    "preflight": 5.36,
    "lock": 0.49,
    "stage": 8.17,
    "recon": 1.33,
    "check": 0.92,
    "drill": 18.13,
    "backup": 0.49,
    "activate": 2.1,
    "soak": 32.5,
    "judge": 0.32,
    "confirm": 0.63,
}
UNIT = (
    "[Unit]\nDescription=Quantum AI Strategy Router\n\n"
    "[Service]\nType=simple\nUser=qt\nExecStart=/usr/bin/python3 router.py\n"
)


def assembled(*phases: str, failed: str = "", **facts: Any) -> dict[str, Any]:
    """The report of host lab that has gone through *phases* and *failed* in one of them."""
    told: list[dict[str, Any]] = [{"name": name, "seconds": PHASES[name], "status": "ok"} for name in phases]
    if failed:
        told.append({"name": failed, "seconds": 0.4, "status": "failed"})
    log = [f"2026-01-19T12:01:00Z {each['seconds']:6.2f} s  {each['name']}: {each['status']}" for each in told]
    made: dict[str, Any] = report.assemble({"host": "lab", "phases": told, "run_log": log, **facts}, NOW)
    return made


STAGED: dict[str, Any] = {
    "release": RELEASE.id,
    "previous": LEGACY,
    "deployment": "20260119T120000Z-b512",
    "info": {
        "os": {"system": "Linux", "id": "debian", "version": "12"},
        "machine": "x86_64",
        "python": {"version": "3.11.2"},
        "systemd": {"running": True, "version": 252},
        "redis": {"version": "7.0.15"},
    },
    "capacity": {"before": "16", "after": "16", "created": False},
    "diff": [
        {
            "before_header": "unit",
            "after_header": "unit",
            "before": UNIT,
            "after": UNIT.replace("simple", "notify").replace("qt", "quantum-router") + "WatchdogSec=10\n",
        },
        {
            "before_header": "environment",
            "after_header": "environment",
            "before": "",
            "after": "ROUTER_REDIS_URL=redis://127.0.0.1:6379/0\n",
        },
    ],
}
STATES = {"full": (10, "CAPACITY_FULL", 0), "target": (3, "TARGET_REACHED", 0), "below": (1, "BEST_OF_PUBLISH", 2)}
DRILL = {
    "release": RELEASE.id,
    "passed": True,
    "problem": None,
    "seconds": 16.88,
    "states": [
        {
            "name": name,
            "open_orders": open_orders,
            "signals": 11,
            "event": event,
            "expected": intents,
            "seen": intents,
            "seconds": 3.01,
            "problem": None,
        }
        for name, (open_orders, event, intents) in STATES.items()
    ],
}
TO_SOAK = tuple(PHASES)[:9]


#: What a release that published nothing has of it.
NOTHING: dict[str, Any] = {
    "intents": 0,
    "intents_ms": [],
    "publish_ratio": 0.0,
    "boosted": 0,
    "said": Said(0, 0, 0),
    "events": {},
    "rejects": {},
}


def silent() -> Soaked:
    """A release that publishes nothing while good signals meet free slots."""
    seen = after()
    free = [msgspec.structs.replace(look, open_orders=0) for look in seen.looks]
    return after(**NOTHING, looks=free, pace=Pace(1, seen.pace.signals, [0] * 33))


def few() -> Soaked:
    """A soak in which no signal came, so that nobody knows."""
    looks = [msgspec.structs.replace(look, signals_since_last=0, eligible_since_last=0) for look in after().looks]
    return after(**NOTHING | {"publish_ratio": None}, signals=0, looks=looks, pace=Pace(1, [0] * 33, [0] * 33))


def failed() -> dict[str, Any]:
    """A deployment that did not pass and was rolled back."""
    facts = measured(before(), silent())
    failure = {"msg": facts["verdict"]["note"], "phase": "judge"}
    back = {"changed": True, "to": LEGACY}
    return assembled(*TO_SOAK, failed="judge", **STAGED, **facts, drill=DRILL, failure=failure, rolled_back=back)


def hostile(value: Any) -> Any:
    """The same report with hostile text behind every text in it, names that others give included."""
    if isinstance(value, str):
        return value + NASTY
    if isinstance(value, list):
        return [hostile(each) for each in value]
    if isinstance(value, dict):
        return {name: hostile(each) for name, each in value.items()}
    return value


PASSED = assembled(*PHASES, **STAGED, **measured(before(), after()), drill=DRILL)
_UNDONE = {"failure": {"msg": "few signals", "phase": "judge"}, "rolled_back": {"changed": True}}
_LOST = {"failed": True, "msg": "unit: no space left"}
#: How a deployment ended -> its report.
SAMPLES: dict[str, dict[str, Any]] = {
    "passed": PASSED,
    "unchanged": PASSED | {"unchanged": True, "previous": None},
    "failed": failed(),
    "held": assembled(*PHASES, **STAGED, **measured(before(), few(), Action.HOLD), held_s=3600),
    "undecided": assembled(*TO_SOAK, failed="judge", **STAGED, **measured(before(), few()), **_UNDONE),
    "confirmed": assembled(*PHASES, **STAGED, **measured(before(), few(), Action.CONFIRM)),
    "rollback failed": failed() | assembled(failed="judge", **_UNDONE | {"rolled_back": _LOST}) | {"before": None},
    "drill failed": assembled(
        *TO_SOAK[:5],
        failed="drill",
        **STAGED | {"before": _plain(before())},
        failure={"msg": "drill: open_orders 1: expected 2 intents, seen 0", "phase": "drill"},
        drill=DRILL | {"passed": False, "problem": "open_orders 1: expected 2 intents, seen 0"},
    ),
    "refused": assembled(failed="preflight", failure={"msg": "2 problems:\n- a=1 is wrong\n- b=2 is wrong"}),
    "hostile": hostile(PASSED) | {"verdict": "pass"},
}
