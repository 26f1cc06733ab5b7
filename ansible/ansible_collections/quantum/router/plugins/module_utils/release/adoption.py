# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking over a unit that is not ours: everything needed to put it back, byte for byte."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterable, Iterator

from . import durable, store
from .errors import ReleaseError
from .layout import MANIFEST, Layout, is_legacy
from .state import adopt as adopt_state
from .state import refuse_other_unit

if TYPE_CHECKING:
    from .host import Host
    from .state import State
    from .systemctl import Facts

ROOTS = (
    *("/etc/systemd/system.control", "/run/systemd/system.control", "/run/systemd/transient"),
    *("/run/systemd/generator.early", "/etc/systemd/system", "/etc/systemd/system.attached", "/run/systemd/system"),
    *("/run/systemd/system.attached", "/run/systemd/generator", "/usr/local/lib/systemd/system"),
    *("/usr/lib/systemd/system", "/run/systemd/generator.late"),
)
"""Where systemd looks for units, as `systemd-analyze unit-paths` prints them."""

ENABLED = ("enabled", "enabled-runtime")
"""What systemd calls a unit that starts at boot."""

LARGEST_SCRIPT = 16 << 20
"""Bytes; a file named on the command line beyond it is data, not a script."""


@dataclass(frozen=True)
class Entry:
    """One path as it was: kind file, link or absent; role unit, dropin, environment, script or enablement."""

    path: str
    role: str
    kind: str
    mode: int = 0
    uid: int = 0
    gid: int = 0
    sha256: str = ""
    target: str = ""


@dataclass(frozen=True)
class Adopted:
    """A unit that was there before us, as its manifest tells it."""

    id: str
    entries: tuple[Entry, ...]
    enablement: str
    active: bool
    type: str
    current: str | None

    def stored(self, layout: Layout, entry: Entry) -> Path:
        """Where the bytes of an entry are kept."""
        return layout.adopted / self.id / "files" / entry.sha256


def is_ours(host: Host) -> bool:
    """Whether exactly the live release's unit is installed, with nothing laid over it."""
    live = host.layout.live()
    installed = host.layout.units / host.unit
    if live is None or installed.is_symlink() or not installed.is_file() or movable_drop_ins(host):
        return False
    ours = host.layout.releases / live / "unit"
    return ours.is_file() and ours.read_bytes() == installed.read_bytes()


def needs_backup(host: Host, facts: Facts) -> bool:
    """Whether a rollback could not do without the unit's own bytes.

    One that runs a release of ours needs none, edited by hand or not: the release is kept whole, and an edit that
    nobody proved is drift, not something to return to.
    """
    releases = host.layout.host_path(host.layout.releases) + "/"
    programs = [command.removeprefix("/usr/bin/env ") for command in facts.commands]
    ours = bool(programs) and all(program.startswith(releases) for program in programs)
    return facts.load_state != "not-found" and not ours


def drop_ins(host: Host, read: Iterable[str] = ()) -> list[str]:
    """What lies on disk and will apply to this unit when systemd reads it, or would if another one were not there.

    `read` are those that systemd has read already; it may look in more places. Without those in service.d: they hold
    for every service of the host and are its administrator's policy.
    """
    words = host.unit.partition(".service")[0].split("-")
    names = [host.unit, *("-".join(words[:count]) + "-.service" for count in range(1, len(words)))]
    lying = (path for root in ROOTS for name in names for path in host.layout.at(root).glob(f"{name}.d/*.conf"))
    paths = {*map(host.layout.host_path, lying), *(path for path in read if "/service.d/" not in path)}
    there = [path for path in paths if os.path.lexists(host.layout.at(path))]
    # An administrator's link to nothing keeps a package's drop-in of that name from applying.
    masked = {Path(path).name for path in there if path.startswith("/etc/") and _masks(host.layout.at(path))}
    return sorted(path for path in there if Path(path).name not in masked)


def movable_drop_ins(host: Host) -> list[str]:
    """Drop-ins of this unit alone under /etc: they would override a release, so they move away while it is live."""
    own = re.compile(rf"/etc/systemd/system(\.control|\.attached)?/{re.escape(host.unit)}\.d/[^/]+")
    return [path for path in drop_ins(host) if own.fullmatch(path)]


def refuse_foreign_drop_ins(host: Host, facts: Facts) -> None:
    """Raise ReleaseError for drop-ins that would apply to a release and can't be moved, and for a masked unit."""
    movable = movable_drop_ins(host)
    foreign = [path for path in drop_ins(host, facts.drop_ins) if path not in movable]
    if foreign:
        raise ReleaseError(
            f"drop-in {foreign[0]} would override the release's unit and is not under /etc for this unit alone: "
            "remove it, or move what it sets into the router's variables"
        )
    if facts.load_state == "masked" or _masks(host.layout.units / host.unit):
        raise ReleaseError(f"unit {host.unit} is masked: systemctl unmask {host.unit} first")


def adopt(host: Host, *, check: bool = False) -> tuple[Adopted | None, bool]:
    """Store what runs now unless it is a release or not there at all; returns it and whether anything changed.

    A backup of it that was damaged is made anew.
    """
    facts = host.facts()
    refuse_foreign_drop_ins(host, facts)
    if not needs_backup(host, facts):
        return None, False
    adopted = _capture(host, facts)
    state = store.load(host.layout)
    refuse_other_unit(state, host.unit)
    stored = _is_whole(host.layout, adopted.id)
    next_state = adopt_state(state, adopted.id)
    if (stored and next_state == state) or check:
        return adopted, not stored or next_state != state
    with store.locked(host.layout):
        _write(host.layout, adopted)
        store.save(host.layout, adopt_state(store.load(host.layout), adopted.id))
        store.record(host, "adopted", to=adopted.id)
    return adopted, True


def read(layout: Layout, identifier: str) -> Adopted:
    """An adopted unit, with every stored byte checked; raises ReleaseError if any is not what was stored."""
    folder = layout.adopted / identifier
    try:
        document = json.loads((folder / MANIFEST).read_bytes())
        entries = tuple(Entry(**entry) for entry in document.pop("entries"))
        adopted = Adopted(id=identifier, entries=entries, **document)
        damaged = [entry.path for entry in entries if entry.kind == "file" and not _intact(layout, adopted, entry)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReleaseError(f"the backup {folder} can't be read ({error})") from None
    if damaged or _identify(adopted) != identifier:
        raise ReleaseError(f"the backup {folder} was tampered with ({(damaged or [MANIFEST])[0]})")
    return adopted


def _is_whole(layout: Layout, identifier: str) -> bool:
    try:
        read(layout, identifier)
    except ReleaseError:
        return False
    return True


def present(layout: Layout, entry: Entry) -> bool:
    """Whether the path is now exactly as recorded."""
    return _look(layout, entry.path, entry.role) == entry


def is_meant_to_start(host: Host, state: State) -> bool:
    """Whether the unit starts at boot by our doing: one that was adopted keeps what it had."""
    for name in filter(is_legacy, reversed(state.known_good)):
        try:
            return read(host.layout, name).enablement in ENABLED
        except ReleaseError:  # told where it is returned to
            return False
    return True


def enablement_links(host: Host) -> list[str]:
    """The links by which other units start this one."""
    folders = [folder for kind in ("wants", "requires", "upholds") for folder in host.layout.units.glob(f"*.{kind}")]
    # Asked one by one: glob overlooks a link whose target is gone.
    links = [folder / host.unit for folder in folders if (folder / host.unit).is_symlink()]
    return sorted(host.layout.host_path(path) for path in links)


def _capture(host: Host, facts: Facts) -> Adopted:
    layout = host.layout
    paths = [(layout.host_path(layout.units / host.unit), "unit"), (facts.fragment, "unit")]
    paths += [(path, "dropin") for path in drop_ins(host, facts.drop_ins)]
    paths += [(path, "environment") for pattern in facts.environment_files for path in _expand(layout, pattern)]
    paths += [
        (path, "script") for command in facts.commands for path in _scripts(layout, command, facts.working_directory)
    ]
    paths += [(path, "enablement") for path in enablement_links(host)]
    entries: dict[str, Entry] = {}
    for path, role in paths:
        for entry in _followed(layout, path, role):
            entries.setdefault(entry.path, entry)
    adopted = Adopted(
        id="",
        entries=tuple(sorted(entries.values(), key=lambda entry: entry.path)),
        enablement=facts.enablement,
        active=facts.active,
        type=facts.type,
        current=str(layout.current.readlink()) if layout.current.is_symlink() else None,
    )
    return Adopted(**{**vars(adopted), "id": _identify(adopted)})


def _followed(layout: Layout, path: str, role: str) -> Iterator[Entry]:
    """The path, and what it points at: restoring a link needs its target. What we install has manifests of its own."""
    for _step in range(8):
        if not path or layout.at(path).is_relative_to(layout.base):
            return
        entry = _look(layout, path, role)
        yield entry
        if entry.kind != "link" or role == "enablement" or entry.target == "/dev/null":
            return
        path = os.path.normpath(Path(path).parent / entry.target)


def _look(layout: Layout, path: str, role: str) -> Entry:
    place = layout.at(path)
    try:
        status = place.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return Entry(path, role, "absent")
    uid, gid = status.st_uid, status.st_gid
    if place.is_symlink():
        return Entry(path, role, "link", uid=uid, gid=gid, target=str(place.readlink()))
    if not place.is_file():
        raise ReleaseError(f"{path} is neither file nor link: the unit can't be backed up")
    mode = status.st_mode & 0o7777
    return Entry(path, role, "file", mode=mode, uid=uid, gid=gid, sha256=durable.sha256(place))


def _masks(path: Path) -> bool:
    return path.is_symlink() and str(path.readlink()) == "/dev/null"


def _scripts(layout: Layout, command: str, directory: str) -> list[str]:
    """The files that a command line names, apart from programs: those are packages' and stay what they are."""
    words = command.split(" ")
    # systemd prints arguments without quotes, so a path with blanks comes in several words: longest first.
    candidates = [" ".join(words[start:end]) for start in range(len(words)) for end in range(len(words), start, -1)]
    paths = [os.path.normpath(Path("/", directory, word)) for word in candidates if word.strip()]
    return list(dict.fromkeys(path for path in paths if _is_script(layout.at(path))))


def _is_script(path: Path) -> bool:
    try:
        if not path.is_file() or path.stat().st_size > LARGEST_SCRIPT:
            return False
        with path.open("rb") as file:
            return file.read(4) != b"\x7fELF"
    except OSError:
        return False


def _expand(layout: Layout, pattern: str) -> list[str]:
    found = sorted(layout.host_path(path) for path in layout.root.glob(pattern.lstrip("/")))
    return found or [pattern]


def _identify(adopted: Adopted) -> str:
    content = {**asdict(adopted), "id": ""}
    return "legacy-" + hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def _write(layout: Layout, adopted: Adopted) -> None:
    folder = layout.adopted / adopted.id
    # What was readable for few stays so.
    layout.adopted.mkdir(mode=0o700, exist_ok=True)
    (folder / "files").mkdir(mode=0o700, parents=True, exist_ok=True)
    for entry in adopted.entries:
        if entry.kind == "file":
            durable.write(adopted.stored(layout, entry), layout.at(entry.path).read_bytes(), 0o600)
            if not _intact(layout, adopted, entry):
                raise ReleaseError(f"{entry.path} changed while it was backed up: deploy again")
    durable.sync_directory(folder)
    document: dict[str, Any] = asdict(adopted)
    del document["id"]
    durable.write(folder / MANIFEST, json.dumps(document, indent=1, sort_keys=True).encode(), 0o600)
    durable.sync_directory(layout.adopted)


def _intact(layout: Layout, adopted: Adopted, entry: Entry) -> bool:
    return durable.sha256(adopted.stored(layout, entry)) == entry.sha256
