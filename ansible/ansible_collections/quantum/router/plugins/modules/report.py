# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action of this name, which runs on the controller alone."""

from __future__ import annotations

DOCUMENTATION = """
module: report
short_description: Write what a deployment did and why, and say it in one line
version_added: 1.0.0
author: Quantum Router maintainers (@quantum-router)
description:
  - Writes C(report.json), C(report.html) and C(run.log) to C(HOST/RELEASE) on the controller.
  - Points C(latest/HOST) at the newest.
  - C(report.html) shows what C(report.json) holds, with pictures. It stands alone and fetches nothing.
  - Hands its line to the callback P(quantum.router.verdict#callback), which prints it after everything else.
  - Never connects to the host.
attributes:
  check_mode:
    description: Says the line and writes nothing.
    support: full
  diff_mode:
    description: Changes nothing on a host, so there is no difference to show.
    support: none
options:
  dir:
    description: Folder of the reports on the controller.
    type: path
    required: true
  host:
    description: Name under which the host is reported.
    type: str
    required: true
  release:
    description: Id of the release; empty if the deployment was refused before it had one.
    type: str
    default: ""
  previous:
    description: What ran before.
    type: str
    default: ""
  info:
    description: What M(quantum.router.router_info) said of the host, for its versions.
    type: dict
    default: {}
  deployment:
    description: Name of this run.
    type: str
    default: ""
  unchanged:
    description: Whether the release ran already, so that O(recorded) is its verdict.
    type: bool
    default: false
  recorded:
    description: The verdict that the host remembers.
    type: dict
    default: {}
  verdict:
    description: What C(router judge --json) said.
    type: dict
    default: {}
  capacity:
    description: What C(router capacity --json) said.
    type: dict
    default: {}
  drill:
    description: What C(router drill --json) said.
    type: dict
    default: {}
  before:
    description: The baseline.
    type: dict
    default: {}
  after:
    description: What the soak saw.
    type: dict
    default: {}
  held_s:
    description: Seconds that a person has to decide about a release that is held, 0 for one that is not.
    type: float
    default: 0
  fleet:
    description: How the host ends among several, as the filter P(quantum.router.fleet#filter) says it.
    type: dict
    default: {}
  diff:
    description: What M(quantum.router.router_release) changed, as it shows it in diff mode.
    type: list
    elements: dict
    default: []
  rolled_back:
    description: Result of the rollback, if there was one.
    type: dict
    default: {}
  failure:
    description: Result of the task that failed, with its C(phase).
    type: dict
    default: {}
  phases:
    description: Name, seconds and status of every phase.
    type: list
    elements: dict
    default: []
  run_log:
    description: A line for every task that ended on the host.
    type: list
    elements: str
    default: []
"""

EXAMPLES = """
- name: Write the report
  quantum.router.report:
    dir: reports
    host: "{{ inventory_hostname }}"
    release: 1.0.0-0123456789ab
    verdict: "{{ judged.stdout | from_json }}"
"""

RETURN = """
line:
  description: The whole story in one line.
  returned: always
  type: str
reason:
  description: Why the deployment failed, null if it did not.
  returned: always
  type: str
standing:
  description: V(proven), V(held), V(unchanged) or V(failed).
  returned: always
  type: str
path:
  description: The C(report.json), null in check mode.
  returned: always
  type: str
"""
