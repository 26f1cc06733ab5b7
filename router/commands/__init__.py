# SPDX-License-Identifier: Apache-2.0
"""The commands by who uses them: the service itself, the people who operate it, and a deployment's proof."""
