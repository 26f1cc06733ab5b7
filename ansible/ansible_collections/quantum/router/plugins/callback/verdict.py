# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last lines of a run, one for each host, the time that each phase took, and what each task came to."""

from __future__ import annotations

DOCUMENTATION = """
name: verdict
type: aggregate
short_description: One last line for every host that says how it went
version_added: 1.0.0
author: Quantum Router maintainers (@quantum-router)
description:
  - Says when a host comes to its next phase.
  - Prints a table of before and after for every host, then where its C(report.html) lies, and after everything else the
    line of M(quantum.router.report).
  - A host that never got there, since it was unreachable or refused, gets a line with the reason.
  - Measures the phases of the role and hands them to the report as the fact C(_router_phases).
  - Sees to it that a run goes on to its end when nobody reads any more what it prints.
  - Keeps a line for every task that ended and hands them to the report as the fact C(_router_run_log).
requirements:
  - enabled by C(callbacks_enabled)
"""

import json
import re
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from ansible.plugins.callback import CallbackBase
from ansible_collections.quantum.router.plugins.plugin_utils.failure import why
from ansible_collections.quantum.router.plugins.plugin_utils.listing import one_line
from ansible_collections.quantum.router.plugins.plugin_utils.phases import PHASES, touched
from ansible_collections.quantum.router.plugins.plugin_utils.unheard import go_on_unheard

if TYPE_CHECKING:
    from ansible.executor.stats import AggregateStats
    from ansible.executor.task_result import CallbackTaskResult
    from ansible.inventory.host import Host
    from ansible.playbook.play import Play
    from ansible.playbook.task import Task
    from ansible.utils.display import Display
    from ansible.vars.manager import VariableManager

_PHASE = re.compile(rf"/roles/router/tasks/({'|'.join(PHASES)})\.yml:\d+$")


class Phases:
    """Seconds and status of every phase a host went through, in order; times are what the caller's clock says."""

    def __init__(self) -> None:
        self._began: dict[tuple[str, str], float] = {}
        self._found: dict[tuple[str, str], dict[str, Any]] = {}

    def start(self, host: str, phase: str, now: float) -> None:
        """A task of the phase starts on the host."""
        self._began.setdefault((host, phase), now)

    def end(self, host: str, phase: str, status: str, now: float) -> None:
        """A task of the phase ended: ok, skipped, failed or unreachable."""
        worst = max(status, self._found.get((host, phase), {"status": "skipped"})["status"], key=_rank)
        seconds = round(now - self._began.get((host, phase), now), 2)
        self._found[host, phase] = {"name": phase, "seconds": seconds, "status": worst}

    def is_new(self, host: str, phase: str) -> bool:
        """Whether to say that the host comes to the phase; where nothing is deployed all are skipped, in silence."""
        idle = self._found.get((host, "lock"), {}).get("status") == "skipped" and phase != "report"
        return (host, phase) not in self._began and not idle

    def of(self, host: str) -> list[dict[str, Any]]:
        """All phases of the host so far."""
        return [phase for (owner, _name), phase in self._found.items() if owner == host]


class RunLog:
    """What a person would have read on the terminal, a line a task; times are what the caller's clocks say."""

    def __init__(self) -> None:
        self._began: dict[str, float] = {}
        self._lines: dict[str, list[str]] = {}

    def start(self, host: str, now: float) -> None:
        """The host's next task starts; *now* in seconds of a clock that never steps."""
        self._began[host] = now

    def end(self, host: str, name: str, told: str, now: float, at: datetime) -> None:
        """It ended: *told* says how, and why if it failed; *at* is the time of day."""
        seconds = now - self._began.pop(host, now)
        line = f"{at:%Y-%m-%dT%H:%M:%SZ} {seconds:6.2f} s  {name}: {told}"
        self._lines.setdefault(host, []).append(line)

    def of(self, host: str) -> list[str]:
        """All lines of the host so far."""
        return list(self._lines.get(host, []))


def phase_of(task: Task | None) -> str | None:
    """Return the phase a task belongs to: its own file's, or that of the nearest file that imports it."""
    while task is not None:
        if named := _PHASE.search(task.get_path() or ""):
            return named[1]
        task = task.get_first_parent_include()
    return None


def heading(host: str, phase: str) -> str:
    """Return the line that says which phase a host comes to, and how many there are; a rollback is none of them."""
    ahead = [name for name in PHASES if name != "rollback"]
    place = f" ({ahead.index(phase) + 1} of {len(ahead)})" if phase in ahead else ""
    return f"{host}: {phase}{place}"


def _rank(status: str) -> int:
    return ("skipped", "ok", "failed", "unreachable").index(status)


def gone(phases: list[dict[str, Any]]) -> str:
    """Return what is to be thought of the service of a host that went away in the last of its phases."""
    undone = "the host undoes it by itself unless it was confirmed, see router-release status there"
    return undone if touched(phases) else "nothing live was touched"


def failed(host: str, why: str) -> str:
    """Return the line of a host that wrote no report."""
    return f"verdict=fail host={host} reason={json.dumps(one_line(why), ensure_ascii=False)}"


class CallbackModule(CallbackBase):
    """Collects while the play runs and prints at the end."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "quantum.router.verdict"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, display: Display | None = None, options: dict[str, Any] | None = None) -> None:
        super().__init__(display=display, options=options)
        self._phases = Phases()
        self._log = RunLog()
        self._variables: VariableManager | None = None
        self._why: dict[str, str] = {}
        go_on_unheard(1, 2)

    def v2_playbook_on_play_start(self, play: Play) -> None:
        """Keep the way by which facts reach the tasks."""
        self._variables = play.get_variable_manager()

    def v2_runner_on_start(self, host: Host, task: Task) -> None:
        """A task starts on a host."""
        now = time.monotonic()
        self._log.start(host.get_name(), now)
        if phase := phase_of(task):
            if self._phases.is_new(host.get_name(), phase):
                self._display.display(heading(host.get_name(), phase))
            self._phases.start(host.get_name(), phase, now)

    def v2_runner_on_ok(self, result: CallbackTaskResult) -> None:
        """A task went well."""
        self._ended(result, "ok")

    def v2_runner_on_skipped(self, result: CallbackTaskResult) -> None:
        """A task was not needed."""
        self._ended(result, "skipped")

    def v2_runner_on_failed(self, result: CallbackTaskResult, **_kwargs: object) -> None:
        """A task failed; the last one counts unless a report says more."""
        self._ended(result, "failed")
        self._why[result.host.get_name()] = why(dict(result.result))

    def v2_runner_on_unreachable(self, result: CallbackTaskResult) -> None:
        """A host went away: no rescue runs there, so this is all that will be known."""
        self._ended(result, "unreachable")
        host, said = result.host.get_name(), str(result.result.get("msg", "")).rstrip(": ")
        left = gone(self._phases.of(host))
        self._why[host] = f"unreachable: {said}: check its address, the ssh key and the inventory; {left}"

    def v2_playbook_on_stats(self, stats: AggregateStats) -> None:
        """Print before and after, where the reports lie, what is to be said of every host, and nothing after it."""
        hosts = sorted(stats.processed)
        custom = [stats.custom.get(host, {}) for host in hosts]
        said = [text for facts in custom if (table := facts.get("router_table")) for text in (*table, "")]
        said += [f"report={facts['router_report']}" for facts in custom if facts.get("router_report")]
        said += [text for host in hosts for text in self._lines(stats, host)]
        for text in said:  # one by one: in Ansible's log each line has its time
            self._display.display(text)

    def _lines(self, stats: AggregateStats, host: str) -> list[str]:
        reported = stats.custom.get(host, {}).get("router_line")
        if reported and not stats.dark.get(host):
            return reported if isinstance(reported, list) else [reported]
        return [failed(host, self._why[host])] if host in self._why else []

    def _ended(self, result: CallbackTaskResult, status: str) -> None:
        if self._variables is None:
            return
        host, task, now = result.host.get_name(), result.task, time.monotonic()
        told = "changed" if status == "ok" and result.result.get("changed") else status
        if status in {"failed", "unreachable"}:
            told = f"{status}: {why(dict(result.result))}"
        self._log.end(host, task.get_name(), told, now, datetime.now(tz=timezone.utc))
        if phase := phase_of(task):
            self._phases.end(host, phase, status, now)
        facts = {"_router_phases": self._phases.of(host), "_router_run_log": self._log.of(host)}
        self._variables.set_nonpersistent_facts(host, facts)
