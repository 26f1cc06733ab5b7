# SPDX-License-Identifier: Apache-2.0
"""Archives whose bytes depend on nothing but what is in them and one time."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from operator import itemgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


def sha256(content: bytes) -> str:
    """Its SHA-256 in hex, as sha256sum prints it."""
    return hashlib.sha256(content).hexdigest()


def file(name: str, content: bytes, mode: int = 0o644) -> tuple[tarfile.TarInfo, bytes]:
    """A member of `tar_gz`."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), mode
    return member, content


def tar_gz(members: Iterable[tuple[tarfile.TarInfo, bytes]], time_s: int) -> bytes:
    """A tar.gz of the members by name, all of them root's and from *time_s* (seconds since 1970)."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", fileobj=packed, mode="wb", mtime=time_s) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for member, content in sorted(members, key=lambda pair: pair[0].name):
            member.mtime, member.uid, member.gid, member.uname, member.gname = time_s, 0, 0, "", ""
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def reproducible(collection: Path, time_s: int) -> bytes:
    """The tarball that `ansible-galaxy collection build` made, without its times and the order of the disk."""
    with tarfile.open(collection) as tar:
        # Folders have no content.
        found = {each.name: (each, content.read() if (content := tar.extractfile(each)) else b"") for each in tar}
    files = json.loads(found["FILES.json"][1])
    files["files"].sort(key=itemgetter("name"))
    listed = _json(files)
    manifest = json.loads(found["MANIFEST.json"][1])
    manifest["file_manifest_file"]["chksum_sha256"] = sha256(listed)
    found["FILES.json"] = file("FILES.json", listed)
    found["MANIFEST.json"] = file("MANIFEST.json", _json(manifest))
    return tar_gz(found.values(), time_s)


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1).encode()


def self_extracting(head: str, payload: bytes, values: Mapping[str, str]) -> bytes:
    """The shell script *head* with the payload after its last line.

    Besides @NAME@ of *values* it is told @BEGIN@, the line at which the payload begins, and @SHA256@ of that.
    """
    filled = {**values, "BEGIN": str(head.count("\n") + 1), "SHA256": sha256(payload)}
    for name, value in filled.items():
        head = head.replace(f"@{name}@", value)
    return head.encode() + payload


def sums(files: Iterable[Path]) -> str:
    """What `sha256sum --check` reads, for files of one folder."""
    return "".join(f"{sha256(each.read_bytes())}  {each.name}\n" for each in sorted(files))
