# SPDX-License-Identifier: Apache-2.0
"""The reference pages and drawings are the code's own."""

from __future__ import annotations

import ast
import importlib
import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from router.cli import MODULES, USAGE_EXIT_CODE
from router.commands.proof import VERDICT_EXIT_CODES
from router.errors import RouterError
from router.telemetry import LINES
from tests.reference.changes import releases
from tests.reference.document import PARTS, ROOT, names, pages, written
from tests.reference.drawings import LAYERS, imports, layer_of
from tests.reference.tables import COLLECTION, table

if TYPE_CHECKING:
    from pathlib import Path

yaml = importlib.import_module("yaml")  # it carries no types
release_cli = importlib.import_module("ansible_collections.quantum.router.plugins.module_utils.release.cli")

WRITTEN = dict(written())
REFERENCE = ROOT / "docs" / "reference"
IMPORTS = imports()


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_the_code_writes_is_as_the_code_has_it(path: Path) -> None:
    """A page that is behind the code says things that are not so: `make reference` mends it."""
    assert WRITTEN[path] == path.read_text(encoding="utf-8"), "behind the code: run make reference"


def test_each_part_has_one_home() -> None:
    """Each thing has its reference page, and only one."""
    assert Counter(list(PARTS)) == Counter(name for page in pages() for name in names(page.read_text(encoding="utf-8")))


def test_the_readme_of_the_collection_names_all_that_it_holds() -> None:
    """Who reads only the README finds every playbook, role and plugin that a person meets."""
    collection = ROOT / COLLECTION
    readme = (collection / "README.md").read_text(encoding="utf-8")
    held = {f"quantum.router.{path.stem}" for path in collection.glob("playbooks/*.yml") if path.stem != "inventory"}
    held |= {
        path.stem for kind in ("modules", "action", "callback") for path in (collection / "plugins" / kind).iterdir()
    }
    held |= {path.name for path in (collection / "roles").iterdir()}
    assert set() == {name for name in held - {"__pycache__"} if f"`{name}`" not in readme}


def test_only_a_version_with_a_date_is_released() -> None:
    """What programs read of the changelog has no version that nobody can have."""
    text = "# Changelog\n\n## 1.1.0 (unreleased)\n\n- Later.\n\n## 1.0.0 (2026-12-01)\n\n- One\n  thing.\n- Another.\n"
    (version, entry), *others = yaml.safe_load(releases(text))["releases"].items()
    assert ("1.0.0", []) == (version, others)
    assert {"changes": {"minor_changes": ["One thing.", "Another."]}, "release_date": "2026-12-01"} == entry
    assert yaml.safe_load(releases("# Changelog\n"))["releases"] == {}


def test_a_bar_in_a_cell_stays_a_bar() -> None:
    """Text of the code cannot break the table it stands in."""
    assert "| a | b |\n|---|---|\n| x\\|y | |" == table(("a", "b"), [["x|y", ""]])


@pytest.mark.parametrize("module", sorted(IMPORTS))
def test_a_module_imports_only_what_stands_below_it(module: str) -> None:
    """The drawing of the packages has no arrow that points up."""
    order = list(LAYERS)
    allowed = order[: order.index(layer_of(module)) + 1]
    above = {other for other in IMPORTS[module] if layer_of(other) not in allowed}
    assert set() == above


def test_every_line_of_the_log_is_listed_with_its_level() -> None:
    """A line that nobody explains helps nobody at night."""
    listed = (REFERENCE / "log-events.md").read_text(encoding="utf-8").partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| (\w+) \|", listed, re.MULTILINE))
    assert {name: level.name.lower() for name, level in LINES.items()} == rows


def test_every_variable_of_make_is_explained() -> None:
    """Whatever the Makefile lets who calls it give stands in the table, and nothing else."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    ways = (r"^(\w+) \?=", r"\$\(if \$\(([A-Z]+)\)", r'environ\.get\("([A-Z]+)"\)', r"^export ([A-Z]+)$")
    given = {name for way in ways for name in re.findall(way, makefile, re.MULTILINE)}
    page = (REFERENCE / "make-targets.md").read_text(encoding="utf-8").partition("## What they take")[2]
    rows = re.findall(r"^\| (`[A-Z_`, ]+`) \|", page, re.MULTILINE)
    assert given == {name for row in rows for name in re.findall(r"\w+", row)}


def listed_codes(program: str) -> set[int]:
    """The codes that the page of exit codes explains for *program*."""
    page = (REFERENCE / "exit-codes.md").read_text(encoding="utf-8")
    section = page.partition(f"## {program}\n")[2].partition("\n## ")[0]
    return set(map(int, re.findall(r"^\| `(\d+)` \|", section, re.MULTILINE)))


def subclasses(kind: type[RouterError]) -> set[type[RouterError]]:
    """*kind* and all that are derived from it."""
    return {kind}.union(*map(subclasses, kind.__subclasses__()))


def test_every_exit_code_of_the_router_is_explained() -> None:
    """Those of its errors, verdicts and commands, and of the command on a host; no other."""
    for module in set(MODULES.values()):
        importlib.import_module(f"router.commands.{module}")
    codes: set[object] = {USAGE_EXIT_CODE, *VERDICT_EXIT_CODES.values()}
    codes |= {error.exit_code for error in subclasses(RouterError)}
    for path in (ROOT / "router").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "sys.exit":
                codes |= {each.value for each in ast.walk(node) if isinstance(each, ast.Constant)}
    shell = (ROOT / COLLECTION / "roles/router/files/router.sh").read_text(encoding="utf-8")
    assert codes | set(map(int, re.findall(r"\brefuse (\d+)", shell))) == listed_codes("router")


def test_every_exit_code_of_the_state_machine_is_explained() -> None:
    """`router-release` has four."""
    codes = {release_cli.OK, release_cli.FAILED, release_cli.USAGE, release_cli.INTERRUPTED}
    assert codes == listed_codes("router-release")
