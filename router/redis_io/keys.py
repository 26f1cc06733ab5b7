# SPDX-License-Identifier: Apache-2.0
"""The catalogue of every Redis key the router touches, each behind the one optional prefix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from router.config import Settings

#: What every key of a drill begins with, whatever it is of.
DRILL_KEYS: Final = "quantum-drill:"


@dataclass(frozen=True)
class Keys:
    """Names of keys as they stand in Redis, prefix included. Types are named in design: wire contract."""

    prefix: str
    #: stream, read only but for our group
    signals: str
    #: stream, written
    intents: str
    #: string of 1 to 9 digits, read; written only by a deployment that creates it
    open_orders: str
    #: string, the desk's own kill switch: read, never written
    kill: str
    #: hash {reason, who, when}; its presence halts the router
    halt: str
    #: string, read for metrics
    safe_mode: str
    #: stream of rejected signals, written
    rejects: str
    #: hash {holder, epoch, ttl_ms, release}, expires
    lease: str
    #: hash {epoch, commit_id, reply}, never expires
    epoch: str
    #: set of intent ids that execution has not dealt with
    inflight: str
    #: hash outcome -> count of signal entries, written in each commit
    outcomes: str
    #: hash {event, count, ...} of the last window, for people
    last_window: str
    #: sorted set of the intents of the last hour by time; written only with a limit per hour
    recent: str
    #: sorted set of intents by time, to find repeats; written only with a repeat limit
    repeats: str
    #: stream of every decision with its reason, written only when the audit is on
    audit: str
    #: hash token -> reply of what was added to open_orders, written only by a deployment
    settled: str

    def dedup(self, dedup_id: str) -> str:
        """Key that remembers *dedup_id* as published; its value is the id of the signal entry."""
        return f"{self.prefix}quantum:dedup:trade_intent:{dedup_id}"

    @property
    def dedup_pattern(self) -> str:
        """SCAN pattern of all dedup keys; the prefix holds no pattern characters (see config)."""
        return self.dedup("*")

    def governor(self, day: str) -> str:
        """Execution's count of trades on *day* (YYYYMMDD, UTC): read, never written."""
        return f"{self.prefix}quantum:governor:daily_trades:{day}"


def catalogue(settings: Settings) -> Keys:
    """Return the keys for *settings*; the prefix stands before every key, overridden names included."""
    prefix = settings.key_prefix
    return Keys(
        prefix=prefix,
        signals=prefix + settings.signal_stream,
        intents=prefix + settings.intent_stream,
        open_orders=f"{prefix}quantum:state:open_orders",
        kill=f"{prefix}quantum:kill",
        halt=f"{prefix}quantum:router:halt",
        safe_mode=f"{prefix}quantum:safety:safe_mode",
        rejects=f"{prefix}quantum:stream:router.rejected",
        lease=f"{prefix}quantum:router:lease",
        epoch=f"{prefix}quantum:router:epoch",
        inflight=f"{prefix}quantum:router:inflight",
        outcomes=f"{prefix}quantum:router:outcomes",
        last_window=f"{prefix}quantum:router:last_window",
        recent=f"{prefix}quantum:router:recent",
        repeats=f"{prefix}quantum:router:repeats",
        audit=f"{prefix}quantum:stream:router.audit",
        settled=f"{prefix}quantum:router:settled",
    )
