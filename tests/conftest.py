# SPDX-License-Identifier: Apache-2.0
"""Hypothesis: no timings as tests, and in CI the same examples each time."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("people", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "people")
