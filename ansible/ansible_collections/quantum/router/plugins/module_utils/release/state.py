# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host remembers, and how it changes: pure functions from state and input to the next state.

known good   passed its proof, oldest first; an adopted unit counts, it is what ran before
pending      activated, not judged yet
bad          rolled back while pending
withdrawn    rolled back after it had passed
forced       by how much a deployment changed the count of open orders (old - forced), owed again when it is rolled back
owed         such differences that Redis has not taken back yet
settling     those that Redis was asked to take back and has not said that it did, under the token of that attempt
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Collection, Mapping

from .errors import ReleaseError
from .layout import is_legacy

KEEP_SUCCESSFUL = 5
KEEP_FAILED = 3


@dataclass(frozen=True)
class Pending:
    """A deployment between activation and verdict."""

    deployment: str
    release: str
    previous: str | None
    started_at: str
    capacity_delta: int = 0
    verdict: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class State:
    """Everything remembered about a host's releases."""

    unit: str | None = None
    known_good: tuple[str, ...] = ()
    bad: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()
    pending: Pending | None = None
    verdicts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    forced: Mapping[str, int] = field(default_factory=dict)
    owed: Mapping[str, int] = field(default_factory=dict)
    settling: Mapping[str, int] = field(default_factory=dict)

    @property
    def live(self) -> str | None:
        """What should be running."""
        if self.pending:
            return self.pending.release
        return self.known_good[-1] if self.known_good else None


@dataclass(frozen=True)
class Move:
    """A rollback: from what to what; None is a host without a release that we know of."""

    origin: str | None
    target: str | None


def to_document(state: State) -> dict[str, Any]:
    """The state as plain data for JSON."""
    return {"schema": 1, **asdict(state)}


def from_document(document: dict[str, Any]) -> State:
    """The inverse of `to_document`; raises ValueError for anything else."""
    try:
        document = {"settling": {}, **document}
        if document["schema"] != 1 or set(document) != {"schema", *(each.name for each in fields(State))}:
            raise ValueError("unknown schema")
        return State(
            unit=document["unit"],
            known_good=tuple(map(_name, document["known_good"])),
            bad=tuple(map(_name, document["bad"])),
            withdrawn=tuple(map(_name, document["withdrawn"])),
            pending=Pending(**document["pending"]) if document["pending"] else None,
            verdicts={_name(key): dict(value) for key, value in document["verdicts"].items()},
            forced={_name(key): int(value) for key, value in document["forced"].items()},
            owed={_name(key): int(value) for key, value in document["owed"].items()},
            settling={_name(key): int(value) for key, value in document["settling"].items()},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(str(error)) from error


def refuse_other_unit(state: State, unit: str) -> None:
    """Raise ReleaseError where the host's releases and backups are another unit's: that one would go on running."""
    if state.known_good and state.unit not in (None, unit):
        raise ReleaseError(
            f"router_unit={unit} is not the unit of this host's releases, {state.unit} is: give that. To change "
            "it, go back until no release of ours runs, and move /var/lib/quantum-router away"
        )


def adopt(state: State, legacy: str) -> State:
    """Make an adopted unit, which is what runs now, the thing to return to."""
    _refuse_pending(state)
    return replace(state, known_good=(*_without(state.known_good, legacy), legacy))


def begin(state: State, pending: Pending) -> State:
    """Record a deployment before anything live changes, and what it takes from the count of open orders.

    Under the deployment's name as a token: Redis takes that once, whoever asks for it, and as often as it is asked.
    """
    _refuse_pending(state)
    taken = {f"{pending.release} {pending.deployment}": -pending.capacity_delta} if pending.capacity_delta else {}
    began = replace(pending, previous=_before(state.known_good, pending.release))
    return replace(state, pending=began, settling={**state.settling, **taken})


def hold(state: State, deployment: str, verdict: Mapping[str, Any]) -> State:
    """The numbers decided nothing about the pending deployment: keep what they are, if any, for the one who will."""
    pending = _pending(state, deployment)
    return replace(state, pending=replace(pending, verdict=dict(verdict) or pending.verdict))


def confirm(state: State, deployment: str, verdict: Mapping[str, Any]) -> State:
    """The pending deployment, which has to be this one, passed."""
    pending = _pending(state, deployment)
    name = pending.release
    forced = {**state.forced, name: state.forced.get(name, 0) + pending.capacity_delta}
    return replace(
        state,
        pending=None,
        known_good=(*_without(state.known_good, name), name),
        bad=_without(state.bad, name),
        withdrawn=_without(state.withdrawn, name),
        verdicts={**state.verdicts, name: {**verdict, "deployment": pending.deployment}},
        forced={key: value for key, value in forced.items() if value},
    )


def plan_rollback(state: State, to: str | None, kept: Collection[str], *, force: bool = False) -> Move | None:
    """Decide what a rollback returns to; None when `to` is what runs already.

    Without `to`: a pending deployment returns to the newest known good, a confirmed release to the one before it, and
    the first release of a host to nothing. `kept` are the ids that are whole on this host. Only `force` returns to a
    release that failed its proof.
    """
    origin = state.live
    if origin is None and to is None:
        raise ReleaseError("nothing to return to: no release of ours runs on this host")
    target = _before(state.known_good, origin) if to is None else to
    if target == origin:
        if state.pending:
            raise ReleaseError(f"release {to} is the pending one: choose another")
        return None
    if to is None and target is None and origin is not None and is_legacy(origin):
        raise ReleaseError(f"nothing to return to: {origin} runs, and it is the oldest known good")
    if target in state.bad and not force:
        raise ReleaseError(f"release {target} failed its proof: deploy it again to prove it afresh, or use --force")
    if target is not None and target not in kept:
        raise ReleaseError(f"release {target} is unknown or pruned; kept: {', '.join(kept) or 'none'}")
    return Move(origin, target)


def roll_back(state: State, move: Move, capacity_delta: int = 0) -> State:
    """The state after a rollback: what was left is bad (pending) or withdrawn (confirmed), what it forced is owed.

    An adopted unit that is left for a release outside the list stays known good, for the next rollback to return to.
    """
    good = state.known_good if move.origin and is_legacy(move.origin) else _without(state.known_good, move.origin)
    # Without a target the host is as before the first release; a target outside the list goes to its head.
    if move.target is None:
        keep: tuple[str, ...] = ()
    else:
        keep = good[: good.index(move.target) + 1] if move.target in good else (*good, move.target)
    left = [name for name in (*good, *([move.origin] if move.origin else [])) if name not in keep]
    failed = [state.pending.release] if state.pending else []
    withdrawn = [name for name in left if name not in failed and not is_legacy(name)]
    owed = {name: state.forced.get(name, 0) for name in left}
    if move.origin:
        undone = state.pending.capacity_delta if state.pending else 0
        owed[move.origin] = owed.get(move.origin, 0) + capacity_delta + undone
    total = {name: state.owed.get(name, 0) + owed.get(name, 0) for name in {**state.owed, **owed}}
    return replace(
        state,
        pending=None,
        known_good=keep,
        bad=(*_without(state.bad, *failed, *keep), *failed),
        withdrawn=(*_without(state.withdrawn, *withdrawn, *failed, *keep), *withdrawn),
        forced={name: value for name, value in state.forced.items() if name not in left},
        owed={name: value for name, value in total.items() if value},
    )


def begin_settling(state: State, release: str, token: str) -> State:
    """Take what a release is owed under a token, which is Redis' to know before it is asked."""
    owed = {name: value for name, value in state.owed.items() if name != release}
    return replace(state, owed=owed, settling={**state.settling, f"{release} {token}": state.owed[release]})


def end_settling(state: State, attempt: str) -> State:
    """Redis has taken back what stood under this key of `settling`."""
    return replace(state, settling={name: value for name, value in state.settling.items() if name != attempt})


def unsettled(state: State) -> dict[str, int]:
    """By release, what Redis is not known to have taken back."""
    total = dict(state.owed)
    for attempt, value in state.settling.items():
        release = attempt.partition(" ")[0]
        total[release] = total.get(release, 0) + value
    return total


def prune(state: State, staged: Collection[str], protected: Collection[str]) -> tuple[State, list[str]]:
    """Forget and name what is beyond 5 successful and 3 failed releases; never the live one, nor `protected`.

    `staged` is ordered oldest first. A release that was staged and never activated counts as failed. Adopted units are
    never pruned.
    """
    successful = [name for name in (*state.withdrawn, *state.known_good) if name in staged]
    failed = [name for name in staged if name not in (*successful, *state.bad)]
    failed += [name for name in state.bad if name in staged]
    keep = {*successful[-KEEP_SUCCESSFUL:], *failed[-KEEP_FAILED:], *protected, *unsettled(state), state.live}
    if state.pending:
        keep.add(state.pending.previous)
    gone = [name for name in staged if name not in keep]
    return replace(
        state,
        known_good=_without(state.known_good, *gone),
        bad=_without(state.bad, *gone),
        withdrawn=_without(state.withdrawn, *gone),
        verdicts={name: verdict for name, verdict in state.verdicts.items() if name not in gone},
        forced={name: value for name, value in state.forced.items() if name not in gone},
    ), gone


def _before(known_good: tuple[str, ...], name: str | None) -> str | None:
    others = _without(known_good, *([name] if name else []))
    return others[-1] if others else None


def _without(names: tuple[str, ...], *unwanted: str | None) -> tuple[str, ...]:
    return tuple(name for name in names if name not in unwanted)


def _pending(state: State, deployment: str) -> Pending:
    if state.pending is None:
        raise ReleaseError(f"deployment {deployment} is not pending: none is")
    if deployment != state.pending.deployment:
        raise ReleaseError(f"deployment {deployment} is not the pending one: {state.pending.deployment} is")
    return state.pending


def _refuse_pending(state: State) -> None:
    if state.pending:
        raise ReleaseError(
            f"deployment {state.pending.deployment} of release {state.pending.release} is pending: "
            "confirm it or roll it back first"
        )


def _name(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no id")
    return value
