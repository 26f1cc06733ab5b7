# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is there a Redis, does it let us in, and is it new enough? Asked with the standard library alone."""

from __future__ import annotations

import re
import socket
import ssl
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import parse_qs, unquote, urlsplit

PATIENCE_S = 3.0
"""Seconds for each step of the conversation."""

OLDEST = (7, 0)
"""The commit script's `#!lua` header and ENTRIESREAD came with 7.0."""

_MOST = 1 << 20


class _Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...
    def readline(self, size: int, /) -> bytes: ...
    def write(self, data: bytes, /) -> int: ...
    def flush(self) -> None: ...


@dataclass(frozen=True)
class Address:
    """A parsed Redis URL; `where` names it without secrets."""

    where: str
    host: str
    port: int
    path: str
    tls: bool
    user: str
    password: str
    options: dict[str, str]


@dataclass(frozen=True)
class Probe:
    """What Redis answered; `problem` is one line with the way out, or empty; `run_id` is the process that did."""

    reachable: bool = False
    version: str = ""
    run_id: str = ""
    auth_error: str = ""
    problem: str = ""


def parse_url(url: str, password: str = "") -> Address:
    """Read redis://, rediss:// or unix://; `password` fills in for none in the URL; raises ValueError for the rest."""
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise ValueError("it has to begin with redis://, rediss:// or unix://")
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if parts.scheme == "unix" and not parts.path:
        raise ValueError("unix:// needs the path of a socket")
    host, port = parts.hostname or "localhost", parts.port or 6379
    return Address(
        where=parts.path if parts.scheme == "unix" else f"{host}:{port}",
        host=host,
        port=port,
        path=unquote(parts.path) if parts.scheme == "unix" else "",
        tls=parts.scheme == "rediss",
        user=unquote(parts.username or ""),
        password=unquote(parts.password or "") or password,
        options=options,
    )


def probe(url: str, password: str = "") -> Probe:
    """Connect to one server, authenticate, ping, ask for the version."""
    try:
        address = parse_url(url, password)
    except ValueError as error:
        return Probe(problem=f"router_redis_url is no Redis address: {error}")
    try:
        with connect(address) as connection, connection.makefile("rwb") as stream:
            return _converse(address, stream)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
        way_out = "start it or correct router_redis_url"
        return Probe(problem=f"Redis at {address.where} can't be reached ({reason}): {way_out}")


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


def _converse(address: Address, stream: _Stream) -> Probe:
    if address.password:
        login = ("AUTH", address.user, address.password) if address.user else ("AUTH", address.password)
        error, answer = _ask(stream, *login)
        if error:
            return judge(address.where, answer, "AUTH")
    error, answer = _ask(stream, "PING")
    if error:
        return judge(address.where, answer, "PING")
    if answer != "PONG":
        return Probe(problem=f"{address.where} is no Redis (answers {answer[:40]!r}): correct router_redis_url")
    error, answer = _ask(stream, "INFO", "server")
    told = dict(re.findall(r"^(redis_version|run_id):(\S+)", "" if error else answer, re.MULTILINE))
    version = told.get("redis_version", "")
    return Probe(
        reachable=True, version=version, run_id=told.get("run_id", ""), problem=too_old(address.where, version)
    )


def connect(address: Address) -> socket.socket:
    """A connection to the server, over TLS where the address says so; raises OSError."""
    if address.path:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE_S)
        connection.connect(address.path)
        return connection
    connection = socket.create_connection((address.host, address.port), PATIENCE_S)
    if not address.tls:
        return connection
    context = ssl.create_default_context(cafile=address.options.get("ssl_ca_certs"))
    context.check_hostname = address.options.get("ssl_check_hostname") != "false"
    if "ssl_certfile" in address.options:
        context.load_cert_chain(address.options["ssl_certfile"], address.options.get("ssl_keyfile"))
    return context.wrap_socket(connection, server_hostname=address.host)


def _ask(stream: _Stream, *words: str) -> tuple[bool, str]:
    """One command and its answer: (is it an error, text)."""
    encoded = [word.encode() for word in words]
    stream.write(b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded))
    stream.flush()
    line = stream.readline(_MOST).decode("utf-8", "replace").rstrip("\r\n")
    if not line:
        raise ValueError("the connection was closed")
    if line[0] == "$" and line[1:].isdigit():
        size = min(int(line[1:]), _MOST)
        return False, stream.read(size + 2)[:size].decode("utf-8", "replace")
    return line[0] == "-", line[1:]
