# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Building a tree where another one lies, maybe the one that runs: paths in a virtual environment are absolute.

Until the new one is whole the old one waits beside it, and whoever comes next after a build that was cut off, a boot
too, puts it back.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Iterator

from . import durable, manifest, store
from .errors import ReleaseError

if TYPE_CHECKING:
    from pathlib import Path

    from .layout import Layout

ASIDES = ".*.aside"
"""The names, as a pattern, under which trees wait."""


@contextlib.contextmanager
def rebuilt(layout: Layout, tree: Path) -> Iterator[None]:
    """An empty directory at `tree`, one build at a time; if it fails, what was whole or live there comes back."""
    aside = tree.with_name(f".{tree.name}.aside")
    with store.locked(layout, name=store.BUILD):
        if aside.exists():
            _bring_back(aside)
        if tree.exists() and (manifest.complete(tree) or tree.name == layout.live()):
            tree.rename(aside)
        try:
            _discard(tree)
            tree.mkdir(mode=0o755, parents=True)
            for folder in (tree, tree.parent, tree.parent.parent):
                # A strict umask of root must not lock the service out of its own code.
                folder.chmod(0o755)
            yield
        except BaseException:
            _discard(tree)
            if aside.exists():
                aside.rename(tree)
            raise
        durable.sync_directory(tree.parent)
        _discard(aside)


def bring_back(layout: Layout) -> str | None:
    """Put back the releases whose build was cut off; not beside a build that goes on. Returns a warning, never raises.

    A rollback must not fail because of it.
    """
    if not any(layout.releases.glob(ASIDES)):
        return None
    try:
        with store.locked(layout, 0, store.BUILD):
            for aside in layout.releases.glob(ASIDES):
                _bring_back(aside)
    except ReleaseError:  # somebody builds
        return None
    except OSError as error:
        return (
            f"a release whose build was cut off can't be put back ({error.filename}: {error.strerror}): stage it again"
        )
    return None


def _bring_back(aside: Path) -> None:
    tree = aside.with_name(aside.name[1:].rpartition(".")[0])
    if manifest.complete(tree):
        _discard(aside)
    else:
        _discard(tree)
        aside.rename(tree)
        durable.sync_directory(tree.parent)


def _discard(tree: Path) -> None:
    if tree.exists():
        durable.remove_tree(tree)
