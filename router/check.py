# SPDX-License-Identifier: Apache-2.0
"""Whether the service could run here: asked before a deployment and by people, without any effect on Redis' data."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import msgspec
from redis.exceptions import NoPermissionError

from router.redis_io.acl import missing
from router.redis_io.client import require_supported_server, wrong_type
from router.redis_io.rights import service, types
from router.redis_io.scripts import Scripts
from router.redis_url import parse

if TYPE_CHECKING:
    import redis

    from router.config import Settings
    from router.redis_io.keys import Keys


class Report(msgspec.Struct, frozen=True):
    """What `check` found: *problems* keep the service from working, *warnings* weaken its promises. One line each."""

    redis_version: str
    problems: list[str]
    warnings: list[str]


def check(client: redis.Redis, settings: Settings, keys: Keys) -> Report:
    """Ask the server behind *client* for version, scripts, rights, key types and durability.

    Raises:
        RedisUnavailableError: the server is too old.
        redis.RedisError: it does not answer, or refuses even to be asked.
    """
    version = require_supported_server(client)
    problems = missing(client, settings, service(keys, settings))
    # What the missing rights, all named by now, keep from being asked is left out; everything else is named too.
    refused = (NoPermissionError,) if problems else ()
    with contextlib.suppress(*refused):
        Scripts(client, settings, keys).load()
    for key, kind in types(keys).items():
        with contextlib.suppress(*refused):
            if text := wrong_type(client, key, kind):
                problems.append(text)
    return Report(version, problems, _durability(client) + _trust(settings))


def _durability(client: redis.Redis) -> list[str]:
    policy = client.info("memory")["maxmemory_policy"]
    warnings = []
    if policy != "noeviction":
        warnings.append(f"maxmemory-policy is {policy}: evicted dedup keys let a signal be published twice")
    if not client.info("persistence")["aof_enabled"]:
        warnings.append("appendonly is off: a restart of Redis forgets what was published")
    return warnings


def _trust(settings: Settings) -> list[str]:
    if parse(settings.redis_url).options.get("ssl_check_hostname", True):
        return []
    return ["ssl_check_hostname is false: any certificate of the CA passes for the server's"]
