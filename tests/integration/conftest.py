# SPDX-License-Identifier: Apache-2.0
"""A real redis-server for each test that asks for one, and the router as a real process on it."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
import redis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class RedisServer:
    """A redis-server on a unix socket, append-only, that a test may stop, kill and start again on the same data."""

    def __init__(self, folder: Path, *options: str, configuration: Path | None = None) -> None:
        self._folder = folder
        self._configuration = configuration
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.socket = folder / "redis.sock"
        self.url = f"unix://{self.socket}"
        self.client = redis.Redis(unix_socket_path=str(self.socket), decode_responses=True, protocol=2)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        program = shutil.which("redis-server")
        assert program, "redis-server is missing: run make setup"
        options = [str(self._configuration)] if self._configuration else []
        options += ["--port", "0", "--unixsocket", str(self.socket), "--dir", str(self._folder), "--save", ""]
        options += ["--appendonly", "yes", "--maxmemory-policy", "noeviction", *self._options]
        log = (self._folder / "redis.log").open("ab")
        self._process = subprocess.Popen([program, *options], stdout=log, stderr=log)
        log.close()
        for _ in range(200):
            try:
                if self.client.ping():
                    return
            except redis.ConnectionError:
                time.sleep(0.02)
        raise AssertionError((self._folder / "redis.log").read_text(encoding="utf-8"))

    def send(self, number: signal.Signals) -> None:
        """Send *number* to the server."""
        assert self._process
        self._process.send_signal(number)

    def stop(self, *, kill: bool = False) -> None:
        """End the server, in order or by SIGKILL."""
        if self._process is not None:
            self.client.close()
            (self._process.kill if kill else self._process.terminate)()
            self._process.send_signal(signal.SIGCONT)  # one that a test has stopped ends only when it runs
            self._process.wait(timeout=10)
            self._process = None


@pytest.fixture
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A running server with empty data."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


SIGNALS = "quantum:stream:ai.decision.made"
INTENTS = "quantum:stream:trade.intent"
OPEN_ORDERS = "quantum:state:open_orders"
#: Short times, so that tests are; everything else is as shipped.
FAST = {"CANDIDATE_WINDOW_SEC": "0.4", "ROUTER_LEASE_TTL_SEC": "1", "ROUTER_LOG_FORMAT": "json"}

#: Seconds for what takes a fraction of one on a machine that has nothing else to do.
WITHIN_S = 20.0


def eventually(condition: Callable[[], Any], what: str | Callable[[], str], within_s: float = WITHIN_S) -> Any:
    """Return the first true value of *condition*; fail with *what*, asked then, when there is none *within_s*."""
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {within_s:g} s: {what() if callable(what) else what}")


class RouterProcess:
    """`python -m router run` (or *program*) as a process, with its log as events."""

    def __init__(self, url: str, log: Path, environ: dict[str, str], program: tuple[str, ...]) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("ROUTER_")}
        self._log = log
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, *program],
                env={**inherited, **FAST, "ROUTER_REDIS_URL": url, **environ},
                stderr=stream,
            )

    @property
    def log(self) -> str:
        """Everything logged so far."""
        return self._log.read_text(encoding="utf-8")

    def events(self, name: str, **fields: Any) -> list[dict[str, Any]]:
        """The events *name* logged so far whose fields are as given."""
        lines = [json.loads(line) for line in self.log.splitlines() if line.startswith("{") and line.endswith("}")]
        wanted = {key.upper(): value for key, value in fields.items()}
        return [e for e in lines if e["EVENT"] == name and wanted.items() <= e.items()]

    def wait_for(self, name: str, count: int = 1, within_s: float = WITHIN_S, **fields: Any) -> dict[str, Any]:
        """Return the *count*-th event *name* with *fields*, once it is there."""

        def found() -> list[dict[str, Any]]:
            events = self.events(name, **fields)
            return events if len(events) >= count else []

        def wanted() -> str:
            return f"{count} x {name} {fields} in:\n{self.log}"

        seen: list[dict[str, Any]] = eventually(found, wanted, within_s)
        return seen[count - 1]

    def stop(self) -> int:
        """End the process as systemd does, and return its exit code; a second must do."""
        self.process.terminate()
        return self.process.wait(timeout=1)

    def wait(self) -> int:
        """Return the exit code of a process that ends by itself."""
        return self.process.wait(timeout=WITHIN_S)

    def send(self, number: signal.Signals) -> None:
        """Send *number*."""
        self.process.send_signal(number)


@pytest.fixture
def start_router(redis_server: RedisServer, tmp_path: Path) -> Iterator[Callable[..., RouterProcess]]:
    """Start routers on the test's server; keyword arguments are environment variables."""
    started: list[RouterProcess] = []
    numbers = itertools.count()

    def start(*program: str, url: str = "", holder: str = "test/router", **environ: str) -> RouterProcess:
        command = program or ("-m", "router", "run", "--holder", holder)
        log = tmp_path / f"router-{next(numbers)}.log"
        started.append(RouterProcess(url or redis_server.url, log, environ, command))
        return started[-1]

    yield start
    for router in started:
        if router.process.poll() is None:
            router.process.kill()
            router.process.wait(timeout=5)


class Market:
    """What stands around the router: the producer of signals, and the books that must add up in the end."""

    def __init__(self, client: redis.Redis, prefix: str = "") -> None:
        self.client: Any = client
        self.prefix = prefix
        self._numbers = itertools.count()

    def signal(self, symbol: str = "BTCUSDT", confidence: float = 0.8, entry_id: str = "*", **facts: Any) -> str:
        """Add one signal, with a correlation id of its own unless *facts* name one."""
        payload = {"symbol": symbol, "side": "buy", "confidence": confidence, "position_size_usd": 100, **facts}
        payload.setdefault("correlation_id", f"c{next(self._numbers)}")
        fields = {"payload": json.dumps(payload), "event_type": "ai.decision.made", "source": "test"}
        return str(self.client.xadd(self.prefix + SIGNALS, fields, id=entry_id))

    def burst(self, size: int = 13) -> list[str]:
        """Add *size* signals of different symbols, worst first, confidences 0.70 to below 0.90."""
        return [self.signal(f"S{i}USDT", round(0.7 + 0.19 * i / size, 3)) for i in range(size)]

    def set_open_orders(self, count: int) -> None:
        """Say how many orders are open."""
        self.client.set(self.prefix + OPEN_ORDERS, count)

    @property
    def intents(self) -> list[dict[str, Any]]:
        """All intents, oldest first."""
        return [json.loads(fields["data"]) for _, fields in self.client.xrange(self.prefix + INTENTS)]

    @property
    def outcomes(self) -> dict[str, int]:
        """Counted outcomes so far."""
        return {name: int(n) for name, n in self.client.hgetall(f"{self.prefix}quantum:router:outcomes").items()}

    @property
    def group(self) -> dict[str, Any]:
        """The router's group as `XINFO GROUPS` shows it."""
        stream = self.prefix + SIGNALS  # a router that has just started may not have made it yet
        groups = self.client.xinfo_groups(stream) if self.client.exists(stream) else []
        return next((dict(g) for g in groups if g["name"] == "router"), {})

    def settled(self) -> bool:
        """Say whether every signal entry has been dealt with."""
        return bool(self.group) and self.group["lag"] == 0 and self.group["pending"] == 0

    def audit(self) -> None:
        """Assert the promise: every entry one outcome, none published twice, nothing pending, lag known and 0."""
        eventually(self.settled, "every signal dealt with")
        published = [intent["signal_id"] for intent in self.intents]
        ids = [intent.get("correlation_id") or intent["signal_id"] for intent in self.intents]
        assert len(published) == len(set(published)) == len(set(ids))
        assert self.client.xlen(self.prefix + SIGNALS) == sum(self.outcomes.values()), self.outcomes
        assert len(published) == self.outcomes.get("published", 0)


@pytest.fixture
def market(redis_server: RedisServer) -> Market:
    """The market on the test's server, with room for orders."""
    market = Market(redis_server.client)
    market.set_open_orders(0)
    return market


PASSWORD = "planted-s3cret"
#: A prefix and renamed keys, so that nothing is allowed by its usual name alone.
RENAMED = {"ROUTER_KEY_PREFIX": "desk2:", "ROUTER_SIGNAL_STREAM": "decisions", "ROUTER_GROUP": "r2"}


def run_router(url: str, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the router to its end."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ROUTER_")}
    environment = {**inherited, **FAST, "ROUTER_REDIS_URL": url, **environ}
    command = [sys.executable, "-m", "router", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)


@pytest.fixture
def login(redis_server: RedisServer, tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Make the users that `router acl` prints, and return the settings of a router that logs in so."""
    secret = tmp_path / "password"
    secret.write_text(f"{PASSWORD}\n", encoding="utf-8")
    admin: Any = redis_server.client
    admin.execute_command("ACL", "SETUSER", "admin", "on", "nopass", "~*", "&*", "+@all")
    admin.connection_pool.connection_kwargs.update(username="admin", password="any")
    admin.connection_pool.disconnect()

    def make(role: str = "service", **environ: str) -> dict[str, str]:
        settings = {"url": f"unix://desk@{redis_server.socket}", "ROUTER_REDIS_PASSWORD_FILE": str(secret), **environ}
        printed = run_router(settings["url"], "acl", "--for", role, **{k: v for k, v in settings.items() if k != "url"})
        assert 0 == printed.returncode, printed.stderr
        assert PASSWORD not in printed.stdout
        for line in printed.stdout.splitlines():
            admin.execute_command(*line.split())
        return settings

    return make
