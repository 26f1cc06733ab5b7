# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The count of open orders for playbooks; the work is in module_utils/release/capacity.py."""

from __future__ import annotations

DOCUMENTATION = """
module: router_capacity
short_description: Show the count of open orders, or set it on purpose
version_added: 1.0.0
author: Quantum Router maintainers (@quantum-router)
description:
  - Reads the count with the settings of the release that is live on the host.
  - Sets it only with a reason, and tells the journal on the host who did, why, and what it was.
attributes:
  check_mode:
    description: Can predict what it would change without changing it.
    support: full
  diff_mode:
    description: Shows the count before and after.
    support: full
options:
  count:
    description: Set the count to this, 0 to 999999999. Without it the count is only shown.
    type: int
  reason:
    description: Why, for the journal.
    type: str
  who:
    description: Who asks, for the journal; the user of the login unless given.
    type: str
    default: ""
  unit:
    description: The systemd unit of the router.
    type: str
    default: quantum-ai-strategy-router.service
"""

EXAMPLES = """
- name: Show it
  quantum.router.router_capacity:
  register: capacity

- name: Set it
  quantum.router.router_capacity:
    count: 3
    reason: execution lost its count, the exchange shows three
"""

RETURN = """
before:
  description: The count before, as Redis held it; null when the key was missing.
  returned: always
  type: str
after:
  description: The count now.
  returned: always
  type: str
"""

from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quantum.router.plugins.module_utils.answer import answer
from ansible_collections.quantum.router.plugins.module_utils.release import capacity
from ansible_collections.quantum.router.plugins.module_utils.release.errors import ReleaseError
from ansible_collections.quantum.router.plugins.module_utils.release.layout import UNIT

if TYPE_CHECKING:
    from ansible_collections.quantum.router.plugins.module_utils.release.host import Host

MOST = 999_999_999


def _count(host: Host, given: dict[str, Any], *, check: bool) -> capacity.Count:
    wanted = given["count"]
    if wanted is None:
        return capacity.show(host)
    if not 0 <= wanted <= MOST:
        raise ReleaseError(f"count is {wanted}: give 0 to {MOST}")
    if check:
        return capacity.Count(capacity.show(host).before, str(wanted))
    return capacity.change(host, wanted, given["reason"])


def _told(count: capacity.Count) -> dict[str, Any]:
    diff = {"before": f"{count.before}\n", "after": f"{count.after}\n"}
    return {"changed": count.before != count.after, **count._asdict(), "diff": diff}


def main() -> None:
    """Read the arguments, show or set, answer."""
    module = AnsibleModule(
        argument_spec={
            "count": {"type": "int"},
            "reason": {"type": "str"},
            "who": {"type": "str", "default": ""},
            "unit": {"type": "str", "default": UNIT},
        },
        required_by={"count": ["reason"], "reason": ["count"]},
        supports_check_mode=True,
    )
    answer(module, lambda host: _told(_count(host, module.params, check=module.check_mode)))


if __name__ == "__main__":
    main()
