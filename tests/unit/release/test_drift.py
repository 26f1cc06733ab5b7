# SPDX-License-Identifier: Apache-2.0
"""What is no longer as the last deployment left it, and what else a person should know of a host."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from ansible_collections.quantum.router.plugins.module_utils.release import lock, manifest, store
from ansible_collections.quantum.router.plugins.module_utils.release.adoption import adopt
from ansible_collections.quantum.router.plugins.module_utils.release.confirmation import confirm
from ansible_collections.quantum.router.plugins.module_utils.release.drift import drift, notices
from ansible_collections.quantum.router.plugins.module_utils.release.layout import UNIT
from ansible_collections.quantum.router.plugins.module_utils.release.state import State

from tests.unit.release.steps import activate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ansible_collections.quantum.router.plugins.module_utils.release.host import Host

    from tests.unit.release.conftest import FakeSystemctl

A = "1.0.0-aaaaaaaaaaaa"


@pytest.fixture
def deployed(host: Host, stage: Callable[[str], Path]) -> Path:
    """A release that runs untouched; returns its directory."""
    tree = stage(A)
    activate(host, A, "d1")
    confirm(host, "d1", {})
    return tree


def lines(host: Host) -> list[str]:
    """The drift that is found now."""
    return drift(host, host.facts(), store.load(host.layout))


def age(systemctl: FakeSystemctl, release: Path, newer_by_s: float) -> None:
    """Have the process as old as the host, 1000 s, and the files so much newer."""
    systemctl.facts.update(ActiveEnterTimestampMonotonic="1")
    written_s = 1e9 - 1e3 + newer_by_s
    os.utime(release / "manifest.json", (written_s, written_s))


@pytest.mark.usefixtures("deployed")
def test_untouched_release_has_no_drift(host: Host) -> None:
    """Nothing is reported of what is as it was left, nor of a host that was never deployed to."""
    assert [] == lines(host)
    assert [] == drift(host, host.facts(), State())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("file", f"release {A}: venv/code.py has another content"),
        ("unit", f"/etc/systemd/system/{UNIT} differs from the release's unit"),
        ("no unit", f"/etc/systemd/system/{UNIT} is not the release's unit"),
        ("drop-in", f"drop-in /etc/systemd/system/{UNIT}.d/x.conf overrides the release's unit"),
        ("process", "process 100 does not run from release"),
        ("old process", "process 100 is older than the files of release"),
        ("stopped", f"{UNIT} is failed, not active"),
        ("reload", f"systemd has not read {UNIT} since it changed"),
        ("disabled", f"{UNIT} is not enabled, it would not start at boot"),
        ("current", "current points at nothing"),
    ],
)
def test_drift_is_named(host: Host, systemctl: FakeSystemctl, deployed: Path, change: str, said: str) -> None:
    """Each thing that is no longer as it was left is one line that names it."""
    installed = host.layout.units / UNIT
    drop_in = host.layout.units / f"{UNIT}.d" / "x.conf"
    drop_in.parent.mkdir()
    changes: dict[str, Callable[[], object]] = {
        "file": lambda: (deployed / "venv" / "code.py").write_text("x"),
        "unit": lambda: installed.write_text("x"),
        "no unit": installed.unlink,
        "drop-in": drop_in.touch,
        "process": lambda: host.layout.at("/proc/100/cmdline").write_text("python"),
        "old process": lambda: age(systemctl, deployed, newer_by_s=500),
        "stopped": lambda: systemctl.facts.update(ActiveState="failed"),
        "reload": lambda: systemctl.facts.update(NeedDaemonReload="yes"),
        "disabled": (host.layout.units / "multi-user.target.wants" / UNIT).unlink,
        "current": host.layout.current.unlink,
    }
    changes[change]()
    if change != "reload":
        systemctl.read_units()
    found = lines(host)
    assert 1 == len(found)
    assert found[0].startswith(said)


@pytest.mark.parametrize("name", ["redis-password", "sentinel-password"])
def test_another_password_than_the_one_that_was_given_is_drift(
    host: Host, stage: Callable[[str], Path], name: str
) -> None:
    """Of each that the release's unit is handed; what belongs to another account is no affair of this release."""
    password, other = host.layout.secrets / "a" / name, host.layout.secrets / "b" / name
    tree = stage(A)
    with (tree / "unit").open("a") as unit:
        unit.write(f"LoadCredential={name}:{host.layout.host_path(password)}\n")
    manifest.write(tree, {"release": A})
    activate(host, A, "d1")
    confirm(host, "d1", {})
    password.parent.mkdir(parents=True)
    password.write_text("s3cret")
    os.utime(password, (0, 0))

    def found(path: Path, given: str) -> list[str]:
        return drift(host, host.facts(), store.load(host.layout), {path: given})

    assert [] == found(password, "s3cret") == found(password, "") == found(other, "changed")
    assert [f"/etc/quantum-router/a/{name} does not hold the password that was given"] == found(password, "changed")


def noticed(host: Host) -> list[str]:
    """What else is to be known of the host now."""
    return notices(host, store.load(host.layout))


@pytest.mark.usefixtures("deployed")
def test_a_host_as_it_was_left_has_nothing_to_notice(host: Host) -> None:
    """A release that is confirmed and enabled, with secrets that only root reads, is no news."""
    host.layout.secrets.mkdir(parents=True)
    (host.layout.secrets / "redis-password").touch(0o600)
    assert [] == noticed(host)
    assert [] == notices(host, State())


def test_a_clock_that_was_set_back_is_no_drift(host: Host, systemctl: FakeSystemctl, deployed: Path) -> None:
    """Files that were written while the clock was an hour ahead do not make the process that runs them too old."""
    age(systemctl, deployed, newer_by_s=1000 + 3600)
    assert [] == lines(host)


@pytest.mark.usefixtures("deployed")
def test_a_unit_disabled_by_hand_is_enabled_by_the_next_deployment(host: Host) -> None:
    """The same release again is not "unchanged" then: it is made to start at boot, and proved afresh."""
    link = host.layout.units / "multi-user.target.wants" / UNIT
    link.unlink()
    assert activate(host, A, "d2").changed
    assert link.is_symlink()


@pytest.mark.usefixtures("legacy")
def test_a_release_over_one_that_was_disabled_stays_so(
    host: Host, systemctl: FakeSystemctl, stage: Callable[[str], Path]
) -> None:
    """What was adopted without being enabled was not meant to start at boot."""
    systemctl.facts.update(UnitFileState="disabled")
    (host.layout.units / "multi-user.target.wants" / UNIT).unlink()
    adopt(host)
    stage(A)
    activate(host, A, "d1")
    confirm(host, "d1", {})
    assert [] == lines(host)
    assert not (host.layout.units / "multi-user.target.wants" / UNIT).is_symlink()


@pytest.mark.usefixtures("deployed")
def test_what_is_unfinished_is_noticed(host: Host, stage: Callable[[str], Path]) -> None:
    """A deployment that nobody judged and a count that Redis has not taken back are told."""
    other = "1.0.0-bbbbbbbbbbbb"
    stage(other)
    activate(host, other, "d2")
    store.save(host.layout, replace(store.load(host.layout), owed={A: 2}, settling={f"{A} t": 1}))
    pending, owed = noticed(host)
    assert pending.startswith(f"deployment d2 of release {other} is not judged since 2001-09-09T01:46:40.000Z: ")
    assert owed.startswith(f"the count of open orders is owed +3 from release {A}: ")


@pytest.mark.usefixtures("deployed")
def test_a_lock_is_noticed_until_it_is_over(host: Host) -> None:
    """Who works on the host, or has frozen it, is told with the reason."""
    lock.acquire(host, lock.Request("year end", None))
    assert ["the host is frozen by ann since 2001-09-09T01:46:40.000Z: year end"] == noticed(host)
    lock.unfreeze(host)
    lock.acquire(host, lock.Request("release b", 0.0))
    assert [] == noticed(host)
    host.layout.lock.write_text("{")
    (damaged,) = noticed(host)
    assert "can't be read" in damaged


def test_a_secret_that_others_can_read_is_noticed(host: Host) -> None:
    """Whatever the role or an exchange of passwords has left there."""
    folder = host.layout.secrets / "0123456789abcdef"
    folder.mkdir(parents=True)
    for name, mode in (
        ("redis-password", 0o640),
        (".desk-deployment.password.old", 0o604),
        ("sentinel-password", 0o600),
    ):
        (folder / name).touch()
        (folder / name).chmod(mode)
    assert [
        f"/etc/quantum-router/0123456789abcdef/{name} can be read by others than root: chown root: and chmod 0600"
        for name in (".desk-deployment.password.old", "redis-password")
    ] == noticed(host)
