# SPDX-License-Identifier: Apache-2.0
"""What `router run` is told on its command line."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from router.failures import recall

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("option", ["--holder", "--release"])
@pytest.mark.parametrize("text", [b"\xff", b"", b" ", b"a\nb", b"\x1b[2J", b"x" * 201])
def test_a_name_that_does_not_print_is_a_usage_error(option: str, text: bytes) -> None:
    """Lease, intents and log carry it, so it is refused in words before anything is asked of Redis."""
    command: list[str | bytes] = [sys.executable, "-m", "router", "run", option, text]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (64, "") == (refused.returncode, refused.stdout)
    assert f"Invalid value for '{option}': must be 1 to 200 characters that print" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_wrong_settings_and_unusable_files_end_it_with_one_counted_line(tmp_path: Path) -> None:
    """All are named at once, a file too where the setting of another is wrong, and exit code 78 is counted."""
    wrong = {
        "MAX_OPEN_ORDERS": "many",
        "ROUTER_REDIS_URL": "http://x",
        "ROUTER_REDIS_PASSWORD_FILE": "/no/password",
        "ROUTER_SENTINEL_PASSWORD_FILE": "/no/sentinel-password",
        "RUNTIME_DIRECTORY": str(tmp_path),
    }
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ROUTER_")} | wrong
    command = [sys.executable, "-m", "router", "run"]
    refused = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=20, check=False)
    assert (78, 1) == (refused.returncode, len(refused.stderr.splitlines()))
    assert refused.stderr.startswith("🔴 FAILED: MAX_OPEN_ORDERS='many' must be")
    for part in ("; ROUTER_REDIS_URL=", "cannot read /no/password,", "cannot read /no/sentinel-password,", "(exit 78)"):
        assert part in refused.stderr
    assert {"69": 0, "75": 0, "78": 1} == recall(environ)
    checked = subprocess.run(
        [*command[:3], "check"], env=environ, capture_output=True, text=True, timeout=20, check=False
    )
    assert (78, 4) == (checked.returncode, len(checked.stderr.splitlines()))


def test_the_version_is_told_as_an_option_too() -> None:
    """In the same words as the command."""
    option, command = (
        subprocess.run([sys.executable, "-m", "router", word], capture_output=True, text=True, timeout=20, check=True)
        for word in ("--version", "version")
    )
    assert command.stdout == option.stdout
