# SPDX-License-Identifier: Apache-2.0
"""What a deployment leaves on the controller: report.json and the last line."""

from __future__ import annotations

import importlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

import pytest

report = importlib.import_module("ansible_collections.quantum.router.plugins.action.report")

CRITERION = {"name": "service", "status": "pass", "detail": "active", "numbers": {"main_pid": 465}}
PASSED = {"verdict": "pass", "reduction": 0.847, "line_counts": "131/130 → 40/260", "criteria": [CRITERION]}
NOW = "2026-01-19T12:17:00+00:00"


def assembled(**facts: Any) -> dict[str, Any]:
    """The report of host lab for *facts*."""
    whole: dict[str, Any] = report.assemble({"host": "lab", "release": "1.0.0-0123456789ab", **facts}, NOW)
    return whole


def test_pass_line() -> None:
    """A release that passed is one line with the reduction and the counts behind it."""
    expected = "verdict=pass reduction=84.7% intents/signals 131/130 → 40/260 release=1.0.0-0123456789ab host=lab"
    assert expected == report.line(assembled(verdict=PASSED))


def test_what_was_rolled_back_always_has_a_reason() -> None:
    """A run with a rollback in it must not end well for want of words."""
    made = assembled(verdict={**PASSED, "verdict": "inconclusive"}, failure={"msg": ""}, rolled_back={"changed": True})
    assert (True, "failed without a word", "failed") == (made["rolled_back"], made["reason"], report.standing(made))


def test_created_key_is_named() -> None:
    """Creating the capacity key is said in the line and kept in the report."""
    capacity = {"before": None, "after": "0", "created": True}
    made = assembled(verdict=PASSED, capacity=capacity)
    assert report.line(made).endswith("host=lab capacity_key=created")
    assert capacity == made["capacity"]


def test_unchanged_takes_the_recorded_verdict() -> None:
    """The same release again reports the verdict it got then."""
    made = assembled(unchanged=True, recorded=PASSED, verdict={})
    expected = ("pass", True, 0.847)
    assert expected == (made["verdict"], made["unchanged"], made["reduction"])
    assert report.line(made).endswith("host=lab unchanged=true")


def test_rolled_back_line() -> None:
    """A rolled back release says so, and why, in the same line."""
    made = assembled(
        verdict={**PASSED, "verdict": "fail"},
        failure={"msg": "silent: 0 intents"},
        rolled_back={"changed": True},
    )
    assert report.line(made).endswith('host=lab rolled_back=true reason="silent: 0 intents"')


def test_inconclusive_stays_inconclusive() -> None:
    """A verdict that nobody knows is not turned into a fail by the rollback that follows it."""
    judged = {**PASSED, "verdict": "inconclusive"}
    expected = "inconclusive"
    assert expected == assembled(verdict=judged, failure={"msg": "no signals"})["verdict"]


def test_failure_after_a_pass_is_a_fail() -> None:
    """A release that passed and could not be confirmed has failed."""
    expected = "fail"
    assert expected == assembled(verdict=PASSED, failure={"msg": "disk full"})["verdict"]


def test_failure_before_the_judge_is_a_fail() -> None:
    """A deployment that stopped early has failed, with nothing measured."""
    made = assembled(failure={"msg": "Redis 6.0 is too old"})
    expected = ("fail", None, False)
    assert expected == (made["verdict"], made["reduction"], made["rolled_back"])


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        ({"msg": "x", "module_stderr": "/bin/sh: 1: /usr/bin/python3: not found\n"}, "/usr/bin/python3: not found"),
        ({"msg": "The module interpreter '/usr/bin/python3' was not found."}, "The module interpreter '/usr/bin/pyth"),
        (
            {"msg": "ansible-core requires a minimum of Python version 3.8. Current version: 3.7.3 (default, Oct 1"},
            "requires a minimum of Python version 3.8. Current version: 3.7.3",
        ),
        (
            {"module_stderr": "Traceback:\n  File x\nSyntaxError: future feature annotations is not defined\n"},
            "SyntaxError: future feature annotations is not defined",
        ),
    ],
)
def test_a_host_whose_python_will_not_do_is_one_line(failure: dict[str, Any], said: str) -> None:
    """Without a Python that Ansible can use, the line says what is needed and how to name it."""
    reason = assembled(failure=failure)["reason"]
    assert reason.startswith(said)
    assert reason.endswith(
        ": the host needs Python 3.10 or newer, install it or name it with ansible_python_interpreter"
    )


def test_several_problems_are_told_by_the_first() -> None:
    """The report has each of them; the line the first, and how many more there are."""
    made = assembled(failure={"msg": "2 problems:\n- a=1 is wrong\n- b=2 is wrong"})
    assert ["a=1 is wrong", "b=2 is wrong"] == made["problems"]
    assert report.line(made).endswith('reason="a=1 is wrong (and 1 more, listed above)"')


def test_failed_rollback_is_the_worst_case() -> None:
    """A rollback that failed is told first, with the command to run, and never as rolled back."""
    made = assembled(failure={"msg": "silent"}, rolled_back={"failed": True, "changed": True, "msg": "no space"})
    assert not made["rolled_back"]
    assert made["reason"].startswith("ROLLBACK FAILED (no space): run router-release rollback on the host")
    assert made["reason"].endswith("silent")


def test_lines_of_the_host_are_told_apart() -> None:
    """The sample of the log and the status have fields of their own and are not repeated in the snapshot."""
    made = assembled(after={"intents": 40, "log_sample": ["line"], "systemctl_status": ["Active"]}, verdict=PASSED)
    expected = ({"intents": 40}, ["line"], ["Active"])
    assert expected == (made["after"], made["log_sample"], made["systemctl_status"])


def test_every_report_has_the_same_fields() -> None:
    """A reader finds every field in every report, whatever happened."""
    fields = set(assembled(verdict=PASSED, before={"signals": 130}))
    assert fields == set(assembled(failure={"msg": "x"}))
    assert {
        "schema",
        "host",
        "release",
        "previous",
        "verdict",
        "rolled_back",
        "unchanged",
        "reduction",
        "criteria",
    } <= fields
    assert {"before", "after", "diff", "log_sample", "systemctl_status", "phases", "reason", "deployment"} <= fields
    assert {"capacity", "drill"} <= fields


def test_written_whole_with_latest(tmp_path: Path) -> None:
    """The newest report of a host, its page and its run log are found under latest, and no draft stays behind."""
    for verdict in ("fail", "pass"):
        path = report.write(tmp_path, assembled(verdict={**PASSED, "verdict": verdict}, run_log=["one", "two"]))
    assert tmp_path / "lab" / "1.0.0-0123456789ab" / "report.json" == path
    expected = "pass"
    assert expected == json.loads((tmp_path / "latest" / "lab" / "report.json").read_text())["verdict"]
    assert {path, path.parent / "run.log", path.parent / "report.html"} == set(path.parent.iterdir())
    assert "Proven and kept" in (tmp_path / "latest" / "lab" / "report.html").read_text()
    assert "one\ntwo\n" == (tmp_path / "latest" / "lab" / "run.log").read_text()
    assert [tmp_path / "latest" / "lab"] == list((tmp_path / "latest").iterdir())


def test_the_versions_are_those_that_the_deployment_met() -> None:
    """System, systemd, Python and Redis as the host told them; what it did not tell is not known."""
    info = {
        "os": {"system": "Linux", "id": "debian", "version": "12"},
        "machine": "x86_64",
        "python": {"version": "3.11.2"},
        "systemd": {"version": 252},
        "redis": {"version": None},
    }
    told = assembled(info=info)["versions"]
    expected = {"system": "debian 12 x86_64", "systemd": 252, "python": "3.11.2", "redis": None}
    assert expected == {name: told[name] for name in expected}
    nothing = assembled()["versions"]
    assert dict.fromkeys(expected) == {name: nothing[name] for name in expected}
    assert told["ansible-core"]


def test_unchanged_keeps_the_evidence(tmp_path: Path) -> None:
    """The same release again leaves what its deployment saw in the report, and says that nothing changed."""
    report.write(tmp_path, assembled(verdict=PASSED, deployment="one", before={"signals": 130}, run_log=["soak"]))
    again = assembled(unchanged=True, recorded={**PASSED, "deployment": "one"}, deployment="two")
    found = json.loads(report.write(tmp_path, again).read_text())
    assert ({"signals": 130}, "one", ["soak"]) == (found["before"], found["deployment"], found["run_log"])
    assert found["unchanged"]


def test_unchanged_takes_nothing_from_another_deployment(tmp_path: Path) -> None:
    """Evidence of a deployment that was not the one that was confirmed is not passed off as its own."""
    report.write(tmp_path, assembled(verdict=PASSED, deployment="failed later", before={"signals": 130}))
    again = assembled(unchanged=True, recorded={**PASSED, "deployment": "one"})
    assert json.loads(report.write(tmp_path, again).read_text())["before"] is None


def test_a_rollback_by_somebody_else_is_named() -> None:
    """Where the guard or a person was faster than the rescue, the report says so, and what it saw itself."""
    ended = "deployment d1 was rolled back at 2026-01-01T00:00:00.000Z by root: guard: not confirmed within 9 s"
    back = {"changed": False, "to": "legacy-0123456789ab", "ended": ended, "outcome": "rolled back"}
    report_ = assembled(failure={"msg": "the unit is deactivating"}, rolled_back=back)
    assert report_["rolled_back"]
    assert f"{ended}; here: the unit is deactivating" == report_["reason"]


def test_a_release_that_a_person_kept_is_not_reported_as_undone() -> None:
    """Confirmed by hand while the soak failed, the new release runs: the report says who kept it, and what failed."""
    ended = "deployment d1 was confirmed at 2026-01-01T00:00:00.000Z by ann"
    back = {"changed": False, "to": "1.0.0-aaaaaaaaaaaa", "ended": ended, "outcome": "confirmed"}
    report_ = assembled(failure={"msg": "silent: 0 intents"}, rolled_back=back)
    assert not report_["rolled_back"]
    assert f"{ended}; here: silent: 0 intents" == report_["reason"]
    assert "rolled_back" not in report.line(report_)


def test_nothing_was_live_yet() -> None:
    """A deployment that ended before it was live is neither rolled back nor undone by somebody else."""
    back = {
        "changed": False,
        "from": "legacy-0123456789ab",
        "to": "legacy-0123456789ab",
        "ended": None,
        "outcome": None,
    }
    report_ = assembled(failure={"msg": "the guard can't be armed"}, rolled_back=back)
    assert (False, "the guard can't be armed") == (report_["rolled_back"], report_["reason"])


def test_person_who_decided_is_told() -> None:
    """A release that a person confirmed keeps the verdict that the numbers gave, and says so."""
    made = assembled(unchanged=True, recorded={**PASSED, "verdict": "inconclusive", "by_hand": True}, verdict={})
    assert report.line(made).endswith("host=lab unchanged=true by_hand=true")
    assert "inconclusive" == made["verdict"]


def test_held_and_confirmed_is_held_no_more(tmp_path: Path) -> None:
    """The report of a release that a person has kept says so, beside the evidence that there was."""
    judged = {**PASSED, "verdict": "inconclusive", "reason": "too few signals", "criteria": []}
    report.write(tmp_path, assembled(verdict=judged, deployment="d1", held_s=60, before={"signals": 7}))
    kept = {**judged, "by_hand": True, "deployment": "d1"}
    again = json.loads(report.write(tmp_path, assembled(unchanged=True, recorded=kept)).read_text())
    assert (False, True, None, {"signals": 7}) == (again["held"], again["by_hand"], again["reason"], again["before"])


def test_held_says_what_to_do() -> None:
    """A deployment that is held is no success: the line has what is open and both ways on."""
    judged = {**PASSED, "verdict": "inconclusive", "action": "hold", "note": "reduction: too few signals"}
    made = assembled(verdict=judged, held_s=3600)
    reason = "reduction: too few signals: decide within 3600 s, make confirm or make rollback"
    assert report.line(made).endswith(f'host=lab held=true reason="{reason}"')
    assert not made["rolled_back"]


def test_confirmed_without_certainty_says_why() -> None:
    """A release that is kept although nobody knows is no failure, and the line has what was not measured."""
    judged = {**PASSED, "verdict": "inconclusive", "reduction": None, "action": "confirm", "note": "no signal came"}
    made = assembled(verdict=judged)
    assert report.line(made).endswith('host=lab confirmed=true note="no signal came"')
    assert (None, "confirm", "no signal came") == (made["reason"], made["action"], made["note"])
    undone = report.line(assembled(verdict=judged, failure={"msg": "disk full"}, rolled_back={"changed": True}))
    assert undone.endswith('host=lab rolled_back=true reason="disk full"')


@pytest.mark.parametrize(
    ("facts", "standing"),
    [
        ({"verdict": PASSED}, "proven"),
        ({"unchanged": True, "recorded": PASSED}, "unchanged"),
        ({"verdict": {**PASSED, "criteria": []}, "held_s": 60}, "held"),
        ({"verdict": PASSED, "failure": {"msg": "disk full"}}, "failed"),
        ({"unchanged": True, "failure": {"msg": "disk full"}}, "failed"),
    ],
)
def test_standing_is_what_other_hosts_go_by(facts: dict[str, Any], standing: str) -> None:
    """A word tells what a deployment has come to; whatever has a reason to fail is no success."""
    assert standing == report.standing(assembled(**facts))


def test_kept_beside_a_failure_says_so() -> None:
    """A host that is confirmed although another one failed keeps its verdict and names the other."""
    made = assembled(verdict=PASSED, fleet={"action": "confirm", "reason": "the fleet is not proven: b: silent"})
    assert report.line(made).endswith('host=lab fleet="the fleet is not proven: b: silent"')
    assert "pass" == made["verdict"]
    assert "fleet" not in report.line(assembled(verdict=PASSED, fleet={"action": "confirm", "reason": ""}))


def test_undone_with_the_fleet_fails_for_that_reason() -> None:
    """A host that passed and goes back because of another one has failed, and says because of which."""
    said = "the fleet is not proven: b: silent"
    fleet = {"action": "rollback", "reason": said}
    made = assembled(verdict=PASSED, fleet=fleet, failure={"msg": said}, rolled_back={"changed": True})
    assert ("fail", said) == (made["verdict"], made["reason"])
    assert report.line(made).endswith(f'host=lab rolled_back=true reason="{said}"')


def test_held_with_the_fleet_says_for_whom() -> None:
    """A host that is proven itself and waits for a person names the host that the person has to decide about."""
    made = assembled(verdict={**PASSED, "criteria": []}, fleet={"action": "hold", "reason": "waits for b"}, held_s=3600)
    reason = "waits for b: decide within 3600 s, make confirm or make rollback"
    assert report.line(made).endswith(f'host=lab held=true reason="{reason}"')
