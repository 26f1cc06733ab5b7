# SPDX-License-Identifier: Apache-2.0
"""Fills a folder with what is carried elsewhere; `make bundle` says with what.

    SOURCE_DATE_EPOCH=SECONDS python -m bundle FOLDER ANSIBLE-WHEELHOUSE ...

The same files and SOURCE_DATE_EPOCH give the same bytes, with the same Python and zlib.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path

from bundle import archives, sbom
from router import __version__

ROOT = Path(__file__).resolve().parents[1]
COLLECTION = ROOT / "ansible" / "ansible_collections" / "quantum" / "router"
FILES = COLLECTION / "roles" / "router" / "files"
NAME = f"quantum-router-{__version__}"


def collection(time_s: int) -> bytes:
    """The tarball that `ansible-galaxy collection install` takes, with whatever wheels lie in the role now."""
    with tempfile.TemporaryDirectory() as folder:
        build = ["ansible-galaxy", "collection", "build", str(COLLECTION), "--output-path", folder]
        subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
        (built,) = Path(folder).iterdir()
        return archives.reproducible(built, time_s)


def run_file(tarball: bytes, ansible: list[Path], time_s: int) -> bytes:
    """One file that brings Ansible (wheelhouses called cp311-x86_64.zip and so on) and the collection to a host."""
    wheels = [archives.file(f"wheels/{name}", wheel) for name, wheel in sbom.wheels_in(ansible).items()]
    ours = [archives.file(path.name, path.read_bytes()) for path in (ROOT / "ansible.cfg", ROOT / "bundle/deploy.sh")]
    lock = archives.file("ansible.txt", (ROOT / "requirements/ansible.txt").read_bytes())
    payload = archives.tar_gz([*wheels, *ours, lock, archives.file("collection.tar.gz", tarball)], time_s)
    pythons, machines = zip(*(path.stem.split("-") for path in ansible), strict=True)
    values = {
        "VERSION": __version__,
        "KEPT": "/var/log/quantum-router",
        "PYTHONS": " ".join(sorted({python.replace("cp3", "3.") for python in pythons})),
        "MACHINES": " ".join(sorted(set(machines))),
    }
    return archives.self_extracting((ROOT / "bundle/head.sh").read_text(encoding="utf-8"), payload, values)


def main(folder: str, *ansible: str) -> None:
    """Make the folder anew."""
    dist, wheelhouses, time_s = Path(folder), [*map(Path, ansible)], int(os.environ["SOURCE_DATE_EPOCH"])
    shutil.rmtree(dist, ignore_errors=True)
    dist.mkdir(parents=True)
    tarball = collection(time_s)
    (dist / f"{NAME}.tar.gz").write_bytes(tarball)
    (dist / f"{NAME}.run").write_bytes(run_file(tarball, wheelhouses, time_s))
    (product,) = FILES.glob("*.whl")
    wheels = sbom.wheels_in([*(FILES / "wheelhouse").glob("*.zip"), *wheelhouses])
    time = datetime.fromtimestamp(time_s, tz=timezone.utc)
    (dist / f"{NAME}.cdx.json").write_text(sbom.bill(wheels, product.read_bytes(), time), encoding="utf-8")
    (dist / "SHA256SUMS").write_text(archives.sums(dist.iterdir()), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
