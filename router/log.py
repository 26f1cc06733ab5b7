# SPDX-License-Identifier: Apache-2.0
"""The log: one readable line an event, with the same facts as structured fields.

Under systemd the fields go to journald in its native protocol, so that `journalctl EVENT=BEST_OF_PUBLISH` finds them
(systemd.io/JOURNAL_NATIVE_PROTOCOL). Elsewhere lines go to standard error as text or JSON.
"""

from __future__ import annotations

import enum
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from router.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

JOURNAL_SOCKET: Final = "/run/systemd/journal/socket"
IDENTIFIER: Final = "quantum-router"
#: Characters of a line or a fact that are kept: room for every missing right at once, and far below a datagram's size.
TEXT_MAX: Final = 16 * 1024


class Level(enum.IntEnum):
    """Priorities as syslog numbers them."""

    ERROR = 3
    WARNING = 4
    INFO = 6


class Log:
    """Writes events to *sink*, which raises OSError when it cannot."""

    def __init__(self, sink: Callable[[Mapping[str, Any]], None]) -> None:
        self._sink = sink

    def event(self, name: str, message: str, level: Level = Level.INFO, **fields: object) -> bool:
        """Log the event *name* as the line *message*; *fields* are the facts in it, by lower-case name.

        Return whether it could be written: a full disk or a reader that has gone is no reason to stop trading.
        Whatever others wrote into a text (ids, holders, reasons, Redis' errors) is made printable here, for every sink.
        """
        known = {key.upper(): _harmless(value) for key, value in fields.items() if value is not None}
        try:
            self._sink({"MESSAGE": _harmless(message), "PRIORITY": int(level), "EVENT": name, **known})
        except OSError:
            return False
        return True


def _harmless(value: object) -> object:
    return printable(value, TEXT_MAX) if isinstance(value, str) else value


def open_log(log_format: str, environ: Mapping[str, str]) -> Log:
    """Return the log in *log_format*: auto (journal under systemd, else text), journal, text or json."""
    if log_format == "auto":
        log_format = "journal" if "JOURNAL_STREAM" in environ and Path(JOURNAL_SOCKET).exists() else "text"
    if log_format == "journal":
        return Log(_journal_sink())
    return Log(_json_sink if log_format == "json" else _text_sink)


def _text_sink(record: Mapping[str, Any]) -> None:
    _write(record["MESSAGE"])


def _json_sink(record: Mapping[str, Any]) -> None:
    _write(encode_json(record))


def _write(line: str) -> None:
    if sys.stderr is None:
        raise BrokenPipeError("standard error was closed from the start")
    sys.stderr.write(line + "\n")


def _journal_sink() -> Callable[[Mapping[str, Any]], None]:
    journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)

    def send(record: Mapping[str, Any]) -> None:
        try:
            journal.sendto(encode_journal({**record, "SYSLOG_IDENTIFIER": IDENTIFIER}), JOURNAL_SOCKET)
        except OSError:  # journald restarting or overrun: the line still reaches it through standard error
            _text_sink(record)

    return send


def encode_json(record: Mapping[str, Any]) -> str:
    """Encode *record* as one line of JSON."""
    return msgspec.json.encode(record).decode()


def encode_journal(record: Mapping[str, Any]) -> bytes:
    """Encode *record* for journald: KEY=value lines; a value with a line break is framed by its length."""
    parts = []
    for key, value in record.items():
        data = str(value).encode("utf-8", "replace")
        if b"\n" in data:
            parts.append(key.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n")
        else:
            parts.append(key.encode() + b"=" + data + b"\n")
    return b"".join(parts)
