# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Going back: files first, then systemd, then the numbers. Never waits for Redis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import adoption, capacity, durable, files, manifest, store, systemctl
from .activation import STOP_S, failure
from .errors import ReleaseError
from .layout import is_legacy
from .state import Move, State, plan_rollback, roll_back

if TYPE_CHECKING:
    from .adoption import Adopted
    from .host import Host
    from .systemctl import Facts

START_S = 60.0
"""Seconds for what is returned to; it has started before."""

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


def plan(host: Host, state: State, to: str | None, deployment: str | None) -> Move | None:
    """What `rollback` would do; None when nothing. `deployment` limits it to that one, while it is pending."""
    if deployment is not None and (state.pending is None or state.pending.deployment != deployment):
        return None
    return plan_rollback(state, to, host.layout.kept())


def rollback(
    host: Host, *, to: str | None = None, deployment: str | None = None, reason: str = "", capacity_delta: int = 0
) -> Rollback:
    """Return to what ran before, or to `to`; raises ReleaseError if it can't be trusted or does not run afterwards."""
    with store.locked(host.layout):
        state = store.load(host.layout)
        move = plan(host, state, to, deployment)
        if move is None:
            return Rollback(changed=False, origin=state.live, target=state.live, active=host.facts().active)
        adopted = _verified(host, move.target)
        before = host.facts()
        _put_back(host, move, adopted, before)
        warnings = [store.save_rollback(host.layout, roll_back(state, move, capacity_delta), prepared=to is None)]
        problem = _start(host, move, adopted, before)
        facts = {"from": move.origin, "to": move.target, "reason": reason}
        facts["deployment"] = state.pending.deployment if state.pending else None
        warnings.append(store.record(host, "rolled back", problem=problem, **facts))
        warnings.append(capacity.settle(host))
    if problem:
        raise ReleaseError(f"rolled back to {move.target or 'nothing'}, but {problem}")
    running = move.target is not None and (adopted is None or adopted.active)
    said = tuple(line for line in warnings if line)
    return Rollback(changed=True, origin=move.origin, target=move.target, active=running, warnings=said)


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


def _put_back(host: Host, move: Move, adopted: Adopted | None, before: Facts) -> None:
    layout = host.layout
    if adopted:
        files.restore(host, adopted)
        _point(host, adopted.current)
    elif move.target:
        for path in adoption.movable_drop_ins(host, before):
            files.set_aside(layout.at(path), move.origin or "removed")
        files.install_unit(host, move.target, move.origin)
        _point(host, f"releases/{move.target}")
    else:
        # The unit file is ours: there was none. Stopping comes first, while systemd still knows how.
        host.run(("systemctl", "stop", host.unit), STOP_S)
        host.run(("systemctl", "disable", "--quiet", host.unit), systemctl.ANSWER_S)
        durable.remove(layout.units / host.unit)
        _point(host, None)


def _point(host: Host, target: str | None) -> None:
    if target:
        durable.link(host.layout.current, target)
    else:
        durable.remove(host.layout.current)


def _start(host: Host, move: Move, adopted: Adopted | None, before: Facts) -> str | None:
    """Bring systemd to what the files say; returns what is wrong with it, or None."""
    since_s = host.now()
    try:
        host.systemctl("daemon-reload")
        if move.target and adopted is None:
            files.enable_as_before(host, before)
    except ReleaseError as error:
        return str(error)
    # Fails for a unit that never failed or is not there: then there is nothing to reset.
    host.run(("systemctl", "reset-failed", host.unit), systemctl.ANSWER_S)
    if move.target is None:
        return f"{host.unit} still runs" if host.facts().main_pid else None
    if adopted and not adopted.active:
        done = host.run(("systemctl", "stop", host.unit), STOP_S)
        return None if done.code == 0 else f"{host.unit} could not be stopped: {systemctl.one_line(done.err)}"
    done = host.run(("systemctl", "restart", host.unit), START_S + STOP_S)
    first = host.facts()
    if done.code == 0 and first.type != "notify":
        host.sleep(SETTLE_S)
    facts = host.facts()
    if done.code == 0 and facts.active_state == "active" and facts.main_pid == first.main_pid:
        return None
    return failure(host, facts, done.code, START_S, since_s)
