# SPDX-License-Identifier: Apache-2.0
"""Hypothesis: no timings as tests, and in CI the same examples each time."""

from __future__ import annotations

import os

from hypothesis import Phase, settings

settings.register_profile("people", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
#: There only whether a test fails counts, not with what, and hundreds of runs must end in an hour.
settings.register_profile(
    "mutation",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=30,
    phases=[Phase.explicit, Phase.generate],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "people"))
