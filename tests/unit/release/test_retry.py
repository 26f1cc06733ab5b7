# SPDX-License-Identifier: Apache-2.0
"""An undo that fails: tried again by the host, bounded, told, and ended by whatever works."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.quantum.router.plugins.module_utils.release import cli, lock, retry, store
from ansible_collections.quantum.router.plugins.module_utils.release.adoption import adopt
from ansible_collections.quantum.router.plugins.module_utils.release.confirmation import confirm
from ansible_collections.quantum.router.plugins.module_utils.release.drift import notices
from ansible_collections.quantum.router.plugins.module_utils.release.errors import ReleaseError
from ansible_collections.quantum.router.plugins.module_utils.release.layout import UNIT
from ansible_collections.quantum.router.plugins.module_utils.release.rollback import restore, rollback, settle
from ansible_collections.quantum.router.plugins.module_utils.release.systemctl import Completed

from tests.unit.release.steps import activate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ansible_collections.quantum.router.plugins.module_utils.release.host import Host

    from tests.unit.release.conftest import FakeSystemctl

A, B = "1.0.0-aaaaaaaaaaaa", "1.0.0-bbbbbbbbbbbb"
RESTART = "systemctl restart"


@pytest.fixture(autouse=True)
def _root_and_deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run as root, and ignore signals only in a process of their own."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("signal.signal", lambda *_arguments: None)


class Clock:
    """Goes on by a second whenever somebody looks."""

    def __init__(self) -> None:
        self.now_s = 2e3

    def __call__(self) -> float:
        """Seconds since the boot."""
        self.now_s += 1
        return self.now_s


@pytest.fixture
def ticking(host: Host) -> Host:
    """The host with a clock that goes."""
    return replace(host, uptime=Clock())


@pytest.fixture
def pending(legacy: Path, ticking: Host, stage: Callable[[str], Path]) -> Host:
    """A host with a deployment of A over a legacy router, not confirmed."""
    assert legacy.is_file()
    stage(A)
    adopt(ticking)
    activate(ticking, A, "d1")
    return ticking


def fires(host: Host, systemctl: FakeSystemctl) -> int:
    """The guard's time is up: systemd forgets the timer and runs its command; returns the exit status."""
    ((name, words),) = systemctl.timers.items()
    del systemctl.timers[name]
    return cli.main(words[words.index("/usr/local/sbin/router-release") + 1 :], host)


def waits_s(systemctl: FakeSystemctl) -> int:
    """Seconds that the only guard waits."""
    ((_name, words),) = systemctl.timers.items()
    return int(next(word for word in words if word.startswith("--on-active=")).partition("=")[2])


def told(host: Host, action: str) -> list[dict[str, Any]]:
    """Lines of the journal about this."""
    lines = map(json.loads, store.journal(host.layout))
    return [line for line in lines if line["action"] == action]


def damage(host: Host) -> Callable[[], None]:
    """Make the backup one that can't be returned to; returns what mends it."""
    (manifest,) = host.layout.adopted.glob("*/manifest.json")
    text = manifest.read_text()
    manifest.write_text("{")

    def _mend() -> None:
        manifest.write_text(text)

    return _mend


def test_guard_that_fails_tries_again_until_it_works(
    pending: Host, systemctl: FakeSystemctl, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever stands in the way, the host comes back to it with growing pauses, and is done when it has worked."""
    mend = damage(pending)
    assert cli.FAILED == fires(pending, systemctl)
    assert "attempt 1 of 7 to undo deployment d1 failed (the backup " in capsys.readouterr().err
    assert 30 == waits_s(systemctl)
    assert cli.FAILED == fires(pending, systemctl)
    assert 60 == waits_s(systemctl)
    mend()
    assert cli.OK == fires(pending, systemctl)
    assert ({}, None, None) == (systemctl.timers, store.marked(pending.layout), lock.load(pending))
    assert [1, 2] == [line["attempt"] for line in told(pending, "undo failed")]
    assert ["guard: attempt 3 to undo it"] == [line["reason"] for line in told(pending, "rolled back")]
    assert retry.trouble(pending, store.load(pending.layout)) is None


def test_guard_gives_up_at_last_and_says_so(
    pending: Host, systemctl: FakeSystemctl, capsys: pytest.CaptureFixture[str]
) -> None:
    """Seven attempts in half an hour, each in the journal; then status and verify name what failed and the way out."""
    damage(pending)
    waited = [waits_s(systemctl)]
    while systemctl.timers:
        assert cli.FAILED == fires(pending, systemctl)
        waited += [waits_s(systemctl)] if systemctl.timers else []
    assert [120, 30, 60, 120, 240, 480, 960] == waited
    assert list(range(1, retry.ATTEMPTS + 1)) == [line["attempt"] for line in told(pending, "undo failed")]
    assert "it was the last one: see what stands in the way, then router-release rollback" in capsys.readouterr().err
    said = "attempt 7 of 7 to undo deployment d1 failed at 2001-09-09T01:46:40.000Z (the backup "
    (_pending, line) = notices(pending, store.load(pending.layout))
    assert line.startswith(said)
    assert line.endswith("; nobody tries again: router-release rollback")
    assert cli.OK == cli.main(["status"], pending)
    assert f"\ntrouble={said}" in capsys.readouterr().out


def test_old_router_that_does_not_start_is_started_again(pending: Host, systemctl: FakeSystemctl) -> None:
    """With its files back and its process not, a rollback is not at its end: guard and mark stay until it runs."""
    systemctl.fails = {RESTART: Completed(1, "", "Job failed")}
    assert cli.FAILED == fires(pending, systemctl)
    state = store.load(pending.layout)
    assert (None, (A,)) == (state.pending, state.bad)
    assert "the host tries again by itself" in (retry.trouble(pending, state) or "")
    systemctl.fails = {}
    systemctl.facts.update(ActiveState="failed", MainPID="0")
    assert cli.OK == fires(pending, systemctl)
    assert "active" == systemctl.facts["ActiveState"]
    assert ({}, None, None) == (systemctl.timers, store.marked(pending.layout), lock.load(pending))
    first, last = told(pending, "rolled back")
    assert "did not start" in first["problem"]
    assert last["problem"] is None


def test_killed_attempt_is_followed_by_the_next(pending: Host, systemctl: FakeSystemctl) -> None:
    """The next attempt is armed before one begins, so that nothing can end the series but its number."""

    def _killed(argv: Any, timeout_s: float, environment: Any = None) -> Completed:
        if tuple(argv)[:2] == ("systemctl", "daemon-reload"):
            raise MemoryError
        return systemctl(argv, timeout_s, environment)

    with pytest.raises(MemoryError):
        fires(replace(pending, run=_killed), systemctl)
    assert 30 == waits_s(systemctl)
    assert cli.OK == fires(pending, systemctl)
    assert {} == systemctl.timers


@pytest.mark.parametrize("end", ["rollback", "confirm"])
def test_person_ends_the_attempts(pending: Host, systemctl: FakeSystemctl, end: str) -> None:
    """Rolled back or confirmed by hand, the host tries nothing more, and what failed is no failed unit any more."""
    mend = damage(pending)
    fires(pending, systemctl)
    mend()
    assert cli.OK == cli.main([end, *(["--deployment=d1", "--force"] if end == "confirm" else [])], pending)
    assert {} == systemctl.timers
    assert ("systemctl", "reset-failed", "quantum-router-guard-d1[.:]*service") in systemctl.calls


def test_guard_that_comes_too_late_is_no_failure(pending: Host, systemctl: FakeSystemctl) -> None:
    """Where the deployment has ended meanwhile there is nothing to try again, and no failure in the journal."""
    timers = dict(systemctl.timers)
    confirm(pending, "d1", {})
    systemctl.timers = timers
    assert 0 == fires(pending, systemctl)
    assert {} == systemctl.timers
    assert [] == told(pending, "undo failed")


def test_attempt_goes_on_where_the_next_cannot_be_armed(
    pending: Host, systemctl: FakeSystemctl, capsys: pytest.CaptureFixture[str]
) -> None:
    """That there would be no further attempt is no reason to spare this one; if it fails too, the line says both."""
    mend = damage(pending)
    systemctl.fails = {"systemd-run": Completed(1, "", "no bus\n")}
    timers = dict(systemctl.timers)
    assert cli.FAILED == fires(pending, systemctl)
    assert "the next one can't be armed (the guard can't be armed (no bus)" in capsys.readouterr().err
    mend()
    systemctl.timers = timers
    assert cli.OK == fires(pending, systemctl)


def test_boot_that_could_not_undo_tries_again(pending: Host, systemctl: FakeSystemctl) -> None:
    """Timers do not outlive a boot: where its units fail, the second of them arms the next attempt."""
    mend = damage(pending)
    systemctl.timers.clear()
    assert cli.FAILED == cli.main(["restore"], pending)
    assert cli.FAILED == cli.main(["settle"], pending)
    assert 30 == waits_s(systemctl)
    mend()
    assert cli.OK == fires(pending, systemctl)
    assert (store.load(pending.layout).live or "").startswith("legacy-")


def test_mark_that_cannot_be_read_stops_no_boot(pending: Host, systemctl: FakeSystemctl) -> None:
    """What is pending stands in the state as well: the boot units undo it, start what is back, and tell."""
    pending.layout.marker.write_text("garbage")
    systemctl.timers.clear()
    systemctl.facts.update(ActiveState="inactive", MainPID="0")
    restore(pending)
    done = settle(pending)
    assert done is not None
    assert done.active
    assert "active" == systemctl.facts["ActiveState"]
    assert ["d1"] == [line["deployment"] for line in told(pending, "rolled back")]


def test_rollback_of_a_confirmed_release_is_finished_not_repeated(
    host: Host, systemctl: FakeSystemctl, stage: Callable[[str], Path]
) -> None:
    """If what is returned to does not start, asking again starts it, and does not return to the one before that."""
    for release, deployment in ((A, "d1"), (B, "d2")):
        stage(release)
        activate(host, release, deployment)
        confirm(host, deployment, {})
    systemctl.fails = {RESTART: Completed(1, "", "Job failed")}
    with pytest.raises(ReleaseError, match=f"rolled back to {A}, but {UNIT} did not start"):
        rollback(host)
    state = store.load(host.layout)
    said = f"the rollback of release {B} is not finished; nobody tries again: router-release rollback"
    assert said == retry.trouble(host, state)
    systemctl.fails = {}
    done = rollback(host)
    assert (True, B, A, A) == (done.changed, done.origin, done.target, store.load(host.layout).live)
    assert store.marked(host.layout) is None
    assert None is rollback(host).target


def test_first_installation_that_does_not_stop_is_stopped_again(
    ticking: Host, systemctl: FakeSystemctl, stage: Callable[[str], Path]
) -> None:
    """Where there was nothing before, whatever still runs is stopped by the next attempt too."""
    stage(A)
    activate(ticking, A, "d1")
    stops = [0]

    def _stubborn(argv: Any, timeout_s: float, environment: Any = None) -> Completed:
        if tuple(argv)[:2] == ("systemctl", "stop") and argv[-1] == UNIT:
            stops[0] += 1
            if stops[0] <= 2:
                return Completed(1, "", "Job timed out")
        return systemctl(argv, timeout_s, environment)

    stubborn = replace(ticking, run=_stubborn)
    assert cli.FAILED == fires(stubborn, systemctl)
    assert cli.OK == fires(stubborn, systemctl)
    assert "inactive" == systemctl.facts["ActiveState"]


def test_attempt_is_one_of_a_deployment(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    """A number without a deployment, or beyond the last one, is wrong usage."""
    assert cli.USAGE == cli.main(["rollback", "--attempt=1"], host)
    assert cli.USAGE == cli.main(["rollback", "--deployment=d1", f"--attempt={retry.ATTEMPTS + 1}"], host)
    assert "--attempt needs --deployment" in capsys.readouterr().err


def test_status_is_for_everybody(pending: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may not read the journal still sees what is pending."""

    def _forbidden(_layout: object) -> list[str]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(store, "journal", _forbidden)
    assert cli.OK == cli.main(["status"], pending)


def test_ctrl_c_is_no_traceback(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who gives up waiting gets the shell's exit status for that."""

    def _interrupted(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(lock, "acquire", _interrupted)
    assert cli.INTERRUPTED == cli.main(["lock", "--message=x", "--wait-s=600"], host)


def test_errors_are_critical_where_only_the_journal_hears_them(
    host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A guard's or a boot's error has a priority that somebody looks for; a person at a terminal sees plain words."""
    for stream, start in ((True, "<2>router-release: "), (False, "router-release: ")):
        with (tmp_path / "stderr").open("w+") as stderr, monkeypatch.context() as patch:
            status = (tmp_path / "stderr").stat()
            patch.setattr("sys.stderr", stderr)
            patch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}" if stream else "1:2")
            assert cli.FAILED == cli.main(["confirm", "--deployment=d1"], host)
            stderr.seek(0)
            assert stderr.read().startswith(start)


def test_pauses_grow_and_end_within_an_hour() -> None:
    """Each pause is longer than the one before, and the last attempt comes soon enough for who is called."""
    assert sorted(set(retry.PAUSES_S)) == list(retry.PAUSES_S)
    assert sum(retry.PAUSES_S) < 3600
