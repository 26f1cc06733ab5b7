# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where everything lies on a host."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from .errors import ReleaseError

UNIT = "quantum-ai-strategy-router.service"
"""The unit that a host runs unless told otherwise."""

PLACEHOLDER = "@RELEASE@"
"""Stands for the release id in the environment until the id, a digest over it too, is known."""

RELEASE_VARIABLE = "QUANTUM_ROUTER_RELEASE"
"""What the environment of a release calls its id: the unit starts the release of that name."""

MANIFEST = "manifest.json"
"""Written last: a directory that has one is complete."""

_RELEASE_ID = re.compile(r"[0-9][0-9A-Za-z.+]*-[0-9a-f]{12}")
_DEPLOYER_ID = re.compile(r"[0-9a-f]+")
_LEGACY_ID = re.compile(r"legacy-[0-9a-f]{12}")


def is_legacy(identifier: str) -> bool:
    """Whether the id names an adopted unit rather than a release."""
    return _LEGACY_ID.fullmatch(identifier) is not None


@dataclass(frozen=True)
class Layout:
    """All paths, below one root, so that a test can have a host of its own."""

    root: Path = Path("/")

    def at(self, host_path: str | Path) -> Path:
        """The place of an absolute host path below the root."""
        return self.root / str(host_path).lstrip("/")

    def host_path(self, path: Path) -> str:
        """The absolute path that the host itself knows; the inverse of `at`."""
        return "/" + os.path.relpath(path, self.root)

    @property
    def base(self) -> Path:
        """Everything that is installed."""
        return self.at("/opt/quantum-router")

    @property
    def releases(self) -> Path:
        """One immutable directory per release."""
        return self.base / "releases"

    @property
    def current(self) -> Path:
        """Link to the live release: the unit starts what it points at, with the settings there."""
        return self.base / "current"

    @property
    def spare(self) -> Path:
        """A link to what was live before, ready to become `current` by a rename."""
        return self.base / ".current.before"

    @property
    def deployers(self) -> Path:
        """Virtual environments of the collection's own router, which measure and judge."""
        return self.base / "deployer"

    def deployers_built(self) -> list[Path]:
        """Folders of those that are complete, oldest first."""
        return [self.deployers / name for name in _complete(self.deployers, _DEPLOYER_ID)]

    def deployer_python(self) -> str:
        """The newest one's Python; raises ReleaseError where there is none."""
        if not (built := self.deployers_built()):
            raise ReleaseError("no deployer is installed on this host: deploy first")
        return str(built[-1] / "venv" / "bin" / "python")

    @property
    def state_dir(self) -> Path:
        """Everything that is remembered."""
        return self.at("/var/lib/quantum-router")

    @property
    def lock(self) -> Path:
        """Who may change this host; see `lock`."""
        return self.state_dir / "lock.json"

    @property
    def marker(self) -> Path:
        """There while a deployment is pending, or its rollback is not finished: what the boot units look for."""
        return self.state_dir / "pending.json"

    @property
    def journal(self) -> Path:
        """What was done, by whom and when: one JSON object a line, only ever appended to."""
        return self.state_dir / "journal.jsonl"

    @property
    def adopted(self) -> Path:
        """Units that were there before us, byte for byte."""
        return self.state_dir / "adopted"

    @property
    def units(self) -> Path:
        """Where systemd looks for the administrator's units."""
        return self.at("/etc/systemd/system")

    @property
    def secrets(self) -> Path:
        """Passwords for Redis, those of each account in a folder of its own."""
        return self.at("/etc/quantum-router")

    @property
    def tool(self) -> Path:
        """The state machine as a command."""
        return self.at("/usr/local/sbin/router-release")

    def release(self, identifier: str) -> Path:
        """Directory of a release; raises ReleaseError for what can't be a release id."""
        if _RELEASE_ID.fullmatch(identifier) is None:
            raise ReleaseError(f"{identifier!r} is no release id: it looks like 1.0.0-0123456789ab")
        return self.releases / identifier

    def live(self) -> str | None:
        """Id that `current` points at, or None."""
        try:
            return self.current.readlink().name
        except FileNotFoundError:
            return None

    def staged(self) -> list[str]:
        """Ids of the complete releases, oldest first."""
        return _complete(self.releases, _RELEASE_ID)

    def kept(self) -> list[str]:
        """Everything that a rollback could return to."""
        return self.staged() + _complete(self.adopted, _LEGACY_ID)


def _complete(parent: Path, pattern: re.Pattern[str]) -> list[str]:
    manifests = [path for path in parent.glob(f"*/{MANIFEST}") if pattern.fullmatch(path.parent.name)]
    return [path.parent.name for path in sorted(manifests, key=lambda path: (path.stat().st_mtime_ns, path))]
