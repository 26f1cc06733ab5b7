# SPDX-License-Identifier: Apache-2.0
"""The guard: armed before anything live changes, disarmed by confirm alone, and what stands in for it at boot."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.quantum.router.plugins.module_utils.release import boot, cli, guard, lock, store, tool
from ansible_collections.quantum.router.plugins.module_utils.release.activation import activate as activate_alone
from ansible_collections.quantum.router.plugins.module_utils.release.activation import extend
from ansible_collections.quantum.router.plugins.module_utils.release.adoption import adopt
from ansible_collections.quantum.router.plugins.module_utils.release.confirmation import confirm
from ansible_collections.quantum.router.plugins.module_utils.release.errors import ReleaseError
from ansible_collections.quantum.router.plugins.module_utils.release.host import Host
from ansible_collections.quantum.router.plugins.module_utils.release.layout import UNIT
from ansible_collections.quantum.router.plugins.module_utils.release.rollback import restore, rollback, settle
from ansible_collections.quantum.router.plugins.module_utils.release.state import unsettled
from ansible_collections.quantum.router.plugins.module_utils.release.systemctl import Completed

from tests.unit.release.steps import activate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.release.conftest import FakeSystemctl

A, B = "1.0.0-aaaaaaaaaaaa", "1.0.0-bbbbbbbbbbbb"
GUARD = "quantum-router-guard-d1"


def told(host: Host) -> list[dict[str, Any]]:
    """The journal."""
    return [json.loads(line) for line in store.journal(host.layout)]


def live_files(host: Host, photograph: Callable[[Path], Any]) -> Any:
    """Everything that decides what runs."""
    return photograph(host.layout.units), host.layout.live()


def test_armed_guard_is_a_rollback_of_this_deployment() -> None:
    """The command gives systemd the name, the time to the second, and the whole command of the rollback."""
    expected = (
        "systemd-run --quiet --unit=quantum-router-guard-d1 --on-active=91 --timer-property=AccuracySec=1s "
        "--description=Undo deployment d1 unless it is confirmed /usr/local/sbin/router-release rollback "
        "--deployment d1 --attempt 1 --reason guard: not confirmed within 91 s"
    )
    assert expected == " ".join(guard.command(Host(), "d1", 90.2, GUARD))


@pytest.mark.parametrize("name", ["", "*", "d1:2", "a b", "-d", "x" * 64, "d/1"])
def test_name_that_is_no_name_arms_nothing(host: Host, systemctl: FakeSystemctl, name: str) -> None:
    """What would be a pattern, a path or an option in systemd's hands is refused."""
    with pytest.raises(ReleaseError, match="can't name a deployment"):
        guard.arm(host, name, 5)
    guard.disarm(host, name)
    assert [] == systemctl.calls


@pytest.mark.usefixtures("legacy")
def test_guard_is_armed_before_anything_live_changes(
    host: Host, systemctl: FakeSystemctl, stage: Callable[[str], Path], photograph: Callable[[Path], Any]
) -> None:
    """When systemd is asked for the timer, unit and link are as before, and a rollback's state is on disk already."""
    stage(A)
    adopt(host)
    before, seen = live_files(host, photograph), []

    def _run(argv: Any, timeout_s: float, environment: Any = None) -> Completed:
        if argv[0] == "systemd-run":
            prepared = json.loads((host.layout.state_dir / "state.rollback.json").read_bytes())
            seen.append((live_files(host, photograph), prepared["pending"], store.marked(host.layout)))
        return systemctl(argv, timeout_s, environment)

    activate(replace(host, run=_run), A, "d1")
    ((files, prepared_pending, marked),) = seen
    assert before == files
    assert prepared_pending is None
    assert marked is not None
    assert ("d1", A) == (marked["deployment"], marked["release"])
    assert [f"{GUARD}.timer"] == list(systemctl.timers)


@pytest.mark.usefixtures("legacy")
@pytest.mark.parametrize("what", ["systemd-run", "disk"])
def test_without_a_guard_nothing_is_touched(
    host: Host,
    systemctl: FakeSystemctl,
    stage: Callable[[str], Path],
    photograph: Callable[[Path], Any],
    monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:
    """If the timer cannot be armed, or the state not be written, what runs stays and nothing is left behind."""
    stage(A)
    adopt(host)
    before, state = live_files(host, photograph), store.load(host.layout)
    if what == "disk":
        monkeypatch.setattr(store, "save", _full)
    else:
        systemctl.fails = {"systemd-run": Completed(1, "", "Failed to connect to bus: No such file\n")}
    said = "No space left" if what == "disk" else r"the guard can't be armed \(Failed to connect to bus: No such file\)"
    with pytest.raises((ReleaseError, OSError), match=said):
        activate(host, A, "d1")
    assert before == live_files(host, photograph)
    assert (state, None, {}) == (store.load(host.layout), store.marked(host.layout), systemctl.timers)
    assert "restart" not in systemctl.commands()


def _full(*_arguments: object, **_more: object) -> None:
    raise OSError(28, "No space left on device")


def test_guard_shorter_than_the_start_is_refused(host: Host, stage: Callable[[str], Path]) -> None:
    """A guard that would fire before the release had time to get ready is an error, not a rollback."""
    stage(A)
    with pytest.raises(ReleaseError, match="a guard of 20 s would fire while the release may take 20 s to start"):
        activate_alone(host, A, "d1", 20, 20)


def test_confirm_disarms_and_frees_the_host(host: Host, systemctl: FakeSystemctl, stage: Callable[[str], Path]) -> None:
    """After a confirmation neither timer nor mark nor lock is left; the journal has numbers and duration."""
    stage(A)
    activate(host, A, "d1")
    verdict = {"verdict": "pass", "reduction": 0.85, "line_counts": "9/9 → 1/9", "criteria": []}
    confirm(replace(host, uptime=lambda: 2e3 + 61.25), "d1", verdict)
    assert ({}, None, None) == (systemctl.timers, store.marked(host.layout), lock.load(host))
    last = told(host)[-1]
    numbers = {"verdict": "pass", "reduction": 0.85, "line_counts": "9/9 → 1/9", "seconds": 61.2}
    assert numbers.items() <= last.items()
    assert "criteria" not in last


def test_guard_that_fires_second_is_told(
    host: Host,
    systemctl: FakeSystemctl,
    stage: Callable[[str], Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The confirmation was faster: a rollback of it changes nothing and says by whom; only a guard's is no failure."""
    stage(A)
    activate(host, A, "d1")
    confirm(host, "d1", {"verdict": "pass"})
    monkeypatch.setattr("signal.signal", lambda *_arguments: None)
    restarts = systemctl.commands().count("restart")
    assert cli.FAILED == cli.main(["rollback", "--deployment=d1", "--reason=guard: x"], host)
    line = "router-release: too late: deployment d1 was confirmed at 2001-09-09T01:46:40.000Z by ann\n"
    assert line == capsys.readouterr().err
    assert (A, restarts) == (store.load(host.layout).live, systemctl.commands().count("restart"))
    assert 0 == cli.main(["rollback", "--deployment=d1", "--attempt=1", "--reason=guard: x"], host)
    assert "too late: deployment d1 was confirmed at " in capsys.readouterr().err
    assert (A, restarts, {}) == (store.load(host.layout).live, systemctl.commands().count("restart"), systemctl.timers)


def test_confirmation_that_comes_second_is_told(
    host: Host, stage: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """The guard was faster: confirming changes nothing, says so, and exits non-zero."""
    stage(A)
    activate(host, A, "d1")
    rollback(host, deployment="d1", reason="guard: not confirmed within 9 s")
    assert cli.FAILED == cli.main(["confirm", "--deployment=d1"], host)
    line = "too late: deployment d1 was rolled back at 2001-09-09T01:46:40.000Z by ann: guard: not confirmed within 9 s"
    assert f"router-release: {line}\n" == capsys.readouterr().err
    assert ((A,), ()) == (store.load(host.layout).bad, store.load(host.layout).known_good)


def test_extending_never_leaves_the_host_unguarded(
    host: Host, systemctl: FakeSystemctl, stage: Callable[[str], Path]
) -> None:
    """The new timer is armed before the old one is stopped; the lock ends after it; the numbers wait for a person."""
    stage(A)
    activate(host, A, "d1")
    began = len(systemctl.calls)
    extend(host, "d1", 3600.0, {"verdict": "inconclusive", "reduction": None})
    kinds = [words[0] if words[0] == "systemd-run" else words[1] for words in systemctl.calls[began:]]
    assert ["list-units", "systemd-run", "stop"] == kinds
    (armed,) = systemctl.timers
    assert armed.startswith(f"{GUARD}:")
    held, pending = lock.load(host), store.load(host.layout).pending
    assert held is not None
    assert pending is not None
    assert 2e3 + 3600 < (held.ends_s or 0)
    assert {"verdict": "inconclusive", "reduction": None} == pending.verdict
    extend(replace(host, uptime=lambda: 2e3 + 1), "d1", 7200.0, {})
    assert pending == store.load(host.layout).pending


def test_guard_stays_where_it_cannot_be_extended(
    host: Host, systemctl: FakeSystemctl, stage: Callable[[str], Path]
) -> None:
    """If the new timer is refused the old one still undoes the deployment in time."""
    stage(A)
    activate(host, A, "d1")
    systemctl.fails = {"systemd-run": Completed(1, "", "no\n")}
    with pytest.raises(ReleaseError, match="the guard can't be armed"):
        extend(host, "d1", 3600.0, {})
    assert [f"{GUARD}.timer"] == list(systemctl.timers)
    held = lock.load(host)
    assert held is not None
    assert (held.ends_s or 0) < 2e3 + 3600


def test_another_deployments_guard_stays(host: Host, systemctl: FakeSystemctl, stage: Callable[[str], Path]) -> None:
    """d1 and d10 share no timer; only the pending deployment is extended or confirmed."""
    stage(A)
    guard.arm(host, "d10", 50)
    activate(host, A, "d1")
    with pytest.raises(ReleaseError, match="d10 is not the pending one: d1 is"):
        extend(host, "d10", 60, {})
    confirm(host, "d1", {})
    assert ["quantum-router-guard-d10.timer"] == list(systemctl.timers)


def test_person_decides_on_the_numbers_that_were_found(host: Host, stage: Callable[[str], Path]) -> None:
    """Confirmed by hand, a held release keeps what the judge found, and that a person decided."""
    stage(A)
    activate(host, A, "d1")
    extend(host, "d1", 600.0, {"verdict": "inconclusive", "line_counts": "5/5 → 0/0"})
    confirm(host, "d1", {}, by_hand=True)
    recorded = store.load(host.layout).verdicts[A]
    found = {"verdict": "inconclusive", "line_counts": "5/5 → 0/0", "by_hand": True}
    assert {**found, "deployment": "d1"} == recorded
    assert found.items() <= told(host)[-1].items()


def test_rollback_tells_the_numbers_too(host: Host, systemctl: FakeSystemctl, stage: Callable[[str], Path]) -> None:
    """What the judge found stands beside the rollback it led to, and the host is free."""
    stage(A)
    activate(host, A, "d1")
    rollback(replace(host, uptime=lambda: 2e3 + 40), deployment="d1", verdict={"verdict": "fail", "reduction": 0.1})
    assert {"verdict": "fail", "reduction": 0.1, "seconds": 40.0, "deployment": "d1"}.items() <= told(host)[-1].items()
    assert ({}, None, None) == (systemctl.timers, store.marked(host.layout), lock.load(host))


def test_boot_puts_back_without_starting_and_then_starts(
    legacy: Path,
    host: Host,
    systemctl: FakeSystemctl,
    stage: Callable[[str], Path],
    photograph: Callable[[Path], Any],
) -> None:
    """The first unit restores files and reloads, no more; the second starts what is back and ends the deployment."""
    before = live_files(host, photograph)
    stage(A)
    adopted, _changed = adopt(host)
    assert adopted is not None
    activate(host, A, "d1")
    systemctl.timers.clear()
    systemctl.facts.update(ActiveState="inactive", MainPID="0")
    began = len(systemctl.commands())

    move = restore(host)
    assert move is not None
    assert (A, adopted.id) == (move.origin, move.target)
    assert ["daemon-reload"] == systemctl.commands()[began:]
    assert before == live_files(host, photograph)
    assert legacy.exists()
    state = store.load(host.layout)
    assert ((A,), None, "d1") == (state.bad, state.pending, (store.marked(host.layout) or {}).get("deployment"))

    done = settle(host)
    assert done is not None
    assert (True, adopted.id, True) == (done.changed, done.target, done.active)
    assert "start" == systemctl.commands()[-1]
    last = told(host)[-1]
    assert ("rolled back", A, adopted.id, "d1") == tuple(last[key] for key in ("action", "from", "to", "deployment"))
    assert "the host restarted before anybody confirmed it" == last["reason"]
    assert (None, None) == (store.marked(host.layout), lock.load(host))
    assert settle(host) is None
    assert restore(host) is None


def test_boot_stops_what_it_must_not_start(host: Host, systemctl: FakeSystemctl, stage: Callable[[str], Path]) -> None:
    """A first installation that nobody confirmed is gone after a boot: stopped, without waiting, disabled, removed."""
    stage(A)
    activate(host, A, "d1")
    systemctl.facts.update(ActiveState="inactive", MainPID="0")
    began = len(systemctl.commands())
    restore(host)
    expected = ["stop --no-block", "disable --quiet", "daemon-reload", "stop --no-block"]
    assert expected == systemctl.commands()[began:]
    done = settle(host)
    assert done is not None
    assert (None, False) == (done.target, done.active)
    assert not (host.layout.units / UNIT).exists()


@pytest.mark.usefixtures("legacy")
@pytest.mark.parametrize("kind", ["pending", "confirmed"])
@pytest.mark.parametrize("killed_at", ["daemon-reload", "restart"])
def test_rollback_that_was_cut_off_is_finished_by_the_next(
    host: Host, systemctl: FakeSystemctl, stage: Callable[[str], Path], kind: str, killed_at: str
) -> None:
    """Killed once the files were back, a rollback leaves the new process running: whoever comes next ends that."""
    stage(A)
    adopted, _changed = adopt(host)
    assert adopted is not None
    activate(host, A, "d1")
    if kind == "confirmed":
        confirm(host, "d1", {})

    def _killed(argv: Any, timeout_s: float, environment: Any = None) -> Completed:
        if tuple(argv)[:2] == ("systemctl", killed_at):
            raise KeyboardInterrupt
        return systemctl(argv, timeout_s, environment)

    with pytest.raises(KeyboardInterrupt):
        rollback(replace(host, run=_killed))
    assert ([f"{GUARD}.timer"] if kind == "pending" else []) == list(systemctl.timers)
    began = len(systemctl.commands())
    done = rollback(host, deployment="d1" if kind == "pending" else None, reason="guard: x")
    assert (True, A, adopted.id) == (done.changed, done.origin, done.target)
    assert "restart" in systemctl.commands()[began:]
    assert ({}, None, None) == (systemctl.timers, store.marked(host.layout), lock.load(host))
    assert 1 == [line["action"] for line in told(host)].count("rolled back")


def test_boot_that_could_not_finish_a_rollback_is_told(host: Host, stage: Callable[[str], Path]) -> None:
    """Half a rollback of a confirmed release stays marked until somebody finishes it."""
    tree = stage(A)
    stage(B)
    for release, deployment in ((A, "d1"), (B, "d2")):
        activate(host, release, deployment)
        confirm(host, deployment, {})

    def _killed(*_arguments: object, **_more: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "save_rollback", _killed)
        with pytest.raises(KeyboardInterrupt):
            rollback(host)
    code = tree / "venv" / "code.py"
    text = code.read_text()
    code.write_text("evil")
    with pytest.raises(ReleaseError, match="is not what was staged"):
        restore(host)
    with pytest.raises(ReleaseError, match="is not what was staged"):
        settle(host)
    assert store.marked(host.layout)
    code.write_text(text)
    with pytest.raises(
        ReleaseError, match=f"the rollback of release {B} was not finished at boot: router-release rollb"
    ):
        settle(host)
    assert A == rollback(host).target
    assert (None, A) == (store.marked(host.layout), host.layout.live())


def test_guard_without_a_deployment_clears_up(
    host: Host, systemctl: FakeSystemctl, stage: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between guard and record, a deployment was never live: guard or boot remove what is left of it."""
    stage(A)

    def _killed(*_arguments: object) -> None:
        raise KeyboardInterrupt

    ends: list[Callable[[], object]] = [lambda: rollback(host, deployment="d1"), lambda: settle(host)]
    for end in ends:
        with monkeypatch.context() as patch:
            patch.setattr(store, "save", _killed)
            with pytest.raises(KeyboardInterrupt):
                activate(host, A, "d1")
        assert store.marked(host.layout)
        end()
        assert ({}, None, None) == (systemctl.timers, store.marked(host.layout), lock.load(host))
    assert [] == told(host)


def test_boot_that_could_not_restore_is_told(host: Host, stage: Callable[[str], Path]) -> None:
    """A deployment that is still pending after the first unit is named with the way out, and stays as it is."""
    tree = stage(A)
    stage(B)
    activate(host, A, "d1")
    confirm(host, "d1", {})
    activate(host, B, "d2")
    (tree / "venv" / "code.py").write_text("evil")
    with pytest.raises(ReleaseError, match=r"is not what was staged"):
        restore(host)
    with pytest.raises(ReleaseError, match="d2 is pending and was not undone at boot: router-release rollback"):
        settle(host)
    assert B == host.layout.live()
    assert store.marked(host.layout)


@pytest.mark.usefixtures("legacy")
def test_boot_waits_for_redis_where_a_count_is_owed(
    host: Host, systemctl: FakeSystemctl, deployer: str, stage: Callable[[str], Path]
) -> None:
    """What a deployment forced is given back after a boot as soon as Redis answers."""
    stage(A)
    adopt(host)
    activate(host, A, "d1", capacity_delta=7)
    restore(host)
    systemctl.fails = {deployer: Completed(69, "", "Redis unavailable\n")}
    naps = []

    def _sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) > 3:
            systemctl.fails = {}

    settle(replace(host, sleep=_sleep))
    assert {} == unsettled(store.load(host.layout))
    assert 7 == told(host)[-1]["delta"]


def test_boot_units_look_for_the_mark_and_order_themselves(host: Host) -> None:
    """One runs before the router and one after that one; neither makes the router wait for its own start."""
    units = boot.units(host)
    restoring, settling = units[boot.RESTORE], units[boot.SETTLE]
    for text, command in ((restoring, "restore"), (settling, "settle")):
        assert "ConditionPathExists=|/var/lib/quantum-router/pending.json\n" in text
        assert f"ExecStart=/usr/local/sbin/router-release {command}\n" in text
        assert "TimeoutStartSec=" in text
    assert "ConditionPathExistsGlob=|/opt/quantum-router/releases/.*.aside\n" in restoring
    assert f"Before={UNIT}\n" in restoring
    assert f"After={boot.RESTORE} " in settling
    assert UNIT not in settling


def test_boot_units_are_installed_with_the_tool(host: Host, photograph: Callable[[Path], Any]) -> None:
    """Both are there and enabled after the tool's installation, once, and again if somebody disabled one."""
    before = photograph(host.layout.root)
    assert tool.install(host, check=True)
    assert before == photograph(host.layout.root)
    assert tool.install(host)
    assert not tool.install(host)
    link = host.layout.units / "multi-user.target.wants" / boot.SETTLE
    assert f"/etc/systemd/system/{boot.SETTLE}" == str(link.readlink())
    link.unlink()
    assert tool.install(host)
    assert link.is_symlink()


def test_status_tells_lock_and_guard(
    host: Host, stage: Callable[[str], Path], systemctl: FakeSystemctl, capsys: pytest.CaptureFixture[str]
) -> None:
    """A person sees whether a pending deployment is guarded, and who holds the lock, be it over or unreadable."""
    stage(A)
    activate(host, A, "d1")
    assert cli.OK == cli.main(["status"], host)
    told = capsys.readouterr().out
    assert "\nguard=armed\n" in told
    assert "\nlock=locked by ann since " in told
    systemctl.timers.clear()
    assert cli.OK == cli.main(["status"], replace(host, uptime=lambda: 9e9))
    told = capsys.readouterr().out
    assert "\nguard=not armed\n" in told
    assert "(over: the next deployment may take it)\n" in told
    host.layout.lock.write_text("")
    assert cli.OK == cli.main(["status"], host)
    assert "lock.json can't be read" in capsys.readouterr().out


def test_guard_waits_for_no_count(
    host: Host,
    stage: Callable[[str], Path],
    systemctl: FakeSystemctl,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A count that is owed from before delays no rollback; to others a busy host is a warning, not an error."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("signal.signal", lambda *_arguments: None)
    stage(A)
    stage(B)
    activate(host, A, "d1")
    deployer = host.layout.deployers / "0123456789ab"
    deployer.mkdir(parents=True)
    (deployer / "manifest.json").write_text("{}")
    store.save(host.layout, replace(store.load(host.layout), owed={B: 3}))
    began = len(systemctl.calls)
    assert cli.OK == cli.main(["rollback", "--deployment=d1"], host)
    assert ("systemctl", "stop", UNIT) == systemctl.calls[began]
    assert ["capacity"] == [words[4] for words in systemctl.calls[began:] if words[0].startswith("/")]

    monkeypatch.setattr(store, "locked", _busy)
    assert cli.OK == cli.main(["status"], host)
    assert (
        "router-release: another command works on this host\n" == capsys.readouterr().err.splitlines(keepends=True)[-1]
    )


def _busy(*_arguments: object) -> None:
    raise ReleaseError("another command works on this host")


def test_commands_for_hands(
    host: Host, stage: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the role does a person can do on the host: lock, unlock, freeze, extend, confirm, prune, roll back."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    # A rollback ignores hang-ups for the rest of its process, which here is the tests'.
    monkeypatch.setattr("signal.signal", lambda *_arguments: None)
    stage(A)
    assert cli.OK == cli.main(["lock", "--message=x", "--seconds=60", "--json"], host)
    token = json.loads(capsys.readouterr().out)["token"]
    assert cli.FAILED == cli.main(["freeze", "--message=x"], host)
    assert cli.OK == cli.main(["unlock", f"--token={token}"], host)
    assert cli.OK == cli.main(["freeze", "--message=year end"], host)
    assert cli.OK == cli.main(["unfreeze"], host)
    activate(host, A, "d1")
    assert cli.OK == cli.main(["extend", "--deployment=d1", "--seconds=90"], host)
    capsys.readouterr()
    assert cli.FAILED == cli.main(["confirm", "--deployment=d1"], host)
    assert "deployment d1 is not judged yet: wait for its verdict" in capsys.readouterr().err
    assert store.load(host.layout).pending
    assert cli.OK == cli.main(["confirm", "--deployment=d1", "--force"], host)
    assert cli.OK == cli.main(["prune"], host)
    assert A == store.load(host.layout).live
    capsys.readouterr()
    assert cli.OK == cli.main(["rollback"], host)
    assert f"changed=True from={A} to=- active=False\n" == capsys.readouterr().out
    assert {"verdict": "inconclusive", "by_hand": True}.items() <= told(host)[-2].items()
