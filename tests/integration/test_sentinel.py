# SPDX-License-Identifier: Apache-2.0
"""The router behind three real sentinels: it finds the master, and goes on at the new one after a failover."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.conftest import Market, eventually
from tests.integration.sentinels import SERVICE, Sentinels, free_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.integration.conftest import RouterProcess


@pytest.fixture
def sentinels(tmp_path: Path) -> Iterator[Sentinels]:
    """A running master, replica and three sentinels."""
    replicated = Sentinels(tmp_path)
    replicated.start()
    yield replicated
    replicated.stop()


@pytest.mark.parametrize("loss", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
def test_the_router_goes_on_at_the_new_master_by_itself(
    sentinels: Sentinels, start_router: Callable[..., RouterProcess], loss: signal.Signals
) -> None:
    """After the master dies or freezes the same process publishes from the new one, each signal at most once."""
    first = Market(sentinels.servers[sentinels.master].client)
    first.set_open_orders(0)
    router = start_router(url=sentinels.url, ROUTER_SIGNAL_MAX_AGE_SEC="60")
    router.wait_for("ACTIVE")
    first.signal("BTCUSDT")
    router.wait_for("INTENT_PUBLISHED", symbol="BTCUSDT")
    first.client.wait(1, 2000)

    second = Market(sentinels.servers[sentinels.fail_over(loss)].client)
    second.signal("ETHUSDT", correlation_id="second")
    router.wait_for("INTENT_PUBLISHED", symbol="ETHUSDT", within_s=15)
    assert ["BTCUSDT", "ETHUSDT"] == [intent["symbol"] for intent in second.intents]
    second.audit()
    assert router.process.poll() is None


def test_a_master_that_is_demoted_is_left(sentinels: Sentinels, start_router: Callable[..., RouterProcess]) -> None:
    """A failover that an operator orders leaves the old master alive as a replica; the router does not stay with it."""
    first = Market(sentinels.servers[sentinels.master].client)
    first.set_open_orders(0)
    router = start_router(url=sentinels.url)
    router.wait_for("ACTIVE")
    (other,) = sentinels.servers.keys() - {sentinels.master}
    sentinels.sentinel(sentinels.ports[0]).sentinel_failover(SERVICE)
    second = Market(sentinels.servers[other].client)
    eventually(lambda: second.client.role()[0] == "master", "the new master takes writes", within_s=15)
    router.wait_for("ACTIVE", count=2, within_s=15)
    second.signal("ETHUSDT", correlation_id="second")
    router.wait_for("INTENT_PUBLISHED", symbol="ETHUSDT")


def test_a_watch_follows_to_the_new_master(sentinels: Sentinels, tmp_path: Path) -> None:
    """`router status --watch` shows the new master's count of open orders once the old one is dead."""
    log = tmp_path / "watch.log"
    Market(sentinels.servers[sentinels.master].client).set_open_orders(3)
    with log.open("wb") as stream:
        command = [sys.executable, "-m", "router", "status", "--watch"]
        watch = subprocess.Popen(command, env={**os.environ, "ROUTER_REDIS_URL": sentinels.url}, stdout=stream)
    try:
        eventually(lambda: "open      3 of 10" in log.read_text(encoding="utf-8"), "a look at the first master")
        Market(sentinels.servers[sentinels.fail_over()].client).set_open_orders(4)
        eventually(lambda: "open      4 of 10" in log.read_text(encoding="utf-8"), "a look at the second", within_s=15)
    finally:
        watch.send_signal(signal.SIGINT)
        assert 0 == watch.wait(timeout=5)


def test_what_keeps_a_start_from_the_master_is_one_line_and_exit_69(
    start_router: Callable[..., RouterProcess], tmp_path: Path
) -> None:
    """Dead sentinels, a service nobody watches, a missing password: each is named; with all of it right it runs."""
    guarded = Sentinels(tmp_path, password="s3ntinel")
    secret = tmp_path / "sentinel-password"
    secret.write_text("s3ntinel\n", encoding="utf-8")
    (dead,), password = free_ports(1), {"ROUTER_SENTINEL_PASSWORD_FILE": str(secret)}
    try:
        guarded.start()
        without = start_router(url=guarded.url)
        assert 69 == without.wait()
        assert "Authentication required" in without.events("FAILED")[0]["MESSAGE"]

        alive = guarded.ports[0]
        nobody = start_router(url=f"redis+sentinel://127.0.0.1:{dead},127.0.0.1:{alive}/nobody", **password)
        assert 69 == nobody.wait()
        (line,) = (event["MESSAGE"] for event in nobody.events("FAILED"))
        assert "no sentinel names a master of 'nobody': 127.0.0.1:" in line
        assert "Connection refused" in line
        assert f"127.0.0.1:{alive}: it watches no nobody" in line
        assert 1 == len(nobody.log.splitlines())

        start_router(url=guarded.url, **password).wait_for("ACTIVE")
    finally:
        guarded.stop()


def look(folder: Path, **options: str) -> dict[str, Any]:
    """What a deployment finds before it touches anything: the answer of quantum.router.router_info."""
    arguments = folder / "arguments.json"
    arguments.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": options}), encoding="utf-8")
    module = "ansible_collections.quantum.router.plugins.modules.router_info"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2] / "ansible")}
    done = subprocess.run(
        [sys.executable, "-m", module, arguments], env=environment, stdout=subprocess.PIPE, check=True
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    # What else this machine lacks, systemd perhaps, is no affair of these tests.
    answer["problems"] = [line for line in answer["problems"] if "Redis" in line or "sentinel" in line]
    return answer


def test_a_deployment_is_told_which_password_is_wrong_before_it_writes_one(tmp_path: Path) -> None:
    """It asks the sentinels for the master and logs in there; each refusal names the variable, and no password."""
    guarded = Sentinels(tmp_path, password="s3ntinel")
    try:
        guarded.start()
        for server in guarded.servers.values():
            server.client.acl_setuser("desk", enabled=True, passwords=["+s3cret"], commands=["+@all"], keys=["*"])
        places = ",".join(f"127.0.0.1:{port}" for port in (*free_ports(1), *guarded.ports))
        url = f"redis+sentinel://desk@{places}/{SERVICE}/0"
        right = {"redis_url": url, "redis_password": "s3cret", "sentinel_password": "s3ntinel"}
        found = look(tmp_path, **right)
        assert [] == found["problems"]
        assert guarded.servers[guarded.master].client.info("server")["run_id"] == found["redis"]["run_id"]
        at_master = f"Redis at 127.0.0.1:{guarded.master}"
        for wrong, said in (
            ({"redis_password": "mistyp3d"}, (f"{at_master} refuses the password", "router_redis_password")),
            ({"sentinel_password": "mistyp3d"}, ("no sentinel names the master", "router_sentinel_password")),
            ({"sentinel_password": ""}, ("NOAUTH", "router_sentinel_password")),
            ({"redis_url": url.replace(SERVICE, "nobody")}, ("watches no 'nobody'", "router_redis_url")),
            # Whoever makes the users logs in at each server by itself, but the router will have to ask.
            ({"redis_admin_url": f"redis://127.0.0.1:{guarded.master}", "sentinel_password": ""}, ("NOAUTH",)),
        ):
            (problem,) = look(tmp_path, **{**right, **wrong})["problems"]
            assert all(part in problem for part in said), problem
            assert not any(secret in problem for secret in ("s3cret", "s3ntinel", "mistyp3d"))
    finally:
        guarded.stop()
