# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Going back: files first, then systemd, then the numbers. Never waits for Redis, but after a boot."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Mapping

from . import adoption, capacity, durable, files, manifest, store, systemctl
from .activation import STOP_S, failure
from .ending import NOBODY, clear, end
from .errors import ReleaseError
from .layout import is_legacy
from .retry import unfinished
from .state import Move, Pending, State, plan_rollback, roll_back, unsettled

if TYPE_CHECKING:
    from .adoption import Adopted
    from .host import Host

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


def plan(host: Host, state: State, to: str | None, deployment: str | None, *, force: bool = False) -> Move | None:
    """What `rollback` would do; None when nothing. `deployment` limits it to that one, while it is pending."""
    if deployment is not None and (state.pending is None or state.pending.deployment != deployment):
        return None
    return plan_rollback(state, to, host.layout.kept(), force=force)


def rollback(
    host: Host,
    *,
    to: str | None = None,
    deployment: str | None = None,
    reason: str = "",
    capacity_delta: int = 0,
    force: bool = False,
    verdict: Mapping[str, Any] | None = None,
) -> Rollback:
    """Return to what ran before, or to `to`; raises ReleaseError if it can't be trusted or does not run afterwards.

    A rollback that was cut off, or whose target did not start, is finished first. No lock stands in the way: the
    warnings name one that is not that of the deployment undone. `verdict` is what the judge said of it.
    """
    with store.locked(host.layout, WAIT_S):
        state, began_s = store.load(host.layout), host.moment().uptime_s
        cut_off = unfinished(host.layout, state)
        undone = state.pending.deployment if state.pending else cut_off["deployment"] if cut_off else NOBODY
        if cut_off and to is None and deployment in (None, cut_off["deployment"]):
            return _finish(host, state, cut_off, reason)
        move = plan(host, state, to, deployment, force=force)
        if move is None:
            if deployment and deployment != undone:
                clear(host, deployment)
            return Rollback(changed=False, origin=state.live, target=state.live, active=host.facts().active)
        adopted = _verified(host, move.target)
        found = verdict or (state.pending.verdict if state.pending else {})
        _mark(host, state, move, found)
        _put_back(host, move, adopted)
        saved = store.save_rollback(host.layout, roll_back(state, move, capacity_delta), prepared=to is None)
        problem = _reload(host, state, move.target, adopted) or _start(host, move.target, adopted)
        facts = {"from": move.origin, "to": move.target, "reason": reason, "problem": problem}
        warnings = [saved, *end(host, "rolled back", undone or None, found, began_s, **facts), capacity.settle(host)]
    return _told(move, adopted, problem, warnings)


def restore(host: Host) -> Move | None:
    """At boot, before the router: put back what a pending deployment replaced. Starts nothing and asks no Redis.

    `settle` does the rest; returns what was done, None where no deployment was pending.
    """
    with store.locked(host.layout):
        state = store.load(host.layout)
        move = plan(host, state, None, None) if state.pending else None
        if move is None:
            return None
        adopted = _verified(host, move.target)
        _mark(host, state, move, state.pending.verdict if state.pending else {})
        _put_back(host, move, adopted)
        problem = store.save_rollback(host.layout, roll_back(state, move), prepared=True)
        problem = _reload(host, state, move.target, adopted) or problem
        if not _should_run(move.target, adopted):
            # This boot may be about to start it. Not waited for: it waits for us.
            host.run(("systemctl", "stop", "--no-block", host.unit), systemctl.ANSWER_S)
    if problem:
        raise ReleaseError(problem)
    return move


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
        cut_off = unfinished(host.layout, state)
        if cut_off:
            return _finish(host, state, cut_off, "the host restarted before anybody confirmed it")
        marked = store.marked(host.layout)
        if marked is not None:
            clear(host, str(marked.get("deployment", "")))
    return None


def _finish(host: Host, state: State, cut_off: Mapping[str, Any], reason: str) -> Rollback:
    """Start what is back already unless it runs, and end the deployment."""
    began_s, move = host.moment().uptime_s, Move(cut_off["release"], state.live)
    adopted = _verified(host, move.target)
    verb = "restart" if _runs(host, cut_off["release"]) else "start"
    problem = _reload(host, state, move.target, adopted) or _start(host, move.target, adopted, verb)
    facts = {"from": move.origin, "to": move.target, "reason": reason, "problem": problem}
    undone, found = cut_off["deployment"] or None, cut_off.get("verdict") or {}
    warnings = end(host, "rolled back", undone, found, began_s, **facts)
    return _told(move, adopted, problem, [*warnings, capacity.settle(host)])


def _told(move: Move, adopted: Adopted | None, problem: str | None, warnings: list[str | None]) -> Rollback:
    if problem:
        raise ReleaseError(f"rolled back to {move.target or 'nothing'}, but {problem}")
    said = tuple(line for line in warnings if line)
    active = _should_run(move.target, adopted)
    return Rollback(changed=True, origin=move.origin, target=move.target, active=active, warnings=said)


def _runs(host: Host, release: str) -> bool:
    """Whether the unit's main process is one of this release."""
    try:
        command = host.layout.at(f"/proc/{host.facts().main_pid}/cmdline").read_bytes()
    except OSError:
        return False
    return f"{host.layout.host_path(host.layout.release(release))}/".encode() in command


def _should_run(target: str | None, adopted: Adopted | None) -> bool:
    return target is not None and (adopted is None or adopted.active)


def _verified(host: Host, target: str | None) -> Adopted | None:
    """Nothing is touched before what we return to has proved to be what was stored."""
    if target is None:
        return None
    if is_legacy(target):
        return adoption.read(host.layout, target)
    differences = manifest.verify(host.layout.release(target))
    if differences:
        more = f" and {len(differences) - 1} more" if len(differences) > 1 else ""
        raise ReleaseError(
            f"release {target} is not what was staged ({differences[0]}{more}): choose another with --to"
        )
    return None


def _mark(host: Host, state: State, move: Move, found: Mapping[str, Any]) -> None:
    """Let whoever comes next, a boot too, know what is being undone, in case that does not come to its end."""
    pending = state.pending or Pending(NOBODY, move.origin or "", move.target, host.timestamp())
    # On a full disk the mark of the activation stands.
    with contextlib.suppress(OSError):
        store.mark(host.layout, replace(pending, verdict=found))


def _put_back(host: Host, move: Move, adopted: Adopted | None) -> None:
    layout = host.layout
    if adopted:
        files.restore(host, adopted)
        _point(host, adopted.current)
    elif move.target:
        for path in adoption.movable_drop_ins(host):
            files.set_aside(layout.at(path), move.origin or "removed")
        files.install_unit(host, move.target, move.origin)
        _point(host, f"releases/{move.target}")
    else:
        # The unit file is ours: there was none. Stopping comes first, while systemd still knows how; what does not run
        # yet, at boot, is not waited for.
        wait = () if host.facts().main_pid else ("--no-block",)
        host.run(("systemctl", "stop", *wait, host.unit), STOP_S)
        host.run(("systemctl", "disable", "--quiet", host.unit), systemctl.ANSWER_S)
        durable.remove(layout.units / host.unit)
        _point(host, None)


def _point(host: Host, target: str | None) -> None:
    if target:
        durable.link(host.layout.current, target)
    else:
        durable.remove(host.layout.current)


def _reload(host: Host, state: State, target: str | None, adopted: Adopted | None) -> str | None:
    """Bring systemd to what the files say; returns what is wrong with it, or None. `state` tells what is enabled."""
    try:
        host.systemctl("daemon-reload")
        if target and adopted is None:
            files.enable(host, state)
    except ReleaseError as error:
        return str(error)
    return None


def _start(host: Host, target: str | None, adopted: Adopted | None, verb: str = "restart") -> str | None:
    """Have running what should, and nothing else; returns what is wrong with it, or None."""
    since_s = host.now()
    # Fails for a unit that never failed or is not there: then there is nothing to reset.
    host.run(("systemctl", "reset-failed", host.unit), systemctl.ANSWER_S)
    if target is None:
        # Its file is gone already; systemd still knows what runs.
        if host.facts().main_pid:
            host.run(("systemctl", "stop", host.unit), STOP_S)
        return f"{host.unit} still runs" if host.facts().main_pid else None
    if not _should_run(target, adopted):
        done = host.run(("systemctl", "stop", host.unit), STOP_S)
        return None if done.code == 0 else f"{host.unit} could not be stopped: {systemctl.one_line(done.err)}"
    done = host.run(("systemctl", verb, host.unit), START_S + STOP_S)
    first = host.facts()
    if done.code == 0 and first.type != "notify":
        host.sleep(SETTLE_S)
    facts = host.facts()
    if done.code == 0 and facts.active_state == "active" and facts.main_pid == first.main_pid:
        return None
    return failure(host, facts, done.code, START_S, since_s)
