# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the deployer's commands log in to Redis with the settings of a release."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from .layout import Layout

SUFFIX = "-deployment"
"""Behind the name of the service's user: the user of who deploys and operates, where the role makes the users."""

URL_SETTING = "ROUTER_REDIS_URL"
PASSWORD_SETTING = "ROUTER_REDIS_PASSWORD_FILE"  # noqa: S105 - the name of a setting


def settings(path: Path) -> dict[str, str]:
    """The names and values of an environment file, quoted as systemd has them."""
    return parse(path.read_text(encoding="utf-8"))


def parse(text: str) -> dict[str, str]:
    """The same of what is, or will be, in the file."""
    pairs = {}
    for line in text.splitlines():
        name, found, value = line.strip().partition("=")
        if found and not name.startswith(("#", ";")):
            pairs[name] = "".join(shlex.split(value))
    return pairs


def split(url: str) -> tuple[str, str, str]:
    """Scheme, user and the rest of a Redis address; the user is empty where none is named."""
    scheme, _, rest = url.partition("://")
    user, found, place = rest.partition("@")
    return (scheme, user, place) if found and "/" not in user else (scheme, "", rest)


def deployment_password(layout: Layout, user: str) -> Path:
    """The password of who deploys and operates, beside that of the service, whose user is *user*."""
    return layout.password.with_name(f"{user}{SUFFIX}.password")


def environment(layout: Layout, path: Path) -> dict[str, str]:
    """The settings of a release (*path* is its environment file) for a command of the deployer.

    It finds the passwords where they are kept, and among them its own: the unit gets the service's as a credential.
    """
    return {**settings(path), "CREDENTIALS_DIRECTORY": str(layout.password.parent)}
