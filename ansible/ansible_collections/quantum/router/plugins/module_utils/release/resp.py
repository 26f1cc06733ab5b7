# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A conversation with a Redis server, with the standard library alone."""

from __future__ import annotations

from typing import Any

from .errors import ReleaseError
from .redis_probe import Address, connect

_MOST = 64 << 20


class Link:
    """A connection on which a user is logged in, until it is closed. Raises ReleaseError, never with a password."""

    def __init__(self, address: Address) -> None:
        self.where = address.where
        try:
            self._connection = connect(address)
        except (OSError, ValueError) as error:
            raise ReleaseError(f"Redis at {self.where} can't be reached: {_reason(error)}") from None
        self._stream = self._connection.makefile("rwb")
        if address.user or address.password:
            try:
                self.ask("AUTH", address.user or "default", address.password)
            except ReleaseError:
                self.close()
                raise

    def close(self) -> None:
        """End the conversation."""
        self._stream.close()
        self._connection.close()

    def ask(self, *words: str) -> Any:  # noqa: ANN401 - text, a whole number, a list of such, or None
        """Redis' answer; raises ReleaseError when it refuses or does not answer."""
        encoded = [word.encode() for word in words]
        try:
            self._stream.write(b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in encoded))
            self._stream.flush()
            return self._reply()
        except (OSError, ValueError) as error:
            raise ReleaseError(f"Redis at {self.where} does not answer: {_reason(error)}") from None

    def _reply(self) -> Any:  # noqa: ANN401 - as `ask`
        line = self._stream.readline(_MOST)
        if not line.endswith(b"\r\n"):
            raise ValueError("the connection was closed")
        kind, text = line[:1], line[1:-2].decode("utf-8", "replace")
        if kind == b"-":
            raise ReleaseError(f"Redis at {self.where}: {text}")
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


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
