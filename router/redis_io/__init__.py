# SPDX-License-Identifier: Apache-2.0
"""Everything that talks to Redis: the connection, the key catalogue, the reader and the scripts."""
