# SPDX-License-Identifier: Apache-2.0
"""What fills dist/ vouches for everything in it, and says what it lacks."""

from __future__ import annotations

import importlib
import shutil
import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.unit.bundle.carried import unvouched, wheel, wheels

if TYPE_CHECKING:
    from pathlib import Path

bundle = importlib.import_module("bundle.__main__")

PROMISED = "cp310-x86_64 cp311-x86_64 cp312-x86_64"
FOR_ANSIBLE = "cp311-x86_64 cp312-x86_64"


def wheelhouse(path: Path, *names: str) -> Path:
    """A zip of wheels of these packages."""
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(f"{name}-1.5-{path.stem}.whl", wheel(name, content=path.stem))
    return path


@pytest.fixture
def dist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder to be filled, of this collection with wheels made up for one host of those that are promised."""
    collection = tmp_path / "collection"
    shutil.copytree(bundle.COLLECTION, collection, ignore=shutil.ignore_patterns("*.whl", "wheelhouse"))
    files = collection / bundle.FILES.relative_to(bundle.COLLECTION)
    (files / "quantum_router-1.5-py3-none-any.whl").write_bytes(wheel("quantum-router"))
    wheelhouse(files / "wheelhouse" / "cp310-x86_64.zip", "redis", "click")
    wheelhouse(files / "wheelhouse" / "cp311-x86_64.zip", "redis", "click")
    monkeypatch.setattr(bundle, "COLLECTION", collection)
    monkeypatch.setattr(bundle, "FILES", files)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    return tmp_path / "dist"


def test_each_file_and_each_wheel_is_vouched_for(dist: Path, tmp_path: Path) -> None:
    """Those of the collection and those of the one file, whatever Python and machine they are for."""
    bundle.main(str(dist), PROMISED, FOR_ANSIBLE, str(wheelhouse(tmp_path / "ansible/cp311-x86_64.zip", "ansible")))
    assert {name.split("-")[0] for name in wheels(dist)} == {"quantum_router", "redis", "click", "ansible"}
    assert len(wheels(dist)) == 6
    assert unvouched(dist) == set()


def test_hosts_that_there_are_no_wheels_for_are_named(
    dist: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bundle for fewer hosts than promised may be made, and says so of each file."""
    bundle.main(str(dist), PROMISED, FOR_ANSIBLE, str(wheelhouse(tmp_path / "ansible/cp312-x86_64.zip", "ansible")))
    said = capsys.readouterr().err.splitlines()
    assert said == [
        f"bundle: {bundle.NAME}.tar.gz has no wheels for cp312-x86_64",
        f"bundle: {bundle.NAME}.run has no wheels for cp311-x86_64",
    ]


def test_a_bundle_for_no_host_that_runs_ansible_is_refused(dist: Path) -> None:
    """It would hold a file that nobody can run."""
    with pytest.raises(SystemExit, match=f"name one of {FOR_ANSIBLE} in WHEELHOUSE_TARGETS"):
        bundle.main(str(dist), PROMISED, FOR_ANSIBLE)
    assert not dist.exists()


def test_a_whole_bundle_lacks_nothing(dist: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is said of one that has all that is promised."""
    ansible = str(wheelhouse(tmp_path / "ansible/cp311-x86_64.zip", "ansible"))
    bundle.main(str(dist), "cp310-x86_64 cp311-x86_64", "cp311-x86_64", ansible)
    assert capsys.readouterr().err == ""
