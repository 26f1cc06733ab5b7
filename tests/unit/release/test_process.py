# SPDX-License-Identifier: Apache-2.0
"""What a process says of itself: the release it is of, its code, and what it was told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.quantum.router.plugins.module_utils.release import manifest, process

if TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.quantum.router.plugins.module_utils.release.host import Host

A = "1.0.0-aaaaaaaaaaaa"
PID = 42
NONE: dict[str, Any] = {"release": None, "version": None, "code": None, "settings": {}}


def release(host: Host, python: str = "python3.11", code: str = "x = 1\n") -> Path:
    """A release of one module, whose interpreter is a link to that of the host."""
    tree = host.layout.releases / A
    place = tree / "venv" / "lib" / python / "site-packages" / "router"
    (place / "__pycache__").mkdir(parents=True)
    (place / "core.py").write_text(code)
    (place / "__pycache__" / "core.pyc").write_text(python)
    (tree / "environment").write_text(
        f"# ours\nQUANTUM_ROUTER_RELEASE={A}\nMAX_OPEN_ORDERS=10\nROUTER_REDIS_URL='redis://h/0'\nMIN_CONFIDENCE=0.8\n"
    )
    (tree / "venv" / "bin").mkdir()
    interpreter = host.layout.at(f"/usr/bin/{python}")
    interpreter.parent.mkdir(parents=True, exist_ok=True)
    interpreter.touch()
    (tree / "venv" / "bin" / "python").symlink_to(interpreter)
    manifest.write(tree, {"release": A})
    return tree


def run(host: Host, command: str, executable: str = "/usr/bin/python3.11", environ: str = "") -> None:
    """Have a process with this command, executable and environment."""
    place = host.layout.at(f"/proc/{PID}")
    place.mkdir(parents=True)
    (place / "cmdline").write_text(command.replace(" ", "\0") + "\0")
    (place / "environ").write_text(environ.replace("\n", "\0"))
    (place / "exe").symlink_to(host.layout.at(executable))


def of(tree: Path, host: Host) -> str:
    """The command line of the release's process."""
    return f"{host.layout.host_path(tree)}/venv/bin/python -I -m router run"


def test_process_of_a_release(host: Host) -> None:
    """Release, version, code, and the settings that it was started with, but none that says where things are."""
    tree = release(host)
    environ = f"PATH=/bin\nQUANTUM_ROUTER_RELEASE={A}\nMAX_OPEN_ORDERS=11\nROUTER_REDIS_URL=redis://me:s3cret@h/0\n"
    environ += "ROUTER_GROUP=g\nROUTER_REPEAT_LIMIT=2\n"
    run(host, of(tree, host), environ=environ)
    found = process.describe(host, PID)
    assert (A, "1.0.0") == (found["release"], found["version"])
    assert {"MAX_OPEN_ORDERS": "11", "ROUTER_REPEAT_LIMIT": "2"} == found["settings"]
    assert len(found["code"]) == 12


def test_code_is_the_same_under_another_python(host: Host, tmp_path: Path) -> None:
    """Only the router's own sources count, wherever a Python keeps them and whatever it compiles them to."""
    codes = []
    for number, (python, code) in enumerate(
        [("python3.11", "x = 1\n"), ("python3.13", "x = 1\n"), ("python3.11", "x = 2\n")]
    ):
        other = type(host)(layout=type(host.layout)(tmp_path / str(number)), run=host.run)
        run(other, of(release(other, python, code), other), f"/usr/bin/{python}")
        codes.append(process.describe(other, PID)["code"])
    assert codes[0] == codes[1] != codes[2]


@pytest.mark.parametrize(
    ("command", "executable"),
    [
        ("/usr/bin/python3 /home/qt/router.py", "/usr/bin/python3.11"),
        ("{release}/venv/bin/python -m router", "/usr/bin/other"),
        ("{release}/venv/lib/python -m router", "/usr/bin/python3.11"),
        ("{release} -m router", "/usr/bin/python3.11"),
        ("", "/usr/bin/python3.11"),
    ],
)
def test_process_of_something_else(host: Host, command: str, executable: str) -> None:
    """A command line alone proves nothing, and neither does an interpreter elsewhere."""
    tree = release(host)
    host.layout.at("/usr/bin/other").touch()
    run(host, command.format(release=host.layout.host_path(tree)), executable)
    assert NONE == process.describe(host, PID)


def test_no_process(host: Host) -> None:
    """Where none runs nothing is said, and nothing fails."""
    assert NONE == process.describe(host, 0)


def test_release_that_was_taken_away(host: Host) -> None:
    """Code that cannot be told is not equal to any."""
    tree = release(host)
    run(host, of(tree, host))
    (tree / "manifest.json").write_text("{")
    (tree / "environment").unlink()
    found = process.describe(host, PID)
    assert (A, None, {}) == (found["release"], found["code"], found["settings"])
