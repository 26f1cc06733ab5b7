# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways in which the state machine says no."""

from __future__ import annotations


class ReleaseError(Exception):
    """Something a person can act on: one line that names the thing, the value and the way out."""


class TooLateError(ReleaseError):
    """The deployment has ended already, one way or the other."""


class UsageError(ReleaseError):
    """The command line itself is wrong."""
