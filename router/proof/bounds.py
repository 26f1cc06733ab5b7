# SPDX-License-Identifier: Apache-2.0
"""Exact bounds of a reduction of intents per signal, from four counts. Standard library only.

Rule: given the sum of both intent counts, the later one is binomial with p = r*N2 / (N1 + r*N2), where N1 and N2 are
the signals and r = the later rate over the earlier one. Clopper-Pearson bounds of p are therefore exact bounds of r,
and of the reduction 1 - r: they hold with at least the stated confidence for any counts, zero included.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

#: Relative error at which the continued fraction of the beta function is good enough.
_PRECISION: Final = 1e-14
#: Terms it may take; it needs about the square root of the counts, 1,500 at a million.
_MAX_TERMS: Final = 200_000


class Rate(NamedTuple):
    """Intents that so many signals led to; or trades in so many ms."""

    intents: int
    signals: int


class Reduction(NamedTuple):
    """A reduction of intents per signal: 1 = none left, 0 = as many, negative = more. Each bound is one-sided."""

    estimate: float
    lower: float
    upper: float


def reduction(before: Rate, after: Rate, confidence: float) -> Reduction | None:
    """Return the reduction from *before* to *after*, each bound holding alone with *confidence* (0.5 to 1, e.g. 0.95).

    None when it is not defined: no signals on a side, or no intents before.
    """
    if min(before.signals, after.signals, before.intents) <= 0:
        return None
    trials = before.intents + after.intents
    rho_per_odds = before.signals / after.signals
    low, high = (_odds(p) for p in proportion_bounds(after.intents, trials, confidence))
    estimate = 1 - rho_per_odds * after.intents / before.intents
    return Reduction(estimate, 1 - rho_per_odds * high, 1 - rho_per_odds * low)


def is_above(before: Rate, after: Rate, confidence: float) -> bool:
    """Say whether the rate *after* is above the one *before* with *confidence*; both are over more than nothing."""
    low, _ = proportion_bounds(after.intents, before.intents + after.intents, confidence)
    return low > after.signals / (before.signals + after.signals)


def proportion_bounds(successes: int, trials: int, confidence: float) -> tuple[float, float]:
    """Clopper-Pearson: the lower and the upper bound of a binomial's p, each holding alone with *confidence*."""
    failures = trials - successes
    low = _beta_quantile(1 - confidence, successes, failures + 1) if successes else 0.0
    high = _beta_quantile(confidence, successes + 1, failures) if failures else 1.0
    return low, high


def _odds(p: float) -> float:
    return p / (1 - p)


def _beta_quantile(probability: float, a: float, b: float) -> float:
    """Return x where the regularized incomplete beta function I_x(a, b) is *probability*, by bisection."""
    low, high = 0.0, 1.0
    while low < (middle := (low + high) / 2) < high:
        if _beta_cdf(middle, a, b) < probability:
            low = middle
        else:
            high = middle
    return middle


def _beta_cdf(x: float, a: float, b: float) -> float:
    """Return I_x(a, b) for 0 < x < 1; P(Binomial(n, x) >= k) is I_x(k, n - k + 1)."""
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast only below the mean
        return 1 - _beta_cdf(1 - x, b, a)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) / a * _beta_fraction(x, a, b)


def _beta_fraction(x: float, a: float, b: float) -> float:
    """Evaluate the continued fraction of I_x(a, b) with Lentz's method (DLMF 8.17.22)."""
    value, c, d = 1.0, 1.0, 0.0
    for term in range(1, _MAX_TERMS):
        m = term // 2
        if term % 2:
            numerator = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            numerator = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / (1 + numerator * d)
        c = 1 + numerator / c
        value *= c * d
        if abs(1 - c * d) < _PRECISION:
            break
    return 1 / value
