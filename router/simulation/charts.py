# SPDX-License-Identifier: Apache-2.0
"""Numbers over time, as steps: what was counted, what overlapped, and for how long it was how much. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from router.simulation.orders import Span

#: (time in milliseconds since 1970, the value from then on), in the order of the times.
Steps = list[tuple[int, int]]


@dataclass(frozen=True)
class Chart:
    """A picture with a curve for each label."""

    title: str
    curves: dict[str, Steps]


def counted(times_ms: Iterable[int]) -> Steps:
    """Return how many of *times_ms* there were up to each of them."""
    return summed((ms, 1) for ms in times_ms)


def overlapping(spans: Sequence[Span]) -> Steps:
    """Return how many of *spans* there are at each time at which that changes."""
    return summed([(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans])


def summed(changes: Iterable[tuple[int, int]]) -> Steps:
    """Return the running sum of *changes*, each at its time, in any order."""
    at: Counter[int] = Counter()
    for ms, change in changes:
        at[ms] += change
    times = sorted(at)
    return list(zip(times, accumulate(at[ms] for ms in times), strict=True))


def most(steps: Steps) -> int:
    """Return the greatest value, 0 without any."""
    return max((value for _, value in steps), default=0)


def time_at_least_ms(steps: Steps, level: int, begin_ms: int, end_ms: int) -> int:
    """Return for how long between *begin_ms* and *end_ms* the value is *level* or more."""
    whole = [(min(begin_ms, steps[0][0]) if steps else begin_ms, 0), *steps, (end_ms, 0)]
    return sum(
        max(0, min(until, end_ms) - max(since, begin_ms))
        for (since, value), (until, _) in pairwise(whole)
        if value >= level
    )
