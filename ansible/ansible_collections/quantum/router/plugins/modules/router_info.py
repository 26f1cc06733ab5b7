# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host is and what it runs; the work is in module_utils/release."""

from __future__ import annotations

DOCUMENTATION = """
module: router_info
short_description: Look at a host that runs, or is to run, the quantum router
version_added: 1.0.0
author: Quantum Router maintainers (@quantum-router)
description:
  - Gathers in one task what a deployment has to know before it touches anything, and names what stands in its way.
  - Changes nothing.
attributes:
  check_mode:
    description: Changes nothing, so it does the same in check mode.
    support: full
  diff_mode:
    description: Changes nothing, so there is no difference to show.
    support: none
options:
  unit:
    description: The systemd unit of the router.
    type: str
    default: quantum-ai-strategy-router.service
  redis_url:
    description:
      - Address of Redis as the host sees it, with C(redis://), C(rediss://) or C(unix://).
      - With C(redis+sentinel://) or C(rediss+sentinel://) the sentinels are asked for the server.
      - Empty means that Redis is not asked.
    type: str
    default: redis://127.0.0.1:6379/0
  redis_password:
    description: Password for Redis, used when the address has none.
    type: str
    default: ""
  sentinel_password:
    description: Password for the sentinels, where they want one.
    type: str
    default: ""
  credentials:
    description:
      - Folder with the passwords of the account that O(redis_url) names.
      - Those that are given are compared with its files, where the live release logs in with these.
    type: path
    default: /etc/quantum-router
  redis_managed:
    description: Whether the role makes the users in Redis, so that the password lies on the host already.
    type: bool
    default: false
  redis_admin_url:
    description: Address of Redis as an administrator, who is asked instead while the users are still to be made.
    type: str
    default: ""
  redis_admin_password:
    description: Password of that administrator.
    type: str
    default: ""
  redis_install:
    description:
      - Whether Redis is to be installed where the host has none. With O(redis_admin_url) none is no problem then, and
        one that the role has not installed is.
    type: bool
    default: false
  min_python:
    description: The oldest Python that will do.
    type: str
    default: "3.10"
  history:
    description: Whether to tell what the journal knows of deployments and rollbacks.
    type: bool
    default: false
"""

EXAMPLES = """
- name: Look at the host
  quantum.router.router_info:
    redis_url: redis://127.0.0.1:6379/0
  register: info

- name: Refuse what cannot work
  ansible.builtin.fail:
    msg: "{{ info.problems | join('; ') }}"
  when: info.problems | length > 0
"""

RETURN = """
problems:
  description: What stands in the way of a deployment, one line each, with the way out.
  returned: always
  type: list
  elements: str
python:
  description: C(version), C(executable), C(tag) such as C(cp311), and whether there is a C(venv) module.
  returned: always
  type: dict
machine:
  description: The architecture, such as C(x86_64).
  returned: always
  type: str
os:
  description: C(system), C(id) and C(version) of the operating system.
  returned: always
  type: dict
systemd:
  description: Whether it is C(running) the host, and its C(version).
  returned: always
  type: dict
redis:
  description:
    - Whether it is C(reachable), its C(version) and C(run_id), and an C(auth_error) if it refused.
    - Whether it is C(missing) and is to be installed, with O(redis_install=true).
  returned: always
  type: dict
unit:
  description:
    - C(state) as systemd's ActiveState, C(load_state), C(enablement), C(fragment), C(drop_ins), C(main_pid).
    - Whether it is C(ours), the live release's unit with nothing laid over it.
  returned: always
  type: dict
process:
  description:
    - What the unit's main process itself says. C(release) is its id, null if it is none of ours, C(version) the part
      before the digest, and C(code) a digest over the router's own files.
    - C(settings) are those that it was started with, without those that say where the host finds things.
  returned: always
  type: dict
releases:
  description:
    - C(current) is the live release; C(staged), C(known_good), C(bad) and C(withdrawn) list ids, oldest first.
    - C(pending) is the deployment that is not judged yet, or null.
    - C(credentials) is the folder with the passwords that the live release logs in with, empty when it has none.
    - C(verdicts) holds what was found by id; C(capacity_owed) what Redis has not taken back yet.
  returned: always
  type: dict
history:
  description: Lines of a table, oldest deployment or rollback first; its head alone where there was none.
  returned: O(history=true)
  type: list
  elements: str
drift:
  description: What is no longer as the last deployment left it, one line each.
  returned: always
  type: list
  elements: str
notices:
  description: What else a person should know of the host, and no deployment mends, one line each.
  returned: always
  type: list
  elements: str
"""

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quantum.router.plugins.module_utils.answer import answer
from ansible_collections.quantum.router.plugins.module_utils.release import (
    adoption,
    history,
    login,
    preflight,
    process,
    redis_probe,
    sentinel,
    server,
    store,
)
from ansible_collections.quantum.router.plugins.module_utils.release.drift import drift, notices
from ansible_collections.quantum.router.plugins.module_utils.release.errors import ReleaseError
from ansible_collections.quantum.router.plugins.module_utils.release.layout import UNIT
from ansible_collections.quantum.router.plugins.module_utils.release.state import State, refuse_other_unit, unsettled
from ansible_collections.quantum.router.plugins.module_utils.release.systemctl import Facts, parse

if TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.quantum.router.plugins.module_utils.release.host import Host


def _look(host: Host, given: dict[str, Any]) -> dict[str, Any]:
    described = preflight.describe(host)
    problems = preflight.problems(described, given["min_python"])
    probe = _probe(host, given)
    facts, state, missing = parse(""), State(), False
    try:
        # Without an administrator's login in this run nothing is installed, and the one that is not there is a problem.
        installs = given["redis_install"] and given["redis_admin_url"]
        missing = bool(installs) and server.missing(host.layout, reachable=probe.reachable)
    except ReleaseError as error:
        problems.append(str(error))
    try:
        state = store.load(host.layout)
        refuse_other_unit(state, host.unit)
    except ReleaseError as error:
        problems.append(str(error))
    try:
        if described["systemd"]["running"]:
            facts = host.facts()
            adoption.refuse_foreign_drop_ins(host, facts)
    except ReleaseError as error:
        problems.append(str(error))
    told = {"history": history.table(history.rows(store.journal(host.layout)))} if given["history"] else {}
    return {
        "changed": False,
        **told,
        **described,
        "redis": {
            **{name: getattr(probe, name) for name in ("reachable", "version", "run_id", "auth_error")},
            "missing": missing,
        },
        "unit": _unit(host, facts),
        "process": process.describe(host, facts.main_pid),
        "releases": _releases(host, state),
        "drift": drift(host, facts, state, _passwords(host, given)),
        "notices": notices(host, state),
        "problems": problems + ([probe.problem] if probe.problem and not missing else []),
    }


def _passwords(host: Host, given: dict[str, Any]) -> dict[Path, str]:
    """Those that were given, by the file where each belongs."""
    secrets = host.layout.at(given["credentials"])
    return {
        login.service_password(secrets): given["redis_password"],
        login.sentinel_password(secrets): given["sentinel_password"],
    }


def _probe(host: Host, given: dict[str, Any]) -> redis_probe.Probe:
    """Ask Redis as whoever can log in: an administrator, the user that the role made to deploy, or the one named."""
    if not given["redis_url"]:
        return redis_probe.Probe()
    try:
        url = sentinel.resolve(given["redis_url"], given["sentinel_password"])
    except ReleaseError as error:
        return redis_probe.Probe(problem=str(error))
    if given["redis_admin_url"]:
        return redis_probe.probe(given["redis_admin_url"], given["redis_admin_password"])
    if not given["redis_managed"]:
        return redis_probe.probe(url, given["redis_password"])
    unmade = "the users in Redis are not made yet: give router_redis_admin_urls for this run"
    scheme, user, place = login.split(url)
    password = login.deployment_password(host.layout.at(given["credentials"]), user)
    if not password.is_file():
        return redis_probe.Probe(problem=unmade)
    probe = redis_probe.probe(f"{scheme}://{user}{login.SUFFIX}@{place}", password.read_text(encoding="utf-8").strip())
    return replace(probe, problem=f"{unmade} ({probe.auth_error})") if probe.auth_error else probe


def _unit(host: Host, facts: Facts) -> dict[str, Any]:
    return {
        "state": facts.active_state,
        "load_state": facts.load_state,
        "enablement": facts.enablement,
        "fragment": facts.fragment,
        "drop_ins": list(facts.drop_ins),
        "main_pid": facts.main_pid,
        "ours": adoption.is_ours(host),
    }


def _releases(host: Host, state: State) -> dict[str, Any]:
    current = host.layout.live()
    secrets = login.secrets(host.layout, current) if current else None
    return {
        "current": current,
        "credentials": host.layout.host_path(secrets) if secrets else "",
        "staged": host.layout.staged(),
        "known_good": list(state.known_good),
        "bad": list(state.bad),
        "withdrawn": list(state.withdrawn),
        "pending": asdict(state.pending) if state.pending else None,
        "verdicts": state.verdicts,
        "capacity_owed": unsettled(state),
    }


def main() -> None:
    """Read the arguments, look, answer."""
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "default": UNIT},
            "redis_url": {"type": "str", "default": "redis://127.0.0.1:6379/0"},
            "redis_password": {"type": "str", "default": "", "no_log": True},
            "sentinel_password": {"type": "str", "default": "", "no_log": True},
            "credentials": {"type": "path", "default": "/etc/quantum-router"},
            "redis_managed": {"type": "bool", "default": False},
            "redis_admin_url": {"type": "str", "default": ""},
            "redis_admin_password": {"type": "str", "default": "", "no_log": True},
            "redis_install": {"type": "bool", "default": False},
            "min_python": {"type": "str", "default": "3.10"},
            "history": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    answer(module, lambda host: _look(host, module.params))


if __name__ == "__main__":
    main()
