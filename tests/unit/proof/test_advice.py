# SPDX-License-Identifier: Apache-2.0
"""Advice names what the numbers show, and nothing when they show nothing."""

from __future__ import annotations

from typing import Any

import pytest

from router.proof.advice import advise
from router.proof.evidence import Execution

Make = Any
CALM = {"execution": Execution(lag=0, pending=0), "signals": 200, "eligible": 90}


def test_a_calm_deployment_gets_no_advice(make_before: Make, make_after: Make) -> None:
    """Room for orders, execution keeping up, many signals: nothing to say."""
    assert [] == advise(make_before(), make_after(**CALM))


@pytest.mark.parametrize(
    ("look", "changes", "said"),
    [
        ({"open_orders": 15}, {}, "risk: 15 orders were open with a cap of 10"),
        ({}, {"execution": Execution()}, "risk: execution's lag is unknown"),
        ({}, {"execution": Execution(lag=67_448, pending=1)}, "risk: execution is 67448 intents behind"),
        ({}, {"safe_mode": "1"}, "risk: safe mode is on (1)"),
        ({"open_orders": 3}, {}, "tune: at or above TARGET_OPEN_ORDERS=3 in 100% of the looks"),
        ({}, {"eligible": 0}, "tune: no signal reached MIN_CONFIDENCE=0.75"),
        ({}, {"signals": 20}, "tune: 131 and 20 signals are few"),
    ],
)
def test_what_the_numbers_show_is_named(
    make_before: Make, make_after: Make, make_look: Make, look: dict[str, Any], changes: dict[str, Any], said: str
) -> None:
    """Each risk and each setting worth a thought has a line of its own, with its numbers."""
    after = make_after(**{**CALM, "looks": [make_look(**look)] * 5, **changes})
    assert any(line.startswith(said) for line in advise(make_before(), after)), advise(make_before(), after)
