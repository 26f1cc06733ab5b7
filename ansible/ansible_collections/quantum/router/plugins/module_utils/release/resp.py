# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A conversation with a Redis server, or a sentinel, with the standard library alone."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from .errors import ReleaseError

PATIENCE_S = 3.0
"""Seconds for each step of the conversation."""

_MOST = 64 << 20


class RefusedError(ReleaseError):
    """Redis said no; `reply` is what it said."""

    def __init__(self, where: str, reply: str) -> None:
        super().__init__(f"Redis at {where}: {reply}")
        self.reply = reply


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


class Link:
    """A connection on which a user is logged in, until it is closed. Raises ReleaseError, never with a password."""

    def __init__(self, address: Address) -> None:
        self.where = address.where
        try:
            self._connection = _connect(address)
        except (OSError, ValueError) as error:
            raise self._lost(error) from None
        self._stream = self._connection.makefile("rwb")
        # A password alone in one word: a server that has none says so then, and takes any for its default user.
        login = (address.user, address.password) if address.user else (address.password,) if address.password else ()
        if login:
            try:
                self.ask("AUTH", *login)
            except ReleaseError:
                self.close()
                raise

    def close(self) -> None:
        """End the conversation."""
        self._stream.close()
        self._connection.close()

    def ask(self, *words: str) -> Any:  # noqa: ANN401 - text, a whole number, a list of such, or None
        """Redis' answer; raises RefusedError when it says no, ReleaseError when it does not answer."""
        encoded = [word.encode() for word in words]
        try:
            self._stream.write(b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in encoded))
            self._stream.flush()
            return self._reply()
        except (OSError, ValueError) as error:
            raise self._lost(error) from None

    def _reply(self) -> Any:  # noqa: ANN401 - as `ask`
        line = self._stream.readline(_MOST)
        if not line.endswith(b"\r\n"):
            raise ValueError("the connection was closed")
        kind, text = line[:1], line[1:-2].decode("utf-8", "replace")
        if kind == b"-":
            raise RefusedError(self.where, text)
        if kind in (b"$", b"*", b":"):
            size = int(text)
            if kind == b":":
                return size
            if size < 0:
                return None
            if kind == b"*":
                return [self._reply() for _item in range(size)]
            return self._stream.read(size + 2)[:size].decode("utf-8", "replace")
        return text

    def _lost(self, error: Exception) -> ReleaseError:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return ReleaseError(f"Redis at {self.where} can't be reached ({reason})")


def _connect(address: Address) -> socket.socket:
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
