# SPDX-License-Identifier: Apache-2.0
"""The wheelhouse: what pip is asked for, and bytes that do not depend on when or where."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType


def test_a_target_names_python_and_machine(wheelhouse: ModuleType) -> None:
    """Pip looks for wheels of the host, not of this machine."""
    arguments = wheelhouse.download_arguments("cp313-aarch64", "runtime", Path("wheels"))
    assert {"--python-version=3.13", "--implementation=cp", "--dest=wheels"} <= set(arguments)
    platforms = [each for each in arguments if each.startswith("--platform=")]
    assert platforms == [f"--platform=manylinux{tag}_aarch64" for tag in ("_2_28", "_2_17", "2014")]


def test_only_locked_wheels_are_taken(wheelhouse: ModuleType) -> None:
    """Nothing without a hash, nothing that must be built."""
    assert {"--require-hashes", "--only-binary=:all:"} <= set(
        wheelhouse.download_arguments("cp311-x86_64", "runtime", Path())
    )


def test_an_unknown_target_is_named(wheelhouse: ModuleType, tmp_path: Path) -> None:
    """A typing mistake ends in one line that shows the right form."""
    complaint = wheelhouse.main(str(tmp_path / "house"), "runtime", "cp311-riscv")
    assert complaint == "wheelhouse target 'cp311-riscv' is unknown: say for example cp311-x86_64 or cp313-aarch64"


def test_the_same_files_give_the_same_zip(wheelhouse: ModuleType, tmp_path: Path) -> None:
    """Neither times nor order nor folders get in."""
    files = [tmp_path / "b.whl", tmp_path / "a.whl"]
    for file in files:
        file.write_text(file.name)
    wheelhouse.pack(files, tmp_path / "one.zip")
    os.utime(files[0], (1, 1))
    wheelhouse.pack(files[::-1], tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    assert zipfile.ZipFile(tmp_path / "one.zip").namelist() == ["a.whl", "b.whl"]
    assert not list(tmp_path.glob("*.part"))
