# SPDX-License-Identifier: Apache-2.0
"""The proof that a deployment helped: what a host showed before and after, and the verdict over both."""
