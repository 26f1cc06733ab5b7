# SPDX-License-Identifier: Apache-2.0
"""What other tools read of the collection is in their format, by the schemas that ansible-lint carries."""

from __future__ import annotations

import fnmatch
import importlib
import json
import re
from importlib.resources import files
from typing import Any, Final

import pytest

from tests.reference.changes import releases
from tests.reference.document import ROOT
from tests.reference.tables import COLLECTION

yaml = importlib.import_module("yaml")  # it carries no types
jsonschema = importlib.import_module("jsonschema")  # nor does this

META: Final = ROOT / COLLECTION / "meta"


def judge(document: Any, schema: str) -> None:
    """Fail unless *document* is what the *schema* demands."""
    text = (files("ansiblelint") / "schemas" / f"{schema}.json").read_text(encoding="utf-8")
    jsonschema.validate(document, json.loads(text))


def test_a_released_changelog_is_one_that_antsibull_reads() -> None:
    """It has no entry until the first release, so the format is held against one that is made up."""
    written = yaml.safe_load(releases("# Changelog\n\n## 1.0.0 (2026-12-01)\n\n- One\n  thing.\n- Another.\n"))
    judge(written, "changelog")
    written["releases"]["1.0.0"]["changes"]["minor_changes"] = "no list"
    with pytest.raises(jsonschema.ValidationError):
        judge(written, "changelog")


def test_the_execution_environment_names_files_that_the_collection_carries() -> None:
    """A file that is not there, or is left out of the tarball, would make an environment without ssh."""
    described = yaml.safe_load((META / "execution-environment.yml").read_text(encoding="utf-8"))
    judge(described, "execution-environment")
    ignored = yaml.safe_load((META.parent / "galaxy.yml").read_text(encoding="utf-8"))["build_ignore"]
    assert described["dependencies"]
    for name in described["dependencies"].values():
        assert (META.parent / name).is_file()
        assert not [pattern for pattern in ignored if fnmatch.fnmatch(name, pattern)]


def test_each_line_of_bindep_is_a_package_and_its_platform() -> None:
    """There is one for each family of distributions that environments are made of."""
    lines = (META / "ee-bindep.txt").read_text(encoding="utf-8").splitlines()
    found = [re.fullmatch(r"[a-z0-9.+-]+ \[platform:(rpm|dpkg)\]", line) for line in lines if not line.startswith("#")]
    assert {"rpm", "dpkg"} == {match[1] if match else None for match in found}
