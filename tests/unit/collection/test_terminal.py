# SPDX-License-Identifier: Apache-2.0
"""What a person reads while a deployment runs and at its end: phases, the soak's bar, before and after."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

soak = importlib.import_module("ansible_collections.quantum.router.plugins.action.soak")
comparison = importlib.import_module("ansible_collections.quantum.router.plugins.plugin_utils.comparison")
verdict = importlib.import_module("ansible_collections.quantum.router.plugins.callback.verdict")

PROGRESS: dict[str, Any] = {
    "elapsed_s": 33.1,
    "least_s": 66.0,
    "most_s": 600.0,
    "signals": 200,
    "intents": 5,
    "open_orders": 9,
    "verdict": "inconclusive",
    "certain": False,
}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (
            {},
            "[##########..........]  33 s of at least 66 s: 200 signals, 5 intents (2.5%), 9 open: inconclusive so far",
        ),
        (
            {"elapsed_s": 90.2, "signals": 0, "intents": 0, "open_orders": None},
            "[####################]  90 s of at most 600 s: 0 signals, 0 intents, unknown open: inconclusive so far",
        ),
        (
            {"elapsed_s": 66.0, "verdict": "pass", "certain": True},
            "[####################]  66 s of at most 600 s: 200 signals, 5 intents (2.5%), 9 open: pass",
        ),
    ],
    ids=["half of what a pass needs", "nothing known", "ended"],
)
def test_bar_tells_time_and_counts(changed: dict[str, Any], expected: str) -> None:
    """A line says how much of the time a pass needs is over, what was counted, and what the verdict would be."""
    assert f"lab: soak {expected}" == soak.progress_line("lab", {**PROGRESS, **changed})


def test_table_has_before_beside_after() -> None:
    """Each figure stands once before and once after, aligned; what nobody knows is a dash."""
    before = {"window_seconds": 180.4, "signals": 67_448, "intents": 67_448, "publish_ratio": 1.0, "capacity": None}
    after = {"window_seconds": 66, "signals": 858, "intents": 12, "publish_ratio": 0.014, "execution": {"lag": 0}}
    lines = comparison.comparison("lab", before, after)
    assert ["lab", "before", "after"] == lines[0].split()
    assert "signals             67,448    858" in lines
    assert "intents per signal  100.0%   1.4%" in lines
    assert ["execution", "lag", "-", "0"] == next(line for line in lines if "lag" in line).split()
    assert 1 == len({len(line) for line in lines})


def test_heading_counts_the_phases() -> None:
    """A person sees how many phases are ahead; an undo is none of those that were planned."""
    assert ("lab: preflight (1 of 12)", "lab: report (12 of 12)") == tuple(
        verdict.heading("lab", name) for name in ("preflight", "report")
    )
    assert "lab: rollback" == verdict.heading("lab", "rollback")


def test_phases_are_told_once_and_not_when_nothing_is_deployed() -> None:
    """A phase is announced at its first task; where no lock was needed, only the report is to come."""
    phases = verdict.Phases()
    assert phases.is_new("lab", "lock")
    phases.start("lab", "lock", 1.0)
    assert not phases.is_new("lab", "lock")
    phases.end("lab", "lock", "skipped", 1.0)
    assert (False, True) == (phases.is_new("lab", "stage"), phases.is_new("lab", "report"))
    assert phases.is_new("other", "stage")
