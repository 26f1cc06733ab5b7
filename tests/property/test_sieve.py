# SPDX-License-Identifier: Apache-2.0
"""The short way past what is not good enough: what takes it, and that it says what the longer ways say."""

from __future__ import annotations

from typing import Any

import pytest

from router.core.policy import MAX_BONUS
from router.core.sieve import Sieve
from router.core.signal import MAX_ID_LENGTH, MAX_SIZE_USD, MIN_SIZE_USD
from tests.property.samples import entry

SYMBOL, FLOOR = "BTCUSDT", 0.9
IDS = {"trace_id": "t", "correlation_id": "c"}


class HurriedSieve(Sieve):
    """A sieve that may be forbidden to look twice."""

    hurried = False

    def _learn(self, names: list[bytes]) -> list[bytes]:
        assert not self.hurried
        return super()._learn(names)

    def _is_low(self, valid: Any) -> bool:
        assert not self.hurried
        return super()._is_low(valid)

    def _completed(self, attributes: Any, flat: list[bytes]) -> Any:
        assert not self.hurried
        return super()._completed(attributes, flat)


@pytest.fixture(params=["symbol first", "floor first"])
def sieve(request: pytest.FixtureRequest) -> HurriedSieve:
    """A sieve that knows the symbol, with a floor for it, whichever came first."""
    sieve = HurriedSieve(min_confidence=0.5)
    if request.param == "floor first":
        sieve.raise_floor(SYMBOL, FLOOR)
    sieve.sift([entry(1, **IDS)])
    if request.param == "symbol first":
        sieve.raise_floor(SYMBOL, FLOOR)
    return sieve


def passes_over(sieve: Sieve, **changes: Any) -> bool:
    """Whether it counts the signal instead of handing it on."""
    through, passed_over = sieve.sift([entry(2, **{**IDS, **changes})])
    assert 1 == len(through) + passed_over
    return passed_over == 1


@pytest.mark.parametrize("size", [MIN_SIZE_USD, 100, MAX_SIZE_USD])
@pytest.mark.parametrize("confidence", [0.49, FLOOR - MAX_BONUS - 1e-9])
def test_what_no_bonus_can_save_is_passed_over_at_first_sight(
    sieve: HurriedSieve, confidence: float, size: float
) -> None:
    """Below the quality gate, or below the floor by more than any bonus: one decoding and nothing else."""
    sieve.hurried = True
    assert passes_over(sieve, confidence=confidence, position_size_usd=size)


@pytest.mark.parametrize(
    ("bonuses", "last"),
    [
        ({}, 0.9),
        ({"rl_gate_pass": True}, 0.88),
        ({"regime": "bull"}, 0.89),
        ({"rl_gate_pass": True, "regime": "bull"}, 0.87),
    ],
)
def test_the_floor_itself_is_good_enough_and_anything_below_is_not(
    sieve: Sieve, bonuses: dict[str, Any], last: float
) -> None:
    """By the exact score, whichever bonuses make it."""
    assert not passes_over(sieve, confidence=last, **bonuses)
    assert passes_over(sieve, confidence=last - 1e-6, **bonuses)


def test_a_floor_that_is_dropped_keeps_nothing_back(sieve: Sieve) -> None:
    """The quality gate alone remains."""
    sieve.drop_floor(SYMBOL)
    assert not passes_over(sieve, confidence=0.5)
    assert passes_over(sieve, confidence=0.49)


def test_the_longest_flat_id_is_completed_without_the_rule() -> None:
    """One character more, and the rule decides."""
    sieve = Sieve(min_confidence=0.5)
    for length, knows in ((MAX_ID_LENGTH, True), (MAX_ID_LENGTH + 1, False)):
        entry_id, flat = entry(1)
        ((_, _, attributes),), _ = sieve.sift([(entry_id, [*flat, b"trace_id", b"x" * length])])
        assert knows == (attributes is not None)
