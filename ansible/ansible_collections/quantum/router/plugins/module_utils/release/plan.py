# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rollback will do, and that it can: decided and proved before anything is touched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Mapping

from . import adoption, manifest
from .errors import ReleaseError
from .layout import is_legacy
from .retry import unfinished
from .state import Move, plan_rollback

if TYPE_CHECKING:
    from .adoption import Adopted
    from .host import Host
    from .layout import Layout
    from .state import State

ANOTHER = "choose another with --to"


@dataclass(frozen=True)
class Plan:
    """A rollback that can be done.

    `adopted` is the unit that it puts back, None where that is a release or nothing. `cut_off` is the mark of the
    rollback that this one finishes; `is_back` says that the files are back already. `passed_over` are the ids that
    would have come first and are not what was stored, with why.
    """

    move: Move
    adopted: Adopted | None
    cut_off: Mapping[str, Any] | None = None
    is_back: bool = False
    passed_over: tuple[tuple[str, str], ...] = ()

    @property
    def active(self) -> bool:
        """Whether the unit runs afterwards; one that was stopped when it was adopted stays stopped."""
        return self.move.target is not None and (self.adopted is None or self.adopted.active)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know of the choice, a line each."""
        return tuple(f"passed over: {why}" for _name, why in self.passed_over)


def plan(
    host: Host, state: State, to: str | None = None, deployment: str | None = None, *, force: bool = False
) -> Plan | None:
    """What `rollback` does when it is given the same; None for nothing, ReleaseError where it can't be done.

    A rollback that was cut off is finished first. `deployment` limits it to that one, while it is pending.
    """
    cut_off = unfinished(host.layout, state)
    if cut_off and to is None and deployment in (None, cut_off["deployment"]):
        return _rest(host.layout, state, cut_off)
    if deployment is not None and (state.pending is None or state.pending.deployment != deployment):
        return None
    if state.pending and to is None:
        return _newest_whole(host.layout, state, state.pending.release)
    move = plan_rollback(state, to, host.layout.kept(), force=force)
    return Plan(move, _returnable(host.layout, move.target)) if move else None


def verified(layout: Layout, identifier: str) -> Adopted | None:
    """What is stored under the id has proved to be what was stored: the adopted unit, or None for a release.

    Raises ReleaseError with what differs; the way out is the caller's to add.
    """
    if is_legacy(identifier):
        return adoption.read(layout, identifier)
    differences = manifest.verify(layout.release(identifier))
    if differences:
        more = f" and {len(differences) - 1} more" if len(differences) > 1 else ""
        raise ReleaseError(f"release {identifier} is not what was staged ({differences[0]}{more})")
    return None


def _rest(layout: Layout, state: State, cut_off: Mapping[str, Any]) -> Plan:
    """What a rollback left undone: all of it where the state does not say yet that it was done."""
    origin = cut_off["release"] or None
    is_back = state.live != origin
    move = Move(origin, state.live if is_back else cut_off["previous"])
    return Plan(move, _returnable(layout, move.target), cut_off, is_back)


def _newest_whole(layout: Layout, state: State, origin: str) -> Plan:
    """Of a pending deployment nobody is there to choose for: past what was touched to the newest known good.

    The release that is live failed, or nobody vouches for it; what passed before the one before is better than that.
    """
    passed_over: list[tuple[str, str]] = []
    candidates = [name for name in reversed(state.known_good) if name != origin]
    for name in candidates:
        try:
            return Plan(Move(origin, name), verified(layout, name), passed_over=tuple(passed_over))
        except ReleaseError as error:
            passed_over.append((name, str(error)))
    if passed_over:
        raise ReleaseError(f"{passed_over[0][1]}: {ANOTHER}")
    return Plan(Move(origin, None), None)


def _returnable(layout: Layout, target: str | None) -> Adopted | None:
    try:
        return verified(layout, target) if target else None
    except ReleaseError as error:
        raise ReleaseError(f"{error}: {ANOTHER}") from None
