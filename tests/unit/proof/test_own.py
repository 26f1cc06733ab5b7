# SPDX-License-Identifier: Apache-2.0
"""Criteria of the user's own: real commands, and what their exit status means."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from router.commands.proof import soak
from router.proof.criteria import Status
from router.proof.evidence import Answer
from router.proof.judge import judge
from router.proof.own import Command, ask, finding

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.proof.conftest import Make


def asked(script: str, timeout_s: float = 10.0) -> Answer:
    """What a shell script says as a criterion."""
    return ask("mine", Command(["sh", "-c", script], timeout_s), {"RELEASE": "1.0.0-0123456789ab"})


@pytest.mark.parametrize(
    ("script", "status", "detail"),
    [
        ("echo first; echo all is well", Status.PASSED, "exit status 0: all is well"),
        ("exit 0", Status.PASSED, "exit status 0: it said nothing"),
        ("echo 7 orders differ >&2; exit 1", Status.FAILED, "exit status 1: 7 orders differ"),
        ("echo the exchange is closed; exit 2", Status.INCONCLUSIVE, "exit status 2: the exchange is closed"),
        ("exit 3", Status.INCONCLUSIVE, "exit status 3: it said nothing"),
        ("/no/such/check", Status.INCONCLUSIVE, "exit status 127: "),
        ("kill -9 $$", Status.INCONCLUSIVE, "sh was ended by signal 9"),
        ('echo "$RELEASE $HOME."', Status.PASSED, "exit status 0: 1.0.0-0123456789ab ."),
        ("printf '\\033[2J'", Status.PASSED, "exit status 0: \\x1b[2J"),
        ("yes | head -c 3000000; echo; echo end", Status.PASSED, "exit status 0: end"),
    ],
)
def test_what_an_exit_status_means(script: str, status: Status, detail: str) -> None:
    """0 passes, 1 fails, anything else is inconclusive; the last line is told, and harmless."""
    found = finding(asked(script))
    assert status is found.status
    assert found.detail.startswith(detail)


def test_a_command_that_is_not_there_is_named() -> None:
    """A path that does not exist, or may not be run, is no pass and no traceback."""
    for path in ("/no/such/check", "/etc/passwd", "nul\0byte"):
        found = finding(ask("mine", Command([path]), {}))
        assert Status.INCONCLUSIVE is found.status
        assert found.detail.startswith(f"{path} cannot be run: ")


def test_a_command_that_hangs_is_killed_with_what_it_started(tmp_path: Path) -> None:
    """After its time the whole group is gone, and the finding says so."""
    marker, began_s = tmp_path / "alive", time.monotonic()
    found = finding(asked(f"(sleep 1; touch {marker}) & sleep 60", 0.3))
    assert (Status.INCONCLUSIVE, "sh took longer than 0.3 s") == (found.status, found.detail)
    time.sleep(1.2)
    assert not marker.exists()
    assert time.monotonic() - began_s < 10


@pytest.mark.parametrize(
    ("exit_status", "verdict"), [(0, "pass"), (1, "fail"), (2, "inconclusive"), (None, "inconclusive")]
)
def test_an_own_criterion_counts_like_any_other(
    make_before: Make, make_after: Make, exit_status: int | None, verdict: str
) -> None:
    """The worst wins, the user's own criteria included; they stand at the end of the report."""
    judged = judge(make_before(), make_after(answers=[Answer("mine", exit_status, "said")]))
    assert (verdict, "mine") == (judged.verdict.value, judged.criteria[-1].name)


@pytest.mark.parametrize(
    "given", ["x", "[]", '{"x": {}}', '{"x": {"command": []}}', '{"x": {"command": ["y"], "z": 1}}']
)
def test_own_criteria_that_cannot_be_read_are_refused(given: str) -> None:
    """The command line says what is wrong with the JSON, and never a traceback."""
    needed = ["unit", "release-dir", "since-ms", "before", "min-s", "max-s"]
    done = CliRunner().invoke(soak, [*[word for name in needed for word in (f"--{name}", "0")], "--own", given])
    assert 2 == done.exit_code
    assert "Invalid value for '--own'" in done.output
