# SPDX-License-Identifier: Apache-2.0
"""A soak is judged many times: the error of all judgements together stays at 5 %.

Calculated, not drawn: intents and trades come as Poisson counts, and every course that a soak may take is followed with
its probability through the judge's own criteria. The count before the activation may be any, too.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec
import pytest

from router.proof.criteria import CRITERIA, Status, Thresholds
from router.proof.evidence import Execution, Governor
from router.proof.judge import error_spent

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.proof.conftest import Make

ERROR = 0.05
MIN_S, MAX_S = 30, 51
JUDGED_S = range(MIN_S, MAX_S + 1, 3)
SHARES = [error_spent(s, MIN_S, MAX_S) - (error_spent(s - 3, MIN_S, MAX_S) if s > MIN_S else 0) for s in JUDGED_S]
#: Probabilities below this are left out, and cost less than a thousandth of the error in all.
NEGLIGIBLE = 1e-6


def poisson(mean: float) -> dict[int, float]:
    """The probability of each count that is not negligible."""
    chances = {
        n: math.exp(n * math.log(mean) - mean - math.lgamma(n + 1)) for n in range(int(mean + 12 * mean**0.5) + 9)
    }
    return {n: chance for n, chance in chances.items() if chance > NEGLIGIBLE}


def edge(wrong: Callable[[int], bool], near: int) -> int:
    """The least count from which on *wrong* holds, found from *near* on."""
    while near > 0 and wrong(near - 1):
        near -= 1
    while not wrong(near):
        near += 1
    return near


def ever_wrong(before_mean: float, means: list[float], wrong: Callable[[int, int, int], bool], *, low: bool) -> float:
    """The chance that any judgement is wrong, by *wrong* of the counts before and after and its number.

    *means* are those of what is new at each; *low*: few are wrong, not many.
    """
    total = 0.0
    for before, chance in poisson(before_mean).items():
        courses, near = {0: chance}, 0
        for number, mean in enumerate(means):
            moved: dict[int, float] = defaultdict(float)
            steps = poisson(mean)
            for count, probability in courses.items():
                for step, its in steps.items():
                    moved[count + step] += probability * its
            near = edge(lambda n, b=before, k=number: wrong(b, n, k) is not low, near)  # type: ignore[misc]
            total += sum(p for n, p in moved.items() if (n < near) is low)
            courses = {n: p for n, p in moved.items() if (n < near) is not low and p > NEGLIGIBLE * 1e-3}
    return total


#: Signals before the activation and at each judgement: few, where chance is greatest.
BEFORE = 15
SIGNALS = [round(3.25 * s) for s in JUDGED_S]


def means(rate: float) -> list[float]:
    """Mean of the intents that are new at each judgement, with *rate* intents per signal."""
    return [rate * (now - then) for then, now in zip([0, *SIGNALS], SIGNALS, strict=False)]


@pytest.fixture
def reduction(make_before: Make, make_after: Make) -> Callable[..., Status]:
    """The finding on the reduction with these counts at the judgement of this number."""
    # Any baseline tells here, and the estimate alone decides nothing: it is the bounds that are tried.
    base_before, base_after = make_before(), make_after()

    def find(before: int, after: int, number: int, share: float, least: float) -> Status:
        limits = Thresholds(reduction_min=least, reduction_proven=least, publish_everything=0)
        earlier = msgspec.structs.replace(base_before, intents=before, signals=BEFORE)
        later = msgspec.structs.replace(base_after, intents=after, signals=SIGNALS[number], error_share=share)
        return CRITERIA["reduction"](earlier, later, limits).status

    return find


def test_the_shares_make_one() -> None:
    """The judgements of a soak may spend the error once, half of it at the first that may pass."""
    assert 0.5 == SHARES[0]
    assert sum(SHARES) == pytest.approx(1)
    assert (0, 0, 1, 1) == tuple(error_spent(s, 30, 300) for s in (0, 29.9, 300, 301))
    assert (1, 1) == (error_spent(30, 30, 30), error_spent(0, 0, 0))


def test_a_release_at_the_boundary_passes_wrongly_in_at_most_5_percent(reduction: Callable[..., Status]) -> None:
    """A reduction of exactly what must be proven is taken for proven at any judgement with a chance below 5 %."""
    chance = ever_wrong(
        BEFORE, means(0.5), lambda b, a, k: reduction(b, a, k, SHARES[k], 0.5) is Status.PASSED, low=True
    )
    assert 0.001 < chance <= ERROR


def test_a_release_at_the_boundary_fails_wrongly_in_at_most_5_percent(reduction: Callable[..., Status]) -> None:
    """A reduction of exactly 80 % is taken for less at any judgement with a chance below 5 %, uncorrected above it."""
    corrected = ever_wrong(
        BEFORE, means(0.2), lambda b, a, k: reduction(b, a, k, SHARES[k], 0.8) is Status.FAILED, low=False
    )
    uncorrected = ever_wrong(BEFORE, means(0.2), lambda b, a, k: reduction(b, a, k, 1, 0.8) is Status.FAILED, low=False)
    assert 0.001 < corrected <= ERROR < uncorrected


def test_as_many_trades_as_before_fail_wrongly_in_at_most_5_percent(make_before: Make, make_after: Make) -> None:
    """With the same pace of trades, two by two, before and after, the governor's criterion holds its error as well."""
    base_before, base_after = make_before(governor=Governor(0, 1, 20_089)), make_after(signals=65)
    first, last = base_after.looks[0], base_after.looks[-1]

    def wrong(before: int, after: int, number: int) -> bool:
        looks = [
            msgspec.structs.replace(first, governor=Governor(2 * before, 1, 20_089)),
            msgspec.structs.replace(
                last,
                at_ms=first.at_ms + JUDGED_S[number] * 1000,
                governor=Governor(2 * (before + after), 1, 20_089),
            ),
        ]
        later = msgspec.structs.replace(base_after, looks=looks, error_share=SHARES[number])
        return CRITERIA["governor"](base_before, later, Thresholds()).status is Status.FAILED

    # Without a trade before there is nothing to compare with, so never a fail.
    pairs = [0.2 * (now - then) for then, now in zip([0, *JUDGED_S], JUDGED_S, strict=False)]
    chance = ever_wrong(6.0, pairs, lambda b, a, k: a > 100 or (b > 0 and wrong(b, a, k)), low=False)
    assert 0.001 < chance <= ERROR


def lags(rng: random.Random, seconds: int, work_s: float) -> list[int]:
    """Lag at each second when two intents come every 3 s and execution takes about *work_s* for each."""
    given, free_s = [], 0.0
    for came_s in range(0, seconds, 3):
        for _ in range(2):
            free_s = max(free_s, came_s)
            given.append((came_s, free_s))
            free_s += rng.expovariate(1 / work_s)
    return [sum(came_s <= second < given_s for came_s, given_s in given) for second in range(seconds)]


@pytest.mark.parametrize(("work_s", "least", "most"), [(0.15, 0, 0), (1.2, 0, 5), (3.0, 100, 100)])
def test_lag_fails_an_execution_that_cannot_keep_up(
    make_before: Make, make_after: Make, work_s: float, least: int, most: int
) -> None:
    """With execution idle no soak of 100 fails, with one that is busy to 80 % at most 5, with too slow a one all."""
    rng, base, failed = random.Random(4), make_after(), 0
    for _ in range(100):
        looks = [
            msgspec.structs.replace(base.looks[0], at_ms=second * 1000, execution=Execution(lag, 0))
            for second, lag in enumerate(lags(rng, 120, work_s))
        ]
        judged = (
            CRITERIA["execution lag"](make_before(), msgspec.structs.replace(base, looks=looks[:end]), Thresholds())
            for end in range(30, 121, 3)
        )
        failed += any(finding.status is Status.FAILED for finding in judged)
    assert least <= failed <= most


def full_book(rng: random.Random, most_s: int, *, heeds_the_cap: bool) -> tuple[list[int], list[int]]:
    """Open orders at each second, and the times in ms of intents, two at most every 3 s, each open for 20 to 40 s."""
    closing, opens, times_ms = [rng.uniform(0, 30) for _ in range(10)], [], []
    for tenth in range(most_s * 10):
        closing = [close_s for close_s in closing if close_s > tenth / 10]
        if tenth % 10 == 0:
            opens.append(len(closing))
        if tenth % 30 == 17:
            chosen = min(2, 10 - len(closing)) if heeds_the_cap else 2
            closing += [tenth / 10 + rng.uniform(20, 40) for _ in range(chosen)]
            times_ms += [tenth * 100] * chosen
    return opens, times_ms


@pytest.mark.parametrize(("heeds_the_cap", "least", "most"), [(True, 0, 1), (False, 100, 100)])
def test_who_takes_each_slot_at_once_is_told_from_who_ignores_the_cap(
    *, make_before: Make, make_after: Make, heeds_the_cap: bool, least: int, most: int
) -> None:
    """With all slots taken most of the time, of 100 soaks of a good release at most one fails, of a bad one all."""
    rng, base, failed = random.Random(4), make_after(), 0
    for _ in range(100):
        opens, times_ms = full_book(rng, MAX_S, heeds_the_cap=heeds_the_cap)
        looks = [
            msgspec.structs.replace(base.looks[0], at_ms=second * 1000, open_orders=count)
            for second, count in enumerate(opens)
        ]
        judged = (
            make_after(
                looks=looks[:end_s], intents_ms=[at_ms for at_ms in times_ms if at_ms < end_s * 1000], error_share=share
            )
            for end_s, share in zip(JUDGED_S, SHARES, strict=True)
        )
        found = (CRITERIA["not flooding"](make_before(), after, Thresholds()) for after in judged)
        failed += any(finding.status is Status.FAILED for finding in found)
    assert least <= failed <= most
