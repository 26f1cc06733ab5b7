# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host that transitions act on: its paths, its systemd, its clock, and who asks."""

from __future__ import annotations

import os
import pwd
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Callable

from . import systemctl
from .layout import UNIT, Layout

if TYPE_CHECKING:
    from .systemctl import Facts, Run


def _asker() -> str:
    # sudo and Ansible's become leave the person's name here; everybody is root otherwise.
    if os.environ.get("SUDO_USER"):
        return os.environ["SUDO_USER"]
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _uptime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True)
class Moment:
    """A time on the clock that nobody sets: seconds since the boot `boot_id`, suspended ones included."""

    boot_id: str
    uptime_s: float


@dataclass(frozen=True)
class Host:
    """Everything a transition touches besides its arguments."""

    layout: Layout = field(default_factory=Layout)
    unit: str = UNIT
    run: Run = systemctl.run
    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    uptime: Callable[[], float] = _uptime
    sleep: Callable[[float], None] = time.sleep
    who: str = field(default_factory=_asker)

    def facts(self) -> Facts:
        """What systemd says about the unit now."""
        return systemctl.show(self.run, self.unit)

    def systemctl(self, *arguments: str) -> str:
        """One systemctl command that has to work."""
        return systemctl.call(self.run, *arguments)

    def moment(self) -> Moment:
        """Now, for deadlines."""
        boot_id = self.layout.at("/proc/sys/kernel/random/boot_id")
        return Moment(boot_id.read_text("ascii").strip() if boot_id.is_file() else "", self.uptime())

    def timestamp(self, ahead_s: float = 0.0) -> str:
        """Now, or so many seconds ahead, RFC 3339 in UTC, to the millisecond: for people."""
        now = self.now() + ahead_s
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}Z"
