# SPDX-License-Identifier: Apache-2.0
"""Nothing that others write can break a line of the log, forge a field, or reach a terminal as anything but text."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypothesis import example, given
from hypothesis import strategies as st

from router.config import Settings
from router.core.policy import Capacity, TradingState
from router.log import TEXT_MAX, Log, encode_journal, encode_json, open_log
from router.redis_io.keys import catalogue
from router.redis_io.scripts import Commit, Observation, Reply
from router.telemetry import Telemetry
from tests.unit.test_log import decode_journal

if TYPE_CHECKING:
    import pytest

NASTY = "\"'\\\n\r\x00\x1b[2J\x9b31m\u2028\u202e</td><script>\nPRIORITY=0\nEVENT=ACTIVE 🔴 é"
HOSTILE = st.text(st.characters(codec="utf-8")) | st.sampled_from([NASTY, NASTY * 2000, "\ud800", "\udcff"])


def tell_everything(telemetry: Telemetry, text: str) -> None:
    """Put *text* wherever somebody else's text may come to."""
    seen = Observation(1, None, text, text, Capacity(TradingState.HALTED, None, 0), None, None, text, text)
    telemetry.standby(text)
    telemetry.active(text, text, text)
    telemetry.redis_unavailable(text, 0.0)
    telemetry.failed(text, 69)
    telemetry.state(seen, 0.0, 0.0)
    telemetry.state(replace(seen, capacity=replace(seen.capacity, state=TradingState.ACTIVE)), 0.0, 0.0)
    telemetry.committed(Commit(), Reply("OK", halted=text), 0.0)
    telemetry.backlog_skipped(text, 1)


def said(text: str) -> list[dict[str, Any]]:
    """The records of a router that meets *text* everywhere."""
    records: list[Any] = []
    settings = Settings()
    keys = replace(catalogue(settings), open_orders=text)
    tell_everything(Telemetry(Log(records.append), settings, keys), text)
    return records


@given(HOSTILE)
@example(NASTY)
def test_a_line_is_one_printable_line_and_each_fact_too(text: str) -> None:
    """Line breaks, escapes, marks of direction and lone surrogates are shown, not sent; length is bounded."""
    for record in said(text):
        for value in record.values():
            assert not isinstance(value, str) or (value.isprintable() and len(value) <= 10 * TEXT_MAX)


@given(HOSTILE)
@example(NASTY)
def test_no_text_forges_a_field_in_the_journal(text: str) -> None:
    """What journald takes in are exactly the fields that the event has."""
    for record in said(text):
        assert {key: str(value) for key, value in record.items()} == decode_journal(encode_journal(record))
        assert len(record) + 1 == len(encode_journal(record).split(b"\n"))


@given(HOSTILE)
@example(NASTY)
def test_a_json_line_is_one_line_that_any_reader_takes(text: str) -> None:
    """Standard error gets one line an event, and it parses back to the record."""
    for record in said(text):
        line = encode_json(record)
        assert "\n" not in line
        assert record == json.loads(line)


def test_standard_error_gets_one_line_an_event(capsys: pytest.CaptureFixture[str]) -> None:
    """As text and as JSON alike."""
    for log_format in ("text", "json"):
        telemetry = Telemetry(open_log(log_format, {}), Settings(), catalogue(Settings()))
        tell_everything(telemetry, NASTY)
        lines = capsys.readouterr().err.split("\n")
        assert ["", sum(telemetry.tally.lines.values()) + 1] == [lines[-1], len(lines)]
