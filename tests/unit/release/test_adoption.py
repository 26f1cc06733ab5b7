# SPDX-License-Identifier: Apache-2.0
"""Taking over a unit that is not ours: what is backed up, what moves away while a release is live, what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ansible_collections.quantum.router.plugins.module_utils.release import store
from ansible_collections.quantum.router.plugins.module_utils.release.adoption import adopt
from ansible_collections.quantum.router.plugins.module_utils.release.confirmation import confirm
from ansible_collections.quantum.router.plugins.module_utils.release.errors import ReleaseError
from ansible_collections.quantum.router.plugins.module_utils.release.layout import UNIT
from ansible_collections.quantum.router.plugins.module_utils.release.rollback import rollback
from ansible_collections.quantum.router.plugins.module_utils.release.state import State

from tests.unit.release.conftest import outside
from tests.unit.release.steps import activate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ansible_collections.quantum.router.plugins.module_utils.release.host import Host

    from tests.unit.release.conftest import FakeSystemctl, Photograph

A = "1.0.0-aaaaaaaaaaaa"


def test_adopting_twice_changes_nothing(legacy: Path, host: Host) -> None:
    """The same unit is the same adopted id; another script is another."""
    first, _changed = adopt(host)
    assert (first, False) == adopt(host)
    legacy.write_text("print('edited')\n")
    second, changed = adopt(host)
    assert changed
    assert first is not None
    assert second is not None
    assert (first.id, second.id) == store.load(host.layout).known_good


@pytest.mark.usefixtures("packaged")
def test_what_others_changed_since_is_kept_and_told(
    legacy: Path, host: Host, systemctl: FakeSystemctl, stage: Callable[[str], Path]
) -> None:
    """Weeks later: script and environment file are as adopted again, and what they had become lies beside them."""
    systemctl.facts["EnvironmentFiles"] = "/etc/default/router (ignore_errors=no)\nEnvironmentFiles=/etc/default/shared"
    shared, environment = host.layout.at("/etc/default/shared"), host.layout.at("/etc/default/router")
    adopt(host)
    stage(A)
    activate(host, A, "d1")
    confirm(host, "d1", {})
    legacy.write_text("edited")
    environment.write_text("X=2\n")
    environment.chmod(0o600)
    shared.write_text("new")
    done = rollback(host)
    assert ("print('publish everything')\n", "X=1\n", False) == (
        legacy.read_text(),
        environment.read_text(),
        shared.exists(),
    )
    for path, became in ((legacy, "edited"), (environment, "X=2\n"), (shared, "new")):
        (kept,) = path.parent.glob(f".{path.name}.replaced-*")
        assert became == kept.read_text()
        where = host.layout.host_path(path)
        said = f"{where} had changed since it was adopted: what it held is kept as {host.layout.host_path(kept)}"
        assert said in done.warnings
        assert said in (host.layout.state_dir / "journal.jsonl").read_text()
    assert 0o600 == next(environment.parent.glob(".router.replaced-*")).stat().st_mode & 0o777


@pytest.mark.usefixtures("legacy")
def test_check_mode_writes_nothing(host: Host, photograph: Callable[[Path], Photograph]) -> None:
    """Asked what it would adopt, the host answers and stays as it is."""
    before = photograph(host.layout.root)
    adopted, changed = adopt(host, check=True)
    assert adopted is not None
    assert changed
    assert before == photograph(host.layout.root)


@pytest.mark.usefixtures("legacy")
@pytest.mark.parametrize("folder", ["/run/systemd/system", "/usr/lib/systemd/system"])
def test_drop_in_that_cannot_move_is_refused(host: Host, folder: str) -> None:
    """A drop-in outside /etc would override a release, so nothing is adopted and the line names it."""
    path = host.layout.at(f"{folder}/{UNIT}.d/10-x.conf")
    path.parent.mkdir(parents=True)
    path.touch()
    with pytest.raises(ReleaseError, match=rf"drop-in {folder}/.*10-x\.conf would override"):
        adopt(host)
    assert State() == store.load(host.layout)


@pytest.mark.usefixtures("packaged")
def test_drop_in_that_systemd_has_not_read_moves_too(
    host: Host, systemctl: FakeSystemctl, stage: Callable[[str], Path], photograph: Callable[[Path], Photograph]
) -> None:
    """What lies on disk would override the release at the reload: it is backed up, moved away, and comes back."""
    systemctl.facts["DropInPaths"] = ""
    before = outside(host.layout.root, photograph)
    stage(A)
    adopt(host)
    activate(host, A, "d1")
    assert not list(host.layout.units.glob(f"{UNIT}.d/*.conf"))
    rollback(host)
    assert before == outside(host.layout.root, photograph)


@pytest.mark.usefixtures("packaged")
@pytest.mark.parametrize(
    "path",
    [
        f"/usr/lib/systemd/system/{UNIT}.d/20-unread.conf",
        f"/usr/lib/systemd/system/{UNIT}.d/limits.conf",
        "/etc/systemd/system/quantum-ai-.service.d/nice.conf",
        f"/run/systemd/system.control/{UNIT}.d/50-CPUWeight.conf",
    ],
    ids=["unread", "hidden by the one that moves", "for all of a prefix", "set-property"],
)
def test_drop_in_that_would_apply_after_the_move_is_refused(host: Host, systemctl: FakeSystemctl, path: str) -> None:
    """Whether systemd lists it or not: what it would read once ours is installed, and nobody may move, is named."""
    systemctl.facts["DropInPaths"] = f"/etc/systemd/system/{UNIT}.d/limits.conf"
    host.layout.at(path).parent.mkdir(parents=True, exist_ok=True)
    host.layout.at(path).touch()
    with pytest.raises(ReleaseError, match=f"drop-in {path} would override"):
        adopt(host)


@pytest.mark.usefixtures("packaged")
def test_drop_in_that_was_masked_stands_in_nobodys_way(
    host: Host, systemctl: FakeSystemctl, stage: Callable[[str], Path]
) -> None:
    """An administrator's link to nothing keeps a package's drop-in from applying, and stays where it is."""
    systemctl.facts["DropInPaths"] = f"/etc/systemd/system/{UNIT}.d/limits.conf"
    package = host.layout.at(f"/usr/lib/systemd/system/{UNIT}.d/10-x.conf")
    package.parent.mkdir(parents=True)
    package.touch()
    mask = host.layout.units / f"{UNIT}.d" / "10-x.conf"
    mask.symlink_to("/dev/null")
    stage(A)
    adopt(host)
    activate(host, A, "d1")
    assert mask.is_symlink()


@pytest.mark.usefixtures("legacy")
def test_drop_in_that_is_gone_since_systemd_read_it_stands_in_nobodys_way(
    host: Host, systemctl: FakeSystemctl, stage: Callable[[str], Path]
) -> None:
    """What the reload forgets needs no backup."""
    systemctl.facts["DropInPaths"] = f"/usr/lib/systemd/system/{UNIT}.d/gone.conf"
    stage(A)
    adopt(host)
    assert activate(host, A, "d1").changed


@pytest.mark.usefixtures("legacy")
def test_host_wide_drop_in_is_the_administrators(host: Host) -> None:
    """A drop-in for every service of the host stands in nobody's way."""
    path = host.layout.at("/usr/lib/systemd/system/service.d/10-timeout.conf")
    path.parent.mkdir(parents=True)
    path.touch()
    adopted, _changed = adopt(host)
    assert adopted is not None


@pytest.mark.usefixtures("packaged")
def test_unit_that_did_not_start_at_boot_does_not_afterwards(
    host: Host, systemctl: FakeSystemctl, stage: Callable[[str], Path]
) -> None:
    """A link that enables the unit and was not there at adoption goes with the release, even when it points nowhere."""
    link = host.layout.units / "multi-user.target.wants" / UNIT
    link.unlink()
    systemctl.facts["UnitFileState"] = "disabled"
    stage(A)
    adopt(host)
    activate(host, A, "d1")
    assert not link.is_symlink()
    link.symlink_to(f"/etc/systemd/system/{UNIT}")
    rollback(host)
    assert not link.is_symlink()


@pytest.mark.parametrize("read", [True, False])
def test_masked_unit_is_refused(host: Host, systemctl: FakeSystemctl, *, read: bool) -> None:
    """A masked unit is somebody's decision, read by systemd or not: the line says how to take it back."""
    if read:
        systemctl.facts["LoadState"] = "masked"
    else:
        (host.layout.units / UNIT).symlink_to("/dev/null")
    with pytest.raises(ReleaseError, match=f"unit {UNIT} is masked: systemctl unmask {UNIT} first"):
        adopt(host)
