# SPDX-License-Identifier: Apache-2.0
"""The exact bounds against values computed another way: direct binomial sums with 60 decimal digits."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.proof.bounds import Rate, proportion_bounds, reduction


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (0, 10, 0.0, 0.258865550893),
        (1, 20, 0.002561378777, 0.216106164207),
        (5, 10, 0.222441101008, 0.777558898992),
        (10, 100, 0.055263237683, 0.163717623276),
        (10, 10, 0.741134449107, 1.0),
        (0, 1_000_000, 0.0, 0.000002995728),
        (1_500, 1_001_500, 0.001434761100, 0.001562894187),
    ],
)
def test_proportion_known(successes: int, trials: int, low: float, high: float) -> None:
    """Clopper-Pearson bounds at 95% one-sided equal the known values to nine digits."""
    assert (low, high) == pytest.approx(proportion_bounds(successes, trials, 0.95), rel=1e-8, abs=1e-12)


@pytest.mark.parametrize(
    ("before", "after", "estimate", "lower", "upper"),
    [
        (Rate(130, 131), Rate(40, 260), 0.844970414, 0.789156311, 0.887418003),
        (Rate(130, 131), Rate(0, 260), 1.0, 0.988254509, 1.0),
        (Rate(131, 131), Rate(26, 131), 0.801526718, 0.714207119, 0.865303138),
        (Rate(1, 1), Rate(0, 1), 1.0, -18.0, 1.0),
        (Rate(10, 10), Rate(2, 13), 0.846153846, 0.400235913, 0.975832972),
        (Rate(100, 100), Rate(100, 100), 0.0, -0.274582995, 0.215429671),
        (Rate(120, 130), Rate(500, 130), -3.166666667, -3.960639473, -2.514265547),
        (Rate(1_000_000, 1_000_000), Rate(1_500, 1_000_000), 0.9985, 0.998434659, 0.998563177),
    ],
)
def test_reduction_known(before: Rate, after: Rate, estimate: float, lower: float, upper: float) -> None:
    """The reduction and both bounds equal the known values, from one signal to a million."""
    assert (estimate, lower, upper) == pytest.approx(reduction(before, after, 0.95), rel=1e-7, abs=1e-8)


@pytest.mark.parametrize(
    ("before", "after"), [(Rate(0, 10), Rate(1, 10)), (Rate(0, 0), Rate(1, 10)), (Rate(9, 10), Rate(0, 0))]
)
def test_reduction_undefined(before: Rate, after: Rate) -> None:
    """Without signals on a side, or intents before, there is no reduction to speak of."""
    assert reduction(before, after, 0.95) is None


def test_large_counts_have_bounds() -> None:
    """Counts of ten million are nothing special: a sum term by term would not end within a soak."""
    found = reduction(Rate(10**7, 10**7), Rate(10**7, 10**7), 0.95)
    assert found is not None
    assert found.lower < 0 < found.upper


def _at_most(successes: int, trials: int, p: float) -> float:
    """P(X <= successes) of a binomial, summed term by term."""
    return math.fsum(math.comb(trials, k) * p**k * (1 - p) ** (trials - k) for k in range(successes + 1))


@given(trials=st.integers(1, 120), data=st.data(), confidence=st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_bounds_invert_the_binomial(trials: int, data: st.DataObject, confidence: float) -> None:
    """At each bound the count seen is exactly as unlikely as the confidence says, by direct sums."""
    successes = data.draw(st.integers(0, trials))
    low, high = proportion_bounds(successes, trials, confidence)
    if successes:
        assert 1 - _at_most(successes - 1, trials, low) == pytest.approx(1 - confidence, rel=1e-6)
    if successes < trials:
        assert _at_most(successes, trials, high) == pytest.approx(1 - confidence, rel=1e-6)


@given(trials=st.integers(1, 40), p=st.floats(0.01, 0.99))
def test_bounds_cover(trials: int, p: float) -> None:
    """Whatever the truth, the upper bound is below it with at most 5% probability, and the lower one above it."""
    missed = [0.0, 0.0]
    for k in range(trials + 1):
        low, high = proportion_bounds(k, trials, 0.95)
        chance = math.comb(trials, k) * p**k * (1 - p) ** (trials - k)
        missed[0] += chance * (low > p)
        missed[1] += chance * (high < p)
    assert max(missed) <= 0.05 + 1e-9


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(0, 10**6), st.integers(1, 10**6))
def test_bounds_enclose_the_estimate(x1: int, n1: int, x2: int, n2: int) -> None:
    """The estimate lies between its bounds, and everything is finite, for counts up to a million."""
    found = reduction(Rate(x1, n1), Rate(x2, n2), 0.95)
    assert found is not None
    assert found.lower <= found.estimate <= found.upper <= 1
    assert all(math.isfinite(value) for value in found)
