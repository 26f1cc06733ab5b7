# SPDX-License-Identifier: Apache-2.0
"""Why a task failed, in the line that a person reads."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

failure = importlib.import_module("ansible_collections.quantum.router.plugins.plugin_utils.failure")


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ({}, ""),
        ({"msg": ""}, "failed without a word"),
        ({"msg": "one\n  line"}, "one line"),
        (
            {"msg": "non-zero return code", "stderr": "Traceback ...\nModuleNotFoundError: no x\n\n"},
            "ModuleNotFoundError: no x",
        ),
        ({"msg": "non-zero return code", "stdout": "only here"}, "only here"),
        ({"msg": "non-zero return code", "stderr": "no x", "phase": "check"}, "check: no x"),
        ({"msg": "no space", "phase": "stage"}, "no space"),
        ({"msg": "deserialization failed", "module_stderr": "/bin/sh: no python\n"}, "/bin/sh: no python"),
        ({"msg": "non-zero return code"}, "non-zero return code"),
    ],
)
def test_why_is_one_line(task: dict[str, Any], expected: str) -> None:
    """A module's message, or else the last line that a command wrote, is the reason."""
    assert expected == failure.why(task)


@pytest.mark.parametrize(
    "said", ["Missing sudo password", "sudo: a password is required", "/bin/sh: 1: sudo: not found"]
)
def test_missing_sudo_names_the_way_out(said: str) -> None:
    """Somebody who may not become root learns how to."""
    assert f"cannot become root: {said}; connect as root, allow sudo, or give --ask-become-pass" == failure.why(
        {"msg": said}
    )
