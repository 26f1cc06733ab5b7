# SPDX-License-Identifier: Apache-2.0
"""The fault matrix: a test that strikes a host with a fault bears the marker `fault`, which is the only list there is.

    @pytest.mark.fault(7, "silent release", phase="drill", outcome="refused")

Number and words are those of docs/guarantees.md, `phase` is the one that stops the fault or that it hits, `outcome` the
state that the host ends in. With FAULT_ROWS in the environment each result is appended there, a line of JSON each.

`python -m tests.fault_matrix ROWS REPORT` makes a table and a JSON file of those. It fails when a fault has no result,
or one that is not as it must be.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

#: They are numbered from 1.
FAULTS = 32
_COLUMNS = ("id", "fault", "phase", "outcome", "seconds to recover")
#: Seconds until what ran before ran again: a property of the test's report, see tests/infra/endings.py.
RECOVERY = "seconds_to_recover"
#: What a host may be left as.
OUTCOMES = ("proven", "back", "refused", "stopped")


def faults_of(item: pytest.Item) -> list[dict[str, Any]]:
    """Each fault that the test is marked with."""
    return [_fault(*mark.args, **mark.kwargs) for mark in item.iter_markers("fault")]


def _fault(number: int, words: str, *, phase: str, outcome: str) -> dict[str, Any]:
    if outcome not in OUTCOMES:
        raise pytest.UsageError(f"fault {number}: outcome {outcome!r} is none of {', '.join(OUTCOMES)}")
    return {"id": number, "fault": words, "phase": phase, "outcome": outcome}


def record(item: pytest.Item, report: pytest.TestReport) -> None:
    """Append what became of the test's faults, if it is told; of one that fails before or after it is called too."""
    rows = os.environ.get("FAULT_ROWS")
    if rows is None or not (report.when == "call" or report.failed):
        return
    seconds = dict(item.user_properties).get(RECOVERY)
    with Path(rows).open("a", encoding="utf-8") as file:
        for fault in faults_of(item):
            row = {**fault, "seconds_to_recover": seconds, "passed": report.passed, "test": item.nodeid}
            file.write(json.dumps(row) + "\n")


def missing(rows: list[dict[str, Any]]) -> list[int]:
    """The faults that no test has struck with."""
    return sorted(set(range(1, FAULTS + 1)) - {row["id"] for row in rows})


def table(rows: list[dict[str, Any]]) -> list[str]:
    """The rows for people, a head before them; what did not end as it must is FAILED."""
    cells = [_COLUMNS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_COLUMNS))]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    seconds = row["seconds_to_recover"]
    outcome = row["outcome"] if row["passed"] else f"FAILED: not {row['outcome']}"
    return str(row["id"]), row["fault"], row["phase"], outcome, "-" if seconds is None else f"{seconds:.1f}"


def main(source: Path, report: Path) -> int:
    """Print and write the matrix; returns the exit status."""
    lines = source.read_text(encoding="utf-8").splitlines() if source.exists() else []
    rows = sorted(map(json.loads, lines), key=lambda row: (row["id"], row["test"]))
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps({"missing": missing(rows), "faults": rows}, indent=1) + "\n", encoding="utf-8")
    failed = [row for row in rows if not row["passed"]]
    told = [f"no result: {number}" for number in missing(rows)]
    told += [f"failed: {row['id']} {row['test']}" for row in failed]
    held = len({row["id"] for row in rows} - {row["id"] for row in failed})
    told += [f"{held} of {FAULTS} faults ended as they must, {report}"]
    sys.stdout.write("\n".join([*table(rows), "", *told]) + "\n")
    return 1 if held < FAULTS else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
