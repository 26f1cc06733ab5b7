# SPDX-License-Identifier: Apache-2.0
"""Quantum Router: publish the best few trading signals per window, and nothing when it cannot know."""

__version__ = "1.0.0"
