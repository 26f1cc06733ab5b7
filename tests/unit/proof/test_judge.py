# SPDX-License-Identifier: Apache-2.0
"""The verdict: the worst criterion wins, and when a soak may end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from router.proof.criteria import CRITERIA, Status
from router.proof.evidence import EvidenceError, Snapshot, Soaked, decode
from router.proof.judge import Verdict, certain, judge

if TYPE_CHECKING:
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
