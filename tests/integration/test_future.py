# SPDX-License-Identifier: Apache-2.0
"""A stream of signals that one id has pushed into the future."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tests.integration.conftest import SIGNALS, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    Start = Callable[..., Any]


def test_an_id_far_ahead_that_pushes_all_others_ahead_is_told_and_mended(start_router: Start, market: Any) -> None:
    """Redis gives later entries later ids, so all are rejected: the log says so, and what the guide says ends it."""
    router = start_router()
    market.burst()
    router.wait_for("BEST_OF_PUBLISH", scope="window")
    assert not router.events("FUTURE_SIGNALS")
    market.signal(entry_id=f"{int(time.time() * 1000) + 3_600_000}-1")
    market.burst()
    eventually(lambda: market.outcomes.get("rejected") == 14, lambda: router.log)
    assert router.wait_for("FUTURE_SIGNALS")["MESSAGE"].endswith("ids ahead of Redis' clock")
    router.stop()
    market.client.xtrim(SIGNALS, maxlen=0, approximate=False)
    market.client.execute_command("XSETID", SIGNALS, f"{int(time.time() * 1000)}-0")
    market.client.xgroup_setid(SIGNALS, "router", "$")
    router = start_router()
    market.burst()
    router.wait_for("BEST_OF_PUBLISH", scope="window")
    eventually(market.settled, "every signal dealt with")
