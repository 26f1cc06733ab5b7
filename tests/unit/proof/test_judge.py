# SPDX-License-Identifier: Apache-2.0
"""The verdict: the worst criterion wins, and when a soak may end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from click.testing import CliRunner

from router.commands.proof import judge as command
from router.core.policy import TradingState
from router.proof.criteria import CRITERIA, Criterion, Status
from router.proof.evidence import Answer, EvidenceError, Execution, Said, Snapshot, Soaked, decode
from router.proof.judge import Action, Verdict, act, certain, judge

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.proof.conftest import Make


def test_good_deployment(make_before: Make, make_after: Make) -> None:
    """Everything well: pass, with the numbers of the last line and one entry per criterion."""
    verdict = judge(make_before(), make_after())
    assert (verdict.verdict, verdict.reduction, verdict.line_counts) == (Status.PASSED, 0.845, "130/131 → 20/130")
    assert list(CRITERIA) == [criterion.name for criterion in verdict.criteria]


def test_fail_beats_inconclusive(make_before: Make, make_after: Make, make_look: Make) -> None:
    """No signals before (inconclusive) and unknown capacity (fail) is a fail, and *why* names only that."""
    verdict = judge(make_before(signals=0), make_after(looks=[make_look(open_orders=None)]))
    assert Status.FAILED is verdict.verdict
    assert verdict.why == "capacity known: open orders missing or malformed at 1 of 1 looks"


def test_skipped_does_not_count(make_before: Make, make_after: Make) -> None:
    """A selective baseline leaves the verdict to the other criteria, and no reduction is claimed."""
    verdict = judge(make_before(intents=20), make_after())
    assert (verdict.verdict, verdict.reduction) == (Status.PASSED, None)


def test_a_selective_baseline_lets_nobody_ignore_the_cap(make_before: Make, make_after: Make) -> None:
    """Where no reduction is measured, who publishes as ever while all slots are taken at every look fails."""
    full = [msgspec.structs.replace(look, open_orders=10, in_flight=3) for look in make_after().looks]
    verdict = judge(make_before(intents=20), make_after(looks=full))
    assert Status.FAILED is verdict.verdict
    assert "not flooding: published 10 times while look after look had no free slot" == verdict.why


def test_increase_is_no_negative_reduction(make_before: Make, make_after: Make) -> None:
    """More intents than before read as a reduction of 0; the numbers keep the truth."""
    verdict = judge(make_before(), make_after(intents=260, signals=130))
    assert (verdict.verdict, verdict.reduction) == (Status.FAILED, 0.0)


def test_what_a_detail_quotes_is_printable(make_before: Make, make_after: Make, make_look: Make) -> None:
    """An error of Redis or a lease that somebody else wrote cannot steer a terminal, break a report or fill it."""
    nasty = "\x1b[2J\n\x9b</td><script>" * 1000
    verdict = judge(make_before(), make_after(looks=[make_look(open_orders=None, error=nasty)]))
    assert Status.FAILED is verdict.verdict
    assert verdict.why.isprintable()
    assert len(verdict.why) < 5000


@pytest.mark.parametrize(
    ("status", "elapsed_s", "ends"),
    [
        (Status.FAILED, 0.0, True),
        (Status.PASSED, 29.9, False),
        (Status.PASSED, 30.0, True),
        (Status.INCONCLUSIVE, 30.0, False),
        (Status.INCONCLUSIVE, 299.9, False),
        (Status.INCONCLUSIVE, 300.0, True),
    ],
)
def test_certain(*, status: Status, elapsed_s: float, ends: bool) -> None:
    """A fail ends the soak at once, a pass not before the minimum, anything else at the maximum."""
    assert ends is certain(Verdict(status, None, "", []), elapsed_s, 30.0, 300.0)


def test_evidence_survives_a_file(make_before: Make, make_after: Make) -> None:
    """What is written as JSON reads back equal, so that judging later judges the same."""
    assert make_before() == decode(msgspec.json.encode(make_before()), Snapshot, "before.json")
    assert make_after() == decode(msgspec.json.encode(make_after()), Soaked, "after.json")


@pytest.mark.parametrize("document", [b"", b"[]", b"{}", b"\xff", b'{"signals": -1}', b"[" * 100_000])
def test_not_a_snapshot(document: bytes) -> None:
    """A file that is no snapshot is one line that names it."""
    with pytest.raises(EvidenceError, match=r"^before\.json: not a snapshot.*; take it again$"):
        decode(document, Snapshot, "before.json")


QUIET = {"signals": 0, "eligible": 0, "intents": 0}
#: What a release publishes that nobody asked for.
INTENTS = {"intents": 20, "intents_ms": [at_ms + rank for at_ms in range(33_000, 93_000, 6_000) for rank in range(2)]}


@pytest.mark.parametrize(
    ("criteria", "on_inconclusive", "action", "note"),
    [
        ({}, "hold", Action.CONFIRM, ""),
        ({"errors": Status.FAILED, "reduction": Status.INCONCLUSIVE}, "confirm", Action.ROLLBACK, "errors: why"),
        ({"reduction": Status.INCONCLUSIVE}, "rollback", Action.ROLLBACK, "reduction: why"),
        ({"reduction": Status.INCONCLUSIVE}, "hold", Action.HOLD, "reduction: why"),
        ({"reduction": Status.INCONCLUSIVE}, "confirm", Action.CONFIRM, "reduction: why"),
    ],
)
def test_what_is_done(
    make_before: Make, make_after: Make, criteria: dict[str, Status], on_inconclusive: str, action: Action, note: str
) -> None:
    """A pass is confirmed and a fail rolled back, whatever the desk wants where nobody knows; the note says why."""
    found = [Criterion(name, criteria.get(name, Status.PASSED), "why", {}) for name in CRITERIA]
    worst = max((c.status for c in found), key=[Status.PASSED, Status.INCONCLUSIVE, Status.FAILED].index)
    done = act(Verdict(worst, None, "", found), make_before(), make_after(), Action(on_inconclusive), drilled=True)
    assert (action, note) == (done.action, done.note)


@pytest.mark.parametrize(
    ("spoil", "drilled", "action"),
    [
        ({}, True, Action.CONFIRM),
        ({}, False, Action.ROLLBACK),
        ({"before": {"signals": 1}}, True, Action.ROLLBACK),
        ({"look": {"signals_since_last": 1}}, True, Action.ROLLBACK),
        ({"look": {"trading_state": TradingState.REDUCE}}, True, Action.ROLLBACK),
        ({"look": {"trading_state": None}}, True, Action.ROLLBACK),
        ({"look": {"execution": Execution(None, 3)}}, True, Action.ROLLBACK),
        ({"after": {"said": None, "events": None}}, True, Action.ROLLBACK),
        ({"after": {"looks": []}}, True, Action.ROLLBACK),
        ({"after": {"answers": [Answer("mine", 2, "")]}}, True, Action.ROLLBACK),
        ({"look": {"open_orders": None}}, True, Action.ROLLBACK),
        ({"look": {"open_orders": 10}}, True, Action.CONFIRM),
        ({"after": INTENTS}, True, Action.ROLLBACK),  # out of nothing
        ({"after": INTENTS, "look": {"open_orders": 10}}, True, Action.ROLLBACK),
        ({"after": INTENTS | {"offered": 20, "said": None, "events": None}}, True, Action.ROLLBACK),
        ({"after": {"intents": 1, "offered": 1}}, True, Action.ROLLBACK),  # of a signal that had waited: one came
        ({"after": {"reduce_only": 1, "reduce_only_offered": 1}}, True, Action.CONFIRM),
    ],
)
def test_without_a_signal_the_drill_decides(
    *, make_before: Make, make_after: Make, make_look: Make, spoil: dict[str, Any], drilled: bool, action: Action
) -> None:
    """No signal before and after, nothing else open, and a drill that was passed: confirmed, and only then."""
    before = make_before(**{**QUIET, **spoil.get("before", {})})
    looks = [make_look(at_ms=at_ms, **spoil.get("look", {})) for at_ms in range(30_000, 90_000, 1_000)]
    quiet = {**QUIET, "intents_ms": [], "boosted": 0, "said": Said(0, 0, 0), "events": {}, "looks": looks, "offered": 0}
    after = make_after(**{**quiet, **spoil.get("after", {})})
    done = act(judge(before, after), before, after, Action.ROLLBACK, drilled=drilled)
    assert action is done.action
    assert ("the reduction was not measured" in done.note) is (action is Action.CONFIRM)


@pytest.mark.parametrize(
    ("changes", "criteria"),
    [
        ({"service": {"lease_release": "1.0.0-ffffffffffff"}}, {"service"}),  # runs here, is another
        ({"service": {"cmdline": ["/opt/old/python", "-m", "router"]}}, {"service"}),  # says that it is this one
        ({"service": {"exe": "/usr/bin/python3.9"}}, {"service"}),
        ({"intents_ms": [], "boosted": 0}, {"not silent", "features"}),  # to another stream, reduce-only, or by log
        ({"intents_ms": [33_000], "boosted": 1}, {"features", "not silent"}),  # a token intent, and twenty in the log
        ({"said": Said(0, 0, 0), "events": {"INTENT_PUBLISHED": 20}}, {"features"}),  # works, and says nothing of it
        ({"boosted": 0}, {"features"}),  # logs the boost alone
        ({"intents_ms": [30_000 + n for n in range(20)]}, {"not flooding", "not silent"}),  # few in all, all at once
        ({"reduce_only": 110, "reduce_only_offered": 2}, {"not flooding"}),  # honest twice, the others marked as exits
    ],
)
def test_a_release_that_lies_does_not_pass(
    *, make_before: Make, make_after: Make, make_service: Make, changes: dict[str, Any], criteria: set[str]
) -> None:
    """What it says of itself is held against what the host, the lease and the stream show."""
    after = make_after(**{name: value for name, value in changes.items() if name != "service"})
    if "service" in changes:
        seen = make_service(**changes["service"])
        looks = [msgspec.structs.replace(look, service=seen) for look in after.looks]
        after = msgspec.structs.replace(after, looks=looks)
    verdict = judge(make_before(), after)
    assert criteria == {criterion.name for criterion in verdict.criteria if criterion.status is Status.FAILED}


def run_judge(tmp_path: Path, before: Snapshot, after: Soaked, *options: str) -> Any:
    """Run the command on files."""
    for name, document in (("before", before), ("after", after)):
        (tmp_path / name).write_bytes(msgspec.json.encode(document))
    return CliRunner().invoke(command, [str(tmp_path / "before"), str(tmp_path / "after"), *options])


def test_command(make_before: Make, make_after: Make, tmp_path: Path) -> None:
    """The exit status is the verdict, JSON has the action, and a drill's record counts only when it says "passed"."""
    done = run_judge(tmp_path, make_before(), make_after())
    assert (0, "verdict=pass intents/signals 130/131 → 20/130 action=confirm") == (
        done.exit_code,
        done.output.splitlines()[-1],
    )
    assert 1 == run_judge(tmp_path, make_before(), make_after(), "--reduction-min", "0.95").exit_code
    quiet = {**QUIET, "intents_ms": [], "boosted": 0, "said": Said(0, 0, 0)}
    looks = [msgspec.structs.replace(look, eligible_since_last=0) for look in make_after().looks]
    record = tmp_path / "drill.json"
    for text, action in (("", "hold"), ('{"passed": false}', "hold"), ('{"passed": true}', "confirm")):
        record.write_text(text)
        options = ["--json", "--on-inconclusive", "hold", "--drill", str(record)]
        done = run_judge(tmp_path, make_before(**QUIET), make_after(**quiet, looks=looks), *options)
        assert (2, action) == (done.exit_code, msgspec.json.decode(done.output)["action"])
