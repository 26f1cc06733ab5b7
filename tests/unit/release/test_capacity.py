# SPDX-License-Identifier: Apache-2.0
"""The count of open orders on a host: shown, set with a reason, and given back exactly once."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.quantum.router.plugins.module_utils.release import capacity, cli, store
from ansible_collections.quantum.router.plugins.module_utils.release.errors import ReleaseError
from ansible_collections.quantum.router.plugins.module_utils.release.state import State, prune, unsettled
from ansible_collections.quantum.router.plugins.module_utils.release.systemctl import Completed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ansible_collections.quantum.router.plugins.module_utils.release.host import Host

    from tests.unit.release.conftest import FakeSystemctl

A = "1.0.0-aaaaaaaaaaaa"


@pytest.fixture
def python(host: Host, systemctl: FakeSystemctl, stage: Callable[[str], Path]) -> str:
    """A live release and a deployer whose Python answers; returns that Python."""
    stage(A)
    host.layout.current.symlink_to(f"releases/{A}")
    deployer = host.layout.deployers / "0123456789ab"
    deployer.mkdir(parents=True)
    (deployer / "manifest.json").write_text("{}")
    program = f"{deployer}/venv/bin/python"
    systemctl.answers = {program: '{"before":"7","after":"3","created":false}'}
    return program


def asked(systemctl: FakeSystemctl) -> list[tuple[str, ...]]:
    """What the deployer was asked, without the words that never change."""
    fixed = ("-I", "-m", "router", "capacity", "--json")
    return [call[1 + len(fixed) :] for call in systemctl.calls if call[1 : 1 + len(fixed)] == fixed]


def journal(host: Host) -> list[dict[str, Any]]:
    """The lines of the audit journal."""
    path = host.layout.state_dir / "journal.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.usefixtures("python")
def test_showing_changes_nothing(host: Host, systemctl: FakeSystemctl) -> None:
    """The count is read with the settings of the live release, and the journal says nothing."""
    assert ("7", "3") == capacity.show(host)
    assert [()] == asked(systemctl)
    assert {"MAX_OPEN_ORDERS": "10", "ROUTER_KEY_PREFIX": "a b"}.items() <= systemctl.environments[-1].items()
    assert [] == journal(host)


@pytest.mark.usefixtures("python")
def test_setting_tells_the_journal(host: Host, systemctl: FakeSystemctl) -> None:
    """The journal has the intention before the change, and who, why, old and new after it."""
    assert ("7", "3") == capacity.change(host, 3, "exchange shows three")
    assert [("--force=3",)] == asked(systemctl)
    before, after = journal(host)
    facts = {"who": "ann", "new": 3, "reason": "exchange shows three", "release": A}
    assert {"action": "capacity to be set", **facts}.items() <= before.items()
    assert {"action": "capacity set", "old": "7", **facts}.items() <= after.items()


@pytest.mark.usefixtures("python")
def test_without_a_journal_nothing_is_set(host: Host, systemctl: FakeSystemctl) -> None:
    """A change that nobody could see later is not made."""
    (host.layout.state_dir / "journal.jsonl").mkdir(parents=True)
    with pytest.raises(ReleaseError, match=r"journal\.jsonl could not be written"):
        capacity.change(host, 3, "why")
    assert [] == asked(systemctl)


def test_a_refusal_by_redis_is_one_line(host: Host, systemctl: FakeSystemctl, python: str) -> None:
    """What the deployer's command says is the reason, and the journal has the intention alone."""
    systemctl.fails = {python: Completed(69, "", "warning: x\nRedis at ...: timed out\n")}
    with pytest.raises(ReleaseError, match=r"^Redis at \.\.\.: timed out$"):
        capacity.change(host, 3, "why")
    assert ["capacity to be set"] == [line["action"] for line in journal(host)]


def test_without_a_release_nobody_knows_the_key(host: Host) -> None:
    """The name of the count is in the settings of a release."""
    with pytest.raises(ReleaseError, match="no release is live on this host"):
        capacity.show(host)


@pytest.mark.usefixtures("python")
def test_the_deployer_finds_the_passwords_where_they_are_kept(host: Host, systemctl: FakeSystemctl) -> None:
    """The release's environment names a credential, which only its unit has; the deployer is told the folder."""
    tree = host.layout.release(A)
    (tree / "unit").write_text("LoadCredential=redis-password:/etc/quantum-router/0123456789abcdef/redis-password\n")
    (tree / "environment").write_text(
        "ROUTER_REDIS_URL=unix://desk@/run/redis.sock\nROUTER_REDIS_PASSWORD_FILE=redis-password\n"
    )
    capacity.show(host)
    assert {
        "CREDENTIALS_DIRECTORY": str(host.layout.secrets / "0123456789abcdef"),
        "ROUTER_REDIS_PASSWORD_FILE": "redis-password",
        "ROUTER_REDIS_URL": "unix://desk@/run/redis.sock",
    } == systemctl.environments[-1]


def test_an_answer_that_was_lost_is_asked_for_under_the_same_token(
    host: Host, systemctl: FakeSystemctl, python: str
) -> None:
    """What is owed later has a token of its own; nothing is added twice, nothing is forgotten."""
    store.save(host.layout, State(owed={A: 3}))
    systemctl.fails = {python: Completed(124, "", "no answer within 5 s")}
    assert f"owed +3 from {A} (no answer within 5 s)" in str(capacity.settle(host))
    state = store.load(host.layout)
    store.save(host.layout, State(owed={A: 2}, settling=state.settling))
    assert {A: 5} == unsettled(store.load(host.layout))
    systemctl.fails = {}
    assert None is capacity.settle(host)
    lost, *answered = asked(systemctl)
    assert lost in answered
    assert {"--add=3", "--add=2"} == {delta for delta, _token in answered}
    assert 2 == len({token for _delta, token in answered})
    assert {} == unsettled(store.load(host.layout))
    assert [2, 3] == sorted(line["delta"] for line in journal(host))
    assert None is capacity.settle(host)
    assert 3 == len(asked(systemctl))


def test_a_release_whose_difference_is_under_way_is_not_pruned() -> None:
    """Its settings name the key that is to be changed."""
    names = [f"1.0.0-{number:012x}" for number in range(8)]
    _, gone = prune(State(known_good=tuple(names), settling={f"{names[0]} t": 1}), names, [])
    assert names[1:3] == gone


def test_a_state_from_before_has_nothing_under_way(host: Host) -> None:
    """A file that was written before there were tokens is read as it was meant."""
    store.save(host.layout, State(owed={A: 3}))
    path = host.layout.state_dir / "state.json"
    document = json.loads(path.read_text())
    del document["settling"]
    path.write_text(json.dumps(document))
    assert State(owed={A: 3}) == store.load(host.layout)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--set", "3"], "capacity needs --set and --reason together"),
        (["--reason", "why"], "capacity needs --set and --reason together"),
        (["--set", "3", "--reason", " "], "capacity needs --set and --reason together"),
        (["--set", "-3", "--reason", "why"], "'-3' is no count: give 0 to 999999999"),
        (["--set", "1000000000", "--reason", "why"], "'1000000000' is no count"),
    ],
)
def test_by_hand_it_takes_both_a_count_and_a_reason(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    """A wrong command line is told the way out and changes nothing."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert cli.USAGE == cli.main(["capacity", *words], host)
    assert said in capsys.readouterr().err


def test_by_hand_it_needs_root(host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Settings and password are root's to read."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert cli.FAILED == cli.main(["capacity"], host)
    assert "router-release: capacity needs root: run it with sudo\n" == capsys.readouterr().err
