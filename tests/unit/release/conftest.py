# SPDX-License-Identifier: Apache-2.0
"""A host in a temporary folder: real files everywhere, and a systemctl that reads them and records what it was told."""

from __future__ import annotations

import fnmatch
import os
import re
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.quantum.router.plugins.module_utils.release import manifest
from ansible_collections.quantum.router.plugins.module_utils.release.host import Host
from ansible_collections.quantum.router.plugins.module_utils.release.layout import UNIT, Layout
from ansible_collections.quantum.router.plugins.module_utils.release.systemctl import Completed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

ROOTS = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system")
LEGACY_UNIT = "[Service]\nExecStart=/usr/bin/python3 /home/qt/router.py\n"
RELEASE_UNIT = """\
[Service]
EnvironmentFile=/opt/quantum-router/current/environment
ExecStart=/usr/bin/env /opt/quantum-router/releases/${QUANTUM_ROUTER_RELEASE}/venv/bin/python
"""

Photograph = dict[str, tuple[Any, ...]]
"""Every file and link below a folder by its path, with bytes, mode and owner."""


class FakeSystemctl:
    """Answers like systemd would for the unit file that lies in the host's folder; `fails` makes commands fail."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.calls: list[tuple[str, ...]] = []
        self.environments: list[dict[str, str]] = []
        self.fails: dict[str, Completed] = {}
        self.timers: dict[str, tuple[str, ...]] = {}
        self.answers: dict[str, str] = {}
        self.facts: dict[str, str] = {"ActiveState": "inactive", "MainPID": "0", "UnitFileState": "disabled"}
        self.read_units()

    def __call__(
        self, argv: Sequence[str], timeout_s: float, environment: Mapping[str, str] | None = None
    ) -> Completed:
        """Record the command and answer."""
        words = tuple(argv)
        assert timeout_s > 0
        if words[:2] == ("systemctl", "show"):
            return Completed(0, self._show(), "")
        self.calls.append(words)
        self.environments.append(dict(environment or {}))
        for prefix, answer in self.fails.items():
            if " ".join(words).startswith(prefix):
                return answer
        if words[:2] == ("systemctl", "daemon-reload"):
            self.read_units()
        started = words[:2] == ("systemctl", "start") and self.facts["ActiveState"] != "active"
        if started or words[:2] == ("systemctl", "restart"):
            self._start()
        if words[:2] == ("systemctl", "enable"):
            wants = self.layout.units / "multi-user.target.wants"
            wants.mkdir(exist_ok=True)
            (wants / UNIT).symlink_to(f"/etc/systemd/system/{UNIT}")
        if words[:2] == ("systemctl", "stop") and words[-1] == UNIT:
            self.facts.update(ActiveState="inactive", MainPID="0")
        return self._timer(words) or Completed(0, self.answers.get(words[0], ""), "")

    def _timer(self, words: tuple[str, ...]) -> Completed | None:
        """Timers that systemd-run makes, that can be listed by a pattern, and stopped by name."""
        if words[0] == "systemd-run":
            name = next(word.removeprefix("--unit=") for word in words if word.startswith("--unit=")) + ".timer"
            if name in self.timers:
                return Completed(1, "", f"Failed to start transient timer unit: Unit {name} was already loaded\n")
            self.timers[name] = words
        elif words[:2] == ("systemctl", "list-units"):
            listed = (f"{name} loaded active waiting Undo\n" for name in fnmatch.filter(self.timers, words[-1]))
            return Completed(0, "".join(listed), "")
        elif words[:2] == ("systemctl", "stop"):
            for name in words[2:]:
                self.timers.pop(name, None)
        return None

    def commands(self) -> list[str]:
        """What systemctl was told, in order, without the unit's name."""
        told = [words[1:] for words in self.calls if words[0] == "systemctl" and "-guard-" not in words[-1]]
        return [" ".join(word for word in words if word != UNIT) for words in told if words[0] != "list-units"]

    def _show(self) -> str:
        found = [f"{root}/{UNIT}" for root in ROOTS if os.path.lexists(self.layout.at(f"{root}/{UNIT}"))]
        folders = [f"{root}/{UNIT}.d" for root in ROOTS] + [f"{root}/service.d" for root in ROOTS]
        drop_ins = [
            self.layout.host_path(path) for folder in folders for path in sorted(self.layout.at(folder).glob("*.conf"))
        ]
        facts = {
            "LoadState": "loaded" if found else "not-found",
            "FragmentPath": found[0] if found else "",
            "DropInPaths": " ".join(drop_ins),
            "Type": "simple",
            "Result": "success",
            "ExecStart": self._command(found),
            "NeedDaemonReload": "yes" if self._changed() else "no",
            **self.facts,
        }
        return "".join(f"{name}={value}\n" for name, value in facts.items())

    def read_units(self) -> None:
        """Take the unit as it lies there, as systemd does at boot and when it is told to."""
        unit = self.layout.units / UNIT
        self._read, self._unit = self._times(), unit.read_text() if unit.is_file() else ""

    def _changed(self) -> bool:
        """Whether systemd would say that it has to read the unit: other files, or newer ones."""
        now = self._times()
        return now.keys() != self._read.keys() or any(now[path] > since for path, since in self._read.items())

    def _times(self) -> dict[str, int]:
        """Which files the unit has, and since when."""
        roots = (self.layout.at(root) for root in ROOTS)
        lying = [path for root in roots for path in (root / UNIT, *(root / f"{UNIT}.d").glob("*.conf"))]
        return {str(path): path.lstat().st_mtime_ns for path in lying if os.path.lexists(path)}

    def _start(self) -> None:
        """A new process of the unit as it was read, or is now where there was none, begun after all was written."""
        if not self._unit:
            self.read_units()
        pid = str(int(self.facts["MainPID"]) + 100)
        self.facts.update(ActiveState="active", MainPID=pid, ActiveEnterTimestampMonotonic=str(10**16))
        argv = re.search(r"^ExecStart=(.*)", self._unit, re.MULTILINE)
        words = argv[1].removeprefix("/usr/bin/env ").split() if argv else []
        environment = self.layout.current / "environment"
        for line in environment.read_text().splitlines() if environment.is_file() else []:
            name, _, value = line.partition("=")
            words = [word.replace(f"${{{name}}}", value) for word in words]
        process = self.layout.at(f"/proc/{pid}")
        process.mkdir(parents=True, exist_ok=True)
        (process / "cmdline").write_text("".join(f"{word}\0" for word in words))

    def _command(self, found: list[str]) -> str:
        """The unit's command as systemd prints it."""
        place = self.layout.at(found[0]) if found else None
        for line in place.read_text().splitlines() if place and place.is_file() else []:
            if line.startswith("ExecStart="):
                argv = line.removeprefix("ExecStart=")
                return f"{{ path={argv.split()[0]} ; argv[]={argv} ; ignore_errors=no ; pid=42 }}"
        return ""


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A host's folder with what every host has."""
    made = Layout(tmp_path / "host")
    made.units.mkdir(parents=True)
    return made


@pytest.fixture
def systemctl(layout: Layout) -> FakeSystemctl:
    """The recording systemctl of that host."""
    return FakeSystemctl(layout)


@pytest.fixture
def host(layout: Layout, systemctl: FakeSystemctl) -> Host:
    """That host, with a clock that stands still."""
    return _still_host(layout, systemctl)


def _still_host(layout: Layout, systemctl: FakeSystemctl) -> Host:
    still = Host(layout=layout, run=systemctl, sleep=lambda _s: None, who="ann")
    return replace(still, now=lambda: 1e9, monotonic=lambda: 1e3, uptime=lambda: 2e3)


@pytest.fixture
def legacy(layout: Layout, systemctl: FakeSystemctl) -> Path:
    """A unit installed the legacy way, running and enabled; returns its script."""
    return _install_legacy(layout, systemctl)


def _install_legacy(layout: Layout, systemctl: FakeSystemctl) -> Path:
    script = layout.at("/home/qt/router.py")
    script.parent.mkdir(parents=True)
    script.write_text("print('publish everything')\n")
    script.chmod(0o640)
    (layout.units / UNIT).write_text(LEGACY_UNIT)
    wants = layout.units / "multi-user.target.wants"
    wants.mkdir()
    (wants / UNIT).symlink_to(f"/etc/systemd/system/{UNIT}")
    systemctl.facts.update(ActiveState="active", MainPID="42", UnitFileState="enabled")
    systemctl.read_units()
    return script


@pytest.fixture
def packaged(legacy: Path, host: Host) -> None:
    """The legacy unit as a package installs it, with drop-ins and an environment file of the administrator."""
    assert legacy.is_file()
    package = host.layout.at("/usr/lib/systemd/system") / UNIT
    package.parent.mkdir(parents=True)
    (host.layout.units / UNIT).rename(package)
    drop_in = host.layout.units / f"{UNIT}.d" / "limits.conf"
    drop_in.parent.mkdir()
    drop_in.write_text("[Service]\nEnvironmentFile=/etc/default/router\n")
    drop_in.chmod(0o600)
    environment = host.layout.at("/etc/default/router")
    environment.parent.mkdir()
    environment.write_text("X=1\n")


@pytest.fixture
def deployer(host: Host, systemctl: FakeSystemctl) -> str:
    """The interpreter of a deployer whose `router capacity` changes a count as it is asked to."""
    folder = host.layout.deployers / "0123456789ab"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    python = f"{folder}/venv/bin/python"
    systemctl.answers[python] = '{"before":"7","after":"0"}'
    return python


@pytest.fixture
def stage(layout: Layout) -> Callable[[str], Path]:
    """Make a complete release without building anything; that of several b has another unit than all others."""
    return lambda release: _stage_release(layout, release)


def _stage_release(layout: Layout, release: str) -> Path:
    tree = layout.release(release)
    (tree / "venv").mkdir(parents=True)
    (tree / "venv" / "code.py").write_text(f"# {release}\n")
    unit = RELEASE_UNIT.replace("/python", "/python -B") if release.endswith("b") else RELEASE_UNIT
    (tree / "unit").write_text(unit)
    settings = 'MAX_OPEN_ORDERS=10\nROUTER_KEY_PREFIX="a b"\n# note\n'
    (tree / "environment").write_text(f"QUANTUM_ROUTER_RELEASE={release}\n{settings}")
    manifest.write(tree, {"release": release})
    return tree


@pytest.fixture
def make_host(tmp_path: Path) -> Callable[[], tuple[Host, FakeSystemctl]]:
    """Make hosts, each with a router of the legacy kind running and releases 1.0.0-a… and 1.0.0-b… staged."""
    made: list[Layout] = []

    def _make() -> tuple[Host, FakeSystemctl]:
        layout = Layout(tmp_path / f"host{len(made)}")
        layout.units.mkdir(parents=True)
        made.append(layout)
        systemctl = FakeSystemctl(layout)
        _install_legacy(layout, systemctl)
        for letter in "ab":
            _stage_release(layout, f"1.0.0-{letter * 12}")
        return _still_host(layout, systemctl), systemctl

    return _make


@pytest.fixture
def photograph() -> Callable[[Path], Photograph]:
    """Every file and link below a folder with bytes, mode and owner."""

    def _photograph(root: Path) -> Photograph:
        seen: Photograph = {}
        for path in sorted(root.rglob("*")):
            status = path.lstat()
            what = str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else "folder"
            seen[str(path.relative_to(root))] = (what, status.st_mode, status.st_uid, status.st_gid)
        return seen

    return _photograph


def outside(root: Path, photograph: Callable[[Path], Photograph]) -> Photograph:
    """Everything on the host that is not ours to keep."""
    return {path: seen for path, seen in photograph(root).items() if not path.startswith(("opt", "var", "proc"))}


@pytest.fixture
def make_wheel(tmp_path: Path) -> Callable[..., Path]:
    """Write a wheel with these members, in this order."""

    def _make(file: str, contents: dict[str, str], *, name: str = "quantum-router", version: str = "1.0.0") -> Path:
        path = tmp_path / file
        with zipfile.ZipFile(path, "w") as archive:
            for member, text in contents.items():
                archive.writestr(member, text)
            archive.writestr(f"quantum_router-{version}.dist-info/METADATA", f"Name: {name}\nVersion: {version}\n")
        return path

    return _make
