# SPDX-License-Identifier: Apache-2.0
"""The pure core: (state, signal, now) in, decision out. It knows no Redis, no clock and no log."""
