# SPDX-License-Identifier: Apache-2.0
"""The collection's plugins, importable by the names that Ansible gives them."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[3] / "ansible"))
