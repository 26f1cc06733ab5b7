# SPDX-License-Identifier: Apache-2.0
"""The lab's old router, which publishes everything one message at a time, with a word when it begins."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from tests.bench.peers.filtering import announce

sys.path.insert(0, str(Path(__file__).parents[3] / "molecule/shared/host"))
old_router = importlib.import_module("ai_strategy_router")  # takes the server from REDIS_URL

if __name__ == "__main__":
    announce()
    old_router.main()
