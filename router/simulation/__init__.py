# SPDX-License-Identifier: Apache-2.0
"""The service without Redis and without waiting: its own session runs on a clock that jumps from entry to entry."""
