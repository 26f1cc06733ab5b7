# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several hosts deployed to in one run: who is refused, who may begin, and how each of them ends. Pure.

The first host goes alone. What is proven waits, under its guard, until all are: then all are confirmed, or none.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Iterable, Mapping
from urllib.parse import parse_qs, urlsplit

from ansible_collections.quantum.router.plugins.module_utils.release import login
from ansible_collections.quantum.router.plugins.module_utils.release.process import policy
from ansible_collections.quantum.router.plugins.plugin_utils.listing import one_line

LONGEST_WAIT_S = 604_800
"""A week: the most that a person may give a held deployment, too."""

DONE = ("proven", "held", "unchanged")
"""What a host's report calls a deployment that did not fail."""

_UNTOUCHED = "no host of the fleet was touched"


@dataclass(frozen=True)
class Member:
    """One host as the controller knows it; nothing of it is known while a field has its default.

    `release` and `environment` come from preflight, `info` is the newest answer of router_info, `standing` and `reason`
    are those of the host's report. A host that Ansible has lost is not `reachable`.
    """

    reachable: bool = True
    release: str = ""
    deployment: str = ""
    environment: str = ""
    info: Mapping[str, Any] = field(default_factory=dict)
    standing: str = ""
    reason: str = ""

    @property
    def settings(self) -> dict[str, str]:
        """Those that its release will have, by name."""
        return login.parse(self.environment)


Fleet = Mapping[str, Member]
"""By name, in the order of the inventory."""


@dataclass(frozen=True)
class Ending:
    """What is to be done with a host: confirm, hold, rollback, or nothing; `reason` tells what else went wrong."""

    action: str
    reason: str = ""


def refusals(fleet: Fleet, wait_s: float) -> list[str]:
    """One line for each thing that keeps these hosts from being one fleet; *wait_s* is how long a proven host waits."""
    found = [f"{name} cannot be reached: {_UNTOUCHED}" for name, member in fleet.items() if not member.reachable]
    known = {name: member for name, member in fleet.items() if member.reachable and member.release}
    found += [
        f"{name} is refused, its own line says why: {_UNTOUCHED}"
        for name, member in fleet.items()
        if member.reachable and not member.release
    ]
    found += _shared(known)
    found += _differences({name: _intended(member) for name, member in known.items()})
    if wait_s > LONGEST_WAIT_S:
        found.append(
            f"a host that is proven would wait {wait_s:.0f} s for the others, more than a week: deploy to fewer hosts "
            "(--limit), to more of them at once (--forks), or shorten router_soak_max"
        )
    return found


def gate(fleet: Fleet) -> str:
    """Why no further host may begin, "" if the first one has shown that they may."""
    first, member = next(iter(fleet.items()))
    if member.reachable and member.standing in ("proven", "unchanged"):
        return ""
    why = f"is held: {member.reason}" if member.standing == "held" else f"failed first: {_failure(member)}"
    return f"not deployed and not touched, since {first} {why}"


def endings(fleet: Fleet, on_failure: str, *, check_mode: bool = False) -> dict[str, Ending]:
    """How each host ends, once all had their turn.

    Any host that failed, is lost, or does not run what it should undoes all that are not confirmed yet, or with
    *on_failure* `keep` leaves them. A host that is held makes all wait for the person who decides.
    """
    shut = one_line(gate(fleet))
    # One that did not begin because of the first host has failed at nothing.
    wrong = {
        name: _failure(member)
        for name, member in fleet.items()
        if not (_is_done(member) or (shut and member.reason == shut))
    }
    if not check_mode:  # nothing runs by then
        wrong.update(_unproven({name: member for name, member in fleet.items() if _is_done(member)}))
    told = [f"{name}: {wrong[name]}" for name in fleet if name in wrong]
    failure = f"the fleet is not proven: {one_line(told[0])}" if told else ""
    if len(told) > 1:
        failure += f" (and {len(told) - 1} more)"
    held = [name for name, member in fleet.items() if member.standing == "held"]
    return {name: _ending(name, fleet[name], wrong, failure, held, on_failure) for name in fleet}


def _ending(
    name: str, member: Member, wrong: Mapping[str, str], failure: str, held: list[str], on_failure: str
) -> Ending:
    if member.standing not in ("proven", "held"):
        return Ending("nothing", "" if name in wrong else failure)
    if failure and (on_failure == "rollback" or name in wrong):
        return Ending("rollback", failure)
    if name in held or (held and not failure):
        others = [other for other in held if other != name]
        return Ending("hold", failure or (f"waits for {_and(others)}" if others else ""))
    return Ending("confirm", failure)


def _is_done(member: Member) -> bool:
    return member.reachable and member.standing in DONE


def _failure(member: Member) -> str:
    # One whose rollback failed is lost to Ansible as well, and has said so.
    return member.reason or ("it was not deployed to" if member.reachable else "it cannot be reached")


def _unproven(done: Fleet) -> dict[str, str]:
    """What is wrong with a host by what its running process says, and by what the first sound one says."""
    wrong = {name: problem for name, member in done.items() if (problem := _problem(member))}
    sound = {name: _running(member) for name, member in done.items() if name not in wrong}
    first = next(iter(sound), "")
    for name, running in sound.items():
        if differences := _differences({first: sound[first], name: running}):
            wrong[name] = differences[0]
    return wrong


def _problem(member: Member) -> str:
    """What contradicts that the release runs there, untouched, as this run has left it."""
    info = member.info
    if "process" not in info:
        return f"what runs there cannot be read: {info.get('msg') or 'no answer'}"
    pending = (info["releases"]["pending"] or {}).get("deployment")
    waits = member.standing != "unchanged"
    if waits and pending != member.deployment:
        return f"deployment {member.deployment} is not pending any more, its guard or a person has ended it"
    if not waits and pending:
        return f"deployment {pending} of somebody else is pending there"
    if info["unit"]["state"] != "active":
        return f"the unit is {info['unit']['state']}"
    if info["process"]["release"] != member.release:
        return f"the process is of {info['process']['release'] or 'no release of ours'}, not of {member.release}"
    return str(info["drift"][0]) if info["drift"] else ""


def _running(member: Member) -> dict[str, str]:
    process = member.info["process"]
    return {"the version": process["version"], "the code": process["code"] or "unknown", **process["settings"]}


def _intended(member: Member) -> dict[str, str]:
    return {"the version": member.release.rpartition("-")[0], **policy(member.settings)}


def _differences(values: Mapping[str, Mapping[str, str]]) -> list[str]:
    """One line for each name that has not the same value on all hosts; *values* by host and name."""
    found = []
    for name in dict.fromkeys(name for each in values.values() for name in each):
        hosts: dict[str, list[str]] = {}
        for host, each in values.items():
            hosts.setdefault(each.get(name) or "not set", []).append(host)
        if len(hosts) > 1:
            told = ", ".join(f"{value} on {_and(names)}" for value, names in hosts.items())
            found.append(f"{name} differs: {told}; make it equal, or deploy to them apart (--limit)")
    return found


def _shared(fleet: Fleet) -> list[str]:
    """One line for each Redis, database and prefix that several hosts use: they would publish each other's signals."""
    users: dict[str, list[str]] = {}
    for name, member in fleet.items():
        if key := _keys(member):
            users.setdefault(key, []).append(name)
    found = []
    for names in (names for names in users.values() if len(names) > 1):
        settings = fleet[names[0]].settings
        prefix = settings.get("ROUTER_KEY_PREFIX") or "none"
        found.append(
            f"{_and(names)} use the same Redis, database {_place(settings)[1]}, prefix {prefix}: give each a server, a "
            "database or a ROUTER_KEY_PREFIX of its own"
        )
    return found


def _keys(member: Member) -> str:
    """What two hosts must not have in common; "" where nobody can know.

    The server is the process that answered, for 127.0.0.1 is another one on each host. Where that is
    not known it is the address, unless that means something else on each host.
    """
    settings = member.settings
    address, database = _place(settings)
    server = (member.info.get("redis") or {}).get("run_id") or ("" if _is_local(address) else address)
    return json.dumps([server, database, settings.get("ROUTER_KEY_PREFIX", "")]) if server else ""


def _place(settings: Mapping[str, str]) -> tuple[str, str]:
    """Address without user, and database, of a router's Redis."""
    parts = urlsplit(settings.get("ROUTER_REDIS_URL", ""))
    address, _slash, database = f"{parts.netloc.rpartition('@')[2]}{parts.path}".rpartition("/")
    option = parse_qs(parts.query).get("db", ["0"])[-1]
    if parts.scheme == "unix":
        return parts.path, option
    return (address, database) if database.isdigit() else (f"{address}/{database}".strip("/"), option)


def _is_local(address: str) -> bool:
    for host in address.partition("/")[0].split(","):
        name = urlsplit(f"//{host}").hostname or ""
        try:
            local = ip_address(name).is_loopback
        except ValueError:
            local = name in ("", "localhost")
        if local:
            return True
    return False


def _and(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
