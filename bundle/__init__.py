# SPDX-License-Identifier: Apache-2.0
"""What is carried to a host or a controller that has none of this checkout: `python -m bundle` fills `dist`."""
