# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dead man's switch: a timer of the host's systemd that undoes a deployment unless somebody confirms it in time.

It is no child of the connection that armed it and needs nothing of the release that it guards. A reboot takes it away:
the units in `boot` stand in.
"""

from __future__ import annotations

import contextlib
import math
import re
from typing import TYPE_CHECKING

from . import systemctl
from .errors import ReleaseError
from .systemctl import last_line

if TYPE_CHECKING:
    from .host import Host

# Safe in a unit's name, in a pattern of names and on a command line.
_DEPLOYMENT = re.compile(r"[0-9A-Za-z][0-9A-Za-z.-]{0,62}")


def command(host: Host, deployment: str, seconds: float, name: str, attempt: int = 1) -> list[str]:
    """The command that arms a guard of this name: `router-release rollback` so many seconds from now.

    `attempt` counts from 1; see `retry`.
    """
    whole_s = math.ceil(seconds)
    reason = f"not confirmed within {whole_s} s" if attempt == 1 else f"attempt {attempt} to undo it"
    return [
        *("systemd-run", "--quiet", f"--unit={name}", f"--on-active={whole_s}", "--timer-property=AccuracySec=1s"),
        f"--description=Undo deployment {deployment} unless it is confirmed",
        *(host.layout.host_path(host.layout.tool), "rollback", "--deployment", deployment),
        *("--attempt", str(attempt), "--reason", f"guard: {reason}"),
    ]


def arm(host: Host, deployment: str, seconds: float) -> None:
    """Undo the deployment so many seconds from now; raises ReleaseError if systemd does not take it."""
    _arm(host, deployment, seconds, _name(deployment))


def rearm(host: Host, deployment: str, seconds: float, attempt: int = 1) -> None:
    """The same with another time; the guard before is stopped only once the new one runs."""
    before = _armed(host, deployment)
    _arm(host, deployment, seconds, f"{_name(deployment)}:{round(host.moment().uptime_s * 1000)}", attempt)
    _stop(host, before)


def disarm(host: Host, deployment: str) -> None:
    """Stop the deployment's guards, if there are any; never the rollback that one of them has begun."""
    # One that can't be stopped finds nothing pending, does nothing and says so.
    with contextlib.suppress(ReleaseError):
        _stop(host, _armed(host, deployment))
        # An attempt that failed stays in the list of failed units until one has worked.
        host.run(("systemctl", "reset-failed", f"{_name(deployment)}[.:]*service"), systemctl.ANSWER_S)


def is_armed(host: Host, deployment: str) -> bool:
    """Whether a guard waits for the deployment."""
    return bool(_armed(host, deployment))


def _name(deployment: str) -> str:
    if _DEPLOYMENT.fullmatch(deployment) is None:
        raise ReleaseError(f"{deployment!r} can't name a deployment: up to 63 letters, digits, dots and dashes")
    return f"quantum-router-guard-{deployment}"


def _arm(host: Host, deployment: str, seconds: float, name: str, attempt: int = 1) -> None:
    done = host.run(command(host, deployment, seconds, name, attempt), systemctl.ANSWER_S)
    if done.code != 0:
        raise ReleaseError(f"the guard can't be armed ({last_line(done.err or done.out)}): nothing was changed")


def _armed(host: Host, deployment: str) -> list[str]:
    # A bare name, or one with a colon; never another deployment whose name begins like this one's.
    pattern = f"{_name(deployment)}[.:]*timer"
    listed = host.systemctl("list-units", "--all", "--plain", "--no-legend", "--full", "--type=timer", pattern)
    return [line.split()[0] for line in listed.splitlines() if line.strip()]


def _stop(host: Host, timers: list[str]) -> None:
    if timers:
        host.systemctl("stop", *timers)
