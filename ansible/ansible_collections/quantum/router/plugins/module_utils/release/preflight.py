# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Can the router live on this host? Read only."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import sys
from typing import TYPE_CHECKING, Any

from .systemctl import ANSWER_S

if TYPE_CHECKING:
    from pathlib import Path

    from .host import Host

MACHINES = ("x86_64", "aarch64")
"""Those that wheelhouses are made for."""

OLDEST_SYSTEMD = 247
"""The first with LoadCredential, which carries the Redis password into the sandbox."""


def describe(host: Host) -> dict[str, Any]:
    """Python, machine, operating system and systemd of this host."""
    done = host.run(("systemctl", "--version"), ANSWER_S)
    found = re.match(r"systemd (\d+)", done.out)
    release = os_release(host.layout.at("/etc/os-release"))
    return {
        "python": {
            "version": platform.python_version(),
            "executable": sys.executable,
            "tag": f"cp{sys.version_info[0]}{sys.version_info[1]}",
            "implementation": platform.python_implementation(),
            "bits": 64 if sys.maxsize > 1 << 32 else 32,
            "libc": platform.libc_ver()[0],
            "venv": importlib.util.find_spec("venv") is not None,
        },
        "machine": platform.machine(),
        "os": {"system": platform.system(), "id": release.get("ID", ""), "version": release.get("VERSION_ID", "")},
        "systemd": {
            "running": host.layout.at("/run/systemd/system").is_dir(),
            "version": int(found[1]) if found else 0,
        },
        "root": os.geteuid() == 0,
    }


def problems(described: dict[str, Any], min_python: str) -> list[str]:
    """One line, with the way out, for each thing that the router can't live with."""
    python, systemd = described["python"], described["systemd"]
    if described["os"]["system"] != "Linux":
        return [f"the host runs {described['os']['system']}: the router needs Linux with systemd"]
    wrong = {
        "router_info does not run as root: set become to true, or connect as root": not described["root"],
        **_python_problems(python, min_python),
        f"machine {described['machine']} is not supported: {' and '.join(MACHINES)} are": (
            described["machine"] not in MACHINES
        ),
        "systemd does not run this host (it is not process 1): the router needs a host booted with systemd": (
            not systemd["running"]
        ),
        f"systemd {systemd['version']} is too old: {OLDEST_SYSTEMD} or newer is needed": (
            systemd["running"] and systemd["version"] < OLDEST_SYSTEMD
        ),
    }
    return [line for line, holds in wrong.items() if holds]


def _python_problems(python: dict[str, Any], min_python: str) -> dict[str, bool]:
    where, way_out = python["executable"], "name another with ansible_python_interpreter"
    lacks = f"{min_python} or newer is needed, install one and name it with ansible_python_interpreter"
    hidden = os.path.realpath(where).startswith(("/root/", "/home/"))
    old = _numbers(python["version"]) < _numbers(min_python)
    foreign = python["implementation"] != "CPython" or python["bits"] != 64 or python["libc"] != "glibc"
    what = f"{python['implementation']} of {python['bits']} bits on {python['libc'] or 'another libc'}"
    return {
        f"Python {where} is {what}: 64 bits of CPython on glibc are needed, {way_out}": foreign,
        f"Python {python['version']} ({where}) is too old: {lacks}": old,
        f"Python {where} has no venv module: install python3-venv": not python["venv"],
        f"Python {where} lies in a home directory, which the service can't see: {way_out}": hidden,
    }


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


def os_release(path: Path) -> dict[str, str]:
    """What the file says of its distribution, by name; nothing where there is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines)
    return {name: value.strip("\"'") for name, found, value in pairs if found}
