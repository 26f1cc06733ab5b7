# SPDX-License-Identifier: Apache-2.0
"""One tenure as holder of the lease: read, sort into the window, decide, commit.

All state that matters is in Redis. A session is thrown away on any error; the next one begins at the cursor that the
last commit left, so that what was not committed is read again and what was is not.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from router.core.entry_id import order
from router.core.intent import chosen_intent, reduce_only_intent
from router.core.policy import Decision, Event, allowance, decide
from router.core.window import REJECTS_DUE, Outcome, Window
from router.errors import BrokenCommitError, FencedError, RedisUnavailableError
from router.redis_io.scripts import Commit, Intent, Observation, Reply
from router.telemetry import REPEAT_STATE_S

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from router.config import Settings
    from router.core.signal import Signal
    from router.redis_io.group import Group
    from router.redis_io.reader import Reader
    from router.redis_io.scripts import Lease, Scripts
    from router.telemetry import Telemetry

#: How often a window is decided anew, because what it was decided on changed, before it publishes nothing.
MAX_DECISIONS: Final = 10


class Session:
    """Routes signals while *lease* is ours.

    *monotonic_s* is the local clock. *tick* is called wherever work may go on for long; it may raise to end it.
    """

    def __init__(
        self,
        settings: Settings,
        scripts: Scripts,
        group: Group,
        reader: Reader,
        lease: Lease,
        release: str,
        telemetry: Telemetry,
        monotonic_s: Callable[[], float],
        tick: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._scripts = scripts
        self._group = group
        self._reader = reader
        self._lease = lease
        self._release = release
        self._telemetry = telemetry
        self._monotonic_s = monotonic_s
        self._tick = tick
        self._commit_numbers = itertools.count(1)
        self._redis_ahead_ms = 0.0
        self._observed_s = self._committed_s = self._renewed_s = monotonic_s()
        #: Capacity is read each window, and often enough for the state line to be repeated in time.
        self._observe_every_s = min(settings.window_s, REPEAT_STATE_S / 2)
        self._adopting = True
        self._cursor = "0-0"
        self._window = Window(self._cursor, settings)

    @property
    def status(self) -> str:
        """One line for `systemctl status`."""
        kept = len(self._window.candidates)
        return f"active: {f'window open with {kept} candidates' if kept else 'no window open'}, cursor {self._cursor}"

    def start(self) -> None:
        """Make the group, jump over what is too old, and clear what an older router left pending."""
        self._observe()
        self._cursor, entries_read = self._group.ensure()
        self._jump(entries_read)
        self._window = Window(self._cursor, self._settings)
        stale = self._acknowledge_stale()
        fresh = self._adopt_pending()
        if stale or fresh:
            self._telemetry.adopted(stale, fresh)

    def step(self) -> None:
        """Read once and do whatever is due; returns within about a quarter of a second when there is nothing."""
        entries = self._reader.read(self._window.cursor, self._due_s() - self._monotonic_s())
        now_ms, now_s = self._now_ms(), self._monotonic_s()
        take = self._window.take
        self._publish_reduce_only([s for i, fields in entries if (s := take(i, fields, now_ms, now_s)) is not None])
        self._renew_if_due()
        if self._window.opened_s is None:
            if now_s - self._committed_s >= self._settings.window_s or len(self._window.rejects) >= REJECTS_DUE:
                self._commit_progress()
        elif now_s - self._window.opened_s >= self._settings.window_s:
            self._close_window()
        if now_s - self._observed_s >= self._observe_every_s:
            self._observe()

    def _due_s(self) -> float:
        """Local time of the next thing to do besides reading."""
        s, opened_s = self._settings, self._window.opened_s
        commit_s = (self._committed_s if opened_s is None else opened_s) + s.window_s
        return min(commit_s, self._observed_s + self._observe_every_s, self._renewed_s + s.lease_ttl_s / 3)

    def _now_ms(self) -> int:
        return int(self._redis_ahead_ms + self._monotonic_s() * 1000)

    def _observe(self) -> Observation:
        """Read the state of Redis, set our idea of its clock, and log a state that changed or lasts."""
        seen = self._scripts.observe()
        self._observed_s = self._monotonic_s()
        self._redis_ahead_ms = seen.now_ms - self._observed_s * 1000
        event = allowance(seen.capacity, self._settings).event
        self._telemetry.state(event, seen, self._observed_s, self._observed_s + self._observe_every_s)
        return seen

    def _renew_if_due(self) -> None:
        self._tick()
        now_s = self._monotonic_s()
        if now_s - self._renewed_s < self._settings.lease_ttl_s / 3:
            return
        if not self._scripts.renew(self._lease):
            raise FencedError("FENCED: the lease is gone or another router holds it")
        self._renewed_s = now_s

    def _jump(self, entries_read: int | None) -> None:
        """Move the cursor to the newest stale entry, however long the backlog, and count what is skipped.

        Even where there is none, the group learns how many entries it has read, so that the lag it shows is true.
        """
        newest_stale = self._group.newest_stale(self._now_ms())
        jumps = newest_stale is not None and order(newest_stale) > order(self._cursor)
        target = newest_stale if jumps and newest_stale else self._cursor
        reached = self._group.entries_read_at(target)
        before = 0 if self._cursor == "0-0" else entries_read
        skipped = max(0, reached - before) if reached >= 0 and before is not None else None
        outcomes = {Outcome.STALE.value: skipped} if jumps and skipped else {}
        self._commit(Commit(target, entries_read=reached, outcomes=outcomes))
        if jumps:
            self._telemetry.backlog_skipped(target, skipped)

    def _acknowledge_stale(self) -> int:
        """Acknowledge pending entries that are too old; returns how many."""
        total = 0
        while ids := self._group.pending_stale(self._now_ms()):
            self._commit(Commit(acknowledge=tuple(ids), outcomes={Outcome.STALE.value: len(ids)}))
            self._renew_if_due()
            total += len(ids)
        return total

    def _adopt_pending(self) -> int:
        """Take up to 1,000 fresh pending entries into the window, which acknowledges them; returns how many."""
        now_ms, now_s = self._now_ms(), self._monotonic_s()
        pending = list(self._group.pending_fresh())
        adopt = self._window.adopt
        self._publish_reduce_only([s for i, fields in pending if (s := adopt(i, fields, now_ms, now_s)) is not None])
        self._adopting = bool(pending)
        return len(pending)

    def _publish_reduce_only(self, signals: list[Signal]) -> None:
        """Publish at once what frees capacity; the cursor follows with the next commit, dedup keys guard till then."""
        # Of several with one id the youngest is sent: an older one may be stale by the time of the commit.
        waiting = {signal.dedup_id: signal for signal in signals}
        self._window.count(Outcome.DUPLICATE, len(signals) - len(waiting))
        while waiting:
            batch = list(waiting.values())
            data = [reduce_only_intent(signal, self._now_ms(), self._release) for signal in batch]
            reply = self._commit(Commit(intents=_intents(batch, data), reduce_only=True))
            for signal, outcome in _refused(batch, reply) or [(s, _OUTCOME_OF_ALL[reply.status]) for s in batch]:
                del waiting[signal.dedup_id]
                self._window.count(outcome)
            if reply.status == "OK":
                for signal, intent_id in zip(batch, reply.intents, strict=True):
                    self._telemetry.intent(signal, intent_id)

    def _close_window(self) -> None:
        """Decide the window and commit it; decide anew when Redis says that the decision no longer holds."""
        self._window.close()
        for _ in range(MAX_DECISIONS):
            seen, decision, reply = self._try_to_commit()
            if reply.status == "OK":
                break
            self._renew_if_due()
        else:
            unknown = replace(self._observe(), open_orders_problem="keeps changing")
            seen = replace(unknown, capacity=replace(unknown.capacity, open_orders=None))
            decision = decide([], seen.capacity, self._settings)
            reply = self._commit_decision(decision, seen)
        self._telemetry.window(decision, seen, reply, self._window)
        self._next_window()

    def _try_to_commit(self) -> tuple[Observation, Decision, Reply]:
        """Decide and commit once; what Redis refuses leaves the ranking."""
        window = self._window
        seen = self._observe()
        decision = decide(window.candidates.values(), seen.capacity, self._settings)
        reply = self._commit_decision(decision, seen)
        if reply.status == "STALE":
            window.drop([decision.choices[place - 1].signal.dedup_id for place in reply.stale], Outcome.STALE)
        elif reply.status == "DUPLICATE":
            # Where one id is known others will be: all are looked up at once.
            for signal, own in self._scripts.published(list(window.candidates.values())):
                window.drop([signal.dedup_id], Outcome.PUBLISHED if own else Outcome.DUPLICATE)
        return seen, decision, reply

    def _commit_decision(self, decision: Decision, seen: Observation) -> Reply:
        signals = [choice.signal for choice in decision.choices]
        outcomes = self._window.outcomes.copy()
        outcomes[Outcome.PUBLISHED] += len(signals)
        rest = Outcome.HALTED if decision.event is Event.HALTED else Outcome.NOT_CHOSEN
        outcomes[rest] += len(self._window.candidates) - len(signals)
        cap_usd = self._settings.max_position_usd
        data = [chosen_intent(choice, seen.now_ms, self._release, cap_usd) for choice in decision.choices]
        commit = self._passed(outcomes)
        return self._commit(replace(commit, intents=_intents(signals, data), open_orders_text=seen.open_orders_text))

    def _commit_progress(self) -> None:
        """Move the cursor over entries that asked for nothing."""
        window = self._window
        if window.cursor != self._cursor or window.adopted:
            self._commit(self._passed(window.outcomes))
            self._telemetry.stale_signals(window)
        self._next_window()

    def _passed(self, outcomes: Counter[Outcome]) -> Commit:
        """Return the commit that moves the cursor over all that the window took, counted as *outcomes*."""
        window = self._window
        return Commit(
            window.cursor,
            entries=window.passed,
            outcomes={outcome.value: n for outcome, n in outcomes.items() if n},
            rejects=tuple((r.entry_id, r.code.value, r.detail) for r in window.rejects),
            acknowledge=tuple(window.adopted),
        )

    def _next_window(self) -> None:
        self._window = Window(self._cursor, self._settings)
        self._committed_s = self._monotonic_s()
        if self._adopting:
            self._adopt_pending()

    def _commit(self, commit: Commit) -> Reply:
        """Commit, and keep the new cursor; raise when this session may not go on."""
        commit_id = f"{self._lease.epoch}-{next(self._commit_numbers)}"
        reply = self._scripts.commit(self._lease, commit_id, self._cursor, commit)
        match reply.status:
            case "OK":
                self._cursor = commit.cursor_to or self._cursor
                if reply.trimmed:
                    self._telemetry.trimmed(reply.trimmed)
            case "FENCED":
                raise FencedError(f"FENCED: {reply.reason}")
            case "NO_GROUP":
                raise FencedError(f"GROUP_MISSING: the group {self._settings.group!r} of the signal stream is gone")
            case "DENIED":
                raise RedisUnavailableError(f"the commit is refused: {reply.reason}")
            case "BROKEN":
                raise BrokenCommitError(f"BROKEN_COMMIT: {reply.reason}; halted until a person resumes")
        return reply


#: What becomes of reduce-only signals when the reply speaks of all of them.
_OUTCOME_OF_ALL: Final = {"OK": Outcome.PUBLISHED, "HALTED": Outcome.HALTED}


def _intents(signals: list[Signal], data: list[str]) -> tuple[Intent, ...]:
    return tuple(Intent(s.entry_id, s.dedup_id, text) for s, text in zip(signals, data, strict=True))


def _refused(signals: list[Signal], reply: Reply) -> list[tuple[Signal, Outcome]]:
    """Return which of *signals* the commit refused, each with its outcome; none when the reply speaks of all.

    A signal that this very entry published before a crash counts as published, and is not published again.
    """
    stale = [(signals[place - 1], Outcome.STALE) for place in reply.stale]
    known = [(signals[place - 1], Outcome.PUBLISHED if own else Outcome.DUPLICATE) for place, own in reply.duplicates]
    return stale + known
