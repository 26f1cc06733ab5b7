# SPDX-License-Identifier: Apache-2.0
"""A log that nobody can write or read any more ends no router."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import RouterProcess, eventually


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("log", ["full disk", "closed pipe"])
def test_a_log_that_cannot_be_written_ends_no_router(redis_server: Any, market: Any, log: str, log_format: str) -> None:
    """It routes as always, and ends in order when it is told to."""
    reading, writing = os.pipe()
    path = Path("/dev/full" if log == "full disk" else f"/proc/self/fd/{writing}")
    router = RouterProcess(redis_server.url, path, {"ROUTER_LOG_FORMAT": log_format}, ("-m", "router", "run"))
    os.close(reading)
    os.close(writing)
    try:
        eventually(lambda: market.client.exists("quantum:router:lease"), "the lease is taken")
        market.burst()
        market.audit()
        assert 2 == len(market.intents)
        assert 0 == router.stop()
    finally:
        router.process.kill()
        router.process.wait()
