# SPDX-License-Identifier: Apache-2.0
"""The connection to Redis: redis-py, with the time-outs and retries that the router relies on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from router.errors import ConfigError, RedisUnavailableError

if TYPE_CHECKING:
    from router.config import Settings

#: A reply later than this is a broken connection. Reads block far shorter (see reader), so an idle stream is none.
SOCKET_TIMEOUT_S: Final = 2.0
#: Major version of the oldest server that works.
OLDEST_MAJOR: Final = 7


def read_password(settings: Settings, credentials_directory: str | None) -> str | None:
    """Return the password from the file that the settings name, or None when they name none.

    A relative name is a systemd credential: it is looked up in *credentials_directory*.

    Raises:
        ConfigError: the file cannot be read or is empty.
    """
    name = settings.redis_password_file
    if not name:
        return None
    path = Path(credentials_directory or ".") / name
    try:
        password = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError([f"ROUTER_REDIS_PASSWORD_FILE={name!r}: cannot read {path}: {reason}"]) from None
    if not password:
        raise ConfigError([f"ROUTER_REDIS_PASSWORD_FILE={name!r}: {path} is empty: write the password into it"])
    return password


def connect(settings: Settings, retries: int = 2) -> redis.Redis:
    """Return a client for *settings*; nothing is sent until it is used.

    What fails on a lost connection is sent again up to *retries* times within half a second. All that the service sends
    may be: its scripts carry an id, its reads start at a cursor.
    """
    return redis.Redis.from_url(
        settings.redis_url,
        password=read_password(settings, os.environ.get("CREDENTIALS_DIRECTORY")),
        protocol=2,  # one shape of replies for every server version
        decode_responses=False,
        socket_timeout=SOCKET_TIMEOUT_S,
        socket_connect_timeout=SOCKET_TIMEOUT_S,
        retry=Retry(ExponentialBackoff(cap=0.25, base=0.05), retries),
        client_name="quantum-router",
        health_check_interval=0,
    )


def require_supported_server(client: redis.Redis) -> str:
    """Return the server's version.

    Raises:
        RedisUnavailableError: the server is older than 7.0, which brought `#!lua` scripts and entries-read.
    """
    version = str(client.info("server")["redis_version"])
    if int(version.partition(".")[0]) < OLDEST_MAJOR:
        raise RedisUnavailableError(f"server {version} is too old: {OLDEST_MAJOR}.0 or newer is needed")
    return version
