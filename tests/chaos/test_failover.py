# SPDX-License-Identifier: Apache-2.0
"""A master that dies under the routers: what Redis had not replicated is lost, and nothing else goes wrong."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any

from redis.sentinel import Sentinel

from tests.chaos.world import Producer, Supervisor, check, counts
from tests.integration.conftest import Market
from tests.integration.sentinels import SERVICE, Sentinels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pytest


def published(supervisors: list[Supervisor]) -> Iterator[tuple[str, str]]:
    """Yield (signal id, intent id) of every intent that a router said it published."""
    for supervisor in supervisors:
        for router in supervisor.routers:
            for event in router.events("INTENT_PUBLISHED"):
                yield event["SIGNAL_ID"], event["INTENT_ID"]


def test_a_failover_loses_only_what_redis_had_not_replicated(
    tmp_path: Path, say: Callable[[str], None], request: pytest.FixtureRequest
) -> None:
    """What the new master holds keeps the promise; what the old one took with it is counted and shown."""
    sentinels = Sentinels(tmp_path)
    request.addfinalizer(sentinels.stop)
    sentinels.start()
    old = sentinels.master
    sentinels.servers[old].client.set("quantum:state:open_orders", 0)
    addresses = [("127.0.0.1", port) for port in sentinels.ports]
    asked: Any = Sentinel  # redis-py types neither it nor what it gives
    producer = Producer(asked(addresses, socket_timeout=1).master_for(SERVICE, decode_responses=True, protocol=2), 1)
    request.addfinalizer(producer.stop)
    supervisors = []
    for name in ("a", "b"):
        supervisors.append(Supervisor(name, sentinels.url, tmp_path))
        request.addfinalizer(supervisors[-1].stop)
    for thread in (producer, *supervisors):
        thread.start()
    time.sleep(3)
    (replica,) = (server for port, server in sentinels.servers.items() if port != old)
    replica.send(signal.SIGSTOP)  # it stands still and is cut off, so it misses what the master takes now
    sentinels.servers[old].client.client_kill_filter(_type="replica")
    time.sleep(0.6)
    sentinels.servers[old].send(signal.SIGKILL)
    replica.send(signal.SIGCONT)
    new = sentinels.fail_over()
    time.sleep(3)
    producer.pause()
    market = Market(sentinels.servers[new].client)
    check(market, supervisors)
    said = set(published(supervisors))
    held = {intent_id for intent_id, _ in market.client.xrange("quantum:stream:trade.intent")}
    found = counts(market)
    say(
        f"failover: signals in {producer.acknowledged}, held {found['signals in']}, intents out {len(said)}, "
        f"lost with the old master {len({intent_id for _, intent_id in said} - held)}, "
        f"published again {len(said) - len({signal_id for signal_id, _ in said})}"
    )
    assert found["intents out"] > 0
