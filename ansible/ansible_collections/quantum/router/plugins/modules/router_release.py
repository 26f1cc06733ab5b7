# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release state machine for playbooks; the work is in module_utils/release."""

from __future__ import annotations

DOCUMENTATION = """
module: router_release
short_description: Lock, stage, back up, activate, confirm and roll back releases of the quantum router
version_added: 1.0.0
author: Quantum Router maintainers (@quantum-router)
description:
  - Moves a host from one state of its deployment to the next.
  - Each transition is made alone, remembered in C(/var/lib/quantum-router/state.json), and told in C(journal.jsonl)
    beside it.
  - Needs nothing but Python 3.9 and systemd on the host.
attributes:
  check_mode:
    description: Can predict what it would change without changing it.
    support: full
  diff_mode:
    description: Shows the unit, the environment and the link to the live release before and after.
    support: full
options:
  state:
    description:
      - V(locked) keeps other deployments away from the host, V(unlocked) lets them in again unless the deployment is
        pending.
      - V(frozen) keeps all deployments away until V(unfrozen).
      - V(deployer) installs the virtual environment that measures and judges, the command C(router-release), and the
        units that call it at boot.
      - V(staged) builds a release beside the live one, from local files alone.
      - V(adopted) stores a unit that is not ours, byte for byte, so that it can be put back.
      - V(activated) arms the guard, a timer on the host that rolls back, then makes a staged release run and waits
        until it says that it is ready. Needs the lock.
      - V(extended) gives a person more time to confirm or roll back; O(verdict) is kept for them.
      - V(confirmed) disarms the guard, remembers the pending release as good, prunes old ones and gives up the lock.
      - V(rolled_back) returns to what ran before, whoever holds the lock, and gives up that of what was undone.
    type: str
    required: true
    choices:
      - locked
      - unlocked
      - frozen
      - unfrozen
      - deployer
      - staged
      - adopted
      - activated
      - extended
      - confirmed
      - rolled_back
  unit:
    description: The systemd unit of the router.
    type: str
    default: quantum-ai-strategy-router.service
  release:
    description: Id of the release. With O(state=confirmed) a release that is not the pending one is refused.
    type: str
  wheel:
    description: Path of the router's wheel on the host. Not needed in check mode.
    type: path
  wheelhouse:
    description: Path of the zip with dependencies, their lock and pip on the host. Not needed in check mode.
    type: path
  unit_text:
    description: The rendered unit.
    type: str
  environment_text:
    description: The rendered environment file, with the placeholder C(@RELEASE@) for the id.
    type: str
  deployment:
    description:
      - Names one run. A pending deployment is confirmed only by its own name.
      - With O(state=rolled_back), only this deployment is rolled back, and only while it is pending; without it,
        whatever is live is.
    type: str
  who:
    description: Who asks, for the lock and the journal; the user on the host if empty.
    type: str
    default: ""
  purpose:
    description: What the host is locked or frozen for, for those who find it so.
    type: str
  seconds:
    description:
      - With O(state=locked), when the lock is over and others may take it.
      - With O(state=activated) and O(state=extended), when the guard rolls back.
    type: float
  wait_s:
    description: Seconds to wait for somebody else's deployment to end. A freeze is not waited for.
    type: float
    default: 0
  by_hand:
    description: With O(state=confirmed), whether a person decides what the numbers did not.
    type: bool
    default: false
  force:
    description:
      - Whether O(to) may name a release that failed its proof.
      - With O(by_hand), whether a deployment is confirmed though nothing was found of it yet.
    type: bool
    default: false
  start_timeout_s:
    description: Seconds within which the release has to say that it is ready.
    type: float
    default: 60
  capacity_delta:
    description:
      - By how much this deployment lowered the count of open orders (old count minus forced one).
      - Give it with O(state=activated); a rollback, also a later one, adds it to the count again as soon as Redis
        answers.
    type: int
    default: 0
  verdict:
    description: What was found, kept with the release.
    type: dict
    default: {}
  to:
    description: Id of a kept release, or of an adopted unit, to return to.
    type: str
  reason:
    description: Why, for the audit journal.
    type: str
    default: ""
"""

EXAMPLES = """
- name: Back up what runs now
  quantum.router.router_release:
    state: adopted

- name: Activate the release
  quantum.router.router_release:
    state: activated
    release: 1.0.0-0123456789ab
    deployment: 20260101T120000Z-1a2b
    seconds: 540
  register: activated

- name: Return to what ran before
  quantum.router.router_release:
    state: rolled_back
    reason: asked for by hand
"""

RETURN = """
waited:
  description: Whether somebody else had the lock at first.
  returned: O(state=locked)
  type: bool
venv:
  description: The deployer's virtual environment; null in check mode while its files are not on the host.
  returned: O(state=deployer)
  type: str
release:
  description: Id of the release.
  returned: O(state=staged), O(state=activated), O(state=confirmed)
  type: str
adopted:
  description: Id of the adopted unit, null when there was none or the unit is ours.
  returned: O(state=adopted)
  type: str
files:
  description: Paths in the backup.
  returned: O(state=adopted)
  type: list
  elements: str
previous:
  description: What a rollback of this deployment returns to, null on the first installation.
  returned: O(state=activated)
  type: str
activated_at_ms:
  description: When the release was ready, Unix time in milliseconds. Not in check mode.
  returned: O(state=activated)
  type: int
main_pid:
  description: The release's main process. Not in check mode.
  returned: O(state=activated)
  type: int
gap_ms:
  description: How long no router was running, null when none ran before. Not in check mode.
  returned: O(state=activated)
  type: int
ended:
  description: How the deployment ended before this task could end it, in a line for people; null if it did not.
  returned: O(state=rolled_back), not in check mode
  type: str
outcome:
  description: What that end was, C(confirmed) or C(rolled back); null if there was none.
  returned: O(state=rolled_back), not in check mode
  type: str
pruned:
  description: Ids of the releases that were removed.
  returned: O(state=confirmed)
  type: list
  elements: str
from:
  description: What ran before the rollback.
  returned: O(state=rolled_back)
  type: str
to:
  description: What was returned to, null for the host as it was before the first release.
  returned: O(state=rolled_back)
  type: str
active:
  description: Whether the unit runs now; a unit that was stopped when it was adopted stays stopped.
  returned: O(state=rolled_back)
  type: bool
deployer:
  description: Python with what measures a router, null where none is installed.
  returned: O(state=rolled_back), not in check mode
  type: str
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quantum.router.plugins.module_utils.answer import answer
from ansible_collections.quantum.router.plugins.module_utils.release import (
    activation,
    adoption,
    confirmation,
    history,
    lock,
    manifest,
    rebuild,
    rollback,
    staging,
    store,
    texts,
    tool,
)
from ansible_collections.quantum.router.plugins.module_utils.release.ending import too_late
from ansible_collections.quantum.router.plugins.module_utils.release.errors import ReleaseError
from ansible_collections.quantum.router.plugins.module_utils.release.layout import PLACEHOLDER, UNIT
from ansible_collections.quantum.router.plugins.module_utils.release.plan import plan

if TYPE_CHECKING:
    from ansible_collections.quantum.router.plugins.module_utils.release.host import Host


def _locked(module: AnsibleModule, host: Host) -> dict[str, Any]:
    given = module.params
    request = lock.Request(given["purpose"], given["seconds"], given["deployment"])
    waited = False
    try:
        lock.check(host, request)
    except lock.HeldError:
        if not given["wait_s"] or module.check_mode:
            raise
        waited = True
    if not module.check_mode:
        lock.acquire(host, request, given["wait_s"])
    return {"changed": True, "waited": waited}


def _unlocked(module: AnsibleModule, host: Host) -> dict[str, Any]:
    return {"changed": not module.check_mode and lock.release(host, module.params["deployment"])}


def _frozen(module: AnsibleModule, host: Host) -> dict[str, Any]:
    request = lock.Request(module.params["purpose"], None)
    if not request.message.strip():
        raise ReleaseError("a freeze needs a message, for those who find the host frozen: make freeze MESSAGE=...")
    held = lock.load(host)
    if held and (held.kind, held.message) == (lock.FREEZE, request.message):
        return {"changed": False}
    if module.check_mode:
        lock.check(host, request)
    else:
        lock.acquire(host, request, module.params["wait_s"])
    return {"changed": True}


def _unfrozen(module: AnsibleModule, host: Host) -> dict[str, Any]:
    held = lock.load(host)
    frozen = held is not None and held.kind == lock.FREEZE
    return {"changed": frozen if module.check_mode else lock.unfreeze(host)}


def _deployer(module: AnsibleModule, host: Host) -> dict[str, Any]:
    wheel, wheelhouse = Path(module.params["wheel"]), Path(module.params["wheelhouse"])
    if module.check_mode and not (wheel.is_file() and wheelhouse.is_file()):
        return {"changed": True, "venv": None}
    venv = staging.deployer_venv(host, wheel, wheelhouse)
    missing = bool(manifest.verify(venv.parent))
    pending = store.load(host.layout).pending
    if pending and (missing or tool.install(host, check=True)):
        raise ReleaseError(
            f"deployment {pending.deployment} is not judged yet, and needs the tools that it came with if it is to be "
            "undone: wait for its end, or make rollback"
        )
    built = missing if module.check_mode else staging.stage_deployer(host, wheel, wheelhouse)
    installed = tool.install(host, check=module.check_mode)
    return {"changed": built or installed, "venv": str(venv)}


def _staged(module: AnsibleModule, host: Host) -> dict[str, Any]:
    given = module.params
    before = texts.live(host)
    if module.check_mode:
        changed = staging.needs_release(host, given["release"])
    else:
        wheel, wheelhouse = Path(given["wheel"]), Path(given["wheelhouse"])
        changed = staging.stage_release(
            host, given["release"], wheel, wheelhouse, given["unit_text"], given["environment_text"]
        )
    environment = given["environment_text"].replace(PLACEHOLDER, given["release"])
    after = {**before, "unit": given["unit_text"], "environment": environment} if changed else before
    return {"changed": changed, "release": given["release"], "diff": texts.diff(before, after)}


def _adopted(module: AnsibleModule, host: Host) -> dict[str, Any]:
    adopted, changed = adoption.adopt(host, check=module.check_mode)
    files = [entry.path for entry in adopted.entries if entry.kind != "absent"] if adopted else []
    return {"changed": changed, "adopted": adopted.id if adopted else None, "files": files}


def _activated(module: AnsibleModule, host: Host) -> dict[str, Any]:
    release, deployment = module.params["release"], module.params["deployment"]
    before = texts.live(host)
    # In check mode it may not be staged: then only the link can be told.
    after = texts.of(host, release) if release in host.layout.staged() else {**before, "current": release}
    if module.check_mode:
        changed, previous = activation.check(host, release, deployment)
        return {"changed": changed, "release": release, "previous": previous, "diff": texts.diff(before, after)}
    timeout_s, guard_s = module.params["start_timeout_s"], module.params["seconds"]
    done = activation.activate(host, release, deployment, timeout_s, guard_s, module.params["capacity_delta"])
    return {**vars(done), "release": release, "diff": texts.diff(before, after)}


def _extended(module: AnsibleModule, host: Host) -> dict[str, Any]:
    if not module.check_mode:
        given = module.params
        activation.extend(host, given["deployment"], given["seconds"], given["verdict"])
    return {"changed": True}


def _confirmed(module: AnsibleModule, host: Host) -> dict[str, Any]:
    release, deployment = module.params["release"], module.params["deployment"]
    state = store.load(host.layout)
    if confirmation.is_confirmed(state, deployment, module.params["release"]):
        return {"changed": False, "release": state.live, "pruned": []}
    if module.check_mode:
        return {"changed": True, "release": release, "pruned": []}
    if state.pending and release not in (None, state.pending.release):
        raise ReleaseError(f"release {release} is not the pending one: {state.pending.release} is")
    verdict, by_hand = module.params["verdict"], module.params["by_hand"]
    try:
        release, pruned, warnings = confirmation.confirm(
            host, deployment, verdict, by_hand=by_hand, force=module.params["force"]
        )
    except ReleaseError as error:
        raise too_late(host, deployment, error) from None
    for warning in warnings:
        module.warn(warning)
    return {"changed": True, "release": release, "pruned": pruned}


def _rolled_back(module: AnsibleModule, host: Host) -> dict[str, Any]:
    given = module.params
    # Whatever the inventory says by now: it is the unit that was deployed that has to give way.
    host = replace(host, unit=store.load(host.layout).unit or host.unit)
    before = texts.live(host)
    if module.check_mode:
        return _would_roll_back(module, host, before)
    done = rollback.rollback(
        host,
        to=given["to"],
        deployment=given["deployment"],
        reason=given["reason"],
        force=given["force"],
        verdict=given["verdict"],
    )
    for warning in done.warnings:
        module.warn(warning)
    moved = {"changed": done.changed, "from": done.origin, "to": done.target, "active": done.active}
    moved["deployer"] = host.layout.deployer_python() if host.layout.deployers_built() else None
    late = not done.changed and given["deployment"]
    ended = history.end_of(store.journal(host.layout), late) if late else None
    told = {"ended": history.told(ended) if ended else None, "outcome": ended["action"] if ended else None}
    return {**moved, **told, "diff": texts.diff(before, texts.live(host))}


def _would_roll_back(module: AnsibleModule, host: Host, before: dict[str, str]) -> dict[str, Any]:
    given, state = module.params, store.load(host.layout)
    planned = plan(host, state, given["to"], given["deployment"], force=given["force"])
    if planned is None:
        return {"changed": False, "from": state.live, "to": state.live, "active": host.facts().active, "diff": []}
    for warning in planned.warnings:
        module.warn(warning)
    move = planned.move
    diff = [] if planned.is_back else texts.diff(before, texts.of(host, move.target))
    return {"changed": True, "from": move.origin, "to": move.target, "active": planned.active, "diff": diff}


_TRANSITIONS = {
    "locked": _locked,
    "unlocked": _unlocked,
    "frozen": _frozen,
    "unfrozen": _unfrozen,
    "deployer": _deployer,
    "staged": _staged,
    "adopted": _adopted,
    "activated": _activated,
    "extended": _extended,
    "confirmed": _confirmed,
    "rolled_back": _rolled_back,
}

_ARGUMENTS = {
    "state": {"type": "str", "required": True, "choices": list(_TRANSITIONS)},
    "unit": {"type": "str", "default": UNIT},
    "release": {"type": "str"},
    "wheel": {"type": "path"},
    "wheelhouse": {"type": "path"},
    "unit_text": {"type": "str"},
    "environment_text": {"type": "str"},
    "deployment": {"type": "str"},
    "who": {"type": "str", "default": ""},
    "purpose": {"type": "str"},
    "seconds": {"type": "float"},
    "wait_s": {"type": "float", "default": 0},
    "by_hand": {"type": "bool", "default": False},
    "force": {"type": "bool", "default": False},
    "start_timeout_s": {"type": "float", "default": 60},
    "capacity_delta": {"type": "int", "default": 0},
    "verdict": {"type": "dict", "default": {}},
    "to": {"type": "str"},
    "reason": {"type": "str", "default": ""},
}

_REQUIRED = [
    ("state", "deployer", ("wheel", "wheelhouse")),
    ("state", "staged", ("release", "wheel", "wheelhouse", "unit_text", "environment_text")),
    ("state", "locked", ("deployment", "purpose", "seconds")),
    ("state", "unlocked", ("deployment",)),
    ("state", "frozen", ("purpose",)),
    ("state", "activated", ("release", "deployment", "seconds")),
    ("state", "extended", ("deployment", "seconds")),
    ("state", "confirmed", ("deployment",)),
]


def _made(module: AnsibleModule, host: Host) -> dict[str, Any]:
    if not module.check_mode and (warning := rebuild.bring_back(host.layout)):
        module.warn(warning)
    return _TRANSITIONS[module.params["state"]](module, host)


def main() -> None:
    """Read the arguments, make the transition, answer."""
    module = AnsibleModule(
        argument_spec=_ARGUMENTS,
        required_if=_REQUIRED,
        supports_check_mode=True,
    )
    answer(module, lambda host: _made(module, host))


if __name__ == "__main__":
    main()
