# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What several hosts that are deployed to in one run mean for each other."""

from __future__ import annotations

DOCUMENTATION = """
name: fleet
short_description: Tell who of several hosts is refused, may begin, and how each ends
version_added: 1.0.0
author: Quantum Router maintainers (@quantum-router)
description:
  - Reads what the role's tasks have left among the variables of each host, and decides for all of them.
positional: hosts, reachable
options:
  _input:
    description: The variables of all hosts, C(hostvars).
    type: dict
    required: true
  hosts:
    description: Names of the hosts of this run in their order, C(ansible_play_hosts_all).
    type: list
    elements: str
    required: true
  reachable:
    description: Names of those that Ansible has not lost, C(ansible_play_hosts).
    type: list
    elements: str
    required: true
  wait_s:
    description: Seconds that a proven host waits for the others at most.
    type: float
    default: 0
  on_failure:
    description: Whether a failure undoes the hosts that are proven, V(rollback), or leaves them, V(keep).
    type: str
    default: rollback
  check_mode:
    description: Whether nothing is really deployed.
    type: bool
    default: false
"""

EXAMPLES = """
- name: Refuse hosts that cannot be deployed to together
  ansible.builtin.fail:
    msg: "{{ fleet.refusals | quantum.router.listed }}"
  vars:
    fleet: "{{ hostvars | quantum.router.fleet(ansible_play_hosts_all, ansible_play_hosts) }}"
  when: fleet.refusals | length > 0
"""

RETURN = """
_value:
  description:
    - C(refusals), a line for each thing that keeps the hosts from being a fleet.
    - C(gate), why none but the first may begin, or empty.
    - C(endings), by host C(action) (V(confirm), V(hold), V(rollback) or V(nothing)) and C(reason).
  type: dict
"""

from dataclasses import asdict
from typing import Any, Callable, Mapping

from ansible_collections.quantum.router.plugins.plugin_utils import fleet as pure


def fleet(
    hostvars: Mapping[str, Any],
    hosts: list[str],
    reachable: list[str],
    wait_s: float = 0,
    on_failure: str = "rollback",
    *,
    check_mode: bool = False,
) -> dict[str, Any]:
    """Everything that can be said now; see the documentation above."""
    members = {str(name): _member(hostvars[name], reachable=name in reachable) for name in hosts}
    endings = pure.endings(members, on_failure, check_mode=check_mode)
    return {
        "refusals": pure.refusals(members, float(wait_s)),
        "gate": pure.gate(members),
        "endings": {name: asdict(ending) for name, ending in endings.items()},
    }


def _member(variables: Mapping[str, Any], *, reachable: bool) -> pure.Member:
    report = variables.get("__router_report") or {}
    return pure.Member(
        reachable=reachable,
        release=str(variables.get("_router_release") or ""),
        deployment=str(variables.get("_router_deployment") or ""),
        environment=str(variables.get("_router_environment_text") or ""),
        info=variables.get("__router_info") or {},
        standing=str(report.get("standing") or ""),
        reason=str(report.get("reason") or ""),
    )


class FilterModule:
    """What Ansible asks for filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name to function."""
        return {"fleet": fleet}
