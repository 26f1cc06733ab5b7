# SPDX-License-Identifier: Apache-2.0
"""The short form of `make fuzz`: a few thousand cases, and the ones that were worth keeping."""

from __future__ import annotations

from random import Random

from hypothesis import example, given
from hypothesis import strategies as st

from tests.property.fuzz import case, check

GOOD_BUT = b'{"symbol": "A", "side": "buy", "confidence": 0.8, "position_size_usd": 100, '
DEEP = b'{"symbol": "A", "side": "buy", "confidence": ' + b"[" * 1000 + b"1" + b"]" * 1000 + b"}"


@given(st.integers(0, 2**32).map(Random).map(lambda random: [case(random) for _ in range(30)]))
@example([[b"payload", b"\xff"], [b"payload", b"{"], [b"payload", b'"text"'], [b"payload", DEEP]])
@example([[b"payload", b'{"symbol": "\\ud800"}'], [b"symbol", b"\xed\xa0\x80"], [b"symbol", b"A\n"], [b"side", b"\0"]])
@example(
    [[b"payload", b'{"confidence": 1' + b"0" * 5000 + b"}"], [b"confidence", b"9" * 5000], [b"confidence", b"1e999"]]
)
@example([[b"confidence", "٣".encode(), b"symbol", "ﬀ".encode()], [b"payload", b"{}", b"payload", b"{"]])
@example([[b"payload", GOOD_BUT + b'"action": 1e999}'], [b"payload", GOOD_BUT + b'"action": 5}']])
def test_whatever_an_entry_holds_it_gets_one_outcome(cases: list[list[bytes]]) -> None:
    """No exception, the sieve agrees with the rule, and every intent is JSON with finite numbers."""
    check(cases)
