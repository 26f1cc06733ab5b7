# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who logs in to Redis from this host: users, their passwords, and the settings of a release for a command."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import ReleaseError
from .layout import RELEASE_VARIABLE

if TYPE_CHECKING:
    from pathlib import Path

    from .layout import Layout

SUFFIX = "-deployment"
"""Behind the name of the service's user: the user of who deploys and operates, where the role makes the users."""

URL_SETTING = "ROUTER_REDIS_URL"
PASSWORD_SETTING = "ROUTER_REDIS_PASSWORD_FILE"  # noqa: S105 - the name of a setting

_CREDENTIAL = re.compile(r"^LoadCredential=[^:\n]+:(/\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Login:
    """Who logs in where, as `url` names it, and the folder with the passwords of that user on those servers."""

    url: str
    secrets: Path


@dataclass(frozen=True)
class Account:
    """A user, what it is for (as `router acl` has it), and the file with its password."""

    name: str
    role: str
    password: Path

    @property
    def fresh(self) -> Path:
        """The next password, until it is the one."""
        return self.password.with_name(f".{self.password.name}.new")

    @property
    def old(self) -> Path:
        """The last password, until nobody needs it any more."""
        return self.password.with_name(f".{self.password.name}.old")

    @property
    def half_exchanged(self) -> bool:
        """Whether an exchange was cut off."""
        return self.fresh.exists() or self.old.exists()


def settings(path: Path) -> dict[str, str]:
    """The settings in an environment file, by name, their values quoted as systemd has them."""
    return parse(path.read_text(encoding="utf-8"))


def parse(text: str) -> dict[str, str]:
    """The same of what is, or will be, in the file."""
    pairs = {}
    for line in text.splitlines():
        name, found, value = line.strip().partition("=")
        if found and name != RELEASE_VARIABLE and not name.startswith(("#", ";")):
            pairs[name] = "".join(shlex.split(value))
    return pairs


def split(url: str) -> tuple[str, str, str]:
    """Scheme, user and the rest of a Redis address; the user is empty where none is named."""
    scheme, _found, rest = url.partition("://")
    user, found, place = rest.partition("@")
    return (scheme, user, place) if found and "/" not in user else (scheme, "", rest)


def service_password(secrets: Path) -> Path:
    """The password of the service in the folder of its account."""
    return secrets / "redis-password"


def sentinel_password(secrets: Path) -> Path:
    """The password for the sentinels beside it."""
    return secrets / "sentinel-password"


def deployment_password(secrets: Path, user: str) -> Path:
    """The password of who deploys and operates, beside that of the service, whose user is *user*."""
    return secrets / f"{user}{SUFFIX}.password"


def accounts(given: Login) -> list[Account]:
    """The two users for the router's own address: who runs it, and who deploys and operates it."""
    user = split(given.url)[1]
    if not user:
        raise ReleaseError(f"{given.url} names no user, so the role makes none: redis://NAME@HOST:PORT/0")
    service = Account(user, "service", service_password(given.secrets))
    operator = Account(user + SUFFIX, "deployment", deployment_password(given.secrets, user))
    return [service, operator]


def passwords(layout: Layout, release: str) -> list[Path]:
    """The files that the unit of a release is handed as credentials: what its own lines say, and nothing else."""
    unit = layout.release(release) / "unit"
    text = unit.read_text(encoding="utf-8") if unit.is_file() else ""
    return [layout.at(path) for path in _CREDENTIAL.findall(text)]


def secrets(layout: Layout, release: str) -> Path | None:
    """The folder where those lie; None when the unit is handed none."""
    handed = passwords(layout, release)
    return handed[0].parent if handed else None


def of_release(layout: Layout, release: str) -> Login | None:
    """Whose passwords they are; None when there are none."""
    folder = secrets(layout, release)
    return Login(settings(layout.release(release) / "environment")[URL_SETTING], folder) if folder else None


def environment(layout: Layout, release: str) -> dict[str, str]:
    """The settings of a release for a command of the deployer.

    It finds the passwords where they are kept, and among them its own: the unit gets the service's as a credential.
    """
    folder = secrets(layout, release)
    where = {"CREDENTIALS_DIRECTORY": str(folder)} if folder else {}
    return {**settings(layout.release(release) / "environment"), **where}
