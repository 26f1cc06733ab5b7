# SPDX-License-Identifier: Apache-2.0
"""The service manager's notification protocol: one datagram a message (sd_notify(3), sd_watchdog_enabled(3))."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

from router.printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping


class ServiceManager:
    """Tells systemd how the service does; without one (no NOTIFY_SOCKET) it tells nobody."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "").replace("@", "\0", 1)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) if self._address else None
        usec = environ.get("WATCHDOG_USEC", "")
        #: Pings go out at a quarter of the watchdog's time; it demands one each half.
        self._ping_every_s = int(usec) / 4e6 if usec.isdigit() else None
        self._pinged_s = float("-inf")
        self._status = ""

    def ready(self) -> None:
        """The service does its work now, or stands by to do it."""
        self._send("READY=1")

    def stopping(self) -> None:
        """The service is on its way out, on purpose."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """Show *text* (one line) in `systemctl status`; sent only when it changes."""
        if text != self._status:
            self._status = text
            self._send(f"STATUS={printable(text)}")  # a line break would begin another message

    def alive(self, now_s: float) -> None:
        """Ping the watchdog; call it from the loop that does the work, as often as it turns."""
        if self._ping_every_s is not None and now_s - self._pinged_s >= self._ping_every_s:
            self._pinged_s = now_s
            self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):  # a service manager that is gone is no reason to stop trading
                self._socket.sendto(message.encode(), self._address)
