# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state on disk, the mark of a pending deployment, the audit journal, and the flock around each transition."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Iterator

from . import durable
from .errors import ReleaseError
from .state import Pending, State, from_document, to_document

if TYPE_CHECKING:
    from .host import Host
    from .layout import Layout

TRANSITION, BUILD = "transition.flock", "build.flock"
"""What is done one at a time: changing what runs, and building what may run later."""

WAIT_S = 30.0
"""Longer than any transition but a start takes; a start may make others give up with a clear line."""


def load(layout: Layout) -> State:
    """The remembered state, empty on a fresh host; a damaged file is an error, never a fresh start."""
    path = layout.state_dir / "state.json"
    try:
        return from_document(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return State()
    except ValueError as error:
        raise ReleaseError(
            f"{path} is damaged ({error}): restore it, or move it away and choose with: router-release rollback --to ID"
        ) from None


def save(layout: Layout, state: State) -> None:
    """Replace the remembered state; on disk when this returns."""
    _make(layout)
    durable.write(layout.state_dir / "state.json", _encoded(state))


def prepare_rollback(layout: Layout, state: State) -> None:
    """Write the state that a rollback would leave, while there is room: on a full disk a rename is all that works."""
    durable.write(layout.state_dir / "state.rollback.json", _encoded(state))


def save_rollback(layout: Layout, state: State) -> str | None:
    """Save the state after a rollback, or use the prepared one; returns a warning, never raises for the disk."""
    try:
        save(layout, state)
    except OSError as error:
        prepared = layout.state_dir / "state.rollback.json"
        with contextlib.suppress(OSError, ValueError):
            # It may be that of another rollback: what it would return to tells.
            if from_document(json.loads(prepared.read_bytes())).known_good == state.known_good:
                prepared.replace(layout.state_dir / "state.json")
                return f"state.json could not be written ({error.strerror}): the prepared one is used"
        return f"state.json could not be written ({error.strerror}): make room and run the rollback again"
    return None


def mark(layout: Layout, pending: Pending) -> None:
    """Let the boot units know of the deployment; on disk when this returns."""
    _make(layout)
    durable.write(layout.marker, json.dumps(asdict(pending), sort_keys=True).encode() + b"\n")


def marked(layout: Layout) -> dict[str, Any] | None:
    """The deployment that the boot units know of, without facts if they can't be read; None if there is none."""
    try:
        facts = json.loads(layout.marker.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}


def record(host: Host, action: str, **facts: object) -> str | None:
    """Append one line to the audit journal; returns a warning instead of stopping what it tells about."""
    line = json.dumps({"at": host.timestamp(), "who": host.who, "action": action, **facts}, sort_keys=True) + "\n"
    path = host.layout.journal
    try:
        _make(host.layout)
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            # One write: lines of two writers never mix. What a full disk has torn ends before it.
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            data = (b"\n" if torn else b"") + line.encode()
            if os.write(descriptor, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        return f"{path} could not be written ({error.strerror}): {line.strip()}"
    return None


def journal(layout: Layout) -> list[str]:
    """The lines of the audit journal, oldest first; none on a fresh host."""
    try:
        return layout.journal.read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return []


@contextlib.contextmanager
def locked(layout: Layout, wait_s: float = WAIT_S, name: str = TRANSITION) -> Iterator[None]:
    """Be the only one that does this; raises ReleaseError when someone else goes on for longer than `wait_s`."""
    _make(layout)
    path = layout.state_dir / name
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + wait_s
    try:
        while not _taken(descriptor):
            if time.monotonic() >= deadline:
                raise ReleaseError(f"another command works on this host ({path}): try again when it is done")
            time.sleep(0.1)
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _make(layout: Layout) -> None:
    layout.state_dir.mkdir(mode=0o755, parents=True, exist_ok=True)


def _encoded(state: State) -> bytes:
    return json.dumps(to_document(state), indent=1, sort_keys=True).encode() + b"\n"
