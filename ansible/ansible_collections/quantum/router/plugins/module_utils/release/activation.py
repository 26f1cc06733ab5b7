# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making a staged release the one that runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import adoption, durable, files, manifest, store, systemctl
from .drift import drift
from .errors import ReleaseError
from .layout import is_legacy
from .state import Pending, State, begin, plan_rollback, roll_back

if TYPE_CHECKING:
    from .host import Host
    from .systemctl import Facts

STOP_S = 90.0
"""systemd's own default for how long a service may take to stop; the old one stops within the restart."""


@dataclass(frozen=True)
class Activation:
    """How an activation went; `gap_ms` is how long no router was running, None when none ran before."""

    changed: bool
    previous: str | None
    main_pid: int
    activated_at_ms: int
    gap_ms: int | None


def activate(host: Host, release: str, deployment: str, start_timeout_s: float, capacity_delta: int = 0) -> Activation:
    """Start a staged release under a pending record; raises ReleaseError with systemd's reason if it doesn't get ready.

    On such an error the release stays installed and pending: rolling back is the caller's next step.
    """
    with store.locked(host.layout):
        facts = host.facts()
        state = store.load(host.layout)
        # A count that was forced is owed by a deployment, so there must be one.
        if not capacity_delta and _runs_untouched(host, facts, state, release, deployment):
            previous = state.pending.previous if state.pending else None
            entered_ms = _entered_ms(host, facts)
            return Activation(
                changed=False, previous=previous, main_pid=facts.main_pid, activated_at_ms=entered_ms, gap_ms=None
            )
        pending = _prepare(host, facts, state, Pending(deployment, release, None, host.timestamp(), capacity_delta))
        _install(host, facts, pending)
        return _start(host, facts, pending, start_timeout_s)


def check(host: Host, release: str, deployment: str) -> tuple[bool, str | None]:
    """Whether `activate` would change anything, and what it would replace; raises what it would raise early."""
    state = store.load(host.layout)
    if _runs_untouched(host, host.facts(), state, release, deployment):
        return False, state.pending.previous if state.pending else None
    adopted, _changed = adoption.adopt(host, check=True)
    pending = begin(state, Pending(deployment, release, None, "")).pending
    return True, adopted.id if adopted else pending.previous if pending else None


def _runs_untouched(host: Host, facts: Facts, state: State, release: str, deployment: str) -> bool:
    """Whether the release is what runs, nothing about it has changed since, and no other deployment is pending."""
    others = state.pending is not None and state.pending.deployment != deployment
    return state.live == release and not others and not drift(host, facts, state)


def _prepare(host: Host, facts: Facts, state: State, wanted: Pending) -> Pending:
    """Everything that can say no, then the pending record: before anything live changes."""
    differences = manifest.verify(host.layout.release(wanted.release))
    if differences:
        raise ReleaseError(f"release {wanted.release} is not what was staged ({differences[0]}): stage it again")
    adoption.refuse_foreign_drop_ins(host, facts)
    begun = begin(state, wanted)
    if begun.pending is None:
        raise ReleaseError(f"deployment {wanted.deployment} could not be recorded")
    if begun is not state:
        _require_backup(host, facts, begun.pending)
    store.save(host.layout, _with_unit(begun, host.unit))
    move = plan_rollback(begun, None, [*host.layout.kept(), wanted.release])
    if move:
        store.prepare_rollback(host.layout, _with_unit(roll_back(begun, move), host.unit))
    return begun.pending


def _with_unit(state: State, unit: str) -> State:
    return State(**{**vars(state), "unit": unit})


def _require_backup(host: Host, facts: Facts, pending: Pending) -> None:
    """Nothing is replaced that a rollback could not put back."""
    if not adoption.needs_backup(host, facts):
        return
    recorded = {}
    if pending.previous and is_legacy(pending.previous):
        adopted = adoption.read(host.layout, pending.previous)
        recorded = {entry.path: entry for entry in adopted.entries}
    unit = host.layout.host_path(host.layout.units / host.unit)
    for path in (unit, *adoption.movable_drop_ins(host, facts)):
        if path not in recorded or not adoption.present(host.layout, recorded[path]):
            raise ReleaseError(f"{path} is not ours and not in a backup: adopt the unit first, then activate")


def _install(host: Host, facts: Facts, pending: Pending) -> None:
    for path in adoption.movable_drop_ins(host, facts):
        files.set_aside(host.layout.at(path), pending.previous or pending.release)
    files.install_unit(host, pending.release, pending.previous)
    durable.link(host.layout.current, f"releases/{pending.release}")
    host.systemctl("daemon-reload")
    files.enable_as_before(host, facts)
    # Fails for a unit that systemd does not hold in memory: then there is nothing to reset.
    host.run(("systemctl", "reset-failed", host.unit), systemctl.ANSWER_S)


def _start(host: Host, before: Facts, pending: Pending, start_timeout_s: float) -> Activation:
    started_s = host.now()
    restart = ("systemctl", "restart", host.unit)
    done = host.run(restart, start_timeout_s)
    facts = host.facts()
    if done.code == systemctl.TIMED_OUT and before.main_pid and facts.main_pid == before.main_pid:
        # The old one is slow to stop, which says nothing about the release; asking again joins the same job.
        done = host.run(restart, start_timeout_s + STOP_S)
        facts = host.facts()
    facts_of_audit = {"from": pending.previous, "to": pending.release, "deployment": pending.deployment}
    if done.code != 0 or facts.active_state != "active":
        reason = failure(host, facts, done.code, start_timeout_s, started_s)
        store.record(host, "activation failed", reason=reason, **facts_of_audit)
        raise ReleaseError(reason)
    gap_ms = (facts.entered_us - facts.left_us) // 1000 if before.active_state == "active" else None
    activation = Activation(
        changed=True,
        previous=pending.previous,
        main_pid=facts.main_pid,
        activated_at_ms=int(host.now() * 1000),
        gap_ms=gap_ms,
    )
    store.record(host, "activated", gap_ms=gap_ms, **facts_of_audit)
    return activation


def failure(host: Host, facts: Facts, code: int, start_timeout_s: float, since_s: float) -> str:
    """One line on why the unit does not run: systemd's result, the exit status, the unit's last words."""
    line = systemctl.last_log_line(host.run, host.unit, since_s)
    words = f": {line}" if line else ""
    if code == systemctl.TIMED_OUT:
        return f"{host.unit} did not get ready within {start_timeout_s:g} s{words}"
    return f"{host.unit} did not start (result {facts.result}, {facts.ended}){words}"


def _entered_ms(host: Host, facts: Facts) -> int:
    """When the running one got ready, Unix milliseconds, from the clock that systemd stamps with."""
    return int(host.now() * 1000 - host.monotonic() * 1000 + facts.entered_us / 1000)
