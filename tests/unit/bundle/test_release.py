# SPDX-License-Identifier: Apache-2.0
"""A version is tagged when it is what was tested, built and written down, and never otherwise."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from bundle import release
from router import __version__

ROOT = Path(__file__).resolve().parents[3]
TODAY = date(2026, 12, 1)
READY = release.Checkout(
    "c0ffee", "main", (), frozenset({"v0.9.0"}), {"a": "1.0.0"}, "# Changelog\n\n## 1.0.0 (2026-12-01)\n"
)
MAKEFILE = """\
test:
\t@test -e passes
sanity test-hosts faults:
bundle:
\t@test "$(WHEELHOUSE_TARGETS)" = ""
\t@mkdir dist && echo built > dist/quantum-router-1.0.0.run && cd dist && sha256sum *.run > SHA256SUMS
"""


def test_a_clean_checkout_of_the_right_version_is_released() -> None:
    """Nothing stands in the way of what is ready."""
    assert [] == release.problems("1.0.0", READY, TODAY)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"branch": "fix"}, "the branch is fix: git switch main"),
        ({"branch": ""}, "the branch is none: git switch main"),
        ({"changed": (" M a", "?? b")}, "not everything is committed (M a and 1 more): commit it or put it away"),
        ({"tags": frozenset({"v1.0.0"})}, "the tag v1.0.0 exists: a version is released once, take the next one"),
        ({"versions": {"galaxy.yml": "1.0.1"}}, "galaxy.yml says 1.0.1, not 1.0.0"),
        ({"nowhere": ("galaxy.yml",)}, "galaxy.yml says https://example.com/: name the repository there"),
        (
            {"changelog": "## 1.0.0 (unreleased)\n"},
            "CHANGELOG.md has no line '## 1.0.0 (2026-12-01)': write it, then make reference",
        ),
        (
            {"changelog": "## 1.0.0 (2026-11-30)\n"},
            "CHANGELOG.md has no line '## 1.0.0 (2026-12-01)': write it, then make reference",
        ),
    ],
)
def test_what_stands_in_the_way_is_named(changes: dict[str, Any], said: str) -> None:
    """Each says what is wrong and what to do."""
    assert [said] == release.problems("1.0.0", replace(READY, **changes), TODAY)


@pytest.mark.parametrize("version", ["", "1.0", "v1.0.0", "1.0.0-rc1", "1.0.0\n"])
def test_a_version_is_three_numbers(version: str) -> None:
    """Anything else is refused before a tag could bear it."""
    assert f"VERSION={version!r} must look like 1.0.0" in release.problems(version, READY, TODAY)


def test_everything_that_is_wrong_is_named_at_once() -> None:
    """Nobody mends one thing to be told of the next."""
    assert len(release.problems("1.0.0", replace(READY, branch="fix", changed=("?? b",), changelog=""), TODAY)) == 3


def test_a_file_that_no_sum_vouches_for_is_found() -> None:
    """So is a sum without its file."""
    assert {"b", "c"} == release.unlisted("00  a\n00  b\n", {"a", "c"})


def test_the_versions_of_this_repository_are_found() -> None:
    """The places where a version is written down are where the script looks."""
    assert {__version__} == set(release.look(ROOT).versions.values())


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with everything that is asked for, whose tests pass and whose bundle is built at once."""
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "ann")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "ann@example.net")
    monkeypatch.delenv("MAKEFLAGS", raising=False)
    files = {
        "CHANGELOG.md": READY.changelog,
        "Makefile": MAKEFILE,
        ".gitignore": "dist\n",
        "passes": "",
        "router/__init__.py": '__version__ = "1.0.0"\n',
        **dict.fromkeys(release.ADDRESSED, "repository: https://example.net/quantum-router\n"),
        "ansible/ansible_collections/quantum/router/galaxy.yml": "name: router\nversion: 1.0.0\n",
    }
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    commit(tmp_path)
    return tmp_path


def git(root: Path, *arguments: str) -> str:
    """What git says in *root*."""
    return subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True).stdout


def commit(root: Path) -> None:
    """Commit everything in *root*."""
    git(root, "add", "--all")
    git(root, "-c", "commit.gpgsign=false", "commit", "--quiet", "--message=all")


def test_what_passed_is_tagged_with_the_sums_of_what_was_built(checkout: Path) -> None:
    """The tag is annotated, stands at the commit, vouches for the files, and what is to be pushed is said."""
    said = release.release(checkout, "1.0.0", TODAY)
    assert "git push origin main v1.0.0" in said
    assert git(checkout, "rev-parse", "HEAD") == git(checkout, "rev-parse", "v1.0.0^{commit}")
    assert git(checkout, "cat-file", "-t", "v1.0.0").strip() == "tag"
    assert (checkout / "dist/SHA256SUMS").read_text(encoding="utf-8").strip() in git(
        checkout, "cat-file", "-p", "v1.0.0"
    )


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        *((MAKEFILE.replace(target, f"{target}-"), f"make {target} failed") for target in release.TARGETS),
        (MAKEFILE.replace("@test", "@touch left; test"), "the checkout changed meanwhile"),
        (MAKEFILE + "\t@echo other > dist/quantum-router-1.0.0.run\n", "dist is not what SHA256SUMS says: see above"),
        (MAKEFILE + "\t@echo more > dist/more\n", "dist is not what SHA256SUMS says: more"),
    ],
)
def test_what_did_not_pass_is_not_tagged(checkout: Path, lines: str, said: str) -> None:
    """Tests that fail, a tree that they changed, and files that are not what was built end without a tag."""
    (checkout / "Makefile").write_text(lines, encoding="utf-8")
    commit(checkout)
    with pytest.raises(SystemExit, match=said):
        release.release(checkout, "1.0.0", TODAY)
    assert git(checkout, "tag", "--list") == ""


def test_nobody_releases_what_was_built_for_fewer_hosts(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wheels that the shell or the command line of make left out are built all the same."""
    monkeypatch.setenv("WHEELHOUSE_TARGETS", "cp311-x86_64")
    monkeypatch.setenv("MAKEFLAGS", " -- WHEELHOUSE_TARGETS=cp311-x86_64")
    assert "tagged v1.0.0" in release.release(checkout, "1.0.0", TODAY)


def test_the_address_is_missing_where_it_is_not_named(checkout: Path) -> None:
    """Alerts and the collection's page would lead nowhere."""
    for name in release.ADDRESSED:
        (checkout / name).write_text("version: 1.0.0\nurl: https://example.com/quantum-router\n", encoding="utf-8")
    assert release.ADDRESSED == release.look(checkout).nowhere


def test_what_is_not_ready_is_neither_tested_nor_built(checkout: Path) -> None:
    """Half an hour of tests is not spent on what would be refused."""
    with pytest.raises(SystemExit, match="CHANGELOG"):
        release.release(checkout, "1.0.0", date(2026, 12, 2))
    assert not (checkout / "dist").exists()


def test_a_tag_that_git_refuses_is_one_line(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git says why; there is no traceback."""
    monkeypatch.setenv("GIT_COMMITTER_NAME", "")
    with pytest.raises(SystemExit, match="release: git tag failed\nrelease: nothing was tagged"):
        release.release(checkout, "1.0.0", TODAY)
