# SPDX-License-Identifier: Apache-2.0
"""The transitions of what a host remembers."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from ansible_collections.quantum.router.plugins.module_utils.release.errors import ReleaseError
from ansible_collections.quantum.router.plugins.module_utils.release.layout import is_legacy
from ansible_collections.quantum.router.plugins.module_utils.release.state import (
    KEEP_FAILED,
    KEEP_SUCCESSFUL,
    Move,
    Pending,
    State,
    adopt,
    begin,
    confirm,
    from_document,
    hold,
    plan_rollback,
    prune,
    roll_back,
    to_document,
)
from hypothesis import given
from hypothesis import strategies as st

LEGACY = "legacy-0123456789ab"
A, B, C = (f"1.0.0-{digit * 12}" for digit in "abc")
OTHER = "legacy-" + "f" * 12
EVERY = [LEGACY, OTHER, A, B, C]


def pending(release: str, deployment: str = "d1", delta: int = 0) -> Pending:
    """A deployment as it is asked for."""
    return Pending(deployment, release, None, "2026-01-01T00:00:00.000Z", delta)


def deploy(state: State, *releases: str, delta: int = 0) -> State:
    """The state after these releases passed one after the other."""
    for release in releases:
        state = confirm(begin(state, pending(release, delta=delta)), "d1", {"verdict": "pass"})
    return state


@st.composite
def histories(draw: st.DrawFn) -> State:
    """Any state that a host can get into by adopting, deploying, confirming and rolling back."""
    state = State()
    for step in draw(st.lists(st.sampled_from(["adopt", "begin", "confirm", "roll back", "to"]), max_size=25)):
        release = draw(st.sampled_from([A, B, C]))
        delta = draw(st.integers(-3, 3))
        try:
            if step == "adopt":
                state = adopt(state, draw(st.sampled_from([LEGACY, OTHER])))
            elif step == "begin":
                state = begin(state, pending(release, draw(st.sampled_from(["d1", "d2"])), delta))
            elif step == "confirm":
                state = confirm(state, draw(st.sampled_from(["d1", "d2"])), {"verdict": "pass"})
            else:
                move = plan_rollback(state, release if step == "to" else None, EVERY, force=draw(st.booleans()))
                state = roll_back(state, move) if move else state
        except ReleaseError:
            continue
    return state


@given(histories())
def test_lists_never_contradict(state: State) -> None:
    """A release stands in one list, once; adopted units are never bad or withdrawn."""
    marked = [*state.known_good, *state.bad, *state.withdrawn]
    if state.pending:
        # Until its verdict a release that is proved again keeps the mark of the last time.
        marked = [name for name in marked if name != state.pending.release]
    assert len(set(marked)) == len(marked)
    assert [] == [name for name in (*state.bad, *state.withdrawn) if is_legacy(name)]


@given(histories())
def test_state_survives_the_disk(state: State) -> None:
    """Written as JSON and read again, the state is the same."""
    assert state == from_document(json.loads(json.dumps(to_document(state))))


@given(state=histories(), to=st.one_of(st.none(), st.sampled_from(EVERY)), force=st.booleans())
def test_rollback_lands_where_it_was_planned(state: State, to: str | None, *, force: bool) -> None:
    """After a rollback its target is what should run, nothing is pending, and what was left is not known good."""
    try:
        move = plan_rollback(state, to, EVERY, force=force)
    except ReleaseError:
        return
    if move is None:
        assert to == state.live
        return
    after = roll_back(state, move)
    assert move.target == after.live
    assert after.pending is None
    assert move.origin not in after.known_good or is_legacy(move.origin)
    assert move.target not in after.bad
    assert move.target not in after.withdrawn


@given(histories())
def test_what_was_forced_is_never_forgotten(state: State) -> None:
    """A rollback moves every forced difference that it undoes to what is owed: the sum stays."""
    try:
        move = plan_rollback(state, None, EVERY)
    except ReleaseError:
        return
    assert move is not None
    after = roll_back(state, move)
    forced = sum(state.forced.values()) + (state.pending.capacity_delta if state.pending else 0)
    assert forced + sum(state.owed.values()) == sum(after.forced.values()) + sum(after.owed.values())


@given(histories(), st.integers(1, 12))
def test_prune_keeps_what_a_rollback_needs(state: State, extra: int) -> None:
    """The live release, what a rollback returns to and what is protected stay; the rest is bounded."""
    staged = [f"0.9.0-{number:012x}" for number in range(extra)] + [A, B, C]
    after, gone = prune(state, staged, [C])
    kept = [name for name in staged if name not in gone]
    assert C in kept
    assert state.live not in gone
    assert not set(gone) & set(after.known_good)
    assert len(kept) <= KEEP_SUCCESSFUL + KEEP_FAILED + 3
    move = plan_rollback(state, None, EVERY) if state.pending else None
    assert move is None or move.target not in gone


def test_pending_returns_to_the_newest_known_good_and_is_bad() -> None:
    """A deployment that did not pass goes back to the last that did, and its release is marked bad."""
    state = begin(deploy(adopt(State(), LEGACY), A), pending(B))
    assert Move(B, A) == plan_rollback(state, None, EVERY)
    after = roll_back(state, Move(B, A))
    assert ((LEGACY, A), (B,), ()) == (after.known_good, after.bad, after.withdrawn)


def test_confirmed_returns_to_the_one_before_and_is_withdrawn() -> None:
    """A release that had passed and is taken back is withdrawn, not bad."""
    state = deploy(adopt(State(), LEGACY), A, B)
    assert Move(B, A) == plan_rollback(state, None, EVERY)
    after = roll_back(state, Move(B, A))
    assert ((LEGACY, A), (), (B,)) == (after.known_good, after.bad, after.withdrawn)


def test_the_same_release_again_never_returns_to_itself() -> None:
    """A known good release that is deployed again and fails goes back to the one before it."""
    state = begin(deploy(adopt(State(), LEGACY), A), pending(A, "d2"))
    assert Move(A, LEGACY) == plan_rollback(state, None, EVERY)
    assert (LEGACY,) == roll_back(state, Move(A, LEGACY)).known_good


def test_first_release_of_a_host_returns_to_nothing() -> None:
    """Where nothing ran before, rolling back means nothing runs."""
    assert Move(A, None) == plan_rollback(begin(State(), pending(A)), None, [A])
    assert Move(A, None) == plan_rollback(deploy(State(), A), None, [A])
    assert () == roll_back(deploy(State(), A), Move(A, None)).known_good


def test_bad_release_that_passes_is_good_again() -> None:
    """Deploying a bad or withdrawn release proves it afresh, and passing clears the mark."""
    state = roll_back(begin(adopt(State(), LEGACY), pending(A)), Move(A, LEGACY))
    again = deploy(state, A)
    assert ((LEGACY, A), ()) == (again.known_good, again.bad)


def test_going_further_back_withdraws_everything_in_between() -> None:
    """`--to` an older release withdraws all that came after it, and owes what they forced."""
    state = deploy(adopt(State(), LEGACY), A, B, C, delta=2)
    after = roll_back(state, Move(C, A))
    assert ((LEGACY, A), {B, C}) == (after.known_good, set(after.withdrawn))
    assert {B: 2, C: 2} == after.owed
    assert {A: 2} == after.forced


@pytest.mark.parametrize(
    ("state", "to", "kept", "said"),
    [
        (State(), None, [], "nothing to return to: no release of ours runs on this host"),
        (adopt(State(), LEGACY), None, EVERY, f"nothing to return to: {LEGACY} runs"),
        (deploy(State(), A), B, [A], f"release {B} is unknown or pruned; kept: {A}"),
        (deploy(State(), A, B), None, [B], f"release {A} is unknown or pruned"),
        (begin(deploy(State(), A), pending(B)), B, EVERY, f"release {B} is the pending one"),
        (roll_back(begin(deploy(State(), A), pending(B)), Move(B, A)), B, EVERY, f"release {B} failed its proof"),
    ],
)
def test_impossible_rollback_says_why(state: State, to: str | None, kept: list[str], said: str) -> None:
    """A rollback that can't be made names the release and the reason."""
    with pytest.raises(ReleaseError, match=r".+") as error:
        plan_rollback(state, to, kept)
    assert str(error.value).startswith(said)


def test_bad_release_only_by_force() -> None:
    """A release that failed its proof is returned to only by force, and then it is what is known good."""
    state = roll_back(begin(deploy(State(), A), pending(B)), Move(B, A))
    with pytest.raises(ReleaseError, match="failed its proof: deploy it again to prove it afresh, or use --force"):
        plan_rollback(state, B, EVERY)
    move = plan_rollback(state, B, EVERY, force=True)
    assert Move(A, B) == move
    after = roll_back(state, Move(A, B))
    assert ((B,), (), (A,)) == (after.known_good, after.bad, after.withdrawn)


def test_held_deployment_keeps_what_was_found() -> None:
    """A deployment that is held stays pending, with the numbers that decided nothing."""
    state = hold(begin(State(), pending(A)), "d1", {"verdict": "inconclusive"})
    assert state.pending is not None
    assert {"verdict": "inconclusive"} == state.pending.verdict
    with pytest.raises(ReleaseError, match="d2 is not the pending one"):
        hold(state, "d2", {})


def test_the_way_back_to_an_adopted_unit_is_never_lost() -> None:
    """From the router from before to a release by its name: the next rollback returns to that router again."""
    there = roll_back(State(known_good=(LEGACY,), withdrawn=(A,)), Move(LEGACY, A))
    assert (LEGACY, A) == there.known_good
    assert Move(A, LEGACY) == plan_rollback(there, None, EVERY)


def test_lost_state_can_be_told_what_to_return_to() -> None:
    """After a lost state file `--to` a kept release works, and it is what is known good from then on."""
    move = plan_rollback(State(), A, EVERY)
    assert Move(None, A) == move
    assert State(known_good=(A,)) == roll_back(State(), Move(None, A), capacity_delta=3)


def test_returning_to_what_runs_is_nothing_to_do() -> None:
    """`--to` the live release plans no move."""
    assert plan_rollback(deploy(State(), A), A, EVERY) is None


def test_one_deployment_at_a_time() -> None:
    """While one is pending neither another, nor the same again, nor an adoption begins."""
    state = begin(State(), pending(A))
    with pytest.raises(ReleaseError, match=r"d1 of release .* is pending"):
        begin(state, pending(B, "d2"))
    with pytest.raises(ReleaseError, match="is pending"):
        begin(state, pending(A))
    with pytest.raises(ReleaseError, match="is pending"):
        adopt(state, LEGACY)


def test_confirm_needs_the_pending_deployment() -> None:
    """Only the deployment that is pending can be confirmed."""
    with pytest.raises(ReleaseError, match="d1 is not pending: none is"):
        confirm(State(), "d1", {})
    with pytest.raises(ReleaseError, match="d9 is not the pending one: d1 is"):
        confirm(begin(State(), pending(A)), "d9", {})


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_foreign_document_is_refused(document: object) -> None:
    """What is no state is a ValueError, whatever it is."""
    with pytest.raises(ValueError, match=r".*"):
        from_document(cast("dict[str, Any]", document))
