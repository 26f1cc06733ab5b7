# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is there a Redis, does it let us in, and is it new enough? Asked with the standard library alone."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass

from .errors import ReleaseError
from .resp import Address, Link, RefusedError, parse_url

OLDEST = (7, 0)
"""The commit script's `#!lua` header and ENTRIESREAD came with 7.0."""


@dataclass(frozen=True)
class Probe:
    """What Redis answered; `problem` is one line with the way out, or empty; `run_id` is the process that did."""

    reachable: bool = False
    version: str = ""
    run_id: str = ""
    auth_error: str = ""
    problem: str = ""


def probe(url: str, password: str = "") -> Probe:
    """Connect to one server, authenticate, ping, ask for the version."""
    try:
        address = parse_url(url, password)
    except ValueError as error:
        return Probe(problem=f"router_redis_url is no Redis address: {error}")
    try:
        return _probe(address)
    except ReleaseError as error:
        return Probe(problem=f"{error}: start it or correct router_redis_url")


def judge(where: str, reply: str, kind: str) -> Probe:
    """What an error reply to authentication or PING means."""
    if "without any password configured" in reply:
        line = f"Redis at {where} has no password: leave router_redis_password empty, or set one in Redis first"
    elif reply.startswith(("NOAUTH", "-NOAUTH")) or "NOPERM" in reply:
        line = f"Redis at {where} asks for a user or password that may do this ({reply}): set router_redis_password"
    elif reply.startswith("WRONGPASS") or "invalid password" in reply or kind == "AUTH":
        line = f"Redis at {where} refuses the password ({reply}): correct router_redis_password"
    else:
        return Probe(reachable=True, problem=f"Redis at {where} is not ready ({reply}): wait for it or repair it")
    return Probe(reachable=True, auth_error=reply, problem=line)


def too_old(where: str, version: str) -> str:
    """A line when the version is below what the router needs, or an empty string."""
    found = re.match(r"(\d+)\.(\d+)", version)
    if found is None:
        return f"Redis at {where} does not tell its version: allow the user INFO"
    if (int(found[1]), int(found[2])) < OLDEST:
        return f"Redis {version} at {where} is too old: 7.0 or newer is needed, upgrade it first"
    return ""


def _probe(address: Address) -> Probe:
    where = address.where
    try:
        link = Link(address)
    except RefusedError as refused:
        return judge(where, refused.reply, "AUTH")
    with contextlib.closing(link):
        try:
            answer = link.ask("PING")
        except RefusedError as refused:
            return judge(where, refused.reply, "PING")
        if answer != "PONG":
            return Probe(problem=f"{where} is no Redis (answers {str(answer)[:40]!r}): correct router_redis_url")
        told = dict(re.findall(r"^(redis_version|run_id):(\S+)", _info(link), re.MULTILINE))
    version = told.get("redis_version", "")
    return Probe(reachable=True, version=version, run_id=told.get("run_id", ""), problem=too_old(where, version))


def _info(link: Link) -> str:
    try:
        return str(link.ask("INFO", "server"))
    except RefusedError:  # told as a version that is not known
        return ""
