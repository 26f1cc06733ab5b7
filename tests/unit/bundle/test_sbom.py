# SPDX-License-Identifier: Apache-2.0
"""The bill of materials: valid, complete, and the same each time."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from bundle import sbom
from bundle.archives import sha256
from tests.unit.bundle.carried import wheel

TIME = datetime(2026, 1, 2, tzinfo=timezone.utc)


PRODUCT = wheel("quantum-router", "License-Expression: Apache-2.0")
WHEELS = {
    "b_c-1.5-cp311.whl": wheel("B_c", "License: MIT", content="for 3.11"),
    "b_c-1.5-cp312.whl": wheel("B_c", "License: MIT", content="for 3.12"),
    "a-1.5-any.whl": wheel("a", "License-Expression: MIT OR Apache-2.0"),
}


def document(wheels: dict[str, bytes]) -> dict[str, Any]:
    """The bill of these wheels."""
    found: dict[str, Any] = json.loads(sbom.bill(wheels, PRODUCT, TIME))
    return found


def test_it_is_what_the_specification_demands() -> None:
    """Every field is one of the published schema of CycloneDX 1.6, and of its type."""
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(sbom.bill(WHEELS, PRODUCT, TIME)) is None
    broken = sbom.bill(WHEELS, PRODUCT, TIME).replace('"SHA-256"', '"SHA-0"')
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(broken) is not None


def test_each_package_is_named_once_with_the_hash_of_each_of_its_wheels() -> None:
    """Name, version and address of a package are those that scanners for known faults look up."""
    found = {each["name"]: each for each in document(WHEELS)["components"]}
    assert list(found) == ["a", "b-c"]
    assert found["b-c"]["purl"] == "pkg:pypi/b-c@1.5"
    hashes = {each["content"] for each in found["b-c"]["hashes"]}
    assert hashes == {sha256(content) for name, content in WHEELS.items() if name.startswith("b_c")}


def test_the_router_depends_on_all_of_them() -> None:
    """It is the product that the bill is of."""
    found = document(WHEELS)
    assert found["metadata"]["component"]["purl"] == "pkg:pypi/quantum-router@1.5"
    depends = {each["ref"]: each.get("dependsOn") for each in found["dependencies"]}
    assert depends["pkg:pypi/quantum-router@1.5"] == ["pkg:pypi/a@1.5", "pkg:pypi/b-c@1.5"]


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        (["License-Expression: MIT"], {"license": {"id": "MIT"}}),
        (["License-Expression: MIT OR Apache-2.0"], {"expression": "MIT OR Apache-2.0"}),
        (["License: Somebody's own"], {"license": {"name": "Somebody's own"}}),
        (
            [f"License: {'text ' * 100}", "Classifier: License :: OSI Approved :: BSD License"],
            {"license": {"name": "BSD License"}},
        ),
    ],
)
def test_a_licence_is_what_the_package_names(metadata: list[str], expected: dict[str, Any]) -> None:
    """An SPDX expression where there is one, else its name; a whole text is no name."""
    (component,) = document({"a.whl": wheel("a", *metadata)})["components"]
    (licence,) = component["licenses"]
    licence.get("license", licence).pop("acknowledgement", None)
    assert licence == expected


def test_a_package_without_a_licence_has_none() -> None:
    """Nothing is made up."""
    (component,) = document({"a.whl": wheel("a")})["components"]
    assert "licenses" not in component


def test_the_same_wheels_give_the_same_text() -> None:
    """Serial number and time are no chance."""
    assert sbom.bill(dict(reversed(WHEELS.items())), PRODUCT, TIME) == sbom.bill(WHEELS, PRODUCT, TIME)
