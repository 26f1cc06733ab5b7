# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a task failed, as a person wants to read it."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.quantum.router.plugins.plugin_utils.listing import one_line

# What Ansible, shells and Python say of a host without a Python, or with one that Ansible itself cannot use.
_NO_PYTHON = re.compile(
    r"The module interpreter \S+ was not found|[^\s:]*python[0-9.]*: (command not found|not found|No such file)"
    r"|requires a minimum of Python version [0-9.]+\. Current version: [0-9.]+"
    r"|SyntaxError: future feature annotations is not defined",
)


def why(failure: dict[str, Any]) -> str:
    """Return one line that says why a task failed, "" if none did; of one that says nothing, that it failed.

    A module's own message comes first; a command that only exited non-zero is represented by its phase and its last
    line.
    """
    if not failure:
        return ""
    # What Ansible could not read as a module's answer is what the host said instead of running it.
    said = str(failure.get("module_stderr") or failure.get("msg") or "").removeprefix("Task failed: ")
    if not said or said.startswith("non-zero return code"):
        written = str(failure.get("stderr") or failure.get("stdout") or said)
        said = next((text for text in reversed(written.splitlines()) if text.strip()), said)
        said = f"{failure['phase']}: {said}" if failure.get("phase") else said
    if re.search(r"sudo( password|ers|:)|[Bb]ecome", said):
        said = f"cannot become root: {said}; connect as root, allow sudo, or give --ask-become-pass"
    if found := _NO_PYTHON.search(said):
        said = f"{found[0]}: the host needs Python 3.10 or newer, install it or name it with ansible_python_interpreter"
    return one_line(said) or "failed without a word"
