# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release id on the controller, by the same code that checks it on the host."""

from __future__ import annotations

DOCUMENTATION = """
name: release_id
short_description: Name a release by what it is made of
version_added: 1.0.0
author: Quantum Router maintainers (@quantum-router)
description:
  - Gives C(<version>-<12 hex>), a digest over the wheel's contents, the lock file, the unit and the environment.
  - The same inputs give the same release, whenever and wherever the wheel was built.
positional: wheelhouse, unit_text, environment_text
options:
  _input:
    description: Path of the router's wheel on the controller.
    type: path
    required: true
  wheelhouse:
    description: Path of the zip with the dependencies and their lock on the controller.
    type: path
    required: true
  unit_text:
    description: The rendered unit.
    type: str
    required: true
  environment_text:
    description: The rendered environment file with the placeholder C(@RELEASE@) for the id.
    type: str
    required: true
"""

EXAMPLES = """
- name: Name the release
  ansible.builtin.set_fact:
    release: "{{ wheel | quantum.router.release_id(wheelhouse, unit_text, environment_text) }}"
"""

RETURN = """
_value:
  description: The release id.
  type: str
"""

from pathlib import Path
from typing import Any, Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.quantum.router.plugins.module_utils.release import identity
from ansible_collections.quantum.router.plugins.module_utils.release.errors import ReleaseError


def release_id(wheel: str, wheelhouse: str, unit_text: str, environment_text: str) -> str:
    """The id of the release that these make; raises AnsibleFilterError naming the file that can't be used."""
    try:
        lock = identity.read_lock(Path(wheelhouse))
        return identity.release_id(Path(wheel), lock, unit_text, environment_text)
    except (ReleaseError, OSError) as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """What Ansible asks for filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name to function."""
        return {"release_id": release_id}
