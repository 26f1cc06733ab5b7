# SPDX-License-Identifier: Apache-2.0
"""Tests, builds, checks and tags a version; pushes nothing. `make release` calls it in the root of the repository.

python -m bundle.release VERSION
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import date, datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

BRANCH: Final = "main"
#: Where a version is written down, and how.
VERSIONS: Final = {
    "router/__init__.py": r'^__version__ = "(.+)"$',
    "ansible/ansible_collections/quantum/router/galaxy.yml": r"^version: (.+)$",
}
#: Where the address of the repository is written down, and what stands there until there is one.
ADDRESSED: Final = (
    "ansible/ansible_collections/quantum/router/galaxy.yml",
    "ansible/ansible_collections/quantum/router/roles/monitoring/files/quantum-router.rules.yml",
)
NO_ADDRESS: Final = "https://example.com/"
#: Variables by which make and pytest are told to do less.
NARROWING: Final = {"MAKEFLAGS", "PYTEST_ADDOPTS", "WHEELHOUSE_TARGETS"}
#: What must pass, the slowest last; the bundle is built of what did.
TARGETS: Final = ("sanity", "test", "test-hosts", "faults", "bundle")


@dataclass(frozen=True)
class Checkout:
    """What a release is made of: *changed* are the lines of `git status`, *versions* what each file says.

    *nowhere* are the files that name no address of the repository yet.
    """

    commit: str
    branch: str
    changed: tuple[str, ...]
    tags: frozenset[str]
    versions: Mapping[str, str]
    changelog: str
    nowhere: tuple[str, ...] = ()


def problems(version: str, found: Checkout, today: date) -> list[str]:
    """Return what keeps *version* from being released *today* (UTC), a line each; pure."""
    said = []
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        said.append(f"VERSION={version!r} must look like 1.0.0")
    if found.branch != BRANCH:
        said.append(f"the branch is {found.branch or 'none'}: git switch {BRANCH}")
    if found.changed:
        more = f" and {len(found.changed) - 1} more" if len(found.changed) > 1 else ""
        said.append(f"not everything is committed ({found.changed[0].strip()}{more}): commit it or put it away")
    if f"v{version}" in found.tags:
        said.append(f"the tag v{version} exists: a version is released once, take the next one")
    said += [f"{name} says {has}, not {version}" for name, has in found.versions.items() if has != version]
    said += [f"{name} says {NO_ADDRESS}: name the repository there" for name in found.nowhere]
    heading = f"## {version} ({today})"
    if heading not in found.changelog.splitlines():
        said.append(f"CHANGELOG.md has no line {heading!r}: write it, then make reference")
    return said


def unlisted(sums: str, names: set[str]) -> set[str]:
    """Return the *names* of files that SHA256SUMS does not list, and those that it lists though they are not there."""
    return names ^ {line.split(maxsplit=1)[1] for line in sums.splitlines()}


def look(root: Path) -> Checkout:
    """Read the checkout in *root*."""
    texts = {name: (root / name).read_text(encoding="utf-8") for name in VERSIONS}
    found = {name: re.search(pattern, texts[name], re.MULTILINE) for name, pattern in VERSIONS.items()}
    return Checkout(
        commit=_git(root, "rev-parse", "HEAD").strip(),
        branch=_git(root, "branch", "--show-current").strip(),
        changed=tuple(_git(root, "status", "--porcelain").splitlines()),
        tags=frozenset(_git(root, "tag", "--list").split()),
        versions={name: match[1] if match else "nothing" for name, match in found.items()},
        changelog=(root / "CHANGELOG.md").read_text(encoding="utf-8"),
        nowhere=tuple(name for name in ADDRESSED if NO_ADDRESS in (root / name).read_text(encoding="utf-8")),
    )


def release(root: Path, version: str, today: date) -> str:
    """Tag *version* once it is tested and built, and return what is left to do.

    SystemExit says what stands in the way; nothing is tagged then. The tag's message holds SHA256SUMS, so that it
    vouches for the files.
    """
    found = look(root)
    _refuse(problems(version, found, today))
    for target in TARGETS:
        if not _works(root, "make", target):
            _refuse([f"make {target} failed"])
    # Long after: what is tagged is what was tested.
    if look(root) != found:
        _refuse(["the checkout changed meanwhile: begin again"])
    dist = root / "dist"
    sums = (dist / "SHA256SUMS").read_text(encoding="utf-8")
    strange = unlisted(sums, {path.name for path in dist.iterdir()} - {"SHA256SUMS"})
    if strange or not _works(dist, "sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"):
        _refuse([f"dist is not what SHA256SUMS says: {', '.join(sorted(strange)) or 'see above'}"])
    tag = f"v{version}"
    _git(root, "tag", "--annotate", tag, found.commit, "--message", f"Quantum Router {version}\n\n{sums}")
    return f"tagged {tag}; publish it with\n  git push origin {BRANCH} {tag}\nand attach what is in dist/\n"


def _refuse(said: list[str]) -> None:
    if said:
        sys.exit("\n".join(f"release: {line}" for line in [*said, "nothing was tagged"]))


def _works(folder: Path, *command: str) -> bool:
    # Whoever asked for less in their shell or on make's command line (fewer tests, fewer wheels) gets all of it here.
    environ = {name: value for name, value in os.environ.items() if name not in NARROWING}
    return subprocess.run(command, cwd=folder, env=environ, check=False).returncode == 0


def _git(root: Path, *arguments: str) -> str:
    command = ("git", *arguments)
    done = subprocess.run(command, cwd=root, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:  # git itself has said why
        _refuse([f"git {arguments[0]} failed"])
    return done.stdout


if __name__ == "__main__":
    sys.stdout.write(release(Path.cwd(), " ".join(sys.argv[1:]), datetime.now(tz=timezone.utc).date()))
