# SPDX-License-Identifier: Apache-2.0
"""The Lua scripts as typed calls. Each header in `lua/` names every key and its type."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from router.core.policy import Capacity, TradingState

if TYPE_CHECKING:
    import redis
    from redis.commands.core import Script

    from router.config import Settings
    from router.core.signal import Signal
    from router.redis_io.keys import Keys

#: Lengths to which intents and rejects are trimmed, approximately (design: wire contract).
INTENTS_MAX: Final = 10_000
REJECTS_MAX: Final = 10_000
#: Ids that are looked up at once.
PAGE: Final = 1000
_OPEN_ORDERS: Final = re.compile(rb"[0-9]{1,9}")


@dataclass(frozen=True)
class Lease:
    """The right to commit: holder's name and the epoch that fences older holders."""

    holder: str
    epoch: str


@dataclass(frozen=True)
class Standby:
    """Another router holds the lease."""

    holder: str


@dataclass(frozen=True)
class Observation:
    """One instant of Redis: its time, and the capacity; *open_orders_text* is what the key holds when that is a count.

    *open_orders_problem* says in a word or two why it is none, *halted_by* which key halts or reduces;
    *halt_reason* and *halt_who* are what a halt of ours says of itself.
    *lag* is how many entries follow our cursor (None: Redis cannot tell), *pending* how many an older router left (None
    without our group). *execution_lag* and *execution_pending* are the same of execution's group and the intents.
    """

    now_ms: int
    open_orders_text: str | None
    open_orders_problem: str
    halted_by: str
    capacity: Capacity
    lag: int | None = None
    pending: int | None = None
    halt_reason: str = ""
    halt_who: str = ""
    execution_lag: int | None = None
    execution_pending: int | None = None


class Intent(msgspec.Struct, frozen=True):
    """What to publish for a signal: the JSON object *data*, guarded by *dedup_id*; *what* is its symbol and side."""

    signal_id: str
    dedup_id: str
    data: str
    what: str = ""


@dataclass(frozen=True)
class Audit:
    """What the audit says of a commit: *decisions* are (entry id, reason) of the entries that it deals with.

    *unlisted* is how many more it deals with, -1 when that is unknown; *facts* are further fields.
    """

    event: str
    decisions: tuple[tuple[str, str], ...] = ()
    unlisted: int = 0
    facts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Commit:
    """One commit: where the cursor moves (None: it stays), what to publish, and what was counted.

    *entries* is how many entries the move passes. *entries_read* sets their number since the stream began; -1 says that
    it is unknown, None that it grows by *entries*. *last_window* are the facts for people when a window ends.
    *audit* is written when the settings ask for an audit.
    """

    cursor_to: str | None = None
    entries: int = 0
    entries_read: int | None = None
    intents: tuple[Intent, ...] = ()
    reduce_only: bool = False
    open_orders_text: str | None = None
    outcomes: dict[str, int] = field(default_factory=dict)
    rejects: tuple[tuple[str, str, str], ...] = ()
    acknowledge: tuple[str, ...] = ()
    last_window: dict[str, str] = field(default_factory=dict)
    audit: Audit | None = None


class Reply(msgspec.Struct, frozen=True):
    """The commit script's answer; its header says which status carries which field."""

    status: str
    reason: str = ""
    intents: list[str] = []
    trimmed: int = 0
    halted: str = ""
    stale: list[int] = []
    duplicates: list[tuple[int, bool]] = []


_decode = msgspec.msgpack.Decoder(Reply).decode


class Scripts:
    """The scripts bound to one server, one set of settings and one key catalogue."""

    def __init__(self, client: redis.Redis, settings: Settings, keys: Keys) -> None:
        self._settings = settings
        self._keys = keys
        self._client = client
        self._acquire = register(client, "acquire")
        self._renew = register(client, "renew")
        self._release = register(client, "release")
        self._observe = register(client, "observe")
        self._commit = register(client, "commit")

    def load(self) -> None:
        """Load every script into the server, so that one it cannot compile shows now."""
        for script in (self._acquire, self._renew, self._release, self._observe, self._commit):
            self._client.script_load(script.script)

    def acquire(self, holder: str, release: str) -> Lease | Standby:
        """Take the lease for *holder* running *release*, or learn who has it."""
        reply = self._acquire(keys=[self._keys.lease, self._keys.epoch], args=[holder, self._lease_ttl_ms, release])
        if reply[0]:
            return Lease(holder, reply[1].decode())
        return Standby(reply[1].decode("utf-8", "replace"))

    def renew(self, lease: Lease) -> bool:
        """Extend *lease* by its TTL; False when it is gone or another's."""
        return bool(self._renew(keys=[self._keys.lease], args=[lease.holder, lease.epoch, self._lease_ttl_ms]))

    def release(self, lease: Lease) -> None:
        """Give *lease* back, if it is still ours."""
        self._release(keys=[self._keys.lease], args=[lease.holder, lease.epoch])

    def observe(self, *, forget: bool = False) -> Observation:
        """Read time, trading state, intents in flight and open orders in one instant.

        *forget* removes what execution has dealt with from the set in flight. Only who holds the lease may: with the
        settings of anyone else, such as another execution group, the router would lose count of what is out.
        """
        keys = self._keys
        limited = "" if self._settings.max_intents_per_hour is None else "1"
        in_flight_ms = int(self._settings.inflight_ttl_s * 1000)
        now_ms, state, said_by, in_flight, text, lag, pending, *execution, hour, reason, who = self._observe(
            keys=[keys.kill, keys.halt, keys.open_orders, keys.inflight, keys.intents, keys.signals, keys.recent],
            args=[self._settings.execution_group, in_flight_ms, self._settings.group, limited, "1" if forget else ""],
        )
        count = text.decode() if text is not None and _OPEN_ORDERS.fullmatch(text) else None
        problem = "missing" if text is None else "" if count is not None else "not a count"
        open_orders = int(count) if count is not None else None
        capacity = Capacity(TradingState(state.decode()), open_orders, int(in_flight), int(hour))
        halt = (fact.decode("utf-8", "replace") for fact in (reason, who))
        return Observation(int(now_ms), count, problem, said_by.decode(), capacity, lag, pending, *halt, *execution)

    def published(self, signals: list[Signal]) -> list[tuple[Signal, bool]]:
        """Return those of *signals* whose id is known as published, and whether by that very entry."""
        found = []
        for start in range(0, len(signals), PAGE):
            page = signals[start : start + PAGE]
            values = self._client.mget([self._keys.dedup(signal.dedup_id) for signal in page])
            known = zip(page, cast("list[bytes | None]", values), strict=True)
            found += [(signal, value == signal.entry_id.encode()) for signal, value in known if value is not None]
        return found

    def commit(self, lease: Lease, commit_id: str, cursor: str, commit: Commit) -> Reply:
        """Commit from *cursor* on, or learn why nothing was done. The same *commit_id* may be sent again: done once."""
        keys = self._keys
        cursor_to = commit.cursor_to or cursor
        arguments = self._arguments(commit) | {"holder": lease.holder, "epoch": lease.epoch, "id": commit_id}
        arguments |= {"cursor_from": cursor, "cursor_to": cursor_to}
        if commit.audit is not None and self._settings.audit_max is not None:
            arguments["audit"] = audit_fields(commit.audit, cursor, cursor_to)
        packed = msgspec.msgpack.encode(arguments)
        fixed = [keys.lease, keys.epoch, keys.signals, keys.intents, keys.open_orders, keys.kill, keys.halt]
        written = [keys.inflight, keys.rejects, keys.outcomes, keys.last_window, keys.recent, keys.repeats, keys.audit]
        dedup = [keys.dedup(intent.dedup_id) for intent in commit.intents]
        return _decode(self._commit(keys=[*fixed, *written, *dedup], args=[packed]))

    def _arguments(self, commit: Commit) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "group": self._settings.group,
            "execution_group": self._settings.execution_group,
            "entries": commit.entries,
            "intents": [{"signal_id": i.signal_id, "data": i.data, "what": i.what} for i in commit.intents],
            "reduce_only": commit.reduce_only,
            "outcomes": commit.outcomes,
            "rejects": commit.rejects,
            "acknowledge": commit.acknowledge,
            "max_age_ms": int(self._settings.max_age_s * 1000),
            "dedup_ttl_ms": int(self._settings.dedup_ttl_s * 1000),
            "intents_max": INTENTS_MAX,
            "rejects_max": REJECTS_MAX,
            "last_window": [text for pair in commit.last_window.items() for text in pair],
            "repeat_window_ms": int(self._settings.repeat_window_s * 1000),
        }
        # cmsgpack has no nil in a map that a script could tell from absence, so what is unknown is left out.
        known = {
            "open_orders": commit.open_orders_text,
            "entries_read": commit.entries_read,
            "hourly_max": self._settings.max_intents_per_hour,
            "repeat_limit": self._settings.repeat_limit,
            "audit_max": self._settings.audit_max,
        }
        return arguments | {name: value for name, value in known.items() if value is not None}

    @property
    def _lease_ttl_ms(self) -> int:
        return int(self._settings.lease_ttl_s * 1000)


def audit_fields(audit: Audit, cursor_from: str, cursor_to: str) -> list[str]:
    """Return *audit* as the fields and values of its stream entry, with the stretch of the cursor that it covers."""
    fields = {"event": audit.event, "from": cursor_from, "to": cursor_to, **audit.facts}
    fields |= {"decisions": msgspec.json.encode(audit.decisions).decode(), "unlisted": str(audit.unlisted)}
    return [text for pair in fields.items() for text in pair]


def register(client: redis.Redis, name: str, flags: str = "") -> Script:
    """Return the script of the file *name* behind the common functions.

    A server out of memory refuses a script that begins with `#!lua` as a whole, before its first write, unless its
    *flags* are `allow-oom`.
    """
    folder = resources.files("router.redis_io") / "lua"
    common = (folder / "common.lua").read_text(encoding="utf-8")
    own = (folder / f"{name}.lua").read_text(encoding="utf-8")
    return client.register_script(f"#!lua{flags and f' flags={flags}'}\n" + common + own)
