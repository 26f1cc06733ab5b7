# SPDX-License-Identifier: Apache-2.0
"""The loop of a soak, by a clock that only sleeping moves."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.proof.criteria import Status
from router.proof.evidence import Answer, Said
from router.proof.judge import judge
from router.proof.soak import soak
from router.proof.streams import PACE_MAX, pace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from router.proof.evidence import Look, Soaked
    from router.proof.judge import Verdict
    from router.proof.soak import Progress
    from tests.unit.proof.conftest import Make


class Stage:
    """A host that shows `look(second)` at each look and `evidence(looks)` at each judgement."""

    def __init__(self, look: Callable[[float], Look], evidence: Callable[[Sequence[Look]], Soaked]) -> None:
        self.now_s = 0.0
        self.judged_at_s: list[float] = []
        self.shares: list[float] = []
        self.asked_at_s: list[float] = []
        self.told: list[Progress] = []
        self._look = look
        self._evidence = evidence

    def look(self) -> Look:
        """Show the host now."""
        return self._look(self.now_s)

    def evidence(self, looks: Sequence[Look]) -> Soaked:
        """Show what was seen, and note when it was asked for."""
        self.judged_at_s.append(self.now_s)
        return self._evidence(looks)

    def answers(self) -> list[Answer]:
        """Answer as a criterion of the user's own that passes, and note when it was asked."""
        self.asked_at_s.append(self.now_s)
        return [Answer("mine", 0, "fine")]

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now_s += seconds

    def soak(self, before: Any, span_s: tuple[float, float]) -> Any:
        """Run the loop on this stage."""

        def judged(after: Soaked) -> Verdict:
            self.shares.append(after.error_share)
            return judge(before, after)

        return soak(
            self.look, self.evidence, judged, span_s, lambda: self.now_s, self.sleep, self.answers, self.told.append
        )


def test_pass_waits_for_the_minimum(make_before: Make, make_after: Make, make_look: Make) -> None:
    """A release that is good from the start is watched to the minimum, judged every third second."""
    stage = Stage(
        lambda now_s: make_look(at_ms=int(30_000 + now_s * 1000)), lambda looks: make_after(looks=list(looks))
    )
    done = stage.soak(make_before(), (30.0, 300.0))
    assert (done.verdict.verdict, stage.now_s) == (Status.PASSED, 30.0)
    assert stage.judged_at_s == [float(second) for second in range(0, 31, 3)]
    assert len(done.after.looks) == 31
    assert stage.asked_at_s == [30.0]
    assert "mine" == done.verdict.criteria[-1].name


def test_tells_how_far_it_is(make_before: Make, make_after: Make, make_look: Make) -> None:
    """Each judgement is told with its time, span, counts and verdict; only the last one is certain."""
    stage = Stage(
        lambda now_s: make_look(at_ms=int(30_000 + now_s * 1000)), lambda looks: make_after(looks=list(looks))
    )
    done = stage.soak(make_before(), (30.0, 300.0))
    assert stage.judged_at_s == [told.elapsed_s for told in stage.told]
    assert [False] * 10 + [True] == [told.certain for told in stage.told]
    last, after = stage.told[-1], done.after
    expected = (30.0, 300.0, after.signals, after.intents, after.capacity.open_orders, Status.PASSED)
    assert expected == (last.least_s, last.most_s, last.signals, last.intents, last.open_orders, last.verdict)


def test_fail_ends_at_once(make_before: Make, make_after: Make, make_look: Make) -> None:
    """Redis that goes away at 4 s ends the soak at the next judgement: capacity is not known."""
    stage = Stage(
        lambda now_s: (
            make_look(at_ms=int(30_000 + now_s * 1000))
            if now_s < 4
            else make_look(at_ms=int(30_000 + now_s * 1000), open_orders=None, error="Redis unavailable: refused")
        ),
        lambda looks: make_after(looks=list(looks)),
    )
    done = stage.soak(make_before(), (30.0, 300.0))
    assert (done.verdict.verdict, stage.now_s) == (Status.FAILED, 6.0)
    assert done.verdict.why == "capacity known: Redis unavailable: refused (3 of 7 looks)"


def test_uncertain_goes_on_to_the_maximum(make_before: Make, make_after: Make, make_look: Make) -> None:
    """Without a signal nothing can be told: the soak ends at the maximum, inconclusive, with all of the error spent."""
    silent = {"signals": 0, "intents": 0, "intents_ms": [], "said": Said(0, 0, 0), "boosted": 0}
    stage = Stage(
        lambda now_s: make_look(at_ms=int(30_000 + now_s * 1000)),
        lambda looks: make_after(looks=list(looks), **silent),
    )
    done = stage.soak(make_before(), (10.0, 40.0))
    assert (done.verdict.verdict, stage.now_s) == (Status.INCONCLUSIVE, 40.0)
    assert [0.0] * 4 == stage.shares[:4]
    assert sum(stage.shares) == pytest.approx(1)
    assert all(share > 0 for share in stage.shares[4:])


def test_becomes_certain(make_before: Make, make_after: Make, make_look: Make) -> None:
    """Enough signals after the minimum turn inconclusive into a pass at the next judgement."""
    stage = Stage(
        lambda now_s: make_look(at_ms=int(30_000 + now_s * 1000)),
        lambda looks: make_after(looks=list(looks), signals=130 if len(looks) > 20 else 0),
    )
    done = stage.soak(make_before(), (10.0, 40.0))
    assert (done.verdict.verdict, stage.now_s) == (Status.PASSED, 21.0)


@given(st.integers(0, 10**12), st.integers(0, 10**8), st.lists(st.integers(0, 10**5), max_size=50))
def test_a_pace_holds_every_count_in_few_steps(since_ms: int, span_ms: int, ages_s: list[int]) -> None:
    """No count is lost, and a day has no more of them than ten minutes, whose steps are seconds."""
    until_ms = since_ms + span_ms
    counts = Counter(until_ms // 1000 - min(age_s, span_ms // 1000) for age_s in ages_s)
    made = pace(counts, Counter(), since_ms, until_ms)
    assert (len(ages_s), 0) == (sum(made.signals), sum(made.intents))
    assert len(made.signals) == len(made.intents) <= PACE_MAX
    assert span_ms // 1000 <= made.step_s * len(made.signals)
    assert made.step_s == 1 or span_ms > (PACE_MAX - 1) * 1000


def test_a_clock_that_moved_does_not_lose_a_count() -> None:
    """What seems to lie outside of the time is at its nearest end."""
    assert [1, 0, 1] == pace(Counter({9: 1, 13: 1}), Counter(), 10_000, 12_999).signals
