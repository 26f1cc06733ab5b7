# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Going back: files first, then systemd, then the numbers. Never waits for Redis, but after a boot."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Mapping

from . import adoption, capacity, durable, files, store, systemctl
from .activation import STOP_S, failure
from .ending import NOBODY, clear, end
from .errors import ReleaseError
from .layout import is_legacy
from .plan import Plan, plan
from .retry import unfinished
from .state import Pending, State, roll_back, unsettled

if TYPE_CHECKING:
    from .host import Host
    from .layout import Layout
    from .state import Move

START_S = 60.0
"""Seconds for what is returned to; it has started before."""

WAIT_S = 300.0
"""Seconds for another transition to end: a guard must not give up because of one."""

REDIS_S = 60.0
"""Seconds that Redis may take to get ready at boot, where nobody waits for the answer."""

SETTLE_S = 2.0
"""A service that systemd calls started as soon as it is forked shows in this time whether it stays up."""


@dataclass(frozen=True)
class Rollback:
    """How a rollback went; `target` None is the host as it was before the first release."""

    changed: bool
    origin: str | None
    target: str | None
    active: bool
    warnings: tuple[str, ...] = ()


def rollback(
    host: Host,
    *,
    to: str | None = None,
    deployment: str | None = None,
    reason: str = "",
    force: bool = False,
    verdict: Mapping[str, Any] | None = None,
) -> Rollback:
    """Return to what ran before, or to `to`; raises ReleaseError if it can't be trusted or does not run afterwards.

    A rollback that was cut off, or whose target did not start, is finished first. No lock stands in the way: the
    warnings name one that is not that of the deployment undone. `verdict` is what the judge said of it. Where neither
    `to` nor `deployment` says what is meant, it is what ran when this was called: another rollback that came first
    has done it.
    """
    meant = _standing(host.layout)
    with store.locked(host.layout, WAIT_S):
        state, began_s = store.load(host.layout), host.moment().uptime_s
        cut_off = unfinished(host.layout, state)
        if to is None and deployment is None and meant != (state.live, False) and not cut_off:
            return _done_meanwhile(host, state, meant[0])
        undone = state.pending.deployment if state.pending else cut_off["deployment"] if cut_off else NOBODY
        planned = plan(host, state, to, deployment, force=force)
        if planned is None:
            if deployment and deployment != undone:
                clear(host, deployment)
            return Rollback(changed=False, origin=state.live, target=state.live, active=host.facts().active)
        if planned.is_back:
            return _finish(host, state, planned, reason)
        found = verdict or (state.pending.verdict if state.pending else {})
        reload_is_due = files.is_reload_due(host, planned.move.origin, planned.move.target)
        kept, saved = _put_back(host, state, planned, found)
        problem = _read_anew(host, state, planned, reload=reload_is_due) or _start(host, planned)
        facts = {"from": planned.move.origin, "to": planned.move.target, "reason": reason, "problem": problem}
        ended = end(host, "rolled back", undone or None, found, began_s, **facts)
        owed = capacity.settle(host)
    return _told(planned, problem, [saved, *kept, *ended, owed])


def _standing(layout: Layout) -> tuple[str | None, bool]:
    """What should be running, and whether a rollback to it is under way, or was cut off."""
    state = store.load(layout)
    return state.live, unfinished(layout, state) is not None


def _done_meanwhile(host: Host, state: State, meant: str | None) -> Rollback:
    if state.pending:
        raise ReleaseError(
            f"deployment {state.pending.deployment} began while this rollback waited: again, if that is to be undone"
        )
    said = f"another rollback came first: {state.live or 'no release of ours'} is back"
    said += f" in place of {meant}" if meant != state.live else ""
    return Rollback(changed=False, origin=state.live, target=state.live, active=host.facts().active, warnings=(said,))


def restore(host: Host) -> Move | None:
    """At boot, before the router: put back what a pending deployment replaced, or a rollback had begun to put back.

    Starts nothing and asks no Redis: `settle` does the rest. Returns what was done, None where there was nothing to do.
    """
    with store.locked(host.layout):
        state = store.load(host.layout)
        begun = state.pending or unfinished(host.layout, state)
        planned = plan(host, state) if begun else None
        if planned is None or planned.is_back:
            return None
        _kept, problem = _put_back(host, state, planned, state.pending.verdict if state.pending else {})
        problem = _read_anew(host, state, planned) or problem
        if not planned.active:
            # This boot may be about to start it. Not waited for: it waits for us.
            host.run(("systemctl", "stop", "--no-block", host.unit), systemctl.ANSWER_S)
    if problem:
        raise ReleaseError(problem)
    return planned.move


def settle(host: Host) -> Rollback | None:
    """At boot, after `restore`: see to it that the right thing runs, and tell; None where nothing was to be done.

    Waits a minute for Redis where a count is owed.
    """
    done = _settle(host)
    give_up_s = host.moment().uptime_s + REDIS_S
    while unsettled(store.load(host.layout)) and host.moment().uptime_s < give_up_s:
        host.sleep(1.0)
        with store.locked(host.layout, WAIT_S):
            capacity.settle(host)
    return done


def _settle(host: Host) -> Rollback | None:
    with store.locked(host.layout, WAIT_S):
        state = store.load(host.layout)
        if state.pending:
            raise ReleaseError(
                f"deployment {state.pending.deployment} is pending and was not undone at boot: router-release rollback"
            )
        planned = plan(host, state) if unfinished(host.layout, state) else None
        if planned and not planned.is_back:
            raise ReleaseError(
                f"the rollback of release {planned.move.origin} was not finished at boot: router-release rollback"
            )
        if planned:
            was_pending = (planned.cut_off or {}).get("deployment") != NOBODY
            missed = "anybody confirmed it" if was_pending else "the rollback was finished"
            return _finish(host, state, planned, f"the host restarted before {missed}")
        marked = store.marked(host.layout)
        if marked is not None:
            clear(host, str(marked.get("deployment", "")))
    return None


def _finish(host: Host, state: State, planned: Plan, reason: str) -> Rollback:
    """Start what is back already unless it runs, and end the deployment."""
    began_s, move, cut_off = host.moment().uptime_s, planned.move, planned.cut_off or {}
    verb = "restart" if _may_run(host, move.origin) else "start"
    problem = _read_anew(host, state, planned) or _start(host, planned, verb)
    facts = {"from": move.origin, "to": move.target, "reason": reason, "problem": problem}
    undone, found = cut_off.get("deployment") or None, cut_off.get("verdict") or {}
    warnings = end(host, "rolled back", undone, found, began_s, **facts)
    return _told(planned, problem, [*warnings, capacity.settle(host)])


def _told(planned: Plan, problem: str | None, warnings: list[str | None]) -> Rollback:
    move = planned.move
    if problem:
        raise ReleaseError(f"rolled back to {move.target or 'nothing'}, but {problem}")
    said = (*planned.warnings, *(line for line in warnings if line))
    return Rollback(changed=True, origin=move.origin, target=move.target, active=planned.active, warnings=said)


def _may_run(host: Host, release: str | None) -> bool:
    """Whether the unit's main process is one of this release; of what is none of ours nobody can tell."""
    if release is None or is_legacy(release):
        return True
    try:
        command = host.layout.at(f"/proc/{host.facts().main_pid}/cmdline").read_bytes()
    except OSError:
        return False
    return f"{host.layout.host_path(host.layout.release(release))}/".encode() in command


def _put_back(host: Host, state: State, planned: Plan, found: Mapping[str, Any]) -> tuple[list[str], str | None]:
    """Bring files and state to what is returned to; returns what is to be told of files, and of an unwritten state."""
    move, owed = planned.move, (planned.cut_off or {}).get("capacity_delta", 0)
    for name, why in planned.passed_over:
        store.record(host, "passed over", to=name, reason=why)
    _mark(host, state, move, found, owed)
    kept = _install(host, planned)
    for line in kept:
        store.record(host, "file kept", to=move.target, reason=line)
    return kept, store.save_rollback(host.layout, roll_back(state, move, owed))


def _mark(host: Host, state: State, move: Move, found: Mapping[str, Any], owed: int) -> None:
    """Let whoever comes next, a boot too, know what is being undone, in case that does not come to its end."""
    pending = state.pending or Pending(NOBODY, move.origin or "", move.target, host.timestamp(), owed)
    # On a full disk the mark of the activation stands.
    with contextlib.suppress(OSError):
        store.mark(host.layout, replace(pending, verdict=found))


def _install(host: Host, planned: Plan) -> list[str]:
    layout, move, adopted = host.layout, planned.move, planned.adopted
    kept: list[str] = []
    if adopted:
        kept = files.restore(host, adopted)
        files.point(layout, adopted.current)
    elif move.target:
        for path in adoption.movable_drop_ins(host):
            files.set_aside(layout.at(path), move.origin or "removed")
        files.install_unit(host, move.target, move.origin)
        files.point(layout, f"releases/{move.target}")
    else:
        # The unit file is ours: there was none. Stopping comes first, while systemd still knows how; what does not run
        # yet, at boot, is not waited for.
        wait = () if host.facts().main_pid else ("--no-block",)
        host.run(("systemctl", "stop", *wait, host.unit), STOP_S)
        host.run(("systemctl", "disable", "--quiet", host.unit), systemctl.ANSWER_S)
        durable.remove(layout.units / host.unit)
        files.point(layout, None)
    return kept


def _read_anew(host: Host, state: State, planned: Plan, *, reload: bool = True) -> str | None:
    """Bring systemd to what the files say; returns what is wrong with it, or None. `state` tells what is enabled."""
    try:
        if reload:
            host.systemctl("daemon-reload")
        if planned.move.target and planned.adopted is None:
            files.enable(host, state)
    except ReleaseError as error:
        return str(error)
    return None


def _start(host: Host, planned: Plan, verb: str = "restart") -> str | None:
    """Have running what should, and nothing else; returns what is wrong with it, or None."""
    since_s = host.now()
    # Fails for a unit that never failed or is not there: then there is nothing to reset.
    host.run(("systemctl", "reset-failed", host.unit), systemctl.ANSWER_S)
    if planned.move.target is None:
        # Its file is gone already; systemd still knows what runs.
        if host.facts().main_pid:
            host.run(("systemctl", "stop", host.unit), STOP_S)
        return f"{host.unit} still runs" if host.facts().main_pid else None
    if not planned.active:
        done = host.run(("systemctl", "stop", host.unit), STOP_S)
        return None if done.code == 0 else f"{host.unit} could not be stopped: {systemctl.last_line(done.err)}"
    done = host.run(("systemctl", verb, host.unit), START_S + STOP_S)
    first = host.facts()
    if done.code == 0 and first.type != "notify":
        host.sleep(SETTLE_S)
    facts = host.facts()
    if done.code == 0 and facts.active_state == "active" and facts.main_pid == first.main_pid:
        return None
    return failure(host, facts, done.code, START_S, since_s)
