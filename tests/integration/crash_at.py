# SPDX-License-Identifier: Apache-2.0
"""Run the router and kill it, by a real SIGKILL, around one call to Redis: `crash_at.py WHEN METHOD NUMBER ARGS...`.

WHEN is before or after, METHOD a method of Scripts or Reader, NUMBER the how-manieth call of it.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from router.cli import main
from router.redis_io.reader import Reader
from router.redis_io.scripts import Scripts

when, method, number, *arguments = sys.argv[1:]
owner: Any = Reader if method == "read" else Scripts
original = getattr(owner, method)
calls = 0


def die() -> None:
    """End at once, as by power loss: no handler, no clean-up."""
    os.kill(os.getpid(), signal.SIGKILL)


def call(self: Any, *args: Any) -> Any:
    """Call the original, unless this is where the process dies."""
    global calls  # noqa: PLW0603 - one process, one counter
    interesting = method != "commit" or bool(args[3].intents)
    calls += interesting
    fatal = interesting and calls == int(number)
    if fatal and when == "before":
        die()
    result = original(self, *args)
    if fatal or (method == "read" and result and when == "after-entries"):
        die()
    return result


setattr(owner, method, call)
main(arguments)
