# SPDX-License-Identifier: Apache-2.0
"""What `make faults` makes of the results."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.fault_matrix import FAULTS, main

if TYPE_CHECKING:
    from pathlib import Path


def row(number: int, **facts: Any) -> dict[str, Any]:
    """A result that is as it must be, but for `facts`."""
    good = {"fault": "words", "phase": "soak", "outcome": "back", "seconds_to_recover": 1.25, "passed": True}
    return {"id": number, **good, "test": f"test_{number}", **facts}


def run(folder: Path, rows: list[dict[str, Any]]) -> tuple[int, dict[str, Any]]:
    """Exit status and report for these rows."""
    source, report = folder / "rows.jsonl", folder / "reports" / "faults.json"
    source.write_text("".join(json.dumps(each) + "\n" for each in rows))
    return main(source, report), json.loads(report.read_text())


def test_every_fault_once_is_a_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table has a line for each, in order, and the file the same rows."""
    code, report = run(tmp_path, [row(number) for number in range(FAULTS, 0, -1)])
    lines = capsys.readouterr().out.splitlines()
    assert (0, []) == (code, report["missing"])
    assert list(range(1, FAULTS + 1)) == [each["id"] for each in report["faults"]]
    assert ["1", "words", "soak", "back", "1.2"] == lines[1].split()
    assert lines[-1].startswith(f"{FAULTS} of {FAULTS} faults ended as they must, ")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([row(number) for number in range(2, FAULTS + 1)], "no result: 1"),
        ([*(row(number) for number in range(1, FAULTS + 1)), row(7, passed=False)], "failed: 7 test_7"),
        ([], f"no result: {FAULTS}"),
    ],
)
def test_a_fault_without_a_good_result_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: list[dict[str, Any]], said: str
) -> None:
    """One that nobody struck with, or one of whose tests failed, is named."""
    code, _report = run(tmp_path, rows)
    assert 1 == code
    assert said in capsys.readouterr().out.splitlines()
