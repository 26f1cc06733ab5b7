# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes two releases the same release."""

from __future__ import annotations

import contextlib
import hashlib
import re
import zipfile
import zlib
from email.parser import HeaderParser
from typing import TYPE_CHECKING, Iterable, Iterator

from .errors import ReleaseError

if TYPE_CHECKING:
    from pathlib import Path

LOCK = "runtime.txt"
"""The hash-locked requirements inside a wheelhouse."""

_VERSION = re.compile(r"[0-9][0-9A-Za-z.+]{0,60}")
_DIGITS = 12


def read_lock(wheelhouse: Path) -> bytes:
    """The lock file of a wheelhouse zip."""
    with _opened(wheelhouse) as archive:
        if LOCK not in archive.namelist():
            raise ReleaseError(f"{wheelhouse} holds no {LOCK}: make the wheelhouse again")
        return archive.read(LOCK)


def wheel_version(wheel: Path) -> str:
    """The version in a router wheel's metadata; raises ReleaseError for any other wheel."""
    with _opened(wheel) as archive:
        names = [name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)]
        if len(names) != 1:
            raise ReleaseError(f"{wheel} is no wheel: it holds no METADATA")
        headers = HeaderParser().parsestr(archive.read(names[0]).decode("utf-8", "replace"))
    name, version = str(headers["Name"]), str(headers["Version"])
    if re.sub(r"[-_.]+", "-", name).lower() != "quantum-router":
        raise ReleaseError(f"{wheel} is a wheel of {name!r}: a wheel of quantum-router is needed")
    if _VERSION.fullmatch(version) is None:
        raise ReleaseError(f"{wheel} has version {version!r}: only digits, letters, '.' and '+' make a release id")
    return version


def release_id(wheel: Path, lock: bytes, unit_text: str, environment_text: str) -> str:
    """`<version>-<12 hex>` over what would run: the wheel's contents, the lock, the unit and the environment.

    The environment holds the placeholder instead of the id. Neither the zip's bytes nor its times count, so a wheel
    that is built again is the same release.
    """
    parts = [_contents(wheel), lock, unit_text.encode(), environment_text.encode()]
    return f"{wheel_version(wheel)}-{_digest(parts)}"


def deployer_digest(wheel: Path, lock: bytes) -> str:
    """12 hex over the collection's own wheel and the lock."""
    return _digest([_contents(wheel), lock])


def _contents(wheel: Path) -> bytes:
    with _opened(wheel) as archive:
        names = sorted(name for name in archive.namelist() if not name.endswith("/"))
        return "".join(f"{hashlib.sha256(archive.read(name)).hexdigest()}  {name}\n" for name in names).encode()


def _digest(parts: Iterable[bytes]) -> str:
    # Each part's own digest first: no byte can wander from one part to the next unnoticed.
    whole = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts))
    return whole.hexdigest()[:_DIGITS]


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive; what is damaged inside of it shows only when it is read."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except FileNotFoundError:
        raise ReleaseError(f"{path} does not exist: build it first") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, IsADirectoryError):
        raise ReleaseError(f"{path} is damaged or no zip archive: build it again") from None
