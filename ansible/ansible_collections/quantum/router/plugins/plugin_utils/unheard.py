# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Going on when nobody reads any more what is printed: a pager that was left, a `| head`, a terminal that is gone."""

from __future__ import annotations

import os
import select
import threading


def go_on_unheard(*descriptors: int) -> None:
    """From the moment on when the reader of one of the *descriptors* is gone, write what goes there into nothing.

    ansible-core (2.19) takes no more results once a message of a task meets a closed pipe: it would wait for ever, with
    a deployment under way that the host then undoes.
    """
    threading.Thread(target=_watch, args=descriptors, daemon=True).start()


def _watch(*descriptors: int) -> None:
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, 0)  # what has no reader is always told
    left = len(descriptors)
    while left:
        for descriptor, _event in poll.poll():
            poll.unregister(descriptor)
            left -= 1
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, descriptor)
            os.close(nothing)
