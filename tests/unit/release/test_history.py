# SPDX-License-Identifier: Apache-2.0
"""The journal as a table."""

from __future__ import annotations

import json
import resource
from typing import TYPE_CHECKING, Any

from ansible_collections.quantum.router.plugins.module_utils.release import cli, history, store
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    import pytest
    from ansible_collections.quantum.router.plugins.module_utils.release.host import Host

PASS = {
    "at": "2026-01-19T12:17:00.123Z",
    "who": "ann@ci-1",
    "action": "confirmed",
    "from": "legacy-0123456789ab",
    "to": "1.0.0-aaaaaaaaaaaa",
    "deployment": "d1",
    "verdict": "pass",
    "reduction": 0.847,
    "line_counts": "131/130 → 40/260",
    "seconds": 86.4,
}
BACK = {
    "at": "2026-01-19T13:00:00.000Z",
    "who": "root",
    "action": "rolled back",
    "from": "1.0.0-bbbbbbbbbbbb",
    "to": None,
    "deployment": "d2",
    "reason": "guard: not confirmed within 9 s",
    "problem": "it did not start",
    "seconds": None,
}


def lines(*entries: dict[str, Any]) -> list[str]:
    """The journal's lines."""
    return [json.dumps(entry) for entry in entries]


def test_table_has_who_when_what_numbers_and_duration() -> None:
    """A line each, in columns; what is not known is a dash."""
    staged = {"at": "2026-01-19T12:00:00.000Z", "who": "ann", "action": "staged", "to": "1.0.0-aaaaaaaaaaaa"}
    by_hand = {**PASS, "verdict": "inconclusive", "by_hand": True}
    head, first, second, third = history.table(history.rows(lines(staged, PASS, BACK, by_hand)))
    assert "at who action from to verdict reduction intents/signals took reason" == " ".join(head.split())
    assert first.split() == [
        *("2026-01-19T12:17:00Z", "ann@ci-1", "confirmed", "legacy-0123456789ab", "1.0.0-aaaaaaaaaaaa", "pass"),
        *("84.7%", "131/130", "→", "40/260", "86", "s", "-"),
    ]
    assert second.split()[:7] == [
        "2026-01-19T13:00:00Z",
        "root",
        "rolled",
        "back",
        "1.0.0-bbbbbbbbbbbb",
        "nothing",
        "-",
    ]
    assert second.endswith("guard: not confirmed within 9 s; it did not start")
    assert head.index("verdict") == first.index("pass") == third.index("inconclusive, by hand")


@given(st.lists(st.one_of(st.text(), st.from_regex(r"\{.*\}"), st.just('{"action": "confirmed"}'))))
def test_any_line_is_survived(found: list[str]) -> None:
    """Torn and foreign lines are left out, and a line without facts is a row of dashes."""
    rows = history.rows(found)
    assert len(rows) + 1 == len(history.table(rows))
    assert found.count('{"action": "confirmed"}') <= len(rows)


def test_end_of_a_deployment_is_one_line() -> None:
    """The last end of a deployment is told with person, time and reason; another's is not."""
    journal = lines(PASS, BACK)
    why = "guard: not confirmed within 9 s; it did not start"
    expected = f"deployment d2 was rolled back at 2026-01-19T13:00:00.000Z by root: {why}"
    last = history.end_of(journal, "d2")
    assert last is not None
    assert ("rolled back", expected) == (last["action"], history.told(last))
    assert history.end_of(journal, "d3") is None


def test_torn_line_takes_no_other_with_it(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    """After a write that a full disk cut short, the next line begins a line of its own."""
    store.record(host, "confirmed", to="1.0.0-aaaaaaaaaaaa")
    with host.layout.journal.open("a") as journal:
        journal.write('{"action": "confir')
    store.record(host, "rolled back", reason="x")
    assert cli.OK == cli.main(["history"], host)
    assert ["confirmed", "rolled"] == [line.split()[2] for line in capsys.readouterr().out.splitlines()[1:]]


def test_line_that_does_not_fit_is_told(host: Host) -> None:
    """A disk that takes half a line has not kept it, so what must be written down first is not done."""
    store.record(host, "confirmed")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (host.layout.journal.stat().st_size + 10, hard))
    try:
        warning = store.record(host, "capacity to be set", new=3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "No space left on device" in (warning or "")
    assert store.record(host, "rolled back") is None
    assert ["confirmed", "rolled back"] == [row["action"] for row in history.rows(store.journal(host.layout))]
