# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have the release watched on its host, and meanwhile say how far that is.

`bar` is pure; the action runs the command in the background of the host, and reads the file in which it tells.
"""

from __future__ import annotations

import json
import shlex
import time
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

WIDTH = 20
"""Characters of the bar."""

TELL_S = 6.0
"""Seconds between lines: a soak of a minute and a half is to be followed, and not to fill a log."""

ASK_S = 10.0
"""Seconds between questions whether the command still runs, which cost more than to read its file."""

GONE = "nobody watches the release any more: the host was restarted, or its soak was stopped there; see make history"
"""Said when the job is not known there any more; its file lies where a restart removes it."""


def progress_line(host: str, progress: dict[str, Any]) -> str:
    """Return what `router soak` tells meanwhile as one line: a bar, seconds, counts so far, the verdict as it stands.

    The bar is full when the verdict may be a pass; from then on it only has to be certain.
    """
    elapsed_s, least_s, most_s = (progress[name] for name in ("elapsed_s", "least_s", "most_s"))
    share = min(1.0, elapsed_s / least_s) if least_s else 1.0
    drawn = "#" * int(share * WIDTH)
    span = f"at least {least_s:.0f}" if elapsed_s < least_s else f"at most {max(least_s, most_s):.0f}"
    signals, intents = progress["signals"], progress["intents"]
    share_text = f" ({intents / signals:.1%})" if signals else ""
    orders = progress["open_orders"]
    open_text = "unknown" if orders is None else orders
    stands = progress["verdict"] if progress["certain"] else f"{progress['verdict']} so far"
    return (
        f"{host}: soak [{drawn:.<{WIDTH}}] {elapsed_s:3.0f} s of {span} s: "
        f"{signals} signals, {intents} intents{share_text}, {open_text} open: {stands}"
    )


class ActionModule(ActionBase):
    """The `quantum.router.soak` action."""

    _supports_async = True
    _VALID_ARGS = frozenset({"argv", "creates", "progress"})

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run `argv` as `ansible.builtin.command` does, but in the background, and tell what `progress` holds."""
        super().run(tmp, task_vars)
        command = {"argv": self._task.args["argv"], "creates": self._task.args["creates"]}
        background = not self._task.check_mode
        begun = self._execute_module("ansible.legacy.command", command, task_vars=task_vars, wrap_async=background)
        if begun.get("ansible_job_id"):
            self._follow(begun["ansible_job_id"], task_vars)
        # Ansible itself waits for what is left of a job, and clears up after it.
        return begun

    def _follow(self, job: str, task_vars: dict[str, Any] | None) -> None:
        """Say how far the job is until it has come to its end, whichever."""
        host = (task_vars or {}).get("inventory_hostname", "")
        # As the action `async_status` has it, which takes its arguments from a task only.
        asked = {"jid": job, "_async_dir": self.get_shell_option("async_dir", default="~/.ansible_async")}
        told_s = asked_s = time.monotonic()
        ended = False
        while not ended:
            time.sleep(self._task.poll)
            now_s = time.monotonic()
            if now_s - asked_s >= ASK_S:
                asked_s = now_s
                status = self._execute_module("ansible.legacy.async_status", asked, task_vars=task_vars)
                ended = bool(status.get("finished"))
                if status.get("failed") and not ended:
                    raise AnsibleActionFail(f"{GONE} ({status.get('msg')})")
            progress = self._progress()
            ended = ended or bool(progress and progress["certain"])
            if progress and (ended or now_s - told_s >= TELL_S):
                told_s = now_s
                self._display.display(progress_line(host, progress))

    def _progress(self) -> dict[str, Any] | None:
        """Return what the command told last, None before it has."""
        said = self._low_level_execute_command(f"cat {shlex.quote(self._task.args['progress'])}")
        try:
            return json.loads(said["stdout"]) if said["rc"] == 0 else None
        except ValueError:
            return None
