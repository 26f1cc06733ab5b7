# SPDX-License-Identifier: Apache-2.0
"""How often the service ended with an error, kept over restarts: what ends a process is too late for its own metrics.

systemd keeps the folder RUNTIME_DIRECTORY while it restarts the unit (RuntimeDirectoryPreserve=restart) and clears it
when the unit is stopped. Without one nothing is kept.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The exit codes that are counted, as labels: those of `router.errors`.
EXIT_CODES: Final = ("69", "75", "78")
_FILE: Final = "failures.json"


def recall(environ: Mapping[str, str]) -> dict[str, int]:
    """Return the counts so far by exit code; all 0 where nothing readable was kept."""
    kept: dict[str, int] = {}
    if folder := environ.get("RUNTIME_DIRECTORY"):
        with contextlib.suppress(OSError, UnicodeDecodeError, msgspec.DecodeError):
            kept = msgspec.json.decode((Path(folder) / _FILE).read_bytes(), type=dict[str, int])
    return {code: max(0, kept.get(code, 0)) for code in EXIT_CODES}


def remember(environ: Mapping[str, str], failures: Mapping[str, int]) -> None:
    """Keep *failures* for the next process; a disk that refuses is no reason to end differently."""
    if folder := environ.get("RUNTIME_DIRECTORY"):
        with contextlib.suppress(OSError):
            unfinished = Path(folder) / f"{_FILE}.part"
            unfinished.write_bytes(msgspec.json.encode(failures))
            unfinished.replace(Path(folder) / _FILE)
