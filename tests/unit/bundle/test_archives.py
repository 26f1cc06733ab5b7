# SPDX-License-Identifier: Apache-2.0
"""The same contents make the same bytes, wherever and whenever, and what was built installs and runs elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from bundle import archives
from bundle.__main__ import COLLECTION, collection
from router import __version__
from tests.elsewhere import install

if TYPE_CHECKING:
    from pathlib import Path

TIME_S = 1_700_000_000


def test_members_order_and_time_do_not_depend_on_the_disk() -> None:
    """Order of the disk, times and owners do not get in; the one time does."""
    members = [archives.file("b", b"2"), archives.file("a", b"1")]
    packed = archives.tar_gz(members, TIME_S)
    members[0][0].uid, members[1][0].mtime = 1000, 5
    assert archives.tar_gz(reversed(members), TIME_S) == packed
    assert archives.tar_gz(members, TIME_S + 1) != packed


def test_a_collection_built_twice_has_the_same_bytes(tmp_path: Path) -> None:
    """Of two copies made at different times, and listed by the disk in another order."""
    built: list[bytes] = []
    for names in (("a.md", "z.md"), ("z.md", "a.md")):
        folder = tmp_path / names[0]
        folder.mkdir()
        for name in ("galaxy.yml", "README.md", "CHANGELOG.md", "LICENSE"):
            if (COLLECTION / name).exists():
                shutil.copy(COLLECTION / name, folder)
        for name in names:
            (folder / name).write_text(name)
            os.utime(folder / name, (len(built), len(built)))
        build = ["ansible-galaxy", "collection", "build", str(folder), "--output-path", str(folder / "built")]
        subprocess.run(build, check=True, capture_output=True)
        (tarball,) = (folder / "built").iterdir()
        built.append(archives.reproducible(tarball, TIME_S))
    assert built[0] == built[1]


def test_sums_are_what_sha256sum_checks(tmp_path: Path) -> None:
    """A person with coreutils finds a damaged file."""
    (tmp_path / "b").write_bytes(b"2")
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "SHA256SUMS").write_text(archives.sums([tmp_path / "b", tmp_path / "a"]))
    check = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    assert subprocess.run(check, cwd=tmp_path, check=False).returncode == 0
    (tmp_path / "a").write_bytes(b"3")
    assert subprocess.run(check, cwd=tmp_path, capture_output=True, check=False).returncode == 1


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """An empty folder, and an environment in which only the installed tarball is a collection."""
    folder = tmp_path_factory.mktemp("elsewhere")
    tarball = folder / "quantum-router.tar.gz"
    tarball.write_bytes(collection(TIME_S))
    (folder / "empty").mkdir()
    return folder, install(tarball, folder)


def test_the_tarball_has_the_version_of_the_router_and_all_that_is_in_the_collection(
    elsewhere: tuple[Path, dict[str, str]],
) -> None:
    """Galaxy's manifest says the version of the wheel; plugins, playbooks and whatever wheels there are come along."""
    with tarfile.open(elsewhere[0] / "quantum-router.tar.gz") as tar:
        manifest = tar.extractfile("MANIFEST.json")
        assert manifest
        assert json.load(manifest)["collection_info"]["version"] == __version__
        packed = {each.name for each in tar if each.isfile()}
    left_out = {"galaxy.yml"}
    lies = {str(path.relative_to(COLLECTION)) for path in COLLECTION.rglob("*") if path.is_file()}
    unbuilt = {name for name in lies if "__pycache__" in name or name.startswith((".", "changelogs/fragments"))}
    assert lies - unbuilt - left_out == packed - {"MANIFEST.json", "FILES.json"}


def test_every_playbook_runs_from_an_empty_folder(elsewhere: tuple[Path, dict[str, str]]) -> None:
    """By its name alone, with an inventory, and without anything of this checkout."""
    folder, environment = elsewhere
    playbooks = sorted(path.stem for path in (COLLECTION / "playbooks").glob("*.yml"))
    run = ["ansible-playbook", *(f"quantum.router.{name}" for name in playbooks), "-i", "router-1,", "--list-tasks"]
    done = subprocess.run(run, cwd=folder / "empty", env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    listed = [line.removeprefix("playbook: ") for line in done.stdout.splitlines() if line.startswith("playbook: ")]
    installed = folder / "collections/ansible_collections/quantum/router/playbooks"
    assert [str(installed / f"{name}.yml") for name in playbooks] == listed


def test_without_the_callback_the_line_is_still_shown(elsewhere: tuple[Path, dict[str, str]]) -> None:
    """Whoever has no ansible.cfg reads the verdict too, and reports lie in the folder that they are in."""
    folder, environment = elsewhere
    (folder / "hosts").write_text(
        "[routers]\nhere ansible_connection=local ansible_python_interpreter=/nowhere/python3\n"
    )
    run = ["ansible-playbook", "quantum.router.site", "-i", str(folder / "hosts")]
    done = subprocess.run(run, cwd=folder / "empty", env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert '"line": "verdict=fail host=here reason=' in done.stdout
    assert (folder / "empty/reports/latest/here/report.json").is_file()
