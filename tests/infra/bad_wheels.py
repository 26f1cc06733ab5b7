# SPDX-License-Identifier: Apache-2.0
"""Makes a wheel that is wrong in one way out of the good one: `bad_wheels.py KIND GOOD_WHEEL BAD_WHEEL`.

A fault is code at the end of one module, where it takes the place of what the module has defined. With `-when-live`
behind its name it shows only outside of a drill, as if the release knew that it is looked at.
"""

from __future__ import annotations

import sys
import textwrap
import zipfile
from pathlib import Path

#: Kind -> (module, code).
FAULTS = {
    "does-not-parse": ("router/publisher.py", "def publish(:"),
    "does-not-import": ("router/commands/service.py", "import router.no_such_module"),
    "exits-at-start": (
        "router/service.py",
        """
def _exit(self):
    raise SystemExit("the fault of this wheel: cannot start")

Service.run = _exit
""",
    ),
    "never-ready": ("router/notify.py", "ServiceManager.ready = lambda self: None"),
    "crashes-after-ready": (
        "router/notify.py",
        """
_alive = ServiceManager.alive

def _crash(self, now_s):
    self.first_s = getattr(self, "first_s", now_s)
    if now_s > self.first_s + 1:
        raise SystemExit("the fault of this wheel: gone")
    _alive(self, now_s)

ServiceManager.alive = _crash
""",
    ),
    "hangs": (
        "router/notify.py",
        """
import time

_alive = ServiceManager.alive

def _hang(self, now_s):
    self.first_s = getattr(self, "first_s", now_s)
    if now_s > self.first_s + 3:
        time.sleep(3600)
    _alive(self, now_s)

ServiceManager.alive = _hang
""",
    ),
    # Works well, but systemd hears nothing of it and ends it again and again.
    "starves-its-watchdog": ("router/notify.py", "ServiceManager.alive = lambda self, now_s: None"),
    # Does all the work, and says that it is this release: but what runs was started from elsewhere.
    "runs-elsewhere": (
        "router/service.py",
        """
import os
import sys

_run = Service.run

def _elsewhere(self):
    if sys.executable == "/usr/bin/python3":
        return _run(self)
    os.environ["PYTHONPATH"] = os.path.dirname(os.path.dirname(__file__))
    os.execv("/usr/bin/python3", ["/usr/bin/python3", "-m", "router", *sys.argv[1:]])

Service.run = _elsewhere
""",
    ),
    # Takes the lease in the name of a release that was proven.
    "says-another-release": (
        "router/service.py",
        """
_init = Service.__init__

def _lie(self, settings, holder, release, *more):
    _init(self, settings, holder, "1.0.0-000000000000", *more)

Service.__init__ = _lie
""",
    ),
    # Holds the lease, moves the cursor, is well in every way but one.
    "silent": (
        "router/publisher.py",
        """
_decide = decide

def decide(candidates, *more):
    return _decide([], *more)
""",
    ),
    # Holds the lease as well; every valid signal is good enough and finds room.
    "floods": (
        "router/session.py",
        """
import router.publisher
from dataclasses import replace

_decide, _Window = router.publisher.decide, Window

def decide(candidates, capacity, settings, *more):
    boundless = replace(settings, max_open_orders=9999, target_open_orders=9999, max_new_per_cycle=9999)
    return _decide(candidates, replace(capacity, open_orders=0, in_flight=0), boundless, *more)

def Window(cursor, settings):
    return _Window(cursor, replace(settings, min_confidence=0.0))

router.publisher.decide = decide
""",
    ),
    # The three below say in their log that they publish the best.
    "publishes-elsewhere": (
        "router/redis_io/keys.py",
        """
from dataclasses import replace

_catalogue = catalogue

def catalogue(settings):
    keys = _catalogue(settings)
    return replace(keys, intents=keys.intents + ".other")
""",
    ),
    "publishes-reduce-only": (
        "router/core/intent.py",
        """
_chosen_intent = chosen_intent

def chosen_intent(*arguments):
    return _chosen_intent(*arguments).replace('"reduce_only":false', '"reduce_only":true')
""",
    ),
    "only-logs": (
        "router/publisher.py",
        """
import msgspec

_commit_decision = Publisher._commit_decision

def _log_decision(self, window, decision, seen):
    reply = _commit_decision(self, window, decide([], seen.capacity, self._settings), seen)
    return msgspec.structs.replace(reply, intents=["0-1" for _ in decision.choices])

Publisher._commit_decision = _log_decision
""",
    ),
}

WHEN_LIVE = "-when-live"


def fault(kind: str) -> tuple[str, str]:
    """Return the module that the fault *kind* is in, and the code."""
    module, code = FAULTS[kind.removesuffix(WHEN_LIVE)]
    if kind.endswith(WHEN_LIVE):
        code = textwrap.indent(code.strip(), "    ")
        code = f'import os\n\nif not os.environ.get("ROUTER_KEY_PREFIX", "").startswith("quantum-drill:"):\n{code}'
    return module, code


def spoil(good: Path, bad: Path, module: str, code: str) -> None:
    """Write the wheel `bad`: the wheel `good` with `code` at the end of `module`, and no digest for that one."""
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(bad, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            content = source.read(name).decode()
            if name == module:
                content += f"\n\n{code.strip()}\n"
            elif name.endswith(".dist-info/RECORD"):
                lines = content.splitlines()
                content = "".join(f"{module},,\n" if line.startswith(f"{module},") else f"{line}\n" for line in lines)
            target.writestr(name, content)


if __name__ == "__main__":
    spoil(Path(sys.argv[2]), Path(sys.argv[3]), *fault(sys.argv[1]))
