# SPDX-License-Identifier: Apache-2.0
"""What became of a signal entry: one of seven outcomes, each for one of a closed set of reasons."""

from __future__ import annotations

import enum


class Outcome(str, enum.Enum):
    """What became of a signal entry; every entry gets exactly one."""

    PUBLISHED = "published"
    NOT_CHOSEN = "not_chosen"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"
    IGNORED = "ignored"
    STALE = "stale"
    HALTED = "halted"


class Reason(str, enum.Enum):
    """Why an entry got its outcome, as the audit tells it (docs/policy.md explains each)."""

    PUBLISHED = "published"
    LOW_CONFIDENCE = "low_confidence"
    CROWDED_OUT = "crowded_out"
    OUTRANKED = "outranked"
    SYMBOL_OUTRANKED = "symbol_outranked"
    CAPACITY_UNKNOWN = "capacity_unknown"
    CAPACITY_FULL = "capacity_full"
    LIMIT_REACHED = "limit_reached"
    TARGET_REACHED = "target_reached"
    APPROVAL_DENIED = "approval_denied"
    ID_IN_WINDOW = "id_in_window"
    ID_PUBLISHED = "id_published"
    REJECTED = "rejected"
    HOLD = "hold"
    STALE = "stale"
    STALE_AT_COMMIT = "stale_at_commit"
    HALTED = "halted"

    @property
    def outcome(self) -> Outcome:
        """The outcome under which an entry with this reason is counted."""
        return _OUTCOMES[self]


_OUTCOMES = {
    Reason.PUBLISHED: Outcome.PUBLISHED,
    Reason.LOW_CONFIDENCE: Outcome.NOT_CHOSEN,
    Reason.CROWDED_OUT: Outcome.NOT_CHOSEN,
    Reason.OUTRANKED: Outcome.NOT_CHOSEN,
    Reason.SYMBOL_OUTRANKED: Outcome.NOT_CHOSEN,
    Reason.CAPACITY_UNKNOWN: Outcome.NOT_CHOSEN,
    Reason.CAPACITY_FULL: Outcome.NOT_CHOSEN,
    Reason.LIMIT_REACHED: Outcome.NOT_CHOSEN,
    Reason.TARGET_REACHED: Outcome.NOT_CHOSEN,
    Reason.APPROVAL_DENIED: Outcome.NOT_CHOSEN,
    Reason.ID_IN_WINDOW: Outcome.DUPLICATE,
    Reason.ID_PUBLISHED: Outcome.DUPLICATE,
    Reason.REJECTED: Outcome.REJECTED,
    Reason.HOLD: Outcome.IGNORED,
    Reason.STALE: Outcome.STALE,
    Reason.STALE_AT_COMMIT: Outcome.STALE,
    Reason.HALTED: Outcome.HALTED,
}
