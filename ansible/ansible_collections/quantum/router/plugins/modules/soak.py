# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action of this name, which runs on the controller and has a command run on the host."""

from __future__ import annotations

DOCUMENTATION = """
module: soak
short_description: Have a release watched on its host, and say how far that is
version_added: 1.0.0
author: Quantum Router maintainers (@quantum-router)
description:
  - Runs C(router soak) in the background of the host, and every few seconds prints a bar and the counts so far.
  - Give the task C(async), the most seconds the command may take, and C(poll), those between two looks at its file.
attributes:
  check_mode:
    description: Says whether the command would run. Ansible allows no C(async) there.
    support: full
  diff_mode:
    description: Writes one file, which shows nothing before it is there.
    support: none
options:
  argv:
    description: The command.
    type: list
    elements: str
    required: true
  creates:
    description: The file that it writes at its end. The command does not run when it is there.
    type: path
    required: true
  progress:
    description: The file in which the command tells meanwhile how far it is.
    type: path
    required: true
"""

EXAMPLES = """
- name: Watch the release until its verdict is certain
  quantum.router.soak:
    argv: [router, soak, --unit, quantum-ai-strategy-router.service, --after, /run/after.json]
    creates: /run/after.json
    progress: /run/after.json.progress
  async: 600
  poll: 2
"""

RETURN = """
stdout:
  description: What the command said at its end.
  returned: when it ended
  type: str
rc:
  description: Its exit status.
  returned: when it ended
  type: int
"""
