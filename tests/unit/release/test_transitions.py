# SPDX-License-Identifier: Apache-2.0
"""Activating, confirming and rolling back on a host's real files."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from ansible_collections.quantum.router.plugins.module_utils.release import files, manifest, store
from ansible_collections.quantum.router.plugins.module_utils.release.activation import check
from ansible_collections.quantum.router.plugins.module_utils.release.adoption import adopt
from ansible_collections.quantum.router.plugins.module_utils.release.confirmation import confirm, is_confirmed
from ansible_collections.quantum.router.plugins.module_utils.release.errors import ReleaseError
from ansible_collections.quantum.router.plugins.module_utils.release.layout import UNIT
from ansible_collections.quantum.router.plugins.module_utils.release.rollback import restore, rollback, settle
from ansible_collections.quantum.router.plugins.module_utils.release.state import State, unsettled
from ansible_collections.quantum.router.plugins.module_utils.release.systemctl import TIMED_OUT, Completed

from tests.unit.release.conftest import RELEASE_UNIT, outside
from tests.unit.release.steps import activate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from ansible_collections.quantum.router.plugins.module_utils.release.host import Host

    from tests.unit.release.conftest import FakeSystemctl, Photograph

A, B, C = "1.0.0-aaaaaaaaaaaa", "1.0.0-bbbbbbbbbbbb", "1.0.0-cccccccccccc"


def command_of(host: Host) -> str:
    """The command line of what runs."""
    return host.layout.at(f"/proc/{host.facts().main_pid}/cmdline").read_text()


@pytest.fixture
def linked(legacy: Path, host: Host) -> None:
    """The legacy unit as a linked one: the file lies elsewhere, systemd has a link."""
    assert legacy.is_file()
    place = host.layout.units / UNIT
    target = host.layout.at("/srv/router") / UNIT
    target.parent.mkdir(parents=True)
    place.rename(target)
    place.symlink_to(f"/srv/router/{UNIT}")


@pytest.mark.parametrize("kind", ["legacy", "linked", "packaged"])
def test_there_and_back_leaves_every_byte(
    kind: str,
    request: pytest.FixtureRequest,
    host: Host,
    systemctl: FakeSystemctl,
    stage: Callable[[str], Path],
    photograph: Callable[[Path], Photograph],
) -> None:
    """However the legacy unit was installed, a rollback restores files, links, modes and owners, and it runs again."""
    request.getfixturevalue(kind)
    systemctl.facts["EnvironmentFiles"] = "/etc/default/router (ignore_errors=no)"
    before = outside(host.layout.root, photograph)
    stage(A)
    adopted, changed = adopt(host)
    assert adopted is not None
    assert changed
    done = activate(host, A, "d1")
    assert (True, adopted.id) == (done.changed, done.previous)
    assert RELEASE_UNIT == (host.layout.units / UNIT).read_text()
    assert not list(host.layout.units.glob(f"{UNIT}.d/*.conf"))
    assert A == host.layout.live()
    back = rollback(host, deployment="d1", reason="it failed")
    assert (True, A, adopted.id, True) == (back.changed, back.origin, back.target, back.active)
    assert before == outside(host.layout.root, photograph)
    assert host.layout.live() is None
    assert "disable" not in " ".join(systemctl.commands())
    state = store.load(host.layout)
    assert ((adopted.id,), (A,), None) == (state.known_good, state.bad, state.pending)


def test_files_damaged_meanwhile_come_from_the_backup(legacy: Path, host: Host, stage: Callable[[str], Path]) -> None:
    """The legacy script, changed or deleted while a release was live, is restored with mode and owner."""
    stage(A)
    adopt(host)
    activate(host, A, "d1")
    legacy.unlink()
    files.aside(host.layout.units / UNIT, store.load(host.layout).known_good[0]).unlink()
    rollback(host)
    assert "print('publish everything')\n" == legacy.read_text()
    assert 0o640 == legacy.stat().st_mode & 0o777


def test_first_installation_undone_leaves_nothing(
    host: Host, systemctl: FakeSystemctl, stage: Callable[[str], Path]
) -> None:
    """Where no unit was, activation enables ours, and a rollback stops, disables and removes it."""
    stage(A)
    assert (None, False) == adopt(host)
    done = activate(host, A, "d1")
    assert (None, None) == (done.previous, done.gap_ms)
    assert "enable --quiet" in systemctl.commands()
    back = rollback(host)
    assert (A, None, False) == (back.origin, back.target, back.active)
    assert not os.path.lexists(host.layout.units / UNIT)
    assert systemctl.commands()[-4:] == ["stop", "disable --quiet", "daemon-reload", "reset-failed"]


def test_release_to_release_and_back(host: Host, systemctl: FakeSystemctl, stage: Callable[[str], Path]) -> None:
    """A confirmed release returns to the one before it: unit, link and process."""
    stage(A)
    stage(B)
    for release, deployment in ((A, "d1"), (B, "d2")):
        assert (None, False) == adopt(host)
        activate(host, release, deployment)
        confirm(host, deployment, {"verdict": "pass"})
        assert is_confirmed(store.load(host.layout), deployment)
    back = rollback(host)
    assert (B, A) == (back.origin, back.target)
    assert command_of(host).startswith(f"/opt/quantum-router/releases/{A}/")
    assert A == host.layout.live()
    assert "restart" == systemctl.commands()[-1]
    assert (B,) == store.load(host.layout).withdrawn


@pytest.mark.parametrize(("other", "reloads"), [(B, True), (C, False)])
def test_systemd_reads_its_units_anew_only_for_another_unit(
    host: Host, systemctl: FakeSystemctl, stage: Callable[[str], Path], other: str, *, reloads: bool
) -> None:
    """A reload of all units takes longer than all else; where the two releases have the same one, nothing is read."""
    confirmed(host, stage, A, "d1")
    before = len(systemctl.commands())
    confirmed(host, stage, other, "d2")
    assert other in command_of(host)
    assert ("-B" in command_of(host)) == reloads
    assert A == rollback(host).target
    assert "-B" not in command_of(host)
    assert (2 if reloads else 0) == systemctl.commands()[before:].count("daemon-reload")


def test_activating_what_runs_changes_nothing(
    host: Host, systemctl: FakeSystemctl, stage: Callable[[str], Path]
) -> None:
    """The live release asked for again is neither written nor restarted."""
    stage(A)
    activate(host, A, "d1")
    confirm(host, "d1", {})
    told = systemctl.commands()
    assert not activate(host, A, "d2").changed
    assert told == systemctl.commands()


@pytest.mark.usefixtures("legacy")
def test_activation_needs_the_backup(host: Host, stage: Callable[[str], Path]) -> None:
    """A unit that nobody backed up is not replaced, and nothing is pending."""
    stage(A)
    with pytest.raises(ReleaseError, match="is not ours and not in a backup: adopt the unit first"):
        activate(host, A, "d1")
    assert State() == store.load(host.layout)


@pytest.mark.usefixtures("legacy")
@pytest.mark.usefixtures("legacy")
def test_restarts_of_what_ran_before_are_not_the_release_s(
    host: Host, systemctl: FakeSystemctl, stage: Callable[[str], Path]
) -> None:
    """The count of systemd is set to 0 right before the start: the verdict takes any restart that it shows then."""
    stage(A)
    adopt(host)
    activate(host, A, "d1")
    assert ["reset-failed", "restart"] == systemctl.commands()[-2:]


def test_failed_start_says_why_and_stays_pending(
    host: Host, systemctl: FakeSystemctl, stage: Callable[[str], Path]
) -> None:
    """The line holds systemd's result, how the process ended and its last words; the record is there for a rollback."""
    stage(A)
    adopt(host)
    systemctl.fails = {
        "systemctl restart": Completed(1, "", "Job failed"),
        "journalctl": Completed(0, "Traceback\nModuleNotFoundError: No module named 'router'\n", ""),
    }
    systemctl.facts.update(Result="exit-code", ExecMainCode="1", ExecMainStatus="1")
    with pytest.raises(
        ReleaseError, match=r"did not start \(result exit-code, exit status 1\): ModuleNotFoundError"
    ) as error:
        activate(host, A, "d1")
    assert "\n" not in str(error.value)
    pending = store.load(host.layout).pending
    assert pending is not None
    assert A == pending.release
    assert "activation failed" in (host.layout.state_dir / "journal.jsonl").read_text()


@pytest.mark.usefixtures("legacy")
def test_start_that_takes_too_long_says_so(host: Host, systemctl: FakeSystemctl, stage: Callable[[str], Path]) -> None:
    """A release that never gets ready is given up on after the time it was given."""
    stage(A)
    adopt(host)
    systemctl.fails = {"systemctl restart": Completed(TIMED_OUT, "", "")}
    with pytest.raises(ReleaseError, match="did not get ready within 5 s"):
        activate(host, A, "d1")
    assert 2 == systemctl.commands().count("restart")


def test_tampered_release_is_not_activated(host: Host, stage: Callable[[str], Path]) -> None:
    """A staged release that was changed is refused before anything live is touched."""
    (stage(A) / "venv" / "code.py").write_text("evil")
    with pytest.raises(ReleaseError, match=r"is not what was staged \(venv/code.py has another content\)"):
        activate(host, A, "d1")
    assert host.layout.live() is None


def confirmed(host: Host, stage: Callable[[str], Path], release: str, deployment: str) -> Path:
    """A release that runs and passed its proof; returns its folder."""
    tree = stage(release)
    activate(host, release, deployment)
    confirm(host, deployment, {})
    return tree


@pytest.mark.parametrize("damage", ["changed", "removed"])
def test_nothing_is_deployed_over_a_release_that_could_not_come_back(
    host: Host, stage: Callable[[str], Path], systemctl: FakeSystemctl, damage: str
) -> None:
    """What a rollback would return to is checked before the guard is armed; the line has what differs and a way out."""
    tree = confirmed(host, stage, A, "d1")
    code = tree / "venv" / "code.py"
    code.write_text("evil") if damage == "changed" else code.unlink()
    stage(B)
    what = {"changed": "has another content", "removed": "is missing"}[damage]
    said = rf"{A} is not what was staged \(venv/code.py {what}\).*, deploy it again, .*rollback --to ID"
    with pytest.raises(ReleaseError, match=said):
        activate(host, B, "d2")
    assert (A, None) == (host.layout.live(), store.load(host.layout).pending)
    assert ({}, None) == (systemctl.timers, store.marked(host.layout))


def test_check_mode_tells_of_a_release_that_could_not_come_back(host: Host, stage: Callable[[str], Path]) -> None:
    """What the activation would refuse its prediction refuses."""
    (confirmed(host, stage, A, "d1") / "environment").chmod(0o666)
    with pytest.raises(ReleaseError, match=rf"{A} is not what was staged \(environment has another mode\)"):
        check(host, B, "d2")


def test_nothing_is_deployed_over_a_backup_that_could_not_come_back(
    legacy: Path, host: Host, stage: Callable[[str], Path]
) -> None:
    """A backup that was changed is refused while a release runs; while what it holds runs it is made anew."""
    stage(A)
    adopted, _changed = adopt(host)
    assert adopted is not None
    folder = host.layout.adopted / adopted.id / "files"
    stored = next(path for path in folder.iterdir() if b"print" in path.read_bytes())
    stored.write_bytes(b"evil")
    assert (adopted, True) == adopt(host, check=True)
    assert (adopted, True) == adopt(host)
    assert legacy.read_bytes() == stored.read_bytes()
    activate(host, A, "d1")
    confirm(host, "d1", {})
    stored.write_bytes(b"evil")
    with pytest.raises(ReleaseError, match=r"was tampered with \(/home/qt/router.py\).*rollback --to ID"):
        activate(host, A, "d2", capacity_delta=1)
    assert store.load(host.layout).pending is None


def test_confirmed_release_is_not_left_for_a_tampered_one(host: Host, stage: Callable[[str], Path]) -> None:
    """Where a person can choose, what is not what was staged is not returned to, and the live release stays."""
    tree = confirmed(host, stage, A, "d1")
    confirmed(host, stage, B, "d2")
    (tree / "environment").chmod(0o666)
    with pytest.raises(ReleaseError, match=r"environment has another mode\): choose another with --to"):
        rollback(host)
    assert B == host.layout.live()


@pytest.mark.usefixtures("legacy")
@pytest.mark.parametrize("undo", ["guard", "boot"])
@pytest.mark.parametrize("damage", ["code.py", "manifest.json"])
def test_pending_deployment_is_undone_past_a_tampered_release(
    host: Host, stage: Callable[[str], Path], undo: str, damage: str
) -> None:
    """A release touched while a worse one is judged is passed over for the newest known good that is whole."""
    adopted, _changed = adopt(host)
    assert adopted is not None
    tree = confirmed(host, stage, A, "d1")
    stage(B)
    activate(host, B, "d2")
    (tree / "manifest.json").unlink() if damage == "manifest.json" else (tree / "venv" / damage).write_text("evil")
    if undo == "boot":
        restore(host)
        settle(host)
    else:
        (warning,) = rollback(host, deployment="d2", reason="guard").warnings
        assert warning.startswith(f"passed over: release {A} is not what was staged (")
    state = store.load(host.layout)
    assert ((adopted.id,), (B,), (A,), None) == (state.known_good, state.bad, state.withdrawn, state.pending)
    assert "/home/qt/router.py" in (host.layout.units / UNIT).read_text()
    told = [json.loads(line) for line in store.journal(host.layout)]
    assert ["passed over", "rolled back"] == [line["action"] for line in told[-2:]]
    assert (A, adopted.id) == (told[-2]["to"], told[-1]["to"])


def test_undo_with_nothing_whole_to_return_to_fails_loudly(host: Host, stage: Callable[[str], Path]) -> None:
    """Where no known good is whole, the line names the newest and the live release stays."""
    tree = confirmed(host, stage, A, "d1")
    stage(B)
    activate(host, B, "d2")
    (tree / "environment").chmod(0o666)
    with pytest.raises(ReleaseError, match=r"environment has another mode\): choose another with --to"):
        rollback(host)
    assert B == host.layout.live()


@pytest.mark.usefixtures("legacy")
def test_rollback_to_a_tampered_backup_is_refused(host: Host, stage: Callable[[str], Path]) -> None:
    """Stored bytes, or a manifest, that somebody changed are not put back."""
    stage(A)
    adopted, _changed = adopt(host)
    activate(host, A, "d1")
    assert adopted is not None
    folder = host.layout.adopted / adopted.id
    stored_manifest = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(stored_manifest.replace("/home/qt/", "/home/xx/"))
    with pytest.raises(ReleaseError, match="was tampered with"):
        rollback(host)
    (folder / "manifest.json").write_text(stored_manifest)
    stored = next(path for path in (folder / "files").iterdir() if b"publish" in path.read_bytes())
    stored.write_bytes(b"evil")
    with pytest.raises(ReleaseError, match=r"was tampered with \(/home/qt/router.py\)"):
        rollback(host)
    assert A == host.layout.live()


@pytest.mark.parametrize("handed", [True, False])
def test_a_release_older_than_its_password_is_started_again(
    host: Host, systemctl: FakeSystemctl, stage: Callable[[str], Path], *, handed: bool
) -> None:
    """What runs with an old credential is not what was asked for; a password that it does not use means nothing."""
    tree = stage(A)
    password = host.layout.secrets / "0123456789abcdef" / "redis-password"
    if handed:
        with (tree / "unit").open("a") as unit:
            unit.write(f"LoadCredential=redis-password:{host.layout.host_path(password)}\n")
    manifest.write(tree, {"release": A})
    activate(host, A, "d1")
    confirm(host, "d1", {})
    password.parent.mkdir(parents=True)
    password.write_text("new")
    os.utime(password, (1e9 - 500, 1e9 - 500))
    systemctl.facts.update(ActiveEnterTimestampMonotonic="1")
    pid = systemctl.facts["MainPID"]
    assert handed == activate(host, A, "d2").changed
    assert handed == (pid != systemctl.facts["MainPID"])


@pytest.mark.usefixtures("deployer")
def test_forcing_the_count_again_is_a_deployment_that_owes_it(host: Host, stage: Callable[[str], Path]) -> None:
    """The live release with a count forced is activated afresh, so that a rollback has something to give back."""
    stage(A)
    activate(host, A, "d1")
    confirm(host, "d1", {})
    assert is_confirmed(store.load(host.layout), "d2", A)
    assert activate(host, A, "d2", capacity_delta=4).changed
    assert not is_confirmed(store.load(host.layout), "d2", A)
    confirm(host, "d2", {})
    assert {A: 4} == dict(store.load(host.layout).forced)


def test_another_deployment_is_left_alone(host: Host, stage: Callable[[str], Path]) -> None:
    """A rollback of a deployment that is not the pending one changes nothing."""
    stage(A)
    activate(host, A, "d1")
    assert not rollback(host, deployment="d0").changed
    assert A == host.layout.live()


def test_drop_in_over_a_release_is_drift_and_not_something_to_return_to(
    host: Host, stage: Callable[[str], Path]
) -> None:
    """What an administrator laid over a release was never proved: a rollback returns to the release as it passed."""
    stage(A)
    stage(B)
    activate(host, A, "d1")
    confirm(host, "d1", {})
    drop_in = host.layout.units / f"{UNIT}.d" / "50-more.conf"
    drop_in.parent.mkdir()
    drop_in.write_text("[Service]\nNice=5\n")
    assert (None, False) == adopt(host)
    activate(host, B, "d2")
    assert not drop_in.exists()
    assert A == rollback(host).target
    assert not drop_in.exists()


@pytest.mark.usefixtures("legacy")
def test_full_disk_does_not_stop_a_rollback(
    host: Host, stage: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no byte left to write, the legacy files come back by renames and the prepared state takes its place."""
    stage(A)
    adopt(host)
    activate(host, A, "d1")

    def _full(*_arguments: object, **_more: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"{files.__package__}.durable.write", _full)
    monkeypatch.setattr(f"{files.__package__}.store.os.write", _full)
    monkeypatch.setattr("pathlib.Path.symlink_to", _full)
    done = rollback(host)
    assert done.active
    assert 2 == len([line for line in done.warnings if "No space left on device" in line])
    assert "publish" not in (host.layout.units / UNIT).read_text()
    state = store.load(host.layout)
    assert ((A,), None) == (state.bad, state.pending)


def test_systemd_that_does_not_answer_keeps_no_file_from_coming_back(
    host: Host, systemctl: FakeSystemctl, stage: Callable[[str], Path]
) -> None:
    """Files first, then systemd: the undo fails, and what is started next is what was there before."""
    confirmed(host, stage, A, "d1")
    confirmed(host, stage, C, "d2")

    def _mute(argv: Sequence[str], timeout_s: float, environment: Mapping[str, str] | None = None) -> Completed:
        mute = tuple(argv[:2]) == ("systemctl", "show")
        return Completed(124, "", "no answer") if mute else systemctl(argv, timeout_s, environment)

    with pytest.raises(ReleaseError, match="show"):
        rollback(replace(host, run=_mute))
    assert A == host.layout.live()
    assert A in command_of(host)


def test_full_disk_stops_no_way_back_to_a_release(
    host: Host, stage: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unit and link of the release before come back by renames as well."""
    confirmed(host, stage, A, "d1")
    stage(B)
    activate(host, B, "d2")

    def _full(*_arguments: object, **_more: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"{files.__package__}.durable.write", _full)
    monkeypatch.setattr("pathlib.Path.symlink_to", _full)
    assert A == rollback(host).target
    assert A in command_of(host)


@pytest.mark.usefixtures("legacy")
def test_full_disk_never_takes_what_another_rollback_would_have_left(
    host: Host, stage: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an activation wrote down is the state after its own undo: one step further back it is not used."""
    adopt(host)
    confirmed(host, stage, A, "d1")
    confirmed(host, stage, B, "d2")
    assert A == rollback(host).target

    def _full(*_arguments: object, **_more: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(f"{files.__package__}.durable.write", _full)
        warnings = rollback(host).warnings
    assert "make room and run the rollback again" in warnings[0]
    assert (rollback(host).target or "").startswith("legacy-")
    assert (store.load(host.layout).live or "").startswith("legacy-")


def test_service_that_does_not_stay_up_is_told(
    legacy: Path, host: Host, systemctl: FakeSystemctl, stage: Callable[[str], Path]
) -> None:
    """A legacy router that is started and dies within two seconds is an error, though everything is back in place."""
    stage(A)
    adopted, _changed = adopt(host)
    activate(host, A, "d1")
    dying = replace(host, sleep=lambda _s: systemctl.facts.update(MainPID="7"))
    with pytest.raises(ReleaseError, match=r"rolled back to legacy-.*, but .* did not start"):
        rollback(dying)
    assert adopted is not None
    assert adopted.id == store.load(host.layout).live
    assert legacy.exists()


@pytest.mark.usefixtures("legacy")
def test_stopped_legacy_unit_stays_stopped(host: Host, systemctl: FakeSystemctl, stage: Callable[[str], Path]) -> None:
    """A unit that did not run when it was adopted does not run after a rollback."""
    systemctl.facts.update(ActiveState="inactive", MainPID="0")
    stage(A)
    adopt(host)
    activate(host, A, "d1")
    assert not rollback(host).active
    assert "stop" == systemctl.commands()[-1]


@pytest.mark.usefixtures("legacy")
def test_forced_capacity_is_owed_until_redis_answers(
    host: Host, systemctl: FakeSystemctl, deployer: str, stage: Callable[[str], Path]
) -> None:
    """The difference is added with the release's own settings; while Redis is away it stays queued."""
    stage(A)
    adopt(host)
    activate(host, A, "d1", capacity_delta=7)
    systemctl.fails = {deployer: Completed(69, "", "Redis unavailable\n")}
    (warning,) = rollback(host).warnings
    assert f"owed +7 from {A} (Redis unavailable)" in warning
    assert {A: 7} == unsettled(store.load(host.layout))
    systemctl.fails = {}
    stage(B)
    activate(host, B, "d2")
    rollback(host)
    forced, first, again = (call for call in systemctl.calls if call[0] == deployer)
    assert (deployer, "-I", "-m", "router", "capacity", "--json", "--add=-7", "--token=d1") == forced
    assert (deployer, "-I", "-m", "router", "capacity", "--json", "--add=7") == first[:-1]
    assert again == first, "asked again under the same token, it is not added twice"
    expected = {"MAX_OPEN_ORDERS": "10", "ROUTER_KEY_PREFIX": "a b"}
    assert expected.items() <= systemctl.environments[-1].items()
    assert {} == unsettled(store.load(host.layout))


@pytest.mark.usefixtures("legacy")
def test_a_count_that_cannot_be_forced_stops_the_activation(
    host: Host, systemctl: FakeSystemctl, deployer: str, stage: Callable[[str], Path]
) -> None:
    """The guard is armed first; a rollback asks for what was to be taken, under its token, before it gives it back."""
    stage(A)
    adopt(host)
    systemctl.fails = {deployer: Completed(69, "", "Redis unavailable\n")}
    with pytest.raises(ReleaseError, match=r"can't be forced: .*Redis unavailable"):
        activate(host, A, "d1", capacity_delta=7)
    assert store.load(host.layout).pending
    assert ("systemctl", "restart", host.unit) not in systemctl.calls
    systemctl.fails = {}
    systemctl.calls.clear()
    assert not rollback(host).warnings
    taken, given = (call for call in systemctl.calls if call[0] == deployer)
    assert (("--add=-7", "--token=d1"), "--add=7") == (taken[-2:], given[-2])
    assert {} == unsettled(store.load(host.layout))


def test_old_releases_are_pruned(host: Host, stage: Callable[[str], Path]) -> None:
    """The sixth confirmed release pushes the first out, on disk and in the state."""
    names = [f"1.0.0-{number:012x}" for number in range(6)]
    for number, name in enumerate(names):
        stage(name)
        activate(host, name, f"d{number}")
        confirm(host, f"d{number}", {})
    assert names[1:] == host.layout.staged()
    assert tuple(names[1:]) == store.load(host.layout).known_good


@pytest.mark.usefixtures("legacy")
def test_release_that_cannot_be_removed_stops_no_confirmation(host: Host, stage: Callable[[str], Path]) -> None:
    """A confirmation is done when the state says so: what cannot be pruned is a warning with the way out."""
    stage(A)
    adopted, _changed = adopt(host)
    activate(host, A, "d1")
    assert adopted is not None
    (host.layout.adopted / adopted.id / "manifest.json").write_text("{")
    _release, gone, (warning,) = confirm(host, "d1", {})
    assert [] == gone
    assert warning.startswith("old releases could not be removed (")
    assert A == store.load(host.layout).live


def test_damaged_state_is_never_reset(host: Host) -> None:
    """A state file that can't be read stops everything with the way out."""
    host.layout.state_dir.mkdir(parents=True)
    path = host.layout.state_dir / "state.json"
    for damage in ("", "{", "[]", '{"schema": 2}'):
        path.write_text(damage)
        with pytest.raises(ReleaseError, match=r"state\.json is damaged .*: restore it, or move it away"):
            rollback(host)
        assert damage == path.read_text()


def test_transitions_wait_for_each_other(host: Host) -> None:
    """While one holds the lock another gives up with a line that says so."""
    with (
        store.locked(host.layout),
        pytest.raises(ReleaseError, match="another command works on this host"),
        store.locked(host.layout, wait_s=0),
    ):
        pass


def test_journal_tells_who_did_what(host: Host, stage: Callable[[str], Path]) -> None:
    """Each transition leaves one line with time, person, action, from, to, reason and deployment."""
    stage(A)
    activate(host, A, "d1")
    rollback(host, reason="too quiet")
    lines = [json.loads(line) for line in (host.layout.state_dir / "journal.jsonl").read_text().splitlines()]
    assert ["activated", "rolled back"] == [line["action"] for line in lines]
    last = lines[-1]
    assert ("ann", A, None, "too quiet", "d1") == tuple(
        last[key] for key in ("who", "from", "to", "reason", "deployment")
    )
    assert "2001-09-09T01:46:40.000Z" == last["at"]
