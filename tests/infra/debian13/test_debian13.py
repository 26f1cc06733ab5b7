# SPDX-License-Identifier: Apache-2.0
"""Debian 13 with Valkey in Redis' place: the new router has just been deployed there, over the one of the field."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from router.proof.criteria import CRITERIA
from tests.infra.desk import UNIT, is_legacy

if TYPE_CHECKING:
    from tests.infra.conftest import Playbooks
    from tests.infra.desk import Desk


@pytest.fixture(scope="module")
def report(playbooks: Playbooks) -> dict[str, Any]:
    """The report of Molecule's deployment, as it was before any test."""
    return playbooks.report


def test_the_deployment_is_proven(report: dict[str, Any]) -> None:
    """Every criterion passes, after a drill, with at least 80 % fewer intents per signal than the router before."""
    assert dict.fromkeys(CRITERIA, "pass") == {each["name"]: each["status"] for each in report["criteria"]}
    assert 0.8 <= report["reduction"] <= 1
    assert report["previous"].startswith("legacy-")
    assert "ok" == {phase["name"]: phase["status"] for phase in report["phases"]}["drill"]


def test_the_router_runs_on_what_this_distribution_has(desk: Desk) -> None:
    """CPython 3.13 under systemd 257 with the whole sandbox, logged in to Valkey 8, content with it and publishing."""
    assert "/usr/bin/python3.13" == desk.run(f"readlink /proc/{desk.runs()['MainPID']}/exe")
    assert desk.run("systemctl --version").startswith("systemd 257 ")
    assert re.search(r"^valkey_version:8\.", desk.redis("INFO", "server"), re.MULTILINE)
    rated = desk.run(f"systemd-analyze security --no-pager {UNIT}").splitlines()[-1]
    found = re.search(r"exposure level for .*: ([0-9.]+) ", rated)
    assert found
    assert float(found[1]) <= 1.2
    assert "ok: settings, Redis 7.2.4, rights, scripts" == desk.run("router check")
    assert ("", "") == desk.left_of_drills()
    assert desk.publishes()


def test_the_same_again_changes_nothing(desk: Desk, playbooks: Playbooks) -> None:
    """The same deployment again keeps files and process."""
    before, listing = desk.runs(), desk.listing()
    again = playbooks.deploy()
    assert 0 == again.code
    assert "unchanged=true" in again.last_line
    assert " changed=0 " in re.sub(" +", " ", again.output)
    assert (before, listing) == (desk.runs(), desk.listing())
    assert playbooks.run("quantum.router.verify").last_line.startswith("verified=true ")


def test_a_rollback_puts_the_router_of_the_field_back(desk: Desk, playbooks: Playbooks, report: dict[str, Any]) -> None:
    """Its old bytes, which publish again."""
    back = playbooks.roll_back()
    assert 0 == back.code
    assert f"rolled_back=true from={report['release']} to=legacy-" in back.last_line
    is_legacy(desk)
