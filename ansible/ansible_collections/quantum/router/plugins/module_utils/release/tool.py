# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same files as one executable: `router-release`, which travels ahead of every release."""

from __future__ import annotations

import importlib.util
import io
import marshal
import os
import sys
import zipfile
import zlib
from typing import TYPE_CHECKING

from . import boot, cli, durable
from .errors import ReleaseError

if TYPE_CHECKING:
    from .host import Host

MODULES = (
    *("activation", "adoption", "boot", "capacity", "cli", "commands", "confirmation", "drift", "durable", "ending"),
    *("errors", "files", "guard", "history", "host", "layout", "lock", "login", "manifest", "plan"),
    *("rebuild", "retry", "rollback", "state", "store", "systemctl"),
)
"""What the command needs; Ansible sends no more than this to a host."""

_MAIN = b"import sys\n\nfrom release.cli import main\n\nsys.exit(main(sys.argv[1:]))\n"
_EPOCH = (1980, 1, 1, 0, 0, 0)
# Of a .pyc that is taken as it is, without a look at its source (PEP 552).
_UNCHECKED = (1).to_bytes(4, "little")


def build(interpreter: str) -> bytes:
    """The executable's bytes: every module as source, and as bytecode for the Python that runs now.

    Another Python takes the sources. To compile them each time is a third of what a rollback takes until it begins.
    """
    package = cli.__name__.rpartition(".")[0]
    sources = {f"release/{name}.py": _source(f"{package}.{name}") for name in MODULES}
    sources["release/__init__.py"] = _source(package)
    sources["__main__.py"] = _MAIN
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.comment = importlib.util.MAGIC_NUMBER
        for name in sorted(sources):
            for member, content in ((name, sources[name]), (f"{name}c", _compiled(name, sources[name]))):
                entry = zipfile.ZipInfo(member, _EPOCH)
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, content)
    # Isolated: neither the caller's folder nor PYTHON* variables can replace a module under a tool that root runs.
    return b"#!" + interpreter.encode() + b" -I\n" + buffer.getvalue()


def interpreter() -> str:
    """The system's python3 if it is the one that runs now, for it survives an upgrade; else the one that runs now."""
    system = "/usr/bin/python3"
    return system if os.path.realpath(system) == os.path.realpath(sys.executable) else sys.executable


def install(host: Host, *, check: bool = False) -> bool:
    """Have the executable on the host's path, and the units that call it at boot; returns whether anything changed."""
    wanted, place = build(interpreter()), host.layout.tool
    there = place.is_file() and _told(place.read_bytes()) == _told(wanted) and place.stat().st_mode & 0o777 == 0o755
    if not (there or check):
        place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        durable.write(place, wanted, 0o755)
    return boot.install(host, check=check) or not there


def _compiled(name: str, source: bytes) -> bytes:
    code = marshal.dumps(compile(source, name, "exec", dont_inherit=True))
    return importlib.util.MAGIC_NUMBER + _UNCHECKED + importlib.util.source_hash(source) + code


def _told(executable: bytes) -> tuple[bytes, bytes, dict[str, bytes]] | None:
    """What makes an executable the same as another; two runs of one Python may write the same bytecode differently."""
    try:
        with zipfile.ZipFile(io.BytesIO(executable)) as archive:
            sources = {name: archive.read(name) for name in archive.namelist() if name.endswith(".py")}
            return executable.partition(b"\n")[0], archive.comment, sources
    except (zipfile.BadZipFile, zlib.error):
        return None


def _source(module: str) -> bytes:
    spec = importlib.util.find_spec(module)
    loader = spec.loader if spec else None
    source = loader.get_source(module) if loader and hasattr(loader, "get_source") else None
    if source is None:
        raise ReleaseError(f"the source of {module} can't be read: install the collection again")
    return str(source).encode()
