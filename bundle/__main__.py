# SPDX-License-Identifier: Apache-2.0
"""Fills a folder with what is carried elsewhere; `make bundle` says with what.

    SOURCE_DATE_EPOCH=SECONDS python -m bundle FOLDER PROMISED PROMISED-ANSIBLE ANSIBLE-WHEELHOUSE ...

PROMISED are the hosts that the collection is to have wheels for ("cp310-x86_64 cp311-x86_64"), PROMISED-ANSIBLE those
that the one file is to bring Ansible to. A bundle for fewer is made too, and says so on standard error.

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
from typing import TYPE_CHECKING

from bundle import archives, sbom
from router import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable

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


def lacking(promised: str, wheelhouses: Iterable[Path]) -> str:
    """The hosts of *promised* that none of the *wheelhouses* is for."""
    there = {path.stem for path in wheelhouses}
    return " ".join(name for name in promised.split() if name not in there)


def main(folder: str, promised: str, promised_ansible: str, *ansible: str) -> None:
    """Make the folder anew; SystemExit says that nobody could run the one file."""
    if not ansible:
        sys.exit(f"bundle: no host can run the one file: name one of {promised_ansible} in WHEELHOUSE_TARGETS too")
    dist, wheelhouses, time_s = Path(folder), [*map(Path, ansible)], int(os.environ["SOURCE_DATE_EPOCH"])
    shutil.rmtree(dist, ignore_errors=True)
    dist.mkdir(parents=True)
    tarball = collection(time_s)
    (dist / f"{NAME}.tar.gz").write_bytes(tarball)
    (dist / f"{NAME}.run").write_bytes(run_file(tarball, wheelhouses, time_s))
    (product,) = FILES.glob("*.whl")
    ours = [*(FILES / "wheelhouse").glob("*.zip")]
    wheels = sbom.wheels_in([*ours, *wheelhouses])
    time = datetime.fromtimestamp(time_s, tz=timezone.utc)
    (dist / f"{NAME}.cdx.json").write_text(sbom.bill(wheels, product.read_bytes(), time), encoding="utf-8")
    (dist / "SHA256SUMS").write_text(archives.sums(dist.iterdir()), encoding="utf-8")
    for kind, hosts in (("tar.gz", lacking(promised, ours)), ("run", lacking(promised_ansible, wheelhouses))):
        if hosts:
            sys.stderr.write(f"bundle: {NAME}.{kind} has no wheels for {hosts}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
