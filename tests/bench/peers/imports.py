# SPDX-License-Identifier: Apache-2.0
"""Imports the five dependencies (redis with its parser hiredis, msgspec, structlog, prometheus-client, click)."""

from __future__ import annotations

import importlib
import os
import socket

if __name__ == "__main__":
    for name in ("redis", "hiredis", "msgspec", "structlog", "prometheus_client", "click"):
        importlib.import_module(name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
