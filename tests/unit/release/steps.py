# SPDX-License-Identifier: Apache-2.0
"""A deployment's steps as the role takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.quantum.router.plugins.module_utils.release import activation, lock

if TYPE_CHECKING:
    from ansible_collections.quantum.router.plugins.module_utils.release.host import Host

GUARD_S = 120.0


def activate(host: Host, release: str, deployment: str, *, capacity_delta: int = 0) -> activation.Activation:
    """Lock the host, arm a guard and activate."""
    lock.acquire(host, lock.Request(f"release {release}", 60.0, deployment))
    return activation.activate(host, release, deployment, 5, GUARD_S, capacity_delta)
