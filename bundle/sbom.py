# SPDX-License-Identifier: Apache-2.0
"""The bill of materials: what of others the bundle carries, in the format of CycloneDX 1.6."""

from __future__ import annotations

import io
import uuid
import zipfile
from dataclasses import dataclass
from email import message_from_bytes
from itertools import groupby
from typing import TYPE_CHECKING

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from bundle.archives import sha256

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from email.message import Message
    from pathlib import Path

_LICENCE_NAME_MAX = 60
"""Characters; what is longer is the text of a licence and not its name."""


@dataclass(frozen=True, order=True)
class Wheel:
    """One file of a package; `licence` is "" where the package does not say."""

    name: str
    version: str
    licence: str
    sha256: str


def wheels_in(wheelhouses: Iterable[Path]) -> dict[str, bytes]:
    """All wheels of some wheelhouses (zips) by file name: the same one is in many of them."""
    found = {}
    for wheelhouse in wheelhouses:
        with zipfile.ZipFile(wheelhouse) as archive:
            found.update({name: archive.read(name) for name in archive.namelist() if name.endswith(".whl")})
    return found


def described(wheel: bytes) -> Wheel:
    """What a wheel says of itself."""
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        (path,) = (name for name in archive.namelist() if name.count("/") == 1 and name.endswith(".dist-info/METADATA"))
        metadata = message_from_bytes(archive.read(path))
    return Wheel(metadata["Name"].lower().replace("_", "-"), metadata["Version"], _licence(metadata), sha256(wheel))


def _licence(metadata: Message) -> str:
    """From the newest of the three ways in which packages name it."""
    named = (metadata["License-Expression"] or metadata["License"] or "").strip()
    if named and len(named) <= _LICENCE_NAME_MAX:
        return str(named)
    classifiers = (each.split(" :: ") for each in metadata.get_all("Classifier", []))
    return next((each[-1] for each in classifiers if each[0] == "License"), "")


def bill(wheels: Mapping[str, bytes], product: bytes, time: datetime) -> str:
    """The document for these wheels by file name, as dependencies of the product (the router's own wheel).

    A package has the hash of each of its wheels. The same wheels and time give the same text.
    """
    root = _component(ComponentType.APPLICATION, [described(product)])
    found = sorted({described(wheel) for wheel in wheels.values()})
    packages = groupby(found, lambda each: (each.name, each.version))
    components = [_component(ComponentType.LIBRARY, list(each)) for _package, each in packages]
    serial = uuid.uuid5(uuid.NAMESPACE_OID, "".join(each.sha256 for each in (described(product), *found)))
    bom = Bom(serial_number=serial, components=components)
    bom.metadata.timestamp = time
    bom.metadata.component = root
    bom.register_dependency(root, components)
    return f"{JsonV1Dot6(bom).output_as_string(indent=2)}\n"


def _component(kind: ComponentType, wheels: list[Wheel]) -> Component:
    purl = PackageURL("pypi", name=wheels[0].name, version=wheels[0].version)
    return Component(
        type=kind,
        name=wheels[0].name,
        version=wheels[0].version,
        purl=purl,
        bom_ref=str(purl),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=each.sha256) for each in wheels],
        licenses=[LicenseFactory().make_from_string(wheels[0].licence)] if wheels[0].licence else [],
    )
