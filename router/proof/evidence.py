# SPDX-License-Identifier: Apache-2.0
"""What is known about a host, as data: the snapshots and looks that the judge reads and the reports print.

Everything may be None: not known. Nothing here is ever guessed from a missing value. Field names are those of the JSON.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec

from router.core.policy import TradingState
from router.errors import RouterError

#: Bounds that keep a forged or broken file from becoming an endless calculation.
Count = Annotated[int, msgspec.Meta(ge=0, le=10**9)]
Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=10**15)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=10**9)]


class EvidenceError(RouterError):
    """A file that should hold a snapshot does not (64: the caller named the wrong file)."""

    exit_code = 64


class Governor(msgspec.Struct, frozen=True):
    """Execution's count of trades today, the seconds until it expires, and the count of the day before.

    *day* is today, in days since 1970 (UTC).
    """

    count: Count | None = None
    ttl_seconds: int | None = None
    day: Count | None = None
    yesterday: Count | None = None


class Capacity(msgspec.Struct, frozen=True):
    """Open orders as execution keeps them."""

    open_orders: Count | None = None


class Execution(msgspec.Struct, frozen=True):
    """Intents that execution's group has not been delivered (*lag*) and has not acknowledged (*pending*)."""

    lag: int | None = None
    pending: int | None = None


class Service(msgspec.Struct, frozen=True):
    """The unit as systemd and /proc show it, and who holds the router's lease in Redis."""

    active_state: str | None = None
    sub_state: str | None = None
    restarts: int | None = None
    main_pid: int | None = None
    status_text: str | None = None
    exe: str | None = None
    cmdline: list[str] | None = None
    lease_release: str | None = None
    lease_holder: str | None = None


class RedisState(msgspec.Struct, frozen=True):
    """What Redis holds besides the streams; all unknown when it did not answer."""

    governor: Governor = Governor()
    capacity: Capacity = Capacity()
    execution: Execution = Execution()
    safe_mode: str | None = None
    redis_version: str | None = None


class Pace(msgspec.Struct, frozen=True):
    """How many signals and intents came in each *step_s* seconds of a snapshot's time, for people to look at.

    At most 600 counts each; they begin with the whole second of Redis' clock in which the snapshot does. The signals of
    the last window of a soak are among them.
    """

    step_s: Annotated[int, msgspec.Meta(ge=1)] = 1
    signals: list[Count] = []
    intents: list[Count] = []


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A host over *window_seconds* up to *taken_at_ms*; times are Redis' clock in ms.

    *signals* are the tradeable ones (valid, not hold, not reduce-only), *eligible* those of at least MIN_CONFIDENCE,
    *intents* the ones that are not reduce-only; *rejects* counts what the stream of rejects got by its reason code;
    *events* counts the unit's log lines by their EVENT field.
    """

    taken_at: str
    taken_at_ms: Milliseconds
    since_ms: Milliseconds
    window_seconds: Seconds
    signals: Count
    eligible: Count
    intents: Count
    publish_ratio: float | None = None
    pace: Pace = Pace()
    rejects: dict[str, Count] = {}
    governor: Governor = Governor()
    capacity: Capacity = Capacity()
    dedup_keys: int | None = None
    execution: Execution = Execution()
    safe_mode: str | None = None
    service: Service = Service()
    events: dict[str, int] | None = None
    redis_version: str | None = None


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """One moment of a soak, and the signals that arrived since the look before it.

    *eligible_since_last* counts the signals good enough below the target, *super_since_last* those of them good enough
    at the target. *in_flight* is the router's own count, at least what is in flight. *rejected* is how many signals
    were ever rejected. *error* says why nothing is known.
    """

    at_ms: Milliseconds
    open_orders: Count | None = None
    in_flight: Count | None = None
    trading_state: TradingState | None = None
    signals_since_last: Count = 0
    eligible_since_last: Count = 0
    super_since_last: Count = 0
    governor: Governor = Governor()
    execution: Execution = Execution()
    rejected: Count | None = None
    service: Service = Service()
    error: str | None = None


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that the judge measures against; *window_s* in seconds, confidences 0..1."""

    max_open_orders: Count
    target_open_orders: Count
    max_new_per_cycle: Count
    window_s: Seconds
    min_confidence: float
    super_confidence: float


class Release(msgspec.Struct, frozen=True):
    """The release that must be running: its id, its absolute directory, and the real path of its interpreter."""

    id: str
    dir: str
    exe: str


class Said(msgspec.Struct, frozen=True):
    """What the unit's log claims: windows that published, intents in them, and errors with the first few of them.

    *claimed* leaves out the first and the last second, whose intents may lie outside of what was counted.
    """

    publishing_windows: Count
    claimed: Count
    errors: Count
    first_errors: list[str] = []


class Answer(msgspec.Struct, frozen=True):
    """What a criterion of the user's own said: its exit status (None: it did not run to its end), and its last line."""

    name: str
    exit_status: int | None
    said: str


class Soaked(Snapshot, frozen=True, kw_only=True):
    """A snapshot taken over a soak. *intents_ms* are the times of the counted intents that name no other release.

    *signals* and *eligible* leave out the last window: its signals may still be waiting for their decision, and would
    make the reduction look larger than it is. *boosted* counts those of *intents_ms* with a boosted size, *foreign* the
    intents that name another release, *invalid* the signals that nobody could take, those included that may have waited
    at the activation. *offered* counts the tradeable signals that the release may have read, those included that may
    have waited, and *reduce_only_offered* the reduce-only ones; *reduce_only* counts the intents that are marked so.
    *error_share* is the part of the judge's error that this judgement may spend: 0 it is too early to test, 1 it is the
    only one. *systemctl_status* and *log_sample* are for people: lines as a terminal shows them.
    """

    intents_ms: list[Milliseconds]
    offered: Count
    looks: list[Look]
    settings: Policy
    release: Release
    boosted: Count = 0
    foreign: Count = 0
    invalid: Count = 0
    reduce_only: Count = 0
    reduce_only_offered: Count = 0
    said: Said | None = None
    answers: list[Answer] = []
    error_share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    systemctl_status: list[str] = []
    log_sample: list[str] = []

    @property
    def trading_state(self) -> TradingState | None:
        """The most restrictive state at any look; None when none was seen."""
        states = {look.trading_state for look in self.looks}
        worst_first = (TradingState.HALTED, TradingState.REDUCE, TradingState.ACTIVE)
        return next((state for state in worst_first if state in states), None)


AnySnapshot = TypeVar("AnySnapshot", bound=Snapshot)


def decode(document: bytes, kind: type[AnySnapshot], name: str) -> AnySnapshot:
    """Read the JSON *document* as *kind*; *name* (a path) is for the message.

    Raises:
        EvidenceError: it is not such a snapshot; the message says where.
    """
    try:
        return msgspec.json.decode(document, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EvidenceError(f"{name}: not a {kind.__name__.lower()} snapshot: {error}; take it again") from None
