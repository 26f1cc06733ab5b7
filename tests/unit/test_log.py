# SPDX-License-Identifier: Apache-2.0
"""The log: readable lines with structured fields, that no value can break."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.log import Level, Log, encode_journal, open_log


def decode_journal(data: bytes) -> dict[str, str]:
    """Read journald's native protocol as journald does."""
    fields = {}
    while data:
        line, _, data = data.partition(b"\n")
        if b"=" in line:
            key, _, value = line.partition(b"=")
        else:
            key, size = line, int.from_bytes(data[:8], "little")
            value, data = data[8 : 8 + size], data[8 + size + 1 :]
        fields[key.decode()] = value.decode()
    return fields


@given(st.dictionaries(st.sampled_from(["MESSAGE", "EVENT", "SYMBOL"]), st.text(st.characters(codec="utf-8"))))
def test_any_value_reaches_journald_as_it_is(record: dict[str, str]) -> None:
    """Line breaks, equal signs and signs of any script survive and cannot forge a field."""
    assert record == decode_journal(encode_journal(record))


def test_an_event_is_a_line_with_its_facts_as_fields() -> None:
    """Names are upper-cased, what is unknown is left out."""
    seen: list[Any] = []
    assert Log(seen.append).event("CAPACITY_FULL", "🔴 CAPACITY_FULL open=10", Level.WARNING, open=10, slots=None)
    assert [{"MESSAGE": "🔴 CAPACITY_FULL open=10", "PRIORITY": 4, "EVENT": "CAPACITY_FULL", "OPEN": 10}] == seen


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_without_standard_error_nothing_is_written_and_nothing_fails(
    log_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python has none when whoever started it closed it; its number may be the connection's to Redis by then."""
    monkeypatch.setattr(sys, "stderr", None)
    assert not open_log(log_format, {}).event("STOPPED", "STOPPED")
