# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making a staged release the one that runs, under a guard that undoes it unless somebody confirms it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Mapping

from . import adoption, capacity, durable, files, guard, lock, manifest, store, systemctl
from .drift import drift
from .errors import ReleaseError
from .layout import is_legacy
from .plan import verified
from .state import Pending, State, begin, hold, plan_rollback, refuse_other_unit, roll_back

if TYPE_CHECKING:
    from .host import Host
    from .systemctl import Facts

STOP_S = 90.0
"""systemd's own default for how long a service may take to stop; the old one stops within the restart."""

LOCK_BEYOND_GUARD_S = 600.0
"""The lock outlasts the guard by more than the rollback takes, so that nobody deploys meanwhile."""


@dataclass(frozen=True)
class Activation:
    """How an activation went; `gap_ms` is how long no router was running, None when none ran before."""

    changed: bool
    previous: str | None
    main_pid: int
    activated_at_ms: int
    gap_ms: int | None


def activate(
    host: Host, release: str, deployment: str, start_timeout_s: float, guard_s: float, capacity_delta: int = 0
) -> Activation:
    """Start a staged release; raises ReleaseError with systemd's reason if it doesn't get ready.

    The deployment must hold the lock. On such an error the release stays installed and pending, and so it does on
    success: confirming or rolling back is the caller's next step, and the host rolls back by itself after `guard_s`.
    """
    if guard_s <= start_timeout_s:
        raise ReleaseError(
            f"a guard of {guard_s:g} s would fire while the release may take {start_timeout_s:g} s to start"
        )
    with store.locked(host.layout):
        held = lock.require(host, deployment)
        facts = host.facts()
        state = store.load(host.layout)
        refuse_other_unit(state, host.unit)
        # A count that was forced is owed by a deployment, so there must be one.
        if not capacity_delta and _runs_untouched(host, facts, state, release, deployment):
            previous = state.pending.previous if state.pending else None
            entered_ms = _entered_ms(host, facts)
            return Activation(
                changed=False, previous=previous, main_pid=facts.main_pid, activated_at_ms=entered_ms, gap_ms=None
            )
        wanted = Pending(deployment, release, None, host.timestamp(), capacity_delta)
        begun = _prepare(host, facts, state, wanted)
        lock.prolong(host, held, guard_s + LOCK_BEYOND_GUARD_S)
        pending = _guarded(host, begun, guard_s)
        _force_capacity(host, pending)
        _install(host, begun, pending)
        return _start(host, facts, pending, start_timeout_s)


def check(host: Host, release: str, deployment: str) -> tuple[bool, str | None]:
    """Whether `activate` would change anything, and what it would replace; raises what it would raise early."""
    state = store.load(host.layout)
    if _runs_untouched(host, host.facts(), state, release, deployment):
        return False, state.pending.previous if state.pending else None
    adopted, _changed = adoption.adopt(host, check=True)
    pending = begin(state, Pending(deployment, release, None, "")).pending
    previous = pending.previous if pending else None
    if adopted is None:
        _require_way_back(host, previous)
    return True, adopted.id if adopted else previous


def _runs_untouched(host: Host, facts: Facts, state: State, release: str, deployment: str) -> bool:
    """Whether the release is what runs, nothing about it has changed since, and no other deployment is pending."""
    others = state.pending is not None and state.pending.deployment != deployment
    return state.live == release and not others and not drift(host, facts, state)


def extend(host: Host, deployment: str, seconds: float, verdict: Mapping[str, Any]) -> None:
    """Give a person so many seconds from now to decide what the numbers did not; `verdict` is what they said."""
    with store.locked(host.layout):
        state = hold(store.load(host.layout), deployment, verdict)
        held = lock.require(host, deployment)
        guard.rearm(host, deployment, seconds)
        lock.prolong(host, held, seconds + LOCK_BEYOND_GUARD_S)
        store.save(host.layout, state)
        if state.pending:
            store.mark(host.layout, state.pending)
        store.record(host, "extended", deployment=deployment, seconds=seconds)


def _prepare(host: Host, facts: Facts, state: State, wanted: Pending) -> State:
    """Everything that can say no, then all that a rollback needs; nothing live changes."""
    differences = manifest.verify(host.layout.release(wanted.release))
    if differences:
        raise ReleaseError(f"release {wanted.release} is not what was staged ({differences[0]}): stage it again")
    adoption.refuse_foreign_drop_ins(host, facts)
    begun = begin(state, wanted)
    if begun.pending is None:
        raise ReleaseError(f"deployment {wanted.deployment} could not be recorded")
    _require_backup(host, facts, begun.pending)
    _require_way_back(host, begun.pending.previous)
    begun = replace(begun, unit=host.unit)
    move = plan_rollback(begun, None, [*host.layout.kept(), wanted.release])
    if move:
        store.prepare_rollback(host.layout, roll_back(begun, move))
    files.keep_pointer(host.layout)
    return begun


def _guarded(host: Host, begun: State, guard_s: float) -> Pending:
    """Mark the deployment for the boot units, arm the guard, and only then call it pending.

    Mark and guard without anything pending do no harm; a pending deployment without them would stay for ever.
    """
    if begun.pending is None:
        raise ReleaseError("nothing to guard: no deployment was begun")
    try:
        store.mark(host.layout, begun.pending)
        guard.arm(host, begun.pending.deployment, guard_s)
        store.save(host.layout, begun)
    except (OSError, ReleaseError):
        guard.disarm(host, begun.pending.deployment)
        durable.remove(host.layout.marker)
        raise
    return begun.pending


def _force_capacity(host: Host, pending: Pending) -> None:
    """Change the count of open orders now that a rollback would give it back, whatever happens from here on."""
    problem = capacity.settle(host) if pending.capacity_delta else None
    if problem:
        raise ReleaseError(f"the count of open orders can't be forced: {problem}")


def _require_backup(host: Host, facts: Facts, pending: Pending) -> None:
    """Nothing is replaced that a rollback could not put back."""
    if not adoption.needs_backup(host, facts):
        return
    recorded = {}
    if pending.previous and is_legacy(pending.previous):
        adopted = adoption.read(host.layout, pending.previous)
        recorded = {entry.path: entry for entry in adopted.entries}
    unit = host.layout.host_path(host.layout.units / host.unit)
    for path in (unit, *adoption.movable_drop_ins(host)):
        if path not in recorded or not adoption.present(host.layout, recorded[path]):
            raise ReleaseError(f"{path} is not ours and not in a backup: adopt the unit first, then activate")


def _require_way_back(host: Host, previous: str | None) -> None:
    """Nothing is begun that could not be undone: what a rollback would return to is still what was stored."""
    try:
        if previous:
            verified(host.layout, previous)
    except ReleaseError as error:
        raise ReleaseError(
            f"this deployment could not be undone: {error}: put back what was there, deploy it again, or choose what "
            "to return to with: router-release rollback --to ID"
        ) from None


def _install(host: Host, begun: State, pending: Pending) -> None:
    reload_is_due = files.is_reload_due(host, pending.previous, pending.release)
    for path in adoption.movable_drop_ins(host):
        files.set_aside(host.layout.at(path), pending.previous or pending.release)
    files.install_unit(host, pending.release, pending.previous)
    files.point(host.layout, f"releases/{pending.release}")
    if reload_is_due:
        host.systemctl("daemon-reload")
    files.enable(host, begun)
    # Restarts of what ran before are not the release's: the verdict takes any that systemd counts from here on.
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
