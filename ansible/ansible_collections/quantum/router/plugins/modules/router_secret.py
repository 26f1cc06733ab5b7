# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The router's users in Redis for playbooks; the work is in module_utils/release/secret.py."""

from __future__ import annotations

DOCUMENTATION = """
module: router_secret
short_description: Make the quantum router's users in Redis, and exchange their passwords
version_added: 1.0.0
author: Quantum Router maintainers (@quantum-router)
description:
  - Makes two users with exactly the rights they need, the one named in O(redis_url) for the service and one with
    C(-deployment) behind its name for who deploys and operates.
  - Their passwords are made on the host, lie in files that only root reads, and are never shown. Redis is told their
    SHA-256.
  - Redis keeps the users over a restart, in its file of users or, without one, in its configuration
    (C(CONFIG REWRITE)).
  - Rights are added and never taken, so that what ran before can come back.
  - Where the host has no Redis it installs one first, if it is asked to.
attributes:
  check_mode:
    description: Can predict what it would change without changing it.
    support: full
  diff_mode:
    description: Names what was changed in RV(changes); of a secret there is nothing to show.
    support: none
options:
  state:
    description:
      - V(made) makes the users that are missing and gives them what rights they lack.
      - V(rotated) gives each a new password, restarts the router with it, and then takes the old one away. If the
        router does not get ready the old password is used again.
    type: str
    required: true
    choices: [made, rotated]
  who:
    description: Who asks, for the journal; the user of the login unless given.
    type: str
    default: ""
  unit:
    description: The systemd unit of the router.
    type: str
    default: quantum-ai-strategy-router.service
  redis_url:
    description: Address of Redis for the service, with its user.
    type: str
    required: true
  credentials:
    description:
      - Folder with the passwords of the account that O(redis_url) names. It has to be there.
      - With O(state=rotated) both are those of the release that runs, whatever is given, where it has passwords.
    type: path
    required: true
  environment:
    description: The settings of the router by environment name, which name the keys. Not needed with O(state=rotated).
    type: dict
    default: {}
  install:
    description:
      - Whether to install Redis first where the host has none, with O(state=made), from the distribution's package.
      - It listens on loopback, at the port of O(admin_urls), writes each change to disk, evicts nothing, and has one
        user, the administrator who is named there, with O(admin_password). C(default) is off.
      - Debian 12 (Redis) and Debian 13 (Valkey). A Redis that is there already is refused and never changed.
    type: bool
    default: false
    version_added: 1.0.0
  admin_urls:
    description: Every Redis server as an administrator sees it, without a password. Never stored.
    type: list
    elements: str
    required: true
  admin_password:
    description: Password of that administrator. Never stored.
    type: str
    default: ""
"""

EXAMPLES = """
- name: Make the users
  quantum.router.router_secret:
    state: made
    redis_url: redis://router@127.0.0.1:6379/0
    credentials: /etc/quantum-router/0123456789abcdef
    admin_urls: [redis://admin@127.0.0.1:6379]
    admin_password: "{{ vaulted }}"

- name: Exchange the passwords
  quantum.router.router_secret:
    state: rotated
    redis_url: redis://router@127.0.0.1:6379/0
    credentials: /etc/quantum-router/0123456789abcdef
    admin_urls: [redis://admin@127.0.0.1:6379]
    admin_password: "{{ vaulted }}"
"""

RETURN = """
changes:
  description: What was changed, one line each.
  returned: always
  type: list
  elements: str
"""

from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quantum.router.plugins.module_utils.answer import answer
from ansible_collections.quantum.router.plugins.module_utils.release import login, secret, server
from ansible_collections.quantum.router.plugins.module_utils.release.errors import ReleaseError
from ansible_collections.quantum.router.plugins.module_utils.release.layout import UNIT

if TYPE_CHECKING:
    from ansible_collections.quantum.router.plugins.module_utils.release.host import Host


def _change(module: AnsibleModule, host: Host) -> list[str]:
    given = module.params
    admin = secret.Admin(given["admin_urls"], given["admin_password"])
    who = login.Login(given["redis_url"], host.layout.at(given["credentials"]))
    if given["state"] == "made":
        installed = _install(module, host) if given["install"] else []
        if installed and module.check_mode:
            # There is nobody to ask for users yet.
            return installed + [f"{account.name} made" for account in login.accounts(who)]
        settings = {name: str(value) for name, value in given["environment"].items()}
        return installed + secret.make(host, admin, who, settings, check=module.check_mode)
    users = [account.name for account in secret.due(host, who)] if module.check_mode else []
    return [f"{name} has a new password" for name in users or secret.rotate(host, admin, who)]


def _install(module: AnsibleModule, host: Host) -> list[str]:
    if len(module.params["admin_urls"]) != 1:
        raise ReleaseError("admin_urls must name the one server that is to be installed")
    admin = secret.address(module.params["admin_urls"][0], module.params["admin_password"])
    return server.install(host, admin, check=module.check_mode)


def _told(changes: list[str]) -> dict[str, Any]:
    return {"changed": bool(changes), "changes": changes}


def main() -> None:
    """Read the arguments, make the change, answer."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "required": True, "choices": ["made", "rotated"]},
            "who": {"type": "str", "default": ""},
            "unit": {"type": "str", "default": UNIT},
            "redis_url": {"type": "str", "required": True},
            "credentials": {"type": "path", "required": True},
            "environment": {"type": "dict", "default": {}},
            "install": {"type": "bool", "default": False},
            "admin_urls": {"type": "list", "elements": "str", "required": True},
            "admin_password": {"type": "str", "default": "", "no_log": True},
        },
        supports_check_mode=True,
    )
    answer(module, lambda host: _told(_change(module, host)))


if __name__ == "__main__":
    main()
