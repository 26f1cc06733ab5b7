# SPDX-License-Identifier: Apache-2.0
"""What a session does with the past before it reads: it jumps over what is too old and clears what was left pending."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.core.entry_id import order
from router.core.outcome import Outcome, Reason
from router.redis_io.scripts import Audit, Commit

if TYPE_CHECKING:
    from router.ports import CursorGroup
    from router.telemetry import Telemetry
    from router.tenure import Tenure


def jump(tenure: Tenure, group: CursorGroup, entries_read: int | None, telemetry: Telemetry) -> None:
    """Move the cursor to the newest stale entry, however long the backlog, and count what is skipped.

    *entries_read* is what the group says it has read. Even where nothing is skipped, the group learns how many entries
    there were, so that the lag it shows is true.
    """
    cursor = tenure.cursor
    newest_stale = group.newest_stale(tenure.now_ms())
    jumps = newest_stale is not None and order(newest_stale) > order(cursor)
    target = newest_stale if jumps and newest_stale else cursor
    reached = group.entries_read_at(target, tenure.renew_if_due)
    before = 0 if cursor == "0-0" else entries_read
    skipped = max(0, reached - before) if reached >= 0 and before is not None else None
    outcomes = {Outcome.STALE.value: skipped} if jumps and skipped else {}
    audit = Audit("BACKLOG_SKIPPED", unlisted=-1 if skipped is None else skipped) if jumps else None
    tenure.commit(Commit(target, entries_read=reached, outcomes=outcomes, audit=audit))
    if jumps:
        telemetry.backlog_skipped(target, skipped)


def acknowledge_stale(tenure: Tenure, group: CursorGroup) -> int:
    """Acknowledge pending entries that are too old; return how many."""
    total = 0
    while ids := group.pending_stale(tenure.now_ms()):
        audit = Audit("PENDING_STALE", tuple((entry_id, Reason.STALE.value) for entry_id in ids))
        tenure.commit(Commit(acknowledge=tuple(ids), outcomes={Outcome.STALE.value: len(ids)}, audit=audit))
        tenure.renew_if_due()
        total += len(ids)
    return total
