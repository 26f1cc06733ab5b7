# SPDX-License-Identifier: Apache-2.0
"""The wall clock is for people: an hour of error in it, now or in what lies on the host, decides nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.quantum.router.plugins.module_utils.release import lock, store
from ansible_collections.quantum.router.plugins.module_utils.release.adoption import adopt
from ansible_collections.quantum.router.plugins.module_utils.release.confirmation import confirm
from ansible_collections.quantum.router.plugins.module_utils.release.lock import HeldError, Request
from ansible_collections.quantum.router.plugins.module_utils.release.rollback import restore, rollback, settle

from tests.unit.release.steps import GUARD_S, activate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ansible_collections.quantum.router.plugins.module_utils.release.host import Host

    from tests.unit.release.conftest import FakeSystemctl

A, HOUR_S = "1.0.0-aaaaaaaaaaaa", 3600.0

both_ways = pytest.mark.parametrize("error_s", [-HOUR_S, HOUR_S])


def later(host: Host, error_s: float, passed_s: float = 5.0) -> Host:
    """The host so many seconds later, with a wall clock that somebody has set meanwhile."""
    now_s, uptime_s = host.now() + passed_s + error_s, host.uptime() + passed_s
    return replace(host, now=lambda: now_s, uptime=lambda: uptime_s)


def deployed(host: Host, stage: Callable[[str], Path], photograph: Callable[[Path], Any]) -> Any:
    """Have a deployment pending; returns the units as they were before."""
    stage(A)
    adopt(host)
    before = photograph(host.layout.units)
    activate(host, A, "d1")
    return before


def is_back(host: Host, systemctl: FakeSystemctl, before: Any, photograph: Callable[[Path], Any]) -> None:
    """Assert that the old router runs again, byte for byte, and the host is free."""
    after = photograph(host.layout.units)
    assert before == {name: facts for name, facts in after.items() if name in before}
    assert (None, "active") == (host.layout.live(), systemctl.facts["ActiveState"])
    assert (None, None, {}) == (store.marked(host.layout), lock.load(host), systemctl.timers)
    ends = [json.loads(line) for line in store.journal(host.layout)]
    assert 0 <= ends[-1]["seconds"] <= HOUR_S / 2


@pytest.mark.usefixtures("legacy")
@pytest.mark.fault(28, "the wall clock is wrong by an hour", phase="soak", outcome="back")
@both_ways
@pytest.mark.parametrize("by", ["guard", "boot"])
def test_a_clock_that_was_set_undoes_nothing_less(
    host: Host,
    systemctl: FakeSystemctl,
    stage: Callable[[str], Path],
    photograph: Callable[[Path], Any],
    by: str,
    error_s: float,
) -> None:
    """Guard and boot put the old router back, and nobody else gets the host before that."""
    before = deployed(host, stage, photograph)
    off = later(host, error_s)
    with pytest.raises(HeldError, match="the host is locked by ann"):
        lock.acquire(off, Request("release b", 60.0, "d2"))
    if by == "guard":
        rollback(off, deployment="d1", reason="guard")
    else:
        systemctl.timers.clear()
        restore(off)
        settle(off)
    is_back(off, systemctl, before, photograph)


@pytest.mark.usefixtures("legacy")
@pytest.mark.fault(28, "the wall clock is wrong by an hour", phase="confirm", outcome="proven")
@both_ways
def test_a_clock_that_was_set_confirms_as_well(
    host: Host,
    systemctl: FakeSystemctl,
    stage: Callable[[str], Path],
    photograph: Callable[[Path], Any],
    error_s: float,
) -> None:
    """The verdict stands, the release runs, the host is free."""
    deployed(host, stage, photograph)
    off = later(host, error_s)
    confirm(off, "d1", {"verdict": "pass"})
    state = store.load(host.layout)
    assert (A, None, "pass") == (state.live, state.pending, state.verdicts[A]["verdict"])
    assert A == host.layout.live()
    assert (None, None, {}) == (store.marked(host.layout), lock.load(host), systemctl.timers)


@pytest.mark.usefixtures("legacy")
@pytest.mark.fault(28, "the wall clock is wrong by an hour", phase="activate", outcome="back")
@both_ways
def test_files_with_wrong_times_are_read_the_same(
    host: Host,
    systemctl: FakeSystemctl,
    stage: Callable[[str], Path],
    photograph: Callable[[Path], Any],
    error_s: float,
) -> None:
    """Lock and mark written under a wrong clock hold as long as they should, and the deployment is undone."""
    before = deployed(later(host, error_s, 0.0), stage, photograph)
    with pytest.raises(HeldError):
        lock.acquire(later(host, 0.0, GUARD_S), Request("release b", 60.0, "d2"))
    rollback(later(host, 0.0, GUARD_S), deployment="d1", reason="guard")
    is_back(host, systemctl, before, photograph)
