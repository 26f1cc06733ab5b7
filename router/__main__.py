# SPDX-License-Identifier: Apache-2.0
"""`python -m router`: the same as the `router` script."""

from router.cli import main

main(prog_name="router")
