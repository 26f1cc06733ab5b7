# SPDX-License-Identifier: Apache-2.0
"""A disk that is really full, and files that change where nobody may change them."""

from __future__ import annotations

import json
import re
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.infra.controller import about_to_activate, deploying
from tests.infra.desk import STATE, UNIT
from tests.infra.endings import LOCK, UNITS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.infra.conftest import Playbooks
    from tests.infra.desk import Desk
    from tests.infra.endings import Fault

pytestmark = pytest.mark.long

HOME = "/opt/quantum-router"
#: Changes each wheel that is copied to be staged, at once.
TAMPERS = f"""
import glob, time, zipfile
while True:
    for path in glob.glob("{HOME}/artifacts/candidate/*.whl"):
        with zipfile.ZipFile(path, "a") as wheel:
            if "router/extra.py" not in wheel.namelist():
                wheel.writestr("router/extra.py", "")
    time.sleep(0.05)
"""


@contextmanager
def small_disk(desk: Desk, folder: str, size: str) -> Iterator[Callable[[], str]]:
    """A file system of its own under the folder, with what is there; calling it fills it to the last byte."""
    filler, kept = f"{folder}/filler", "/root/kept"
    clear = f"find {folder} -mindepth 1 -delete"
    desk.run(f"""
        set -e
        mkdir -p {folder} {kept}
        cp -a {folder}/. {kept}
        mount -t tmpfs -o size={size},mode=0755 tmpfs {folder}
        cp -a {kept}/. {folder}
    """)
    try:
        yield lambda: desk.run(f"dd if=/dev/zero of={filler} bs=1k 2>&1 | grep 'No space left on device'")
    finally:
        desk.run(f"""
            set -e
            rm -rf {filler} {kept}
            cp -a {folder} {kept}
            umount {folder}
            {clear}
            cp -a {kept}/. {folder}
            rm -r {kept}
            systemctl daemon-reload
        """)


@pytest.mark.fault(13, "the disk is full while the release is staged", phase="stage", outcome="refused")
def test_full_while_staging(playbooks: Playbooks, desk: Desk, fault: Fault) -> None:
    """A release that does not fit leaves nothing there, and the reason is the disk."""
    desk.run(f"mkdir -p {HOME}/releases && mv {HOME}/releases {HOME}/releases.aside")
    try:
        with small_disk(desk, f"{HOME}/releases", "4m"):
            run = playbooks.deploy()
            assert "" == desk.run(f"ls -A {HOME}/releases")
    finally:
        desk.run(f"rm -rf {HOME}/releases && mv {HOME}/releases.aside {HOME}/releases")
    assert "No space left on device" in run.reason
    fault.ends(run)


@pytest.mark.fault(14, "the disk is full while the release is activated", phase="activate", outcome="refused")
def test_full_where_the_state_is_kept(playbooks: Playbooks, desk: Desk, fault: Fault) -> None:
    """Where a rollback could not be written down nothing live is touched."""
    with small_disk(desk, STATE, "64m") as fill, deploying(playbooks) as controller:
        with about_to_activate(controller, desk):
            fill()
        run = controller.ends()
        assert re.match(f"{STATE}/.*: No space left on device", run.reason)
        fault.ends(run)


@pytest.mark.fault(14, "the disk is full while the release is activated", phase="activate", outcome="back")
def test_full_where_the_unit_is_installed(playbooks: Playbooks, desk: Desk, fault: Fault) -> None:
    """What was under way is undone on a disk that is still full."""
    with small_disk(desk, UNITS, "1m") as fill, deploying(playbooks) as controller:
        with about_to_activate(controller, desk):
            fault.strikes()
            fill()
        run = controller.ends()
        assert run.reason.startswith(f"{UNITS}/{UNIT}: No space left on device")
        assert "rolled_back=true" in run.last_line
        desk.run(f"rm {UNITS}/filler")
        fault.ends(run)


@pytest.mark.fault(21, "a tampered release or wheel", phase="activate", outcome="refused")
def test_release_tampered_with(playbooks: Playbooks, desk: Desk, fault: Fault) -> None:
    """A file of the release that changed after the drill is named, and the release is not activated."""
    with deploying(playbooks) as controller:
        with about_to_activate(controller, desk):
            release = json.loads(desk.run(f"cat {LOCK}"))["message"].split()[-1]
            code = f"{HOME}/releases/{release}/venv/lib/python3*/site-packages/router/core/policy.py"
            desk.run(f"echo '# added' | tee -a {code}")
        run = controller.ends()
    assert f"release {release} is not what was staged (venv/lib/python3" in run.reason
    assert "router/core/policy.py has another content): stage it again" in run.reason
    fault.ends(run)


@pytest.mark.fault(21, "a tampered release or wheel", phase="stage", outcome="refused")
def test_wheel_tampered_with_on_its_way(playbooks: Playbooks, desk: Desk, fault: Fault) -> None:
    """A wheel that is not the one that was sent is not installed."""
    desk.run(f"systemd-run --quiet --collect --unit=lab-tampers /usr/bin/python3 -c '{TAMPERS}'")
    try:
        run = playbooks.deploy()
    finally:
        desk.run("systemctl stop lab-tampers")
    assert "was announced, but these files make " in run.reason
    fault.ends(run)


@pytest.mark.fault(21, "a tampered release or wheel", phase="preflight", outcome="refused")
def test_wheel_that_is_damaged(
    playbooks: Playbooks, bad_wheel: Callable[[str], str], tmp_path: Path, fault: Fault
) -> None:
    """A wheel with a flipped byte in a module is refused before anything is copied to the host."""
    good = Path(bad_wheel("silent"))
    with zipfile.ZipFile(good) as archive:
        place = archive.getinfo("router/core/policy.py").header_offset + 200
    content = bytearray(good.read_bytes())
    content[place] ^= 0xFF
    damaged = tmp_path / good.name
    damaged.write_bytes(bytes(content))
    run = playbooks.deploy(router_artifact=str(damaged))
    assert damaged.name in run.reason
    fault.ends(run)
