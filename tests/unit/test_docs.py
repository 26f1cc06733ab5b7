# SPDX-License-Identifier: Apache-2.0
"""The documents say what the code does."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from router import __version__
from router.cli import MODULES
from router.config import CATALOGUE, Settings
from router.core.outcome import Reason
from router.core.signal import NAMES, RejectCode
from router.log import Level
from router.proof.criteria import CRITERIA
from router.redis_io.keys import catalogue
from router.redis_io.rights import types
from router.telemetry import LINES

ROOT = Path(__file__).parents[2]
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "ansible").rglob("*.md")])


def table_rows(document: str) -> dict[str, list[str]]:
    """The rows of all tables in *document*, by the first cell's code."""
    rows = {}
    for line in (ROOT / document).read_text(encoding="utf-8").splitlines():
        if match := re.match(r"\| `([^`]+)` \|", line):
            rows[match[1]] = [cell.strip() for cell in line.strip("|").split("|")]
    return rows


def test_the_policy_explains_every_reason_of_the_audit_with_its_outcome() -> None:
    """The table of reasons is the closed set of them."""
    explained = {name: cells[1] for name, cells in table_rows("docs/policy.md").items()}
    assert {reason.value: f"`{reason.outcome.value}`" for reason in Reason} == explained


def test_the_operations_explain_every_criterion_in_the_order_of_the_report() -> None:
    """The table of the verdict is the judge's own list."""
    assert list(CRITERIA) == [name for name in table_rows("docs/operations.md") if name in CRITERIA]


def test_who_is_woken_finds_every_line_that_warns() -> None:
    """Each event above info stands in the table for three in the morning."""
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    symptoms = [row.split("|")[1] for row in page.partition("\n| symptom |")[2].partition("\n\n")[0].splitlines()[1:]]
    named = set(re.findall(r"`([A-Z_]+)`", " ".join(symptoms)))
    unheard = {"FAILED"}  # it is the line of a unit that is dead, which is the symptom
    assert {name for name, level in LINES.items() if level is not Level.INFO} - unheard - named == set()
    assert named <= set(LINES)


def test_the_commands_that_the_pages_use_on_a_host_are_listed() -> None:
    """What some page tells to type after `sudo router` stands where that command is explained, and exists."""
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"`(\w+)`", page.partition("## The command on a host")[2].partition(". Where")[0]))
    told = [*(document.read_text(encoding="utf-8") for document in DOCUMENTS), *map(Path.read_text, FORMS)]
    assert set(re.findall(r"sudo router\s([a-z]+)\b", "\n".join(told))) <= listed <= set(MODULES)


def marked_faults() -> set[tuple[int, str, str, str]]:
    """Number, words, phase and outcome of each marker `fault` in the tests."""
    found = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.fault":
                number, words = map(ast.literal_eval, node.args)
                more = {each.arg: ast.literal_eval(each.value) for each in node.keywords}
                found.add((number, words, more["phase"], more["outcome"]))
    return found


def test_the_guarantees_tell_how_each_fault_ends() -> None:
    """The table of faults says what the tests are marked with, phase by phase, and nothing else."""
    document = (ROOT / "docs/guarantees.md").read_text(encoding="utf-8")
    told = {
        (int(number), words, phase, outcome)
        for number, words, phases, outcome in re.findall(
            r"^\| (\d+) \| (.+?) \| (`.+?) \| `(\w+)`.* \|$", document, re.MULTILINE
        )
        for phase in re.findall(r"`(\w+)`", phases)
    }
    assert marked_faults() == told


def test_the_keys_and_reject_codes_of_the_page_for_producers_are_the_code_s() -> None:
    """The table of keys is the catalogue with its types; every code of a rejection is explained, and no other."""
    keys = catalogue(Settings())
    shown = {key: cells[1] for key, cells in table_rows("docs/redis.md").items() if key.startswith("quantum:")}
    fixed = {key for name, key in vars(keys).items() if name != "prefix"}
    assert set(shown) == fixed | {keys.dedup("*"), keys.governor("*")}
    kinds = {key: kind.replace("zset", "sorted set") for key, kind in types(keys).items()}
    assert kinds.items() <= shown.items()
    codes = (ROOT / "docs/redis.md").read_text(encoding="utf-8").partition("| code |")[2].partition("\n\n")[0]
    explained = [code for line in codes.splitlines() for code in re.findall(r"`([a-z]+)`", line.split("|")[1])]
    assert [code.value for code in RejectCode] == explained


def test_every_attribute_of_a_signal_is_explained_to_who_produces_them() -> None:
    """No attribute that is read is missing from the table."""
    table = (ROOT / "docs/redis.md").read_text(encoding="utf-8").partition("\n\nWhat is no signal")[0]
    assert {name for name in NAMES if f"`{name}`" not in table} == set()


def anchors(document: Path) -> set[str]:
    """The anchors of the headings of *document*, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(document: Path) -> None:
    """Each file and each heading that a page points at is there."""
    lost = []
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", document.read_text(encoding="utf-8")):
        name, _, anchor = link.partition("#")
        path = (document.parent / name).resolve() if name else document
        if not path.exists() or (anchor and anchor not in anchors(path)):
            lost.append(link)
    assert [] == lost


def test_the_simulation_that_the_policy_shows_comes_out_so() -> None:
    """It is seeded, so its figures in the page are those of today's code."""
    page = (ROOT / "docs/policy.md").read_text(encoding="utf-8")
    words, shown = re.findall(r"^\$ router (simulate .*)\n((?:.+\n)+?)```", page, re.MULTILINE)[0]
    command = [sys.executable, "-m", "router", *shlex.split(words)]
    environ = {name: value for name, value in os.environ.items() if name not in CATALOGUE}
    assert shown == subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout


def test_every_test_that_the_guarantees_name_exists() -> None:
    """A promise whose test was renamed or removed is no promise."""
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", (ROOT / "docs/guarantees.md").read_text(encoding="utf-8"))
    assert named
    for file, test in named:
        texts = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob(file)]
        assert 1 == sum(f"def {test}(" in text for text in texts), f"{file}::{test}"


@pytest.mark.parametrize("document", ["CHANGELOG.md", "ansible/ansible_collections/quantum/router/galaxy.yml"])
def test_the_version_is_the_same_everywhere(document: str) -> None:
    """Wheel, collection and changelog are released together."""
    assert __version__ in (ROOT / document).read_text(encoding="utf-8")
