# SPDX-License-Identifier: Apache-2.0
"""Run the router and stop it around one call to Redis: `crash_at.py SIGNAL WHEN METHOD NUMBER ARGS...`.

SIGNAL is SIGKILL or SIGSTOP, WHEN is before or after, METHOD a method of Scripts or Reader, NUMBER the how-manieth call
of it. The router gets the real signal, as by power loss or a host that is paused: no handler, no clean-up.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from router.cli import main
from router.redis_io.reader import Reader
from router.redis_io.scripts import Scripts

name, when, method, number, *arguments = sys.argv[1:]
owner: Any = Reader if method == "read" else Scripts
original = getattr(owner, method)
calls = 0


def stop() -> None:
    """Get the signal."""
    os.kill(os.getpid(), signal.Signals[name])


def call(self: Any, *args: Any, **options: Any) -> Any:
    """Call the original, unless this is where the process stops."""
    global calls  # noqa: PLW0603 - one process, one counter
    interesting = method != "commit" or bool(args[3].intents)
    calls += interesting
    due = interesting and calls == int(number)
    if due and when == "before":
        stop()
    result = original(self, *args, **options)
    if (due and when == "after") or (method == "read" and result and when == "after-entries"):
        stop()
    return result


setattr(owner, method, call)
main(arguments)
