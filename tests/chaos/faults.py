# SPDX-License-Identifier: Apache-2.0
"""The faults, each a function that strikes the world once and says whether it really happened."""

from __future__ import annotations

import contextlib
import functools
import signal
import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import redis

from tests.chaos.world import LEASE_TTL_S
from tests.integration.conftest import SIGNALS
from tests.integration.fault_proxy import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.chaos.world import World

    Strike = Callable[[World], bool]

#: What a request of the router holds: any one, a read, a commit, a commit that publishes.
MARKERS = (b"", b"XREAD", b"cursor_from", b"signal_id")
#: Every effect of the router: (when, method, how-manieth call).
EFFECTS = [
    (when, method, str(number))
    for method, calls in {"acquire": 1, "observe": 2, "read": 3, "renew": 1, "commit": 3}.items()
    for number in range(1, calls + 1)
    for when in ("before", "after")
]
#: A script of another client that keeps Redis busy for some seconds.
BUSY = """
local function now_s() local t = redis.call('TIME') return t[1] + t[2] / 1000000 end
local ends_s = now_s() + ARGV[1]
while now_s() < ends_s do end
"""


def wait_until(condition: Callable[[], bool], within_s: float = 4.0) -> bool:
    """Say whether *condition* came true *within_s*."""
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        with contextlib.suppress(redis.RedisError):  # stream or group may be missing just now
            if condition():
                return True
        time.sleep(0.01)
    return False


def through_proxy(fault: Fault, world: World) -> bool:
    """Spoil the next request of each router that holds a certain text."""
    marker = world.random.choice(MARKERS)
    long = fault is Fault.DELAY and not world.random.randrange(4)
    delay_s = LEASE_TTL_S + 0.4 if long else world.random.uniform(0.02, 0.3)
    before = _happened(fault, world)
    for proxy in world.proxies:
        proxy.ask(fault, marker, delay_s)
    happened = wait_until(lambda: _happened(fault, world) > before)
    for proxy in world.proxies:
        proxy.forget()
    return happened


def _happened(fault: Fault, world: World) -> int:
    return sum(proxy.happened[fault] for proxy in world.proxies)


def at_an_effect(number: signal.Signals, world: World) -> bool:
    """Give a router that is to become the active one *number* at some effect; a stopped one goes on after its lease."""
    victim, other = world.supervisors[1 - world.active], world.supervisors[world.active]
    # One after another, so that a long campaign strikes at all of them.
    effects = world.effects.setdefault(number, deque(world.random.sample(EFFECTS, len(EFFECTS))))
    effects.rotate()
    doomed = victim.restart_to(number.name, *effects[0]).process
    wait_until(lambda: doomed.poll() is not None or _state(doomed.pid) == "T", within_s=0.7)
    other.router.process.kill()
    world.server.client.delete("quantum:router:lease")  # the other, being restarted, would take its lease again
    if number is signal.SIGKILL:
        return wait_until(lambda: -signal.SIGKILL == doomed.poll())
    stopped = wait_until(lambda: _state(doomed.pid) == "T")
    time.sleep(LEASE_TTL_S + 0.2)
    doomed.send_signal(signal.SIGCONT)
    return stopped


def _state(pid: int) -> str:
    """The state letter of a process, see proc(5); its name is in brackets before it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(") ")[2][0]
    except OSError:
        return ""


def same_holder_twice(world: World) -> bool:
    """Start a second router under the active one's name: it retakes the lease, and again until it is killed."""
    twin = world.supervisors[world.active].start_router()
    happened = wait_until(lambda: bool(twin.events("ACTIVE")))
    twin.process.kill()
    twin.process.wait(timeout=5)
    return happened


def standby_takes_over(world: World) -> bool:
    """Kill the active router; its lease may expire before it is back."""
    world.supervisors[world.active].router.process.kill()
    return True


def foreign_reader(world: World) -> bool:
    """Somebody reads with our group, and never acknowledges."""
    return wait_until(lambda: bool(world.server.client.xreadgroup("router", "foreign", {SIGNALS: ">"}, count=5)))


def group_destroyed(world: World) -> bool:
    """The group is removed; what was counted until then is counted again from the beginning."""
    pipe = world.server.client.pipeline(transaction=True)

    def destroyed() -> bool:
        pipe.hvals("quantum:router:outcomes")
        pipe.xgroup_destroy(SIGNALS, "router")
        counted, done = pipe.execute()
        if done:
            world.counted_before = sum(map(int, counted))
        return bool(done)

    return wait_until(destroyed)


def lease_deleted(world: World) -> bool:
    """The lease key is gone."""
    return wait_until(lambda: bool(world.server.client.delete("quantum:router:lease")))


def redis_restarted(world: World, *, kill: bool) -> bool:
    """Redis ends, in order or by SIGKILL, and comes back with its append-only file."""
    world.server.stop(kill=kill)
    time.sleep(world.random.uniform(0, LEASE_TTL_S))
    world.server.start()
    return True


def out_of_memory(world: World) -> bool:
    """Every write is refused for a while."""
    world.server.client.config_set("maxmemory", "1")
    time.sleep(world.random.uniform(0.2, 0.6))
    world.server.client.config_set("maxmemory", "0")
    return True


def read_only_replica(world: World) -> bool:
    """Redis becomes a replica of nobody who answers, so every write is refused; then it is a primary again."""
    world.server.client.replicaof("127.0.0.1", "1")
    time.sleep(world.random.uniform(0.2, 0.6))
    world.server.client.replicaof("NO", "ONE")
    return True


def scripts_flushed(world: World) -> bool:
    """The script cache is emptied."""
    return bool(world.server.client.script_flush())


def busy(world: World) -> bool:
    """A script of another client runs long: everybody else is told BUSY."""
    wait_s = world.random.choice([0.1, 0.3, LEASE_TTL_S + 0.1])
    other = threading.Thread(target=world.connect().eval, args=(BUSY, 0, wait_s))
    other.start()
    happened = wait_until(lambda: _is_busy(world), within_s=wait_s)
    other.join()
    return happened


def _is_busy(world: World) -> bool:
    try:
        return not world.server.client.ping()
    except redis.RedisError as error:
        return "BUSY" in str(error)


def connections_killed(world: World) -> bool:
    """Redis ends every client's connection."""
    return bool(world.server.client.client_kill_filter(_type="normal", skipme=True))


FAULTS: dict[str, Strike] = {
    **{f"proxy: {fault.value}": functools.partial(through_proxy, fault) for fault in Fault},
    "SIGKILL at an effect": functools.partial(at_an_effect, signal.SIGKILL),
    "SIGSTOP past the lease at an effect": functools.partial(at_an_effect, signal.SIGSTOP),
    "SIGKILL of the active router": standby_takes_over,
    "two routers of one name": same_holder_twice,
    "foreign XREADGROUP on our group": foreign_reader,
    "group destroyed": group_destroyed,
    "lease key deleted": lease_deleted,
    "Redis restarted": functools.partial(redis_restarted, kill=False),
    "Redis killed": functools.partial(redis_restarted, kill=True),
    "Redis out of memory": out_of_memory,
    "read-only replica": read_only_replica,
    "SCRIPT FLUSH": scripts_flushed,
    "BUSY": busy,
    "connections killed": connections_killed,
}
