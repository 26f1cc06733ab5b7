# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Building a release at its final path, from local files alone."""

from __future__ import annotations

import shutil
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from . import durable, identity, manifest, store
from .errors import ReleaseError
from .layout import PLACEHOLDER
from .rebuild import rebuilt
from .systemctl import last_line

if TYPE_CHECKING:
    from .host import Host

BUILD_S = 300.0
"""Seconds for one step of a build; measured: 3 to 8 on two slow cores."""

KEEP_DEPLOYERS = 2
"""The newest, and the one that a run which began earlier may still use."""


def needs_release(host: Host, release: str) -> bool:
    """Whether the release has to be built: it is missing, unfinished or no longer what was built."""
    return bool(manifest.verify(host.layout.release(release)))


def stage_release(
    host: Host, release: str, wheel: Path, wheelhouse: Path, unit_text: str, environment_text: str
) -> bool:
    """Build a release unless it is there, whole and untouched; returns whether anything changed.

    `release` must be the id of exactly these inputs, which proves that they arrived unharmed.
    """
    found = identity.release_id(wheel, identity.read_lock(wheelhouse), unit_text, environment_text)
    if found != release:
        raise ReleaseError(
            f"release {release} was announced, but these files make {found}: copy them to the host again"
        )
    if not needs_release(host, release):
        return False
    tree = host.layout.release(release)
    with rebuilt(host.layout, tree):
        _build_venv(host, tree / "venv", wheel, wheelhouse)
        durable.write(tree / "unit", unit_text.encode(), 0o644)
        durable.write(tree / "environment", environment_text.replace(PLACEHOLDER, release).encode(), 0o640)
        manifest.write(tree, {"release": release})
    store.record(host, "staged", to=release)
    return True


def deployer_venv(host: Host, wheel: Path, wheelhouse: Path) -> Path:
    """Where the deployer's virtual environment for these files lies, built or not."""
    return host.layout.deployers / identity.deployer_digest(wheel, identity.read_lock(wheelhouse)) / "venv"


def stage_deployer(host: Host, wheel: Path, wheelhouse: Path) -> bool:
    """Build the deployer's virtual environment unless it is there; older ones beyond the last go."""
    venv = deployer_venv(host, wheel, wheelhouse)
    if not manifest.verify(venv.parent):
        return False
    with rebuilt(host.layout, venv.parent):
        _build_venv(host, venv, wheel, wheelhouse)
        manifest.write(venv.parent, {"deployer": venv.parent.name})
    for old in host.layout.deployers_built()[:-KEEP_DEPLOYERS]:
        durable.remove_tree(old)
    store.record(host, "deployer", to=venv.parent.name)
    return True


def _build_venv(host: Host, venv: Path, wheel: Path, wheelhouse: Path) -> None:
    python = str(venv / "bin" / "python")
    # Without pip: Debian may lack ensurepip, and pip has no business in a release.
    _step(host, sys.executable, "-I", "-m", "venv", "--without-pip", str(venv))
    with tempfile.TemporaryDirectory(prefix="quantum-router-") as folder:
        with zipfile.ZipFile(wheelhouse) as archive:
            archive.extractall(folder)
        pips = sorted(Path(folder).glob("pip-*.whl"))
        if not pips:
            raise ReleaseError(f"{wheelhouse} holds no wheel of pip: make the wheelhouse again")
        # pip reads name and version from the file name, whatever the artifact was called on its way here.
        router = Path(folder, f"quantum_router-{identity.wheel_version(wheel)}-py3-none-any.whl")
        shutil.copyfile(wheel, router)
        install = [python, f"{pips[-1]}/pip", "--isolated", "--no-input", "install", "--no-index", "--no-cache-dir"]
        install += ["--disable-pip-version-check", "--no-compile", "--quiet", "--root-user-action=ignore"]
        lock = str(Path(folder, identity.LOCK))
        _step(host, *install, "--find-links", folder, "--require-hashes", "--only-binary=:all:", "-r", lock)
        _step(host, *install, "--no-deps", str(router))
    # Unchecked: the manifest guards the sources, and a start need not look at them.
    _step(host, python, "-I", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", str(venv / "lib"))


def _step(host: Host, *argv: str) -> None:
    done = host.run(argv, BUILD_S)
    if done.code != 0:
        # pip's line that says why, and compileall's that names the file.
        lines = [line for line in (done.err or done.out).splitlines() if line.startswith(("ERROR", "*** "))]
        raise ReleaseError(f"{' '.join(argv[:4])} ... failed: {last_line((lines or [done.err or done.out])[0])}")
