# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that stands in the way of a deployment, at once."""

from __future__ import annotations

DOCUMENTATION = """
name: refusals
short_description: Name everything that stands in the way of a deployment
version_added: 1.0.0
author: Quantum Router maintainers (@quantum-router)
description:
  - One line, with the way out, for each variable that is unknown, of another type, out of range or in contradiction to
    another, for each setting that the wheel does not take, and for each thing that the host lacks.
  - What is not given is not looked at, so that a playbook can ask about its variables alone.
positional: options
options:
  _input:
    description: The variables of the role by name.
    type: dict
    required: true
  options:
    description: Their specification, as in C(meta/argument_specs.yml).
    type: dict
    required: true
  asked:
    description: What the wheel said when it was asked about its settings, with C(rc), C(stdout) and C(stderr_lines).
    type: dict
  wheel:
    description: Path of the router's wheel on the controller.
    type: path
  wheelhouse:
    description: Path of the zip with the dependencies on the controller.
    type: path
  info:
    description: What M(quantum.router.router_info) found on the host.
    type: dict
"""

EXAMPLES = """
- name: Refuse what cannot work
  ansible.builtin.fail:
    msg: "{{ problems | quantum.router.listed }}"
  vars:
    problems: "{{ {'router_soak_mx': 3} | quantum.router.refusals(options) }}"
  when: problems | length > 0
"""

RETURN = """
_value:
  description: The problems.
  type: list
  elements: str
"""

import json
from pathlib import Path
from typing import Any, Callable, Mapping

from ansible_collections.quantum.router.plugins.plugin_utils import variables

_SETTINGS_ARE_WRONG = 78


def refusals(
    given: Mapping[str, Any],
    options: Mapping[str, Any],
    asked: Mapping[str, Any] | None = None,
    wheel: str | None = None,
    wheelhouse: str | None = None,
    info: Mapping[str, Any] | None = None,
) -> list[str]:
    """One line for each thing that stands in the way; see the documentation above."""
    found = variables.problems(given, options, _window_s(asked))
    if wheel and asked:
        found += _of_wheel(wheel, asked)
    if info:
        found += info["problems"]
    if info and wheelhouse:
        found += _of_wheelhouse(Path(wheelhouse))
    return list(dict.fromkeys(found))


def _window_s(asked: Mapping[str, Any] | None) -> float | None:
    return float(json.loads(asked["stdout"])["window_s"]) if asked and asked["rc"] == 0 else None


def _of_wheel(wheel: str, asked: Mapping[str, Any]) -> list[str]:
    if not Path(wheel).is_file():
        return [f"no wheel at {wheel}: run make wheel, or give -e router_artifact=PATH"]
    if asked["rc"] in (0, _SETTINGS_ARE_WRONG):
        return list(asked["stderr_lines"])
    last = (asked["stderr_lines"] or ["no word"])[-1]
    return [f"{wheel} cannot check settings ({last}): deploy another wheel"]


def _of_wheelhouse(wheelhouse: Path) -> list[str]:
    if wheelhouse.is_file():
        return []
    return [f"no dependencies for this host at {wheelhouse}: run make wheelhouse WHEELHOUSE_TARGETS={wheelhouse.stem}"]


class FilterModule:
    """What Ansible asks for filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name to function."""
        return {"refusals": refusals}
