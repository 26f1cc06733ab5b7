# SPDX-License-Identifier: Apache-2.0
"""The power goes, or the process is killed, before any step of a transition: what then brings the host in order."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.quantum.router.plugins.module_utils.release import activation, history, lock, store
from ansible_collections.quantum.router.plugins.module_utils.release.adoption import adopt
from ansible_collections.quantum.router.plugins.module_utils.release.confirmation import confirm
from ansible_collections.quantum.router.plugins.module_utils.release.layout import UNIT
from ansible_collections.quantum.router.plugins.module_utils.release.rollback import restore, rollback, settle

from tests.unit.release.steps import activate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ansible_collections.quantum.router.plugins.module_utils.release.host import Host

    from tests.unit.release.conftest import FakeSystemctl

A, B = "1.0.0-aaaaaaaaaaaa", "1.0.0-bbbbbbbbbbbb"
#: Whatever changes a disk by name, or makes it last.
STEPS = ("replace", "rename", "link", "symlink", "unlink", "fsync")


@pytest.fixture(autouse=True)
def _disk_at_ease(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of hosts: that they are not really flushed changes nothing about the order of what happens to them."""
    monkeypatch.setattr(os, "sync", lambda: None)
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


class Dead(BaseException):
    """Nothing catches it, and nothing works after it."""


class Life:
    """So many steps that still work."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def step(self) -> None:
        """One step, or death."""
        if self.left <= 0:
            raise Dead
        self.left -= 1


def dies(work: Callable[[Host], object], host: Host, steps: int) -> bool:
    """Do the work with so many steps to live; returns whether that was too few."""
    life = Life(steps)

    def _mortal(function: Callable[..., Any]) -> Callable[..., Any]:
        def _call(*arguments: Any, **more: Any) -> Any:
            life.step()
            return function(*arguments, **more)

        return _call

    with pytest.MonkeyPatch.context() as patch:
        for name in STEPS:
            patch.setattr(os, name, _mortal(getattr(os, name)))
        try:
            work(replace(host, run=_mortal(host.run)))
        except Dead:
            return True
    return False


def seen(host: Host, photograph: Callable[[Path], Any]) -> Any:
    """All that decides what runs; what a cut has left half-written begins with a dot, which systemd overlooks."""
    whole = photograph(host.layout.root / "etc"), photograph(host.layout.root / "home"), host.layout.live()
    return [{path: facts for path, facts in each.items() if "/." not in path} for each in whole[:2]], whole[2]


def boot(host: Host, systemctl: FakeSystemctl) -> None:
    """What systemd does: no timer is left, the first unit, the router if it is enabled, the second unit."""
    systemctl.timers.clear()
    systemctl.read_units()
    systemctl.facts.update(ActiveState="inactive", MainPID="0")
    marked = host.layout.marker.exists()
    if marked:
        restore(host)
    if (host.layout.units / "multi-user.target.wants" / UNIT).is_symlink():
        systemctl(("systemctl", "start", UNIT), 5)
    if host.layout.marker.exists():
        settle(host)


def guard(host: Host, systemctl: FakeSystemctl) -> None:
    """What the timer does, if it was armed."""
    if systemctl.timers:
        rollback(host, deployment="d1", reason="guard")


def hand(host: Host, _systemctl: FakeSystemctl) -> None:
    """What a person does who sees something pending."""
    if store.load(host.layout).pending or host.layout.marker.exists():
        named = (store.marked(host.layout) or {}).get("deployment")
        rollback(host, deployment=named or None, reason="by hand")


RECOVERIES: dict[str, Callable[[Host, FakeSystemctl], None]] = {"boot": boot, "guard": guard, "hand": hand}


def at_every_step(
    make_host: Callable[[], tuple[Host, FakeSystemctl]],
    prepare: Callable[[Host], object],
    work: Callable[[Host], object],
) -> Iterator[tuple[Host, FakeSystemctl]]:
    """Hosts on which the work was cut short before its first step, its second, and so on until it was done."""
    steps, died = 0, True
    while died:
        host, systemctl = make_host()
        prepare(host)
        died = dies(work, host, steps)
        steps += 1
        yield host, systemctl
    assert steps > 10


def prepares(host: Host) -> None:
    """Everything before an activation."""
    adopt(host)
    lock.acquire(host, lock.Request("a release", 60.0, "d1"))


def activates(host: Host) -> None:
    """The activation itself."""
    activation.activate(host, A, "d1", 5, 60)


def deploys(host: Host, release: str = A, deployment: str = "d1") -> None:
    """A deployment that waits for its verdict."""
    adopt(host)
    activate(host, release, deployment)


def is_whole(host: Host, systemctl: FakeSystemctl, photograph: Callable[[Path], Any], before: Any) -> None:
    """Assert that what the state says is what is installed and runs, and that nothing is pending."""
    state = store.load(host.layout)
    assert state.pending is None
    assert "active" == systemctl.facts["ActiveState"]
    process = host.layout.at(f"/proc/{systemctl.facts['MainPID']}/cmdline")
    command = process.read_text() if process.exists() else ""
    if state.live in (A, B):
        assert state.live == host.layout.live()
        assert (host.layout.release(state.live) / "unit").read_bytes() == (host.layout.units / UNIT).read_bytes()
        assert state.live in command
        assert ("-B" in command) == (state.live == B), "systemd has not read the unit that is installed"
    else:
        assert (state.live or "legacy-").startswith("legacy-")
        assert before == seen(host, photograph)
        assert A not in command


@pytest.mark.parametrize("recovery", RECOVERIES)
def test_activation_cut_short(
    make_host: Callable[[], tuple[Host, FakeSystemctl]], photograph: Callable[[Path], Any], recovery: str
) -> None:
    """Wherever an activation ends, the host goes back to the old router; without a guard nothing live was touched."""
    before = seen(make_host()[0], photograph)
    for host, systemctl in at_every_step(make_host, prepares, activates):
        RECOVERIES[recovery](host, systemctl)
        is_whole(host, systemctl, photograph, before)
        assert (store.load(host.layout).live or "").startswith("legacy-")
        assert {} == systemctl.timers
        assert recovery == "guard" or not host.layout.marker.exists()


@pytest.mark.parametrize("recovery", RECOVERIES)
def test_rollback_cut_short(
    make_host: Callable[[], tuple[Host, FakeSystemctl]], photograph: Callable[[Path], Any], recovery: str
) -> None:
    """Wherever a rollback ends, whoever comes next brings it to its end."""
    before = seen(make_host()[0], photograph)
    for host, systemctl in at_every_step(make_host, deploys, rollback):
        RECOVERIES[recovery](host, systemctl)
        is_whole(host, systemctl, photograph, before)
        assert (store.load(host.layout).live or "").startswith("legacy-")
        assert {} == systemctl.timers
        assert recovery == "guard" or not host.layout.marker.exists()


@pytest.mark.parametrize("recovery", ["boot", "hand"])
@pytest.mark.parametrize("depth", [1, 2])
def test_rollback_of_a_confirmed_release_cut_short(
    make_host: Callable[[], tuple[Host, FakeSystemctl]], photograph: Callable[[Path], Any], recovery: str, depth: int
) -> None:
    """Wherever it ends, it has not begun, or whoever comes next brings it to its end, in the journal too."""
    before, ends = seen(make_host()[0], photograph), set()
    proven = (A, B)[:depth]
    target = (None, A)[depth - 1]

    def _prepare(host: Host) -> None:
        for number, release in enumerate(proven):
            deploys(host, release, f"d{number}")
            confirm(host, f"d{number}", {})

    for host, systemctl in at_every_step(make_host, _prepare, rollback):
        began = host.layout.marker.exists() or store.load(host.layout).live != proven[-1]
        RECOVERIES[recovery](host, systemctl)
        is_whole(host, systemctl, photograph, before)
        live = store.load(host.layout).live
        assert began == (live != proven[-1])
        assert not began or (live == target if target else (live or "").startswith("legacy-"))
        told = [entry for entry in history.rows(store.journal(host.layout)) if entry["action"] == "rolled back"]
        assert began == bool(told)
        assert not began or {(proven[-1], live)} == {(entry["from"], entry["to"]) for entry in told}
        assert not host.layout.marker.exists()
        ends.add(live)
    assert 2 == len(ends)


@pytest.mark.parametrize("recovery", ["boot", "guard"])
def test_confirmation_cut_short(
    make_host: Callable[[], tuple[Host, FakeSystemctl]], photograph: Callable[[Path], Any], recovery: str
) -> None:
    """Wherever a confirmation ends, the release is confirmed or undone, and nothing in between."""
    before, ends = seen(make_host()[0], photograph), set()
    for host, systemctl in at_every_step(make_host, deploys, lambda host: confirm(host, "d1", {"verdict": "pass"})):
        RECOVERIES[recovery](host, systemctl)
        is_whole(host, systemctl, photograph, before)
        assert {} == systemctl.timers
        assert recovery == "guard" or not host.layout.marker.exists()
        ends.add(store.load(host.layout).live)
    assert 2 == len(ends)


def test_boot_cut_short(make_host: Callable[[], tuple[Host, FakeSystemctl]], photograph: Callable[[Path], Any]) -> None:
    """A host that goes down again while it puts things back does so at the boot after that."""
    before = seen(make_host()[0], photograph)
    for host, systemctl in at_every_step(make_host, deploys, restore):
        boot(host, systemctl)
        is_whole(host, systemctl, photograph, before)
        assert not host.layout.marker.exists()
        assert lock.load(host) is None
