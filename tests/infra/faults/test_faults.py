# SPDX-License-Identifier: Apache-2.0
"""Releases that are bad: each is found out in its phase, one line says why, and what ran before runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.infra.conftest import Playbooks
    from tests.infra.desk import Desk, Run
    from tests.infra.endings import Fault


def assert_reported(run: Run, report: dict[str, Any], phase: str, *words: str) -> None:
    """Assert that a failed run and its report say why in one line with these words, and in which phase it failed."""
    assert 0 != run.code
    assert run.last_line.startswith("verdict=fail ")
    assert all(word in run.reason for word in words), run.reason
    assert "Traceback" not in run.reason
    assert ("fail", run.reason) == (report["verdict"], report["reason"])
    assert phase == next(part["name"] for part in report["phases"] if part["status"] == "failed")


@pytest.mark.parametrize(
    ("kind", "phase", "words"),
    [
        pytest.param(
            "does-not-parse",
            "stage",
            ("Error compiling", "router/publisher.py"),
            marks=[
                pytest.mark.fault(1, "a syntax error in the artifact", phase="stage", outcome="refused"),
                pytest.mark.long,
            ],
        ),
        pytest.param(
            "does-not-import",
            "check",
            ("No module named 'router.no_such_module'",),
            marks=pytest.mark.fault(2, "an import error", phase="check", outcome="refused"),
        ),
    ],
)
def test_is_no_program(
    playbooks: Playbooks, bad_wheel: Callable[[str], str], fault: Fault, kind: str, phase: str, words: tuple[str, ...]
) -> None:
    """A release that does not compile or import is found out before anything live is touched: the old one goes on."""
    run = playbooks.deploy(router_artifact=bad_wheel(kind))
    assert_reported(run, playbooks.report, phase, *words)
    assert not playbooks.report["rolled_back"]
    fault.ends(run)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        pytest.param(
            "exits-at-start",
            ("drill: expected it to get ready within 8 s, seen: ", "the fault of this wheel: cannot start"),
            marks=[
                pytest.mark.fault(3, "a release that exits at once", phase="drill", outcome="refused"),
                pytest.mark.long,
            ],
        ),
        pytest.param(
            "never-ready",
            ("drill: expected it to get ready within 8 s, seen: ", "timed out"),
            marks=[
                pytest.mark.fault(5, "a release that never gets ready", phase="drill", outcome="refused"),
                pytest.mark.long,
            ],
        ),
        pytest.param(
            "silent",
            ("drill: open_orders 3: expected BEST_OF_PUBLISH and 1 intent (DRILLSUPER", "seen 0 intents"),
            marks=pytest.mark.fault(7, "a silent release", phase="drill", outcome="refused"),
        ),
        pytest.param(
            "floods",
            ("drill: open_orders 10: expected CAPACITY_FULL and 0 intents, seen 11 intents (DRILLFULL",),
            marks=[pytest.mark.fault(8, "a release that floods", phase="drill", outcome="refused"), pytest.mark.long],
        ),
    ],
)
def test_fails_its_drill(
    desk: Desk,
    playbooks: Playbooks,
    bad_wheel: Callable[[str], str],
    fault: Fault,
    kind: str,
    words: tuple[str, ...],
) -> None:
    """A release that does not start, get ready, publish, or choose stops at the drill: the old process goes on."""
    run = playbooks.deploy(router_artifact=bad_wheel(kind))
    report = playbooks.report
    assert_reported(run, report, "drill", *words)
    assert not report["rolled_back"]
    assert not report["drill"]["passed"]
    assert ("", "") == desk.left_of_drills()
    fault.ends(run)


@pytest.mark.parametrize(
    ("kind", "phase", "words"),
    [
        pytest.param(
            "exits-at-start-when-live",
            "activate",
            ("the fault of this wheel: cannot start",),
            marks=pytest.mark.fault(3, "a release that exits at once", phase="activate", outcome="back"),
        ),
        pytest.param(
            "never-ready-when-live",
            "activate",
            ("did not get ready within 8 s",),
            marks=[
                pytest.mark.fault(5, "a release that never gets ready", phase="activate", outcome="back"),
                pytest.mark.long,
            ],
        ),
        pytest.param(
            "crashes-after-ready-when-live",
            "judge",
            ("the unit is ",),
            marks=[
                pytest.mark.fault(4, "a crash loop after getting ready", phase="judge", outcome="back"),
                pytest.mark.long,
            ],
        ),
        pytest.param(
            "hangs-when-live",
            "judge",
            ("the lease is held by nobody",),
            marks=[
                pytest.mark.fault(
                    6, "a release that hangs, so that the watchdog ends it", phase="judge", outcome="back"
                ),
                pytest.mark.long,
            ],
        ),
        pytest.param(
            "starves-its-watchdog-when-live",
            "judge",
            ("the unit is ",),
            marks=[
                pytest.mark.fault(
                    6, "a release that hangs, so that the watchdog ends it", phase="judge", outcome="back"
                ),
                pytest.mark.long,
            ],
        ),
        pytest.param(
            "silent-when-live",
            "judge",
            ("nothing published, while", "eligible signals met free slots"),
            marks=[pytest.mark.fault(7, "a silent release", phase="judge", outcome="back"), pytest.mark.long],
        ),
        pytest.param(
            "floods-when-live",
            "judge",
            ("intents within 0.9 s, at most 2 allowed",),
            marks=pytest.mark.fault(8, "a release that floods", phase="judge", outcome="back"),
        ),
        pytest.param(
            "runs-elsewhere-when-live",
            "judge",
            ("started as /usr/bin/python3, outside /opt/quantum-router/releases/",),
            marks=[
                pytest.mark.fault(9, "a wrong version runs and lies about it", phase="judge", outcome="back"),
                pytest.mark.long,
            ],
        ),
        pytest.param(
            "says-another-release-when-live",
            "judge",
            ("the lease is held by 1.0.0-000000000000, not by release ",),
            marks=[
                pytest.mark.fault(9, "a wrong version runs and lies about it", phase="judge", outcome="back"),
                pytest.mark.long,
            ],
        ),
    ],
)
def test_goes_back(
    desk: Desk,
    playbooks: Playbooks,
    bad_wheel: Callable[[str], str],
    fault: Fault,
    kind: str,
    phase: str,
    words: tuple[str, ...],
) -> None:
    """A release that does so only after its drill is replaced by what ran before, byte for byte."""
    run = playbooks.deploy(router_artifact=bad_wheel(kind))
    report = playbooks.report
    assert_reported(run, report, phase, *words)
    assert "rolled_back=true" in run.last_line
    assert report["rolled_back"]
    fault.ends(run)
    assert report["release"] in desk.run("router-release list | grep bad")


@pytest.mark.fault(10, "Redis is down before a deployment", phase="preflight", outcome="refused")
def test_redis_stopped(desk: Desk, playbooks: Playbooks, fault: Fault) -> None:
    """Without Redis nothing on the host is touched, and the old router publishes once Redis is back."""
    listing = desk.listing()
    desk.run("systemctl stop redis-server")
    try:
        run = playbooks.deploy()
        assert listing == desk.listing()
    finally:
        desk.run("systemctl start redis-server")
    assert_reported(run, playbooks.report, "preflight", "Redis at 127.0.0.1:6379 can't be reached", "start it or")
    fault.ends(run)
