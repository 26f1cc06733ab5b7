# SPDX-License-Identifier: Apache-2.0
"""Several problems as a message, and what is left of them in the last line."""

from __future__ import annotations

import importlib

import pytest

listing = importlib.import_module("ansible_collections.quantum.router.plugins.plugin_utils.listing")


@pytest.mark.parametrize(
    ("problems", "message", "line"),
    [
        ([], "", ""),
        (["a=1 is wrong"], "a=1 is wrong", "a=1 is wrong"),
        (["a", "b"], "2 problems:\n- a\n- b", "a (and 1 more, listed above)"),
        (["a\n b", "c", "d"], "3 problems:\n- a b\n- c\n- d", "a b (and 2 more, listed above)"),
    ],
)
def test_each_problem_has_a_line_and_the_last_line_the_first(problems: list[str], message: str, line: str) -> None:
    """All of them stand in Ansible's output; the line of the run names the first and how many more there are."""
    assert message == listing.listed(problems)
    assert line == listing.one_line(message)
    assert [" ".join(problem.split()) for problem in problems] == listing.problems_of(message)


def test_any_other_message_becomes_one_line() -> None:
    """What another module said in several lines is not cut."""
    assert "first - second" == listing.one_line("first\n- second")
