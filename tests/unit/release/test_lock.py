# SPDX-License-Identifier: Apache-2.0
"""Who may change a host, and when a lock is over."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.quantum.router.plugins.module_utils.release import confirmation, lock, store
from ansible_collections.quantum.router.plugins.module_utils.release.activation import activate as activate_alone
from ansible_collections.quantum.router.plugins.module_utils.release.errors import ReleaseError
from ansible_collections.quantum.router.plugins.module_utils.release.host import Moment
from ansible_collections.quantum.router.plugins.module_utils.release.lock import HeldError, Lock, Request
from ansible_collections.quantum.router.plugins.module_utils.release.rollback import rollback
from ansible_collections.quantum.router.plugins.module_utils.release.state import State
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.release.steps import activate

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from ansible_collections.quantum.router.plugins.module_utils.release.host import Host

A = "1.0.0-aaaaaaaaaaaa"
HOUR_S = 3600.0


def ask(deployment: str | None = "d1", seconds: float | None = 60.0) -> Request:
    """What a deployment asks for; without seconds it is a freeze."""
    return Request("a release", seconds, deployment)


def later(host: Host, seconds: float, wall_s: float | None = None) -> Host:
    """The same host so much later; its wall clock may say something else."""
    now, up = host.now(), host.uptime()
    return replace(host, uptime=lambda: up + seconds, now=lambda: now + (seconds if wall_s is None else wall_s))


def actions(host: Host) -> list[str]:
    """What the journal says happened."""
    return [json.loads(line)["action"] for line in store.journal(host.layout)]


locks = st.builds(
    Lock,
    token=st.just("t"),
    owner=st.just("ann"),
    deployment=st.sampled_from([None, "d1", "d2"]),
    message=st.just("m"),
    kind=st.just(lock.AUTO),
    started=st.just(""),
    expires=st.just(""),
    boot_id=st.sampled_from(["b1", "b2"]),
    began_s=st.just(0.0),
    ends_s=st.floats(0, 100),
)


@given(locks, st.sampled_from(["d1", "d2"]), st.sampled_from(["b1", "b2"]), st.floats(0, 100))
def test_only_a_lock_that_is_over_changes_hands(held: Lock, deployment: str, boot_id: str, uptime_s: float) -> None:
    """Another deployment gets the lock when its time is up or the host has booted since, never before."""
    over = held.boot_id != boot_id or uptime_s >= (held.ends_s or 0)
    try:
        lock.refuse(held, ask(deployment), Moment(boot_id, uptime_s))
        granted = True
    except HeldError:
        granted = False
    assert granted == (over or held.deployment == deployment)


@given(locks, st.sampled_from(["b1", "b2"]), st.floats(0, 1e9))
def test_a_freeze_never_ends_by_itself(held: Lock, boot_id: str, uptime_s: float) -> None:
    """Neither time nor a reboot opens a frozen host, and the line says who froze it, why, and what opens it."""
    frozen = replace(held, kind=lock.FREEZE, ends_s=None, deployment=None, message="year end")
    with pytest.raises(ReleaseError, match=r"^the host is frozen by ann since .*: year end; make unfreeze") as error:
        lock.refuse(frozen, ask(), Moment(boot_id, uptime_s))
    assert not isinstance(error.value, HeldError)


def test_second_deployment_is_told_who_is_first(host: Host) -> None:
    """The line names the holder, since when, until when and what for."""
    lock.acquire(host, ask("d1"))
    line = (
        "the host is locked by ann since 2001-09-09T01:46:40.000Z, until 2001-09-09T01:47:40.000Z at the latest: a rel"
    )
    with pytest.raises(HeldError, match=line):
        lock.acquire(host, ask("d2"))
    assert [] == actions(host)


def test_the_same_deployment_gets_more_time(host: Host) -> None:
    """Asked for again, the lock stays the same one and ends later."""
    first = lock.acquire(host, ask("d1"))
    again = lock.acquire(later(host, 50), ask("d1"))
    assert (first.token, first.began_s, 2110.0) == (again.token, again.began_s, again.ends_s)


@pytest.mark.parametrize("wall_s", [-HOUR_S, 61.0, HOUR_S])
def test_stale_lock_is_taken_over_whatever_the_wall_clock_says(host: Host, wall_s: float) -> None:
    """A lock ends by the clock that nobody sets, an hour of error in the other is nothing; the journal tells."""
    lock.acquire(host, ask("d1"))
    with pytest.raises(HeldError):
        lock.acquire(later(host, 59, wall_s), ask("d2"))
    assert "d2" == lock.acquire(later(host, 61, wall_s), ask("d2")).deployment
    (line,) = store.journal(host.layout)
    told = json.loads(line)
    assert ("lock taken over", "d2") == (told["action"], told["deployment"])
    assert told["was"].startswith("locked by ann since 2001-09-09T01:46:40.000Z")


def test_waiting_ends_with_the_lock(host: Host) -> None:
    """A deployment that waits gets the lock once it is free, and gives up in time if it is not."""
    lock.acquire(host, ask("d1"))
    clock = [host.uptime()]

    def _sleep(seconds: float) -> None:
        clock[0] += seconds

    waiting = replace(host, uptime=lambda: clock[0], sleep=_sleep)
    with pytest.raises(HeldError):
        lock.acquire(waiting, ask("d2"), wait_s=10)
    assert 10 == clock[0] - host.uptime()
    assert "d2" == lock.acquire(waiting, ask("d2"), wait_s=60).deployment


def test_freeze_is_not_waited_for(host: Host) -> None:
    """Who froze the host decides when that ends: waiting for it is no plan."""
    lock.acquire(host, ask(None, None))
    hasty = replace(host, sleep=lambda _s: pytest.fail("waited"))
    with pytest.raises(ReleaseError, match="frozen by ann"):
        lock.acquire(hasty, ask("d1"), wait_s=60)
    assert lock.unfreeze(host)
    assert not lock.unfreeze(host)
    assert lock.acquire(host, ask("d1"))
    assert ["frozen", "unfrozen"] == actions(host)


def test_a_deployment_in_progress_is_not_frozen_over(host: Host) -> None:
    """A freeze waits for the deployment that goes on."""
    lock.acquire(host, ask("d1"))
    with pytest.raises(HeldError, match="locked by ann"):
        lock.acquire(host, ask(None, None))


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", '{"token": 1}', '"x"', "null"], ids=["empty", "half", "list", "other", "text", "null"]
)
def test_lock_that_cannot_be_read_is_never_stolen(host: Host, damage: str) -> None:
    """It may be somebody's: the line says how to end it by hand, and doing so is in the journal."""
    host.layout.state_dir.mkdir(parents=True)
    host.layout.lock.write_text(damage)
    with pytest.raises(ReleaseError, match=r"lock\.json can't be read .*: see who deploys .* router-release unlock"):
        lock.acquire(host, ask())
    assert damage == host.layout.lock.read_text()
    assert lock.unlock(host)
    assert ["unlocked"] == actions(host)
    assert lock.acquire(host, ask())


def test_lock_without_a_number_for_its_end_is_damaged(host: Host) -> None:
    """Whoever edited it gets a line, not a traceback."""
    written = lock.acquire(host, ask())
    host.layout.lock.write_text(json.dumps({**vars(written), "ends_s": "soon"}))
    with pytest.raises(ReleaseError, match=r"lock\.json can't be read"):
        lock.load(host)


def test_waiting_for_a_deployment_is_waiting_for_its_start_too(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits ten minutes for the lock is not sent away after the half minute that a command usually waits."""
    waited: list[float] = []
    really = store.locked

    def _locked(layout: Any, wait_s: float) -> AbstractContextManager[None]:
        waited.append(wait_s)
        return really(layout, wait_s)

    monkeypatch.setattr(store, "locked", _locked)
    lock.acquire(host, ask(), 600.0)
    lock.acquire(host, ask())
    assert [600.0, store.WAIT_S] == waited


def test_lock_of_a_newer_tool_is_not_understood(host: Host) -> None:
    """A version that is not ours counts as unreadable, not as ours."""
    written = lock.acquire(host, ask())
    host.layout.lock.write_text(json.dumps({**vars(written), "version": 2}))
    with pytest.raises(ReleaseError, match=r"can't be read \(version 2\)"):
        lock.load(host)


def test_unlock_by_token_spares_other_locks(host: Host) -> None:
    """The token of another lock ends nothing; without one the holder is named in the journal."""
    held = lock.acquire(host, ask(None))
    with pytest.raises(ReleaseError, match="token wrong is not that of the lock: the host is locked by ann"):
        lock.unlock(host, "wrong")
    assert lock.unlock(host, held.token)
    assert not lock.unlock(host)
    assert "locked by ann" in json.loads(store.journal(host.layout)[-1])["was"]


def test_unlock_does_not_end_a_freeze(host: Host) -> None:
    """A freeze is ended by that name only."""
    lock.acquire(host, ask(None, None))
    with pytest.raises(ReleaseError, match="router-release unfreeze ends that"):
        lock.unlock(host)


def test_activation_and_confirmation_need_the_lock(host: Host, stage: Callable[[str], Path]) -> None:
    """Without the lock of its own name a deployment neither begins nor ends, and the line names who has it."""
    stage(A)
    with pytest.raises(ReleaseError, match="d1 does not hold the lock of this host; deploy again"):
        activate_alone(host, A, "d1", 5, 60)
    lock.acquire(host, ask("d2"))
    with pytest.raises(ReleaseError, match="d1 does not hold the lock of this host: the host is locked by ann"):
        activate_alone(host, A, "d1", 5, 60)
    assert State() == store.load(host.layout)
    lock.release(host, "d2")
    activate(host, A, "d1")
    host.layout.lock.unlink()
    with pytest.raises(ReleaseError, match="d1 does not hold the lock"):
        confirmation.confirm(host, "d1", {})
    assert store.load(host.layout).pending


def test_person_confirms_without_the_lock(host: Host, stage: Callable[[str], Path]) -> None:
    """A lock that could not be read and was ended by hand leaves a pending deployment that a person still may keep."""
    stage(A)
    activate(host, A, "d1")
    host.layout.lock.write_text("{")
    assert lock.unlock(host)
    confirmation.confirm(host, "d1", {}, by_hand=True, force=True)
    assert A == store.load(host.layout).live


def test_a_pending_deployment_keeps_its_lock(host: Host, stage: Callable[[str], Path]) -> None:
    """Neither the role's last step nor a hand takes it away: only confirm and rollback do."""
    stage(A)
    activate(host, A, "d1")
    assert not lock.release(host, "d1")
    with pytest.raises(ReleaseError, match="deployment d1 is pending: confirm it or roll it back"):
        lock.unlock(host)
    confirmation.confirm(host, "d1", {})
    assert lock.load(host) is None


def test_only_its_own_lock_is_given_back(host: Host) -> None:
    """A deployment that never got the lock does not end that of another."""
    lock.acquire(host, ask("d1"))
    assert not lock.release(host, "d2")
    assert lock.release(host, "d1")
    assert not lock.release(host, "d1")


def test_orphan_is_not_overrun(host: Host, stage: Callable[[str], Path]) -> None:
    """A pending deployment keeps others away even where its lock is over or lost."""
    stage(A)
    activate(host, A, "d1")
    host.layout.lock.unlink()
    with pytest.raises(HeldError, match=rf"d1 of release {A} is not judged yet: make confirm or make rollback"):
        lock.acquire(host, ask("d2"))


@pytest.mark.parametrize("held", [ask("d2"), ask(None, None)], ids=["other", "frozen"])
def test_no_lock_stops_a_rollback(host: Host, stage: Callable[[str], Path], held: Request) -> None:
    """An undo that fails is worst of all: it names the lock and goes on, and the lock stays."""
    stage(A)
    activate(host, A, "d1")
    confirmation.confirm(host, "d1", {})
    wanted: dict[str, Any] = vars(lock.acquire(host, held))
    (warning,) = rollback(host).warnings
    assert warning.startswith("the host is frozen by ann" if held.seconds is None else "the host is locked by ann")
    assert wanted == vars(lock.load(host))
