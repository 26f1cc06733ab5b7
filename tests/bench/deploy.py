# SPDX-License-Identifier: Apache-2.0
"""What a deployment costs: tasks, seconds, and how long nobody routes."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from tests.bench.lab import SETTINGS, BenchError
from tests.bench.report import Figure, median, whole

if TYPE_CHECKING:
    from tests.bench.lab import Host, Lab, Run

#: The second release: the same wheel with one setting changed.
OTHER: Final = {**SETTINGS, "MAX_OPEN_ORDERS": 9}
#: Rollbacks by hand a round, there and back: they are short.
BY_HAND: Final = 4
HOSTS: Final = (1, 3, 6)
#: Entries up to the cursor of the group, and outcomes, at one moment.
COUNTED: Final = """
local group, read = redis.call('XINFO', 'GROUPS', 'quantum:stream:ai.decision.made'), 0
for _, facts in ipairs(group) do
  if facts[2] == 'router' then read = facts[10] end
end
local sum = 0
for _, count in ipairs(redis.call('HVALS', 'quantum:router:outcomes')) do sum = sum + count end
return read - sum
"""
#: A window, and what is read while it is open, is counted when it closes.
PATIENCE_S: Final = 15.0


def measure(lab: Lab, rounds: int) -> list[Figure]:
    """Deploy to a fresh lab host over SSH, once more unchanged, then a second release, and go back from that.

    Each round has a new host with the router from before at work, and takes `make deploy` twice; a deployment of the
    same wheel with another setting; `make rollback`; and on the host `sudo router-release rollback --to ID`, twice to
    the second release and back to the first. Seconds are those of the whole `make`, from outside; the soak lasts as
    long as the judge needs signals for: it is the report's phase and told apart. Windows are 1 s long, so that the
    drill takes five of them and two seconds more; everything else is as shipped.

    A gap lasts from the end of the old process to the READY of the new one, by systemd's own monotonic timestamps
    (`InactiveEnter`, `ActiveEnter`); at activation the old one is the router from before and then the first release, at
    rollback it is a release. A rollback by hand is timed on the host, from before `sudo` to READY, the service's own
    start from the start of its process to READY, in the same rollback.

    Signals without an outcome: between the first deployment's end and the round's, entries up to the group's cursor
    that no outcome was counted for, or counted twice; the sum over all rounds.
    """
    seen: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        _round(lab, seen)
    return _figures(seen)


def measure_growth(lab: Lab, rounds: int) -> list[Figure]:
    """Deploy to 1, 3 and 6 fresh lab hosts at once, all on this one machine.

    Seconds of the whole `make deploy` without the first host's soak, since that host goes alone, and the longest of the
    others'. The hosts share the processors with each other, with the routers, feeds and servers on them, and with
    Ansible, so this is the worst case: of hosts of their own only Ansible's part is shared.
    """
    taken: dict[int, list[float]] = {count: [] for count in HOSTS}
    for _ in range(rounds):
        for count, values in taken.items():
            hosts = lab.fresh(count)
            run = lab.make("deploy", hosts)
            first_s, *others_s = map(lab.soak_s, hosts)
            values.append(run.seconds - first_s - max(others_s, default=0.0))
    figures = [median(f"hosts: {count} {'hosts' if count > 1 else 'host'}", "s", taken[count]) for count in HOSTS]
    for count in HOSTS[1:]:
        ratios = [many / one for many, one in zip(taken[count], taken[1], strict=True)]
        figures.append(median(f"hosts: {count} hosts / 1 host", "times", ratios))
    return figures


def _round(lab: Lab, seen: dict[str, list[float]]) -> None:
    (host,) = hosts = lab.fresh(1)
    first = lab.make("deploy", hosts)
    _deployed(lab, host, first, "first deployment", seen)
    uncounted = _uncounted(host)
    again = lab.make("deploy", hosts)
    _expect(again, "unchanged=true")
    seen["tasks, unchanged"].append(again.tasks)
    seen["unchanged"].append(again.seconds)
    releases = [host.release]
    second = lab.make("deploy", hosts, router_settings=OTHER)
    _deployed(lab, host, second, "second release", seen)
    releases.append(host.release)
    seen["rollback by make"].append(lab.make("rollback", hosts).seconds)
    seen["gap at rollback"].append(host.gap_s)
    for turn in range(BY_HAND):
        _by_hand(host, releases[1 - turn % 2], seen)
    seen["uncounted"].append(_settled(host, uncounted))


def _deployed(lab: Lab, host: Host, run: Run, name: str, seen: dict[str, list[float]]) -> None:
    _expect(run, "verdict=pass")
    soak_s = lab.soak_s(host)
    seen[f"tasks, {name}"].append(run.tasks)
    seen[f"{name}, with the soak"].append(run.seconds)
    seen[name].append(run.seconds - soak_s)
    seen["gap at activation"].append(host.gap_s)


def _by_hand(host: Host, release: str, seen: dict[str, list[float]]) -> None:
    clock = "/usr/bin/python3 -I -c 'import time; print(time.monotonic_ns() // 1000)'"
    began_us = int(host.run(f"{clock}; sudo router-release rollback --to {release} > /dev/null"))
    times = host.times_us()
    ready_s, start_s = (times["ActiveEnter"] - since for since in (began_us, times["ExecMainStart"]))
    seen["by hand"].append(ready_s / 1e6)
    seen["start"].append(start_s / 1e6)
    seen["by hand / start"].append(ready_s / start_s)
    seen["gap at rollback"].append(host.gap_s)


def _uncounted(host: Host) -> int:
    """Return how many entries up to the cursor have no outcome; those from before the first deployment have none."""
    return int(host.run(f'redis-cli --raw EVAL "{COUNTED}" 0'))


def _settled(host: Host, before: int) -> int:
    """Return by how many entries that has changed, once nothing is under way any more."""
    deadline_s = time.monotonic() + PATIENCE_S
    while (change := _uncounted(host) - before) and time.monotonic() < deadline_s:
        time.sleep(0.2)
    return change


def _expect(run: Run, words: str) -> None:
    if words not in run.output:
        raise BenchError(f"expected {words}:\n{run.output[-4000:]}")


def _figures(seen: dict[str, list[float]]) -> list[Figure]:
    tasks = [whole(f"deploy: {name}", "tasks a host", max(seen[name]), seen[name]) for name in seen if "tasks" in name]
    units = {"by hand / start": "times"}
    names = {
        "first deployment": "first deployment, without the soak",
        "first deployment, with the soak": "first deployment, with the soak",
        "second release": "second release, without the soak",
        "unchanged": "one that changes nothing",
        "rollback by make": "rollback by make",
        "by hand": "rollback by hand, to READY",
        "start": "start of the service, to READY",
        "by hand / start": "rollback by hand to READY / the service's own start",
        "gap at activation": "gap at activation",
        "gap at rollback": "gap at rollback",
    }
    figures = [median(f"deploy: {told}", units.get(name, "s"), seen[name]) for name, told in names.items()]
    lost = whole("deploy: signals without an outcome", "signals", sum(map(abs, seen["uncounted"])), seen["uncounted"])
    return [*tasks, *figures, lost]
