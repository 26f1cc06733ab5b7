# SPDX-License-Identifier: Apache-2.0
"""The summary of the chaos tests, printed at the end of the run, passed or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

SUMMARY = pytest.StashKey[list[str]]()


@pytest.fixture
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Add a line to the summary."""
    return request.config.stash.setdefault(SUMMARY, []).append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what the chaos tests did."""
    if lines := config.stash.get(SUMMARY, []):
        terminalreporter.section("chaos")
        for line in lines:
            terminalreporter.write_line(line)
