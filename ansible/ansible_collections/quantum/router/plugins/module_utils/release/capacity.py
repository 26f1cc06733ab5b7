# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Giving back what a deployment forced: the count of open orders, by the difference, as soon as Redis answers."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from . import staging, store
from .errors import ReleaseError
from .systemctl import one_line

if TYPE_CHECKING:
    from pathlib import Path

    from .host import Host

PATIENCE_S = 5.0
"""Seconds to wait for Redis: a rollback must not hang on it."""


CREDENTIAL_SETTING = "ROUTER_REDIS_PASSWORD_FILE"
"""The setting of a release that uses a password."""


def settle(host: Host) -> str | None:
    """Add what is owed to the count; returns a warning when something stays owed. Call it under the lock."""
    for release, delta in store.load(host.layout).owed.items():
        try:
            problem = _add(host, release, delta) or _forget(host, release, delta)
        except (OSError, ValueError, ReleaseError) as error:
            problem = one_line(str(error))
        if problem:
            return (
                f"the count of open orders is owed {delta:+d} from {release} ({problem}): queued for the next command"
            )
    return None


def settings(path: Path) -> dict[str, str]:
    """The names and values of an environment file, quoted as systemd has them."""
    pairs = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, found, value = line.strip().partition("=")
        if found and not name.startswith(("#", ";")):
            pairs[name] = "".join(shlex.split(value))
    return pairs


def _add(host: Host, release: str, delta: int) -> str | None:
    deployers = staging.deployers(host)
    if not deployers:
        return "no deployer is installed"
    environment = settings(host.layout.release(release) / "environment")
    if environment.get(CREDENTIAL_SETTING):
        # The unit gets it as a credential, at a path that only its own processes see.
        environment[CREDENTIAL_SETTING] = str(host.layout.password)
    python = str(deployers[-1] / "venv" / "bin" / "python")
    done = host.run((python, "-I", "-m", "router", "capacity", f"--add={delta}", "--json"), PATIENCE_S, environment)
    return None if done.code == 0 else one_line(done.err or done.out) or f"exit status {done.code}"


def _forget(host: Host, release: str, delta: int) -> str | None:
    state = store.load(host.layout)
    owed = {name: value for name, value in state.owed.items() if name != release}
    store.save(host.layout, replace(state, owed=owed))
    return store.record(host, "capacity settled", release=release, delta=delta)
