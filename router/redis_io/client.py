# SPDX-License-Identifier: Apache-2.0
"""The connection to Redis: redis-py, with the time-outs and retries that the router relies on."""

from __future__ import annotations

import contextlib
import os
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import redis
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.retry import Retry

from router.errors import ConfigError, RedisUnavailableError, one_line
from router.redis_url import parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.config import Settings
    from router.redis_url import RedisUrl

#: A reply later than this is a broken connection. Reads block far shorter (see reader), so an idle stream is none.
SOCKET_TIMEOUT_S: Final = 2.0
#: Patience with one sentinel: all of them together must not outlast the watchdog.
SENTINEL_TIMEOUT_S: Final = 0.5
#: What is left of a server's refusal of a client without a certificate, depending on when it comes.
_UNPROVEN: Final = re.compile("certificate required|EOF occurred|Connection reset|Broken pipe")
#: Major version of the oldest server that works.
OLDEST_MAJOR: Final = 7


def connect(settings: Settings, retries: int = 2) -> redis.Redis:
    """Return a client for the server that *settings* name; only sentinels are asked anything before it is used.

    The client stays with that one server: whoever loses it connects anew, and so never goes on at a new master with
    what was read from the old one. What fails on a lost connection is sent again up to *retries* times within half a
    second. All that the service sends may be: its scripts carry an id, its reads start at a cursor.

    Raises:
        ConfigError: with a line for each file that the settings name and that cannot be used.
        RedisUnavailableError: no sentinel names a master.
    """
    if problems := file_problems(settings):
        raise ConfigError(problems)
    url = parse(settings.redis_url)
    options: dict[str, Any] = {
        "username": url.user or None,
        "password": password_of(settings),
        "db": url.db,
        "retry": Retry(ExponentialBackoff(cap=0.25, base=0.05), retries),
        "client_name": "quantum-router",
        **_tls(url),
    }
    if url.path:
        return _client(SOCKET_TIMEOUT_S, unix_socket_path=url.path, **options)
    host, port = _master(url, settings) if url.service else url.hosts[0]
    return _client(SOCKET_TIMEOUT_S, host=host, port=port, **options)


def file_problems(settings: Settings) -> list[str]:
    """Return a line for each file that *settings* name and that cannot be used."""
    options = parse(settings.redis_url).options
    named = [name for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile") if name in options]
    reads: list[Callable[[], object]] = [partial(password_of, settings), partial(_sentinel_password_of, settings)]
    reads[:0] = [partial(_readable, "ROUTER_REDIS_URL", name, Path(str(options[name]))) for name in named]
    problems: list[str] = []
    for read in reads:
        try:
            read()
        except ConfigError as error:
            problems += error.problems
    return problems


def explained(settings: Settings, error: Exception) -> str:
    """Return in one line what went wrong with Redis, with the way out where TLS does not tell it by itself."""
    url, reason = parse(settings.redis_url), one_line(error)
    if url.tls and "CERTIFICATE_VERIFY_FAILED" in reason:
        return f"{reason}: ssl_ca_certs must name the CA of the server's certificate, which must be for this very host"
    if url.tls and "ssl_certfile" not in url.options and _UNPROVEN.search(reason):
        return f"{reason}: the server may demand a client certificate, name it in ssl_certfile and ssl_keyfile"
    return reason


def password_of(settings: Settings) -> str | None:
    """Return the password of the Redis user, None when the settings name no file with one; raises ConfigError."""
    return _password("ROUTER_REDIS_PASSWORD_FILE", settings.redis_password_file)


def _sentinel_password_of(settings: Settings) -> str | None:
    return _password("ROUTER_SENTINEL_PASSWORD_FILE", settings.sentinel_password_file)


def _password(setting: str, name: str) -> str | None:
    """Return the password from the file *name* that *setting* gives, or None when it names none.

    A relative name is a systemd credential: it is looked up where systemd has put this unit's.

    Raises:
        ConfigError: the file cannot be read or is empty. Only a path is named: another text may be the password itself.
    """
    if not name:
        return None
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    if not name.startswith("/"):
        if credentials is None:
            raise ConfigError([f"{setting} names a systemd credential, and there are none here: give an absolute path"])
        if not (Path(credentials) / name).is_file():
            raise ConfigError([f"{setting} names no credential of this unit: give LoadCredential= or an absolute path"])
    path = Path(credentials or "/") / name
    try:
        password = _readable(setting, "it", path).decode().strip()
    except UnicodeDecodeError:
        raise ConfigError([f"{setting}: {path} is not UTF-8 text"]) from None
    if not password:
        raise ConfigError([f"{setting}: {path} is empty: write the password into it"])
    return password


def _readable(setting: str, what: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError([f"{setting}: cannot read {path}, which {what} names: {error.strerror}"]) from None


def _client(timeout_s: float, **options: Any) -> redis.Redis:  # noqa: ANN401 - redis-py's own options
    return redis.Redis(
        **options,
        protocol=2,  # one shape of replies for every server version
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        driver_info=None,  # CLIENT SETINFO came with Redis 7.2; before, each connection would leave an error behind
        health_check_interval=0,
    )


def _tls(url: RedisUrl) -> dict[str, Any]:
    return {"ssl": True, **url.options} if url.tls else {}


def _master(url: RedisUrl, settings: Settings) -> tuple[str, int]:
    """Return the address of the master that the first sentinel to answer names."""
    password = _sentinel_password_of(settings)
    reasons = []
    for host, port in url.hosts:
        options = {"password": password, "retry": Retry(NoBackoff(), 0), "decode_responses": True, **_tls(url)}
        with contextlib.closing(_client(SENTINEL_TIMEOUT_S, host=host, port=port, **options)) as sentinel:
            try:
                found = cast("tuple[str, int] | None", sentinel.sentinel_get_master_addr_by_name(url.service))
            except redis.RedisError as error:
                reasons.append(f"{host}:{port}: {one_line(error)}")
                continue
        if found:
            return found
        reasons.append(f"{host}:{port}: it watches no {url.service}")
    raise RedisUnavailableError(f"no sentinel names a master of {url.service!r}: {'; '.join(reasons)}")


def redis_time_ms(client: redis.Redis) -> int:
    """Return Redis' clock in milliseconds."""
    seconds, microseconds = client.time()
    return seconds * 1000 + microseconds // 1000


def wrong_type(client: redis.Redis, key: str, kind: str) -> str:
    """Return in a line that *key* is of another type than *kind*, nothing when it is that or missing."""
    found = cast("bytes", client.type(key)).decode()
    return "" if found in {"none", kind} else f"key {key} is a {found}, not a {kind}: rename or remove it"


def require_supported_server(client: redis.Redis) -> str:
    """Return the server's version.

    Raises:
        RedisUnavailableError: the server is older than 7.0, which brought `#!lua` scripts and entries-read.
    """
    version = str(client.info("server")["redis_version"])
    if int(version.partition(".")[0]) < OLDEST_MAJOR:
        raise RedisUnavailableError(f"server {version} is too old: {OLDEST_MAJOR}.0 or newer is needed")
    return version
