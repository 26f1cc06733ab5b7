# SPDX-License-Identifier: Apache-2.0
"""Hypothesis: no timings as tests, and in CI the same examples each time. The results of the fault matrix. Ctrl-C."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import Phase, settings

from tests.fault_matrix import record

if TYPE_CHECKING:
    from collections.abc import Generator

# What a script starts in the background ignores Ctrl-C, and so would every process that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("people", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
#: There only whether a test fails counts, not with what, and hundreds of runs must end in an hour.
settings.register_profile(
    "mutation",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=30,
    phases=[Phase.explicit, Phase.generate],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "people"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep what became of a test that is marked `fault`."""
    report = yield
    record(item, report)
    return report
