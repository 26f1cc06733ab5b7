# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How every module here ends: with what it found or did, or with one line that a person can act on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Callable, Mapping

from .release.errors import ReleaseError
from .release.host import Host

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule


def answer(module: AnsibleModule, work: Callable[[Host], Mapping[str, Any]]) -> None:
    """Do the work on this host, as the `unit` and, where there is one, the `who` of the arguments, and exit."""
    host = Host(unit=module.params["unit"])
    if module.params.get("who"):
        host = replace(host, who=module.params["who"])
    try:
        found = work(host)
    except ReleaseError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or 'the host'}: {error.strerror}")
    module.exit_json(**found)
