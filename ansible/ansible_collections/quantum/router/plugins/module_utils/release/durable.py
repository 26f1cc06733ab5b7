# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that survive a power cut: written aside, flushed, renamed."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def sha256(path: str | Path) -> str:
    """Hexadecimal digest of a file's bytes."""
    digest = hashlib.sha256()
    descriptor = os.open(path, os.O_RDONLY)
    try:
        while block := os.read(descriptor, 1 << 16):
            digest.update(block)
    finally:
        os.close(descriptor)
    return digest.hexdigest()


def sync_directory(path: Path) -> None:
    """Flush the names in a directory."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write(path: Path, data: bytes, mode: int = 0o644, owner: tuple[int, int] | None = None) -> None:
    """Replace a file, or a link, whole or not at all; `owner` is (uid, gid)."""
    # The temporary name ends in neither .service nor .conf, so systemd never reads half a file.
    aside = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if owner is not None:
                os.fchown(descriptor, *owner)
            os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        aside.replace(path)
    except BaseException as error:
        aside.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a full disk does not say where
        raise
    sync_directory(path.parent)


def link(path: Path, target: str) -> None:
    """Point a symbolic link somewhere in one step, whatever stood there before."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.unlink(missing_ok=True)
    aside.symlink_to(target)
    aside.replace(path)
    sync_directory(path.parent)


def remove(path: Path) -> None:
    """Remove a file or link if it is there."""
    if os.path.lexists(path):
        path.unlink()
        sync_directory(path.parent)


def remove_tree(path: Path) -> None:
    """Remove a folder and everything in it."""
    import shutil  # noqa: PLC0415 - a rollback, which removes none, starts quicker without it

    shutil.rmtree(path)
