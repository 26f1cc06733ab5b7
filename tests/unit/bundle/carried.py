# SPDX-License-Identifier: Apache-2.0
"""What a folder that `make bundle` has filled carries, and what of it nothing vouches for."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import PurePath
from typing import TYPE_CHECKING

from bundle.archives import sha256

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def wheel(name: str, *metadata: str, content: str = "") -> bytes:
    """A wheel with this metadata."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("part.py", content)
        archive.writestr(
            f"{name}-1.dist-info/METADATA", "\n".join([f"Name: {name}", "Version: 1.5", *metadata, "", "Text"])
        )
        archive.writestr(f"{name}-1.dist-info/licenses/METADATA", "not this one")
    return packed.getvalue()


def unpacked(tar_gz: bytes) -> dict[str, bytes]:
    """Each file of a tar.gz by its path."""
    with tarfile.open(fileobj=io.BytesIO(tar_gz)) as tar:
        return {each.name: content.read() for each in tar if (content := tar.extractfile(each))}


def wheels(dist: Path) -> dict[str, bytes]:
    """Every wheel that the folder carries by its file name: in the collection, its wheelhouses, and the one file."""
    (one_file,), (tarball,) = dist.glob("*.run"), dist.glob("*.tar.gz")
    script = one_file.read_bytes()
    payload = script[script.index(b"\x1f\x8b\x08") :]  # as every gzip file begins, and no line of a script
    return dict(_wheels({**unpacked(tarball.read_bytes()), **unpacked(payload)}))


def _wheels(files: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    for path, content in files.items():
        if path.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                yield from _wheels({name: archive.read(name) for name in archive.namelist()})
        elif path.endswith(".whl"):
            yield PurePath(path).name, content


def unvouched(dist: Path) -> set[str]:
    """The files that SHA256SUMS does not have as they are, and the wheels that the bill of materials does not."""
    sums = (dist / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    files = {path.name for path in dist.iterdir() if f"{sha256(path.read_bytes())}  {path.name}" not in sums}
    (bill,) = (json.loads(path.read_text(encoding="utf-8")) for path in dist.glob("*.cdx.json"))
    packages = [bill["metadata"]["component"], *bill["components"]]
    hashes = {each["content"] for package in packages for each in package["hashes"]}
    return files - {"SHA256SUMS"} | {name for name, content in wheels(dist).items() if sha256(content) not in hashes}
