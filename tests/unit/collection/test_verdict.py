# SPDX-License-Identifier: Apache-2.0
"""The callback: how long the phases took, and the line of a host that wrote no report."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace

verdict = importlib.import_module("ansible_collections.quantum.router.plugins.callback.verdict")


ROOT = Path(__file__).resolve().parents[3]


def test_shared_tasks_are_of_the_phase_that_imports_them(tmp_path: Path) -> None:
    """What a phase imports counts as the phase: a host that is refused there failed in it."""
    tasks = tmp_path / "roles" / "router" / "tasks"
    tasks.mkdir(parents=True)
    phases = "_router_phases | map(attribute='name') | join(' ')"
    files = {
        tasks / "main.yml": [{"ansible.builtin.include_tasks": "preflight.yml"}],
        tasks / "preflight.yml": [{"ansible.builtin.import_tasks": "fit.yml"}],
        tasks / "fit.yml": [
            {"ansible.builtin.set_fact": {"fits": True}},
            {"ansible.builtin.debug": {"msg": f"phases={{{{ {phases} }}}}"}},
        ],
        tmp_path / "play.yml": [{"hosts": "localhost", "gather_facts": False, "roles": ["router"]}],
    }
    for path, content in files.items():
        path.write_text(json.dumps(content), encoding="utf-8")
    run = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", tmp_path / "play.yml"],
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_COLLECTIONS_PATH": f"{ROOT}/ansible"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "phases=preflight\n" in run.stdout.replace('"', "")


def test_phase_spans_its_tasks() -> None:
    """A phase lasts from its first task's start to its last task's end, in the order of the phases."""
    phases = verdict.Phases()
    for name, began, ended in (("stage", 1.0, 2.0), ("stage", 2.5, 4.0), ("recon", 4.0, 4.5)):
        phases.start("lab", name, began)
        phases.end("lab", name, "ok", ended)
    expected = [{"name": "stage", "seconds": 3.0, "status": "ok"}, {"name": "recon", "seconds": 0.5, "status": "ok"}]
    assert expected == phases.of("lab")
    assert not phases.of("other")


def test_worst_status_counts() -> None:
    """A phase is skipped only if all of it was, and failed if any of it did."""
    phases = verdict.Phases()
    for name, status in (("soak", "skipped"), ("judge", "skipped"), ("judge", "failed"), ("judge", "ok")):
        phases.end("lab", name, status, 1.0)
    expected = {"soak": "skipped", "judge": "failed"}
    assert expected == {each["name"]: each["status"] for each in phases.of("lab")}


def test_run_log_tells_each_task() -> None:
    """A task that ended is one line: when, how long it took, its name and what it came to."""
    log = verdict.RunLog()
    log.start("lab", 1.0)
    log.end("lab", "Build the release", "changed", 3.25, datetime(2026, 1, 19, 12, 17, tzinfo=timezone.utc))
    expected = ["2026-01-19T12:17:00Z   2.25 s  Build the release: changed"]
    assert expected == log.of("lab")
    assert not log.of("other")


def test_gone_before_activation() -> None:
    """A host that was lost before activation is said to run what it ran."""
    phases = [{"name": "stage", "status": "unreachable"}, {"name": "activate", "status": "skipped"}]
    expected = "nothing live was touched"
    assert expected == verdict.gone(phases)


def test_gone_after_activation() -> None:
    """A host that was lost after activation is to be looked at."""
    assert "router-release status" in verdict.gone([{"name": "activate", "status": "ok"}])


def test_failed_is_one_line() -> None:
    """A reason of several lines becomes one, quoted."""
    expected = 'verdict=fail host=lab reason="no \\"x\\" here"'
    assert expected == verdict.failed("lab", 'no "x"\n  here')


def test_the_verdicts_are_the_last_lines_and_the_reports_are_named_before() -> None:
    """What a person reads last is how each host went; where the pages lie stands above, for hosts that have one."""
    stats, shown = importlib.import_module("ansible.executor.stats").AggregateStats(), list[str]()
    told = {"a": {"router_line": "verdict=pass host=a", "router_report": "reports/latest/a/report.html"}}
    told["b"] = {"router_line": "check_mode=true host=b"}
    for host, custom in told.items():
        stats.increment("ok", host)
        for name, value in custom.items():
            stats.set_custom_stats(name, value, host)
    verdict.CallbackModule(display=SimpleNamespace(verbosity=0, display=shown.append)).v2_playbook_on_stats(stats)
    assert ["report=reports/latest/a/report.html", "verdict=pass host=a", "check_mode=true host=b"] == shown
