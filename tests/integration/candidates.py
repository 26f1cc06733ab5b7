# SPDX-License-Identifier: Apache-2.0
"""Releases to be drilled, as processes of this machine: the good one, and ones that are wrong in one way.

`python -m tests.integration.candidates KIND run --holder ...` is such a release. A fault is code at the end of a
module, as in tests/infra/bad_wheels.py, whose kinds are known here too.
"""

from __future__ import annotations

import importlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING

from router.proof.drill.run import CandidateError
from tests.infra.bad_wheels import FAULTS as WHEELS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Kind -> (module, code).
FAULTS = {
    **WHEELS,
    "good": ("router/publisher.py", ""),
    "dies": (
        "router/session.py",
        """
_step = Session.step

def step(self):
    if self._window.opened_s is not None:
        raise SystemExit("the fault of this release: it dies of its first signal")
    _step(self)

Session.step = step
""",
    ),
    "hangs": (
        "router/session.py",
        """
_step = Session.step

def step(self):
    while self._window.opened_s is not None:
        self._tenure.renew_if_due()
    _step(self)

Session.step = step
""",
    ),
    "reduce-only": (
        "router/publisher.py",
        """
_chosen = chosen_intent

def chosen_intent(*facts):
    return _chosen(*facts).replace('"reduce_only":false', '"reduce_only":true')
""",
    ),
    "another-stream": (
        "router/redis_io/scripts.py",
        """
from dataclasses import replace

_init = Scripts.__init__

def init(self, client, settings, keys):
    _init(self, client, settings, replace(keys, intents=keys.prefix + "quantum:stream:elsewhere"))

Scripts.__init__ = init
""",
    ),
    # Its log is perfect, its cursor moves; it only never publishes.
    "says-only": (
        "router/redis_io/scripts.py",
        """
from dataclasses import replace

_commit = Scripts.commit

def commit(self, lease, commit_id, cursor, made):
    done = _commit(self, lease, commit_id, cursor, replace(made, intents=()))
    return msgspec.structs.replace(done, intents=["1-1"] * len(made.intents))

Scripts.commit = commit
""",
    ),
    "says-nothing": ("router/log.py", "Log.event = lambda self, *line, **facts: True"),
    "no-boost": ("router/core/policy.py", "SIZE_BOOST.clear()"),
    "worst-first": (
        "router/core/window.py",
        "_ranked = Window.ranked\nWindow.ranked = lambda self: iter(list(_ranked(self))[::-1])",
    ),
    "publishes-again-later": (
        "router/publisher.py",
        """
import threading
from router.redis_io.keys import catalogue

_close = Publisher.close

def close(self, window):
    _close(self, window)
    scripts, keys = self._tenure.scripts, catalogue(self._settings)
    again = lambda: scripts._client.xadd(keys.intents, {"data": "{}"})
    if self._tenure.observe().open_orders_text is None:
        threading.Timer(0.2, again).start()

Publisher.close = close
""",
    ),
    # It takes the prefix for a mistake, and works where the desk does.
    "ignores-the-prefix": (
        "router/config.py",
        """
as_given = read

def read(environ, **how):
    return as_given({**environ, "ROUTER_KEY_PREFIX": ""}, **how)
""",
    ),
    # It does all that is asked of it, and trades a little on the side.
    "trades-on-the-side": (
        "router/publisher.py",
        """
_close = Publisher.close

def close(self, window):
    _close(self, window)
    own = {"data": '{"symbol":"SIDE","side":"BUY","release":"%s"}' % self._release}
    self._tenure.scripts._client.xadd("quantum:stream:trade.intent", own)

Publisher.close = close
""",
    ),
    "forgets-the-count": (
        "router/publisher.py",
        """
_close = Publisher.close

def close(self, window):
    _close(self, window)
    self._tenure.scripts._client.delete("quantum:state:open_orders")

Publisher.close = close
""",
    ),
    "goes-back": (
        "router/publisher.py",
        """
_close = Publisher.close

def close(self, window):
    _close(self, window)
    self._tenure.scripts._client.xgroup_setid("quantum:stream:ai.decision.made", "router", "0")

Publisher.close = close
""",
    ),
    "halts-the-desk": (
        "router/publisher.py",
        """
_close = Publisher.close

def close(self, window):
    _close(self, window)
    self._tenure.scripts._client.hset("quantum:router:halt", "reason", "none of its business")

Publisher.close = close
""",
    ),
}


class Process:
    """A release as a process; see `router.proof.drill.run.Candidate`. *settings* are its environment file."""

    start_timeout_s = 8.0

    def __init__(self, kind: str, release: str, folder: Path, settings: Mapping[str, str]) -> None:
        self._kind = kind
        self._release = release
        self._log = folder / "candidate.log"
        self._settings = settings
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, holder: str, environ: Mapping[str, str], lasts_s: float) -> None:
        """Start it and wait for READY=1, as systemd does."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("ROUTER_")}
        command = ["timeout", "--foreground", f"{lasts_s:g}"]
        command += [sys.executable, "-m", "tests.integration.candidates", self._kind, "run"]
        command += ["--holder", holder, "--release", self._release]
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(f"{folder}/notify")
            manager.settimeout(0.05)
            notify = {"NOTIFY_SOCKET": f"{folder}/notify"}
            with self._log.open("wb") as log:
                self.process = subprocess.Popen(
                    command, env={**inherited, **self._settings, **environ, **notify}, stdout=log, stderr=log,
                )  # fmt: skip
            deadline_s = time.monotonic() + self.start_timeout_s
            while b"READY=1" not in self._message(manager):
                if how := self.ended():
                    raise CandidateError(how)
                if time.monotonic() > deadline_s:
                    raise CandidateError("start operation timed out")

    @staticmethod
    def _message(manager: socket.socket) -> bytes:
        try:
            return manager.recv(4096)
        except TimeoutError:
            return b""

    def ended(self) -> str:
        """Return how it ended, "" while it runs."""
        if self.process is None or self.process.poll() is None:
            return ""
        return f"exit status {self.process.returncode}: {self.log().strip().splitlines()[-1:]}"

    def stop(self) -> None:
        """End it."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def log(self) -> str:
        """Return everything it has logged."""
        return self._log.read_text(encoding="utf-8")


def main() -> None:
    """Be a release of the kind that the first argument names."""
    path, code = FAULTS[sys.argv.pop(1)]
    name = path.removesuffix(".py").replace("/", ".")
    module = importlib.import_module(name)
    exec(compile(code, path, "exec"), vars(module))
    importlib.import_module("router.cli").main()


if __name__ == "__main__":
    main()
