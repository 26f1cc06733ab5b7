# SPDX-License-Identifier: Apache-2.0
"""What the service tells systemd, how it starts, and how it refuses to."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Start = Callable[..., Any]


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """The receiving end of NOTIFY_SOCKET."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(5)
        yield receiver


def messages(systemd: socket.socket, until: str) -> list[str]:
    """Everything received up to the message that begins with *until*."""
    received: list[str] = []
    while not received or not received[-1].startswith(until):
        received.append(systemd.recv(4096).decode())
    return received


def test_ready_is_said_once_the_router_works_and_the_watchdog_is_fed_by_the_loop(
    start_router: Start, market: Any, systemd: socket.socket
) -> None:
    """READY=1 after the lease is taken, WATCHDOG=1 and STATUS= while it works, STOPPING=1 at the end."""
    address = systemd.getsockname()
    router = start_router(NOTIFY_SOCKET=address, WATCHDOG_USEC="400000")
    assert "READY=1" in messages(systemd, "READY=1")
    assert router.events("ACTIVE")
    messages(systemd, "WATCHDOG=1")
    market.burst()
    messages(systemd, "STATUS=active: CAPACITY_AVAILABLE, lag 0, open 0 of 10 (target 3), in flight 0, last window ")
    router.stop()
    messages(systemd, "STOPPING=1")


def test_a_stopped_process_feeds_no_watchdog(start_router: Start, market: Any, systemd: socket.socket) -> None:
    """The ping comes from the loop that does the work: when the loop stands, it stops."""
    router = start_router(NOTIFY_SOCKET=systemd.getsockname(), WATCHDOG_USEC="400000")
    messages(systemd, "WATCHDOG=1")
    router.process.send_signal(signal.SIGSTOP)
    time.sleep(0.1)
    systemd.settimeout(0)
    with contextlib.suppress(BlockingIOError):
        messages(systemd, "(what came before it stood still)")
    systemd.settimeout(0.6)
    with pytest.raises(TimeoutError):
        systemd.recv(4096)
    assert market.group


def test_a_standby_is_ready_too(start_router: Start, systemd: socket.socket) -> None:
    """A router that waits for the lease counts as started."""
    start_router(holder="a").wait_for("ACTIVE")
    start_router(holder="b", NOTIFY_SOCKET=systemd.getsockname())
    assert "STATUS=standby: a holds the lease" in messages(systemd, "READY=1")


def run(url: str, *command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m router` with *command* and return what it said."""
    return subprocess.run(
        [sys.executable, "-m", "router", *command],
        env={**os.environ, "ROUTER_REDIS_URL": url, **environ},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


@pytest.mark.parametrize("command", ["run", "check"])
def test_bad_settings_are_all_named_at_once_and_end_with_78(command: str) -> None:
    """Every bad value, unknown name and contradiction in one go; systemd does not restart on 78."""
    done = run(
        "http://x", command, MAX_OPEN_ORDERS="ten", TARGET_OPEN_ORDERS="3", ROUTER_MAXX="1",
        ROUTER_DEDUP_TTL_SEC="5", ROUTER_STRATEGY_URL="gate:80",
    )  # fmt: skip
    assert 78 == done.returncode
    for name in (
        "MAX_OPEN_ORDERS='ten'",
        "ROUTER_REDIS_URL=",
        "ROUTER_MAXX",
        "ROUTER_DEDUP_TTL_SEC",
        "ROUTER_STRATEGY_URL",
    ):
        assert name in done.stderr
    assert "Traceback" not in done.stderr


def test_redis_away_at_start_ends_with_69_and_one_line(tmp_path: Path) -> None:
    """Without Redis there is nothing to be ready for."""
    done = run(f"unix://{tmp_path}/none.sock", "run")
    assert 69 == done.returncode
    assert 1 == len(done.stderr.strip().splitlines())
    assert "none.sock" in done.stderr


def test_a_wrong_password_is_named_and_never_shown(redis_server: Any, tmp_path: Path) -> None:
    """Redis refuses the password: exit 69, the secret in no text."""
    redis_server.client.config_set("requirepass", "right-secret")
    secret = tmp_path / "password"
    secret.write_text("wrong-secret\n", encoding="utf-8")
    done = run(redis_server.url, "run", ROUTER_REDIS_PASSWORD_FILE=str(secret))
    assert 69 == done.returncode
    assert "password" in done.stderr
    assert "secret" not in done.stderr
    secret.write_text("right-secret\n", encoding="utf-8")
    credential = {"ROUTER_REDIS_PASSWORD_FILE": "password", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert 0 == run(redis_server.url, "check", **credential).returncode


def test_check_names_missing_rights_and_has_no_effect(redis_server: Any) -> None:
    """A user without XADD is told so before anything runs; the data is what it was."""
    redis_server.client.execute_command("ACL", "SETUSER", "default", "-xadd")
    done = run(redis_server.url, "check")
    assert 69 == done.returncode
    assert "may not XADD quantum:stream:trade.intent" in done.stderr
    assert [] == redis_server.client.keys("*")


def test_check_warns_of_what_weakens_the_promise(redis_server: Any) -> None:
    """Eviction and missing append-only are warnings, not errors."""
    redis_server.client.config_set("maxmemory-policy", "allkeys-lru")
    redis_server.client.config_set("appendonly", "no")
    done = run(redis_server.url, "check")
    assert 0 == done.returncode
    assert "maxmemory-policy is allkeys-lru" in done.stderr
    assert "appendonly is off" in done.stderr


def test_the_capacity_key_is_created_once_and_never_overwritten_unasked(redis_server: Any) -> None:
    """--create makes it 0 when it is missing and leaves it alone when it is not; --force and --add change it."""
    counts = [
        run(redis_server.url, "capacity", *words, "--json").stdout.strip()
        for words in (["--create"], ["--force", "7"], ["--create"], ["--add", "-3"], ["--add", "-30"], [])
    ]
    assert [
        '{"before":null,"after":"0","created":true}',
        '{"before":"0","after":"7","created":false}',
        '{"before":"7","after":"7","created":false}',
        '{"before":"7","after":"4","created":false}',
        '{"before":"4","after":"0","created":false}',
        '{"before":"0","after":"0","created":false}',
    ] == counts


def test_a_capacity_key_that_holds_no_count_is_not_added_to(redis_server: Any) -> None:
    """A list or a word where the count should be is somebody's mistake, not ours to overwrite."""
    redis_server.client.rpush("quantum:state:open_orders", 1)
    done = run(redis_server.url, "capacity", "--add", "1")
    assert 69 == done.returncode
    assert "holds no count" in done.stderr
    assert "list" == redis_server.client.type("quantum:state:open_orders")


def test_what_would_be_no_count_is_not_added(redis_server: Any) -> None:
    """Nine digits are the most: a greater sum is refused, not made smaller."""
    assert 0 == run(redis_server.url, "capacity", "--force", "999999998").returncode
    assert 0 == run(redis_server.url, "capacity", "--add", "1").returncode
    done = run(redis_server.url, "capacity", "--add", "1")
    assert 69 == done.returncode
    assert "quantum:state:open_orders would be above 999999999" in done.stderr
    assert "999999999" == redis_server.client.get("quantum:state:open_orders")


def test_usage_errors_end_with_64() -> None:
    """A mistyped command is told the nearest one."""
    done = run("redis://127.0.0.1", "chek")
    assert 64 == done.returncode
    assert "check" in done.stderr
