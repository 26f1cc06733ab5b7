#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a wheelhouse: one zip a target with all that a lock names, such as what a release installs beside the router.

    wheelhouse.py FOLDER runtime cp311-x86_64 [TARGET ...]

Each zip holds the wheels of the lock (runtime: runtime.txt), the lock itself, and pip's own wheel (a host may lack
ensurepip). The same locks give the same bytes.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

LOCKS = Path(__file__).resolve().parent
TARGET = re.compile(r"cp3(?P<minor>\d+)-(?P<machine>x86_64|aarch64)")
# What a host with glibc 2.28 or newer installs, the newest form first.
MANYLINUX = ("2_28", "2_17", "2014")
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def download_arguments(target: str, lock: str, folder: Path) -> list[str]:
    """Pip's arguments that fetch the wheels of a lock for a target such as cp311-x86_64 into a folder."""
    match = TARGET.fullmatch(target)
    if match is None:
        raise ValueError(f"wheelhouse target {target!r} is unknown: say for example cp311-x86_64 or cp313-aarch64")
    platforms = (f"--platform=manylinux{'' if tag == '2014' else '_'}{tag}_{match['machine']}" for tag in MANYLINUX)
    return [
        *("download", "-qq", "--no-deps", "--only-binary=:all:", "--require-hashes"),
        *(f"--requirement={LOCKS / name}.txt" for name in (lock, "pip")),
        *("--implementation=cp", f"--python-version=3.{match['minor']}", *platforms),
        f"--dest={folder}",
    ]


def pack(files: list[Path], archive: Path) -> None:
    """Write the files, without folders, times or owners, to a zip that is there whole or not at all."""
    unfinished = archive.with_suffix(".part")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as packed:
        for file in sorted(files, key=lambda file: file.name):
            packed.writestr(zipfile.ZipInfo(file.name, ZIP_EPOCH), file.read_bytes())
    unfinished.replace(archive)


def main(folder: str, lock: str, *targets: str) -> str | None:
    """Make the zip of every target from the lock of that name; returns what went wrong, if anything."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    try:
        for target in targets:
            with tempfile.TemporaryDirectory() as wheels:
                pip = [sys.executable, "-m", "pip", *download_arguments(target, lock, Path(wheels))]
                subprocess.run(pip, check=True)
                pack([*Path(wheels).iterdir(), LOCKS / f"{lock}.txt"], Path(folder) / f"{target}.zip")
    except ValueError as error:
        return str(error)
    except subprocess.CalledProcessError:
        return f"wheelhouse: pip could not fetch the wheels of {target} (see above)"
    return None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
