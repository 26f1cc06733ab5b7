# SPDX-License-Identifier: Apache-2.0
"""What makes two releases the same."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest
from ansible_collections.quantum.router.plugins.filter.release_id import FilterModule
from ansible_collections.quantum.router.plugins.module_utils.release import identity
from ansible_collections.quantum.router.plugins.module_utils.release.errors import ReleaseError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_order_and_times_do_not_count(make_wheel: Callable[..., Path], tmp_path: Path) -> None:
    """A wheel that is built again, its members in another order and at another time, is the same release."""
    one = make_wheel("one.whl", {"router/a.py": "1", "router/b.py": "2"})
    other = make_wheel("other.whl", {"router/b.py": "2", "router/a.py": "1"})
    again = tmp_path / "again.whl"
    with zipfile.ZipFile(one) as archive, zipfile.ZipFile(again, "w", zipfile.ZIP_DEFLATED) as copy:
        for name in archive.namelist():
            copy.writestr(zipfile.ZipInfo(name, (2001, 2, 3, 4, 5, 6)), archive.read(name))
    ids = {identity.release_id(path, b"lock", "unit", "environment") for path in (one, other, again)}
    assert 1 == len(ids)
    assert ids.pop().startswith("1.0.0-")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    inputs=st.lists(st.tuples(st.text("ab\n"), st.text("ab\n"), st.text("ab\n")), min_size=2, max_size=2, unique=True)
)
def test_every_part_counts(make_wheel: Callable[..., Path], inputs: list[tuple[str, str, str]]) -> None:
    """Another lock, unit or environment is another release, also when the texts joined would be equal."""
    wheel = make_wheel("w.whl", {"router/a.py": "1"})
    one, other = (identity.release_id(wheel, lock.encode(), unit, env) for lock, unit, env in inputs)
    assert one != other


def test_content_counts(make_wheel: Callable[..., Path]) -> None:
    """One changed byte in the wheel is another release, and another deployer."""
    one = make_wheel("one.whl", {"router/a.py": "1"})
    other = make_wheel("other.whl", {"router/a.py": "2"})
    assert identity.release_id(one, b"", "", "") != identity.release_id(other, b"", "", "")
    assert identity.deployer_digest(one, b"") != identity.deployer_digest(other, b"")


def test_filter_is_the_same_code(make_wheel: Callable[..., Path], tmp_path: Path) -> None:
    """The controller's filter gives the id that the host computes."""
    wheel = make_wheel("w.whl", {"router/a.py": "1"})
    wheelhouse = tmp_path / "wheelhouse.zip"
    with zipfile.ZipFile(wheelhouse, "w") as archive:
        archive.writestr("runtime.txt", "redis==1 --hash=sha256:0\n")
    release_id = FilterModule().filters()["release_id"]
    expected = identity.release_id(wheel, b"redis==1 --hash=sha256:0\n", "unit", "environment")
    assert expected == release_id(str(wheel), str(wheelhouse), "unit", "environment")
    with pytest.raises(Exception, match=r"none\.zip does not exist: build it first"):
        release_id(str(wheel), str(tmp_path / "none.zip"), "unit", "environment")


@pytest.mark.parametrize(
    ("name", "version", "said"),
    [("evil", "1.0", "is a wheel of 'evil'"), ("quantum-router", "../x", "has version '../x'")],
)
def test_foreign_wheel_is_refused(make_wheel: Callable[..., Path], name: str, version: str, said: str) -> None:
    """A wheel of something else, or with a version that can't be part of a path, is refused by name."""
    wheel = make_wheel("w.whl", {}, name=name, version=version.replace("/", "_"))
    if "/" in version:
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("x.dist-info/METADATA", f"Name: {name}\nVersion: {version}\n")
    with pytest.raises(ReleaseError, match=said):
        identity.wheel_version(wheel)


def test_damaged_files_are_named(tmp_path: Path, make_wheel: Callable[..., Path]) -> None:
    """A wheelhouse without lock, a file that is no zip and a wheel without metadata are each one line."""
    damaged = tmp_path / "damaged.whl"
    damaged.write_bytes(b"half a wheel")
    with pytest.raises(ReleaseError, match=r"damaged\.whl is damaged or no zip archive"):
        identity.wheel_version(damaged)
    content = bytearray(make_wheel("flipped.whl", {"router/core.py": "router = 1\n" * 100}).read_bytes())
    content[60] ^= 0xFF
    damaged.write_bytes(bytes(content))
    with pytest.raises(ReleaseError, match=r"damaged\.whl is damaged or no zip archive"):
        identity.release_id(damaged, b"", "", "")
    with pytest.raises(ReleaseError, match=r"holds no runtime\.txt: make the wheelhouse again"):
        identity.read_lock(make_wheel("w.whl", {}))
    bare = tmp_path / "bare.whl"
    zipfile.ZipFile(bare, "w").close()
    with pytest.raises(ReleaseError, match="is no wheel"):
        identity.wheel_version(bare)
