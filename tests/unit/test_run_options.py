# SPDX-License-Identifier: Apache-2.0
"""What `router run` is told on its command line."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("option", ["--holder", "--release"])
@pytest.mark.parametrize("text", [b"\xff", b"", b" ", b"a\nb", b"\x1b[2J", b"x" * 201])
def test_a_name_that_does_not_print_is_a_usage_error(option: str, text: bytes) -> None:
    """Lease, intents and log carry it, so it is refused in words before anything is asked of Redis."""
    command: list[str | bytes] = [sys.executable, "-m", "router", "run", option, text]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (64, "") == (refused.returncode, refused.stdout)
    assert f"Invalid value for '{option}': must be 1 to 200 characters that print" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_version_is_told_as_an_option_too() -> None:
    """In the same words as the command."""
    option, command = (
        subprocess.run([sys.executable, "-m", "router", word], capture_output=True, text=True, timeout=20, check=True)
        for word in ("--version", "version")
    )
    assert command.stdout == option.stdout
