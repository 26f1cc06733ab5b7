# SPDX-License-Identifier: Apache-2.0
"""A lease on a stream with one signal, and a commit that would publish it: the script without a service around it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from router.config import Settings
from router.redis_io.client import connect
from router.redis_io.keys import catalogue
from router.redis_io.scripts import Commit, Intent, Lease, Scripts


class CommitRig:
    """A rig on *server*; *limits* are settings."""

    def __init__(self, server: Any, **limits: Any) -> None:
        settings = Settings(redis_url=server.url, **limits)
        self.keys = catalogue(settings)
        self.client = server.client
        self.client.set(self.keys.open_orders, "1")
        self.client.xgroup_create(self.keys.signals, "router", "0", mkstream=True)
        self.signal_id = self.client.xadd(self.keys.signals, {"payload": "{}"})
        self.scripts = Scripts(connect(settings), settings, self.keys)
        lease = self.scripts.acquire("holder", "release")
        assert isinstance(lease, Lease)
        self.lease = lease
        intent = Intent(self.signal_id, "id", '{"symbol":"BTCUSDT"}', "BTCUSDT BUY")
        self.commit = Commit(
            self.signal_id, entries=1, intents=(intent,), open_orders_text="1", outcomes={"published": 1}
        )

    def try_commit(self, commit_id: str = "1", cursor: str = "0-0", **changes: Any) -> Any:
        """Commit, with *changes*; the reply."""
        return self.scripts.commit(self.lease, commit_id, cursor, replace(self.commit, **changes))

    @property
    def group(self) -> Any:
        """The group that holds the cursor, as `XINFO GROUPS` shows it."""
        (group,) = self.client.xinfo_groups(self.keys.signals)
        return group

    def reading(self) -> tuple[int | None, int | None]:
        """How many entries the group has read, and how many it has not, as Redis knows it."""
        return self.group["entries-read"], self.group["lag"]

    def photograph(self) -> dict[str, Any]:
        """Everything in Redis but the lease, whose time runs."""
        return {key: self.client.dump(key) for key in sorted(self.client.scan_iter()) if "lease" not in key}
