# SPDX-License-Identifier: Apache-2.0
"""The drill: before anything live changes, a release works through the capacity states behind a key prefix of its own.

Pure: `plan` (which states, with which settings) and `expectation` (what the policy says of each). With effects: `run`
(the drill itself), `keys` (what a drill leaves in Redis), `live` (whether it touched anything else), `transient` (the
release as a transient unit of systemd).
"""
