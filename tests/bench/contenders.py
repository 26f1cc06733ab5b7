# SPDX-License-Identifier: Apache-2.0
"""Who reads the signals: our router as its service runs, and those it is compared with, each a process of its own."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.bench.server import CLIENT_CORE, Server, end, start_on

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping, Sequence

ROOT: Final = Path(__file__).parents[2]
#: What `make bench` built: the environment of everybody who is measured, and the C client.
BUILT: Final = ROOT / ".cache/bench"
PYTHON: Final = str(BUILT / "venv/bin/python")
#: Signals of the backlog that is drained.
BACKLOG: Final = 3_000_000
#: Nothing grows stale while it waits, and windows are as short as the bar says.
FRESH: Final = {
    "CANDIDATE_WINDOW_SEC": "0.25",
    "ROUTER_SIGNAL_MAX_AGE_SEC": "86400",
    "ROUTER_DEDUP_TTL_SEC": "90000",
}


@dataclass(frozen=True)
class Contender:
    """A reader of the signal stream, started as *command* with the port of Redis as its last argument.

    It reads the last *signals* of the backlog: a slow one would take all day for the whole.
    """

    name: str
    command: tuple[str, ...]
    signals: int = BACKLOG


def peer(module: str) -> tuple[str, ...]:
    """Return the command that runs a peer written in Python."""
    return PYTHON, "-m", f"tests.bench.peers.{module}"


RAW_LOOP: Final = Contender("raw hiredis loop", peer("raw_loop"))
PEERS: Final = (
    Contender("C client with three reads in flight", (str(BUILT / "three_reads"),)),
    Contender("FastStream batch subscriber", peer("faststream_batch"), 300_000),
    Contender("walrus consumer group, batched", (*peer("walrus_group"), "untyped"), 1_000_000),
    Contender("walrus with a typed decoder", (*peer("walrus_group"), "typed"), 1_000_000),
    Contender("publish-everything router", peer("publish_all"), 2_000),
    Contender("the lab's publish-everything router", peer("lab_router"), 2_000),
)


class Started:
    """A process under measurement. *started_s* and *ready_s* are times of `time.monotonic`."""

    def __init__(self, process: subprocess.Popen[bytes], started_s: float, ready_s: float, log: Path) -> None:
        self.process = process
        self.started_s = started_s
        self.ready_s = ready_s
        self._log = log

    @property
    def log(self) -> str:
        """What it has written so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def check(self) -> None:
        """Raise with its last words if it has ended: what it was measured on is worth nothing."""
        if self.process.poll() is not None:
            raise RuntimeError(f"it ended with {self.process.returncode}:\n{self.log[-2000:]}")

    def status(self, name: str) -> int:
        """Return a number of `/proc/PID/status`, such as VmRSS in kB."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
        raise ValueError(f"/proc/{self.process.pid}/status has no {name}")

    @property
    def cpu_s(self) -> float:
        """Processor time used so far by all threads, in seconds."""
        return cpu_s(self.process.pid)


def cpu_s(pid: int) -> float:
    """Return the processor time that all threads of *pid* have used, in seconds; the scheduler counts nanoseconds."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text(encoding="ascii").split()[0]) for thread in threads) / 1e9


@contextlib.contextmanager
def started(command: Sequence[str], environ: Mapping[str, str], within_s: float = 30.0) -> Iterator[Started]:
    """Run *command* on the readers' core from its first READY on; it ends with the block."""
    if not Path(command[0]).exists():
        raise FileNotFoundError(f"{command[0]} is missing: `make bench` builds it")
    with tempfile.TemporaryDirectory(prefix="router-bench-") as name:
        folder = Path(name)
        log = folder / "log"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, log.open("wb") as stream:
            manager.bind(str(folder / "notify"))
            full = {**_inherited(), "NOTIFY_SOCKET": str(folder / "notify"), **environ}
            started_s = time.monotonic()
            process = start_on(CLIENT_CORE, command, env=full, stdout=stream, stderr=stream, cwd=ROOT)
            try:
                ready_s = _ready(manager, process, started_s + within_s)
                if ready_s is None:
                    raise RuntimeError(f"{' '.join(command)} did not get ready:\n{log.read_text(errors='replace')}")
                manager.close()  # nobody reads its further words; a full socket would hold it
                yield Started(process, started_s, ready_s, log)
            finally:
                end(process)


@contextlib.contextmanager
def router(server: Server, settings: Mapping[str, str]) -> Iterator[Started]:
    """Run the router as its service does, from READY on, with *settings*."""
    environ = {"ROUTER_LOG_FORMAT": "text", **settings, "ROUTER_REDIS_URL": server.url}
    with started((PYTHON, "-m", "router", "run"), environ) as process:
        yield process


@contextlib.contextmanager
def running(contender: Contender, server: Server) -> Iterator[Started]:
    """Run *contender* from its first read on."""
    with started((*contender.command, str(server.port)), {"REDIS_URL": server.url}) as process:
        yield process


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("ROUTER_")}


def _ready(manager: socket.socket, process: subprocess.Popen[bytes], deadline_s: float) -> float | None:
    """Wait for READY=1 and return when it came, None when it did not."""
    manager.settimeout(0.1)
    ended = False
    while time.monotonic() < deadline_s and not ended:
        ended = process.poll() is not None  # asked first: its last words count when it is brief
        with contextlib.suppress(TimeoutError):
            if b"READY=1" in manager.recv(4096).split(b"\n"):
                return time.monotonic()
    return None
