# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several problems as a message that a person can read."""

from __future__ import annotations

DOCUMENTATION = """
name: listed
short_description: Make one message of several problems, each on a line of its own
version_added: 1.0.0
author: Quantum Router maintainers (@quantum-router)
description:
  - A single problem stands alone; of several the last line of the run names the first and how many more there are.
options:
  _input:
    description: The problems.
    type: list
    elements: str
    required: true
"""

EXAMPLES = """
- name: Refuse
  ansible.builtin.fail:
    msg: "{{ problems | quantum.router.listed }}"
"""

RETURN = """
_value:
  description: The message.
  type: str
"""

from typing import Any, Callable

from ansible_collections.quantum.router.plugins.plugin_utils.listing import listed


class FilterModule:
    """What Ansible asks for filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name to function."""
        return {"listed": listed}
