# SPDX-License-Identifier: Apache-2.0
"""One tenure as holder of the lease: read, sort into the window, and have it decided when it is due.

All state that matters is in Redis. A session is thrown away on any error; the next one begins at the cursor that the
last commit left, so that what was not committed is read again and what was is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.core.window import REJECTS_DUE, Window
from router.publisher import Publisher
from router.startup import acknowledge_stale, jump

if TYPE_CHECKING:
    from router.config import Settings
    from router.ports import CursorGroup, SignalReader
    from router.telemetry import Telemetry
    from router.tenure import Tenure


class Session:
    """Routes the signals of *group*, as *reader* brings them, for as long as *tenure* lasts; publishes as *release*."""

    def __init__(
        self,
        settings: Settings,
        tenure: Tenure,
        group: CursorGroup,
        reader: SignalReader,
        release: str,
        telemetry: Telemetry,
    ) -> None:
        self._settings = settings
        self._group = group
        self._reader = reader
        self._telemetry = telemetry
        self._tenure = tenure
        self._publisher = Publisher(settings, tenure, release, telemetry)
        self._committed_s = tenure.now_s()
        self._adopting = True
        self._window = Window(tenure.cursor, settings)

    def start(self) -> None:
        """Make the group, jump over what is too old, and clear what an older router left pending."""
        self._tenure.observe()
        self._tenure.cursor, entries_read = self._group.ensure()
        jump(self._tenure, self._group, entries_read, self._telemetry)
        self._window = Window(self._tenure.cursor, self._settings)
        stale = acknowledge_stale(self._tenure, self._group)
        fresh = self._adopt_pending()
        if stale or fresh:
            self._telemetry.adopted(stale, fresh)

    def step(self) -> None:
        """Read once and do whatever is due; returns within about a quarter of a second when there is nothing."""
        tenure, window = self._tenure, self._window
        entries = self._reader.read(window.cursor, self._due_s() - tenure.now_s())
        if entries:
            self._telemetry.tally.read()
        now_ms, now_s = tenure.now_ms(), tenure.now_s()
        self._publisher.reduce_only(window, window.take(entries, now_ms, now_s))
        tenure.renew_if_due()
        if window.opened_s is None:
            if now_s - self._committed_s >= self._settings.window_s or len(window.rejects) >= REJECTS_DUE:
                self._publisher.pass_over(window)
                self._next_window()
        elif now_s - window.opened_s >= self._settings.window_s:
            self._publisher.close(window)
            self._next_window()
        if now_s - tenure.observed_s >= tenure.observe_every_s:
            tenure.observe()

    def _due_s(self) -> float:
        """Local time of the next thing to do besides reading."""
        tenure, opened_s = self._tenure, self._window.opened_s
        commit_s = (self._committed_s if opened_s is None else opened_s) + self._settings.window_s
        return min(commit_s, tenure.observed_s + tenure.observe_every_s, tenure.renewed_s + tenure.renew_every_s)

    def _adopt_pending(self) -> int:
        """Take up to 1,000 fresh pending entries into the window, which acknowledges them; returns how many."""
        tenure, signals, adopted = self._tenure, [], 0
        for entry_id, flat in self._group.pending_fresh():
            adopted += 1
            if (signal := self._window.adopt(entry_id, flat, tenure.now_ms(), tenure.now_s())) is not None:
                signals.append(signal)
            tenure.renew_if_due()
        self._publisher.reduce_only(self._window, signals)
        self._adopting = adopted > 0
        return adopted

    def _next_window(self) -> None:
        self._window = Window(self._tenure.cursor, self._settings)
        self._committed_s = self._tenure.now_s()
        if self._adopting:
            self._adopt_pending()
