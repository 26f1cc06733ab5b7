# SPDX-License-Identifier: Apache-2.0
"""Deciding and committing: what a window publishes, what is published at once, and the cursor that follows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from router.core.explain import explain
from router.core.intent import chosen_intent, reduce_only_intent
from router.core.outcome import Outcome, Reason
from router.core.policy import Decision, Event, decide
from router.core.window import MAX_DECISIONS
from router.redis_io.scripts import Audit, Commit, Intent

if TYPE_CHECKING:
    from collections import Counter

    from router.approval import Gate
    from router.config import Settings
    from router.core.signal import Signal
    from router.core.window import Window
    from router.redis_io.scripts import Observation, Reply
    from router.telemetry import Telemetry
    from router.tenure import Tenure

#: How often a window is decided anew, because what it was decided on changed, before it publishes nothing.
MAX_ATTEMPTS: Final = 10


class Publisher:
    """Publishes for *tenure*, as *release*."""

    def __init__(self, settings: Settings, tenure: Tenure, release: str, telemetry: Telemetry) -> None:
        self._settings = settings
        self._tenure = tenure
        self._release = release
        self._telemetry = telemetry
        self._gate = _gate(settings, tenure)

    def reduce_only(self, window: Window, signals: list[Signal]) -> None:
        """Publish at once what frees capacity; the cursor follows with the next commit, dedup keys guard till then."""
        # Of several with one id the youngest is sent, for an older one may be stale by the time of the commit; but one
        # that was published before a crash is no double of another.
        if len({signal.dedup_id for signal in signals}) < len(signals):
            done = {signal.entry_id for signal, own in self._tenure.scripts.published(signals) if own}
            for entry_id in done:
                window.settle(entry_id, Reason.PUBLISHED)
            signals = [signal for signal in signals if signal.entry_id not in done]
        waiting = {signal.dedup_id: signal for signal in signals}
        for signal in signals:
            if waiting[signal.dedup_id] is not signal:
                window.settle(signal.entry_id, Reason.ID_IN_WINDOW)
        while waiting:
            batch = list(waiting.values())
            data = [reduce_only_intent(signal, self._tenure.now_ms(), self._release) for signal in batch]
            audit = Audit("REDUCE_ONLY", tuple((signal.entry_id, Reason.PUBLISHED.value) for signal in batch))
            reply = self._tenure.commit(Commit(intents=_intents(batch, data), reduce_only=True, audit=audit))
            for signal, reason in _refused(batch, reply) or [(s, _REASON_OF_ALL[reply.status]) for s in batch]:
                del waiting[signal.dedup_id]
                window.settle(signal.entry_id, reason)
            if reply.status == "OK":
                for signal, intent_id in zip(batch, reply.intents, strict=True):
                    self._telemetry.intent(signal, intent_id)

    def close(self, window: Window) -> None:
        """Decide *window* and commit it; decide anew when Redis says that the decision no longer holds."""
        window.drop_worst_symbols()
        if self._gate is not None:
            self._gate.next_window()
        for _ in range(MAX_ATTEMPTS):
            seen, decision, reply = self._try_to_commit(window)
            if reply.status == "OK":
                break
            self._tenure.renew_if_due()
        else:
            unknown = replace(self._tenure.observe(), open_orders_problem="keeps changing")
            seen = replace(unknown, capacity=replace(unknown.capacity, open_orders=None))
            decision = decide([], seen.capacity, self._settings)
            reply = self._commit_decision(window, decision, seen)
        if self._gate is not None:
            self._telemetry.approval_denied(self._gate.denials)
        self._telemetry.window(decision, seen, reply, window, self._tenure.now_s())

    def pass_over(self, window: Window) -> None:
        """Move the cursor over entries that asked for nothing."""
        if window.cursor != self._tenure.cursor or window.adopted:
            commit = _passed(window, window.outcomes)
            if window.decisions is not None:
                commit = replace(commit, audit=self._audit(window, "NO_WINDOW", window.decisions, {}))
            self._tenure.commit(commit)
            self._telemetry.wrong_ages(window)

    def _try_to_commit(self, window: Window) -> tuple[Observation, Decision, Reply]:
        """Decide and commit once; what Redis refuses leaves the ranking."""
        seen = self._tenure.observe()
        approve = self._gate.approve if self._gate is not None else None
        decision = decide(window.ranked(), seen.capacity, self._settings, approve)
        reply = self._commit_decision(window, decision, seen)
        if reply.status == "STALE":
            window.expire(seen.now_ms)
        elif reply.status == "DUPLICATE":
            # Where one id is known others will be: all are looked up at once.
            for signal, own in self._tenure.scripts.published(list(window.candidates.values())):
                window.drop([signal.dedup_id], Reason.PUBLISHED if own else Reason.ID_PUBLISHED)
        # What the commit has refused goes in any case, so that each attempt is about fewer.
        for signal, reason in _refused([choice.signal for choice in decision.choices], reply):
            if signal.dedup_id in window.candidates:
                window.drop([signal.dedup_id], reason)
        return seen, decision, reply

    def _commit_decision(self, window: Window, decision: Decision, seen: Observation) -> Reply:
        signals = [choice.signal for choice in decision.choices]
        outcomes = window.outcomes.copy()
        outcomes[Outcome.PUBLISHED] += len(signals)
        rest = Outcome.HALTED if decision.event is Event.HALTED else Outcome.NOT_CHOSEN
        outcomes[rest] += len(window.candidates) - len(signals)
        cap_usd = self._settings.max_position_usd
        data = [chosen_intent(choice, seen.now_ms, self._release, cap_usd) for choice in decision.choices]
        commit = replace(
            _passed(window, outcomes),
            intents=_intents(signals, data),
            open_orders_text=seen.open_orders_text,
            last_window=_facts(window, decision, seen),
        )
        if window.decisions is not None:
            own = [(entry_id, reason.value) for entry_id, reason in explain(window.candidates.values(), decision)]
            own.sort(key=lambda told: told[1] != Reason.PUBLISHED.value)  # never among those that are only counted
            facts = {name: commit.last_window[name] for name in ("open", "in_flight", "allowed")}
            audit = self._audit(window, decision.event.value, own + window.decisions, facts)
            commit = replace(commit, audit=audit)
        return self._tenure.commit(commit)

    def _audit(self, window: Window, event: str, decisions: list[tuple[str, str]], facts: dict[str, str]) -> Audit:
        """Return what the audit says of *window*; *decisions* beyond the most that it lists are only counted."""
        unlisted = window.unlisted + max(0, len(decisions) - MAX_DECISIONS)
        if unlisted:
            self._telemetry.audit_truncated(unlisted)
        return Audit(event, tuple(decisions[:MAX_DECISIONS]), unlisted, facts)


def _gate(settings: Settings, tenure: Tenure) -> Gate | None:
    if not settings.strategy_url:
        return None
    from router.approval import Gate  # noqa: PLC0415 - the service starts quicker without it

    return Gate(settings.strategy_url, settings.window_s, tenure.renew_if_due)


#: What becomes of reduce-only signals when the reply speaks of all of them.
_REASON_OF_ALL: Final = {"OK": Reason.PUBLISHED, "HALTED": Reason.HALTED}


def _passed(window: Window, outcomes: Counter[Outcome]) -> Commit:
    """Return the commit that moves the cursor over all that *window* took, counted as *outcomes*."""
    return Commit(
        window.cursor,
        entries=window.passed,
        outcomes={outcome.value: n for outcome, n in outcomes.items() if n},
        rejects=tuple((r.entry_id, r.code.value, r.detail) for r in window.rejects),
        acknowledge=tuple(window.adopted),
    )


def _facts(window: Window, decision: Decision, seen: Observation) -> dict[str, str]:
    """Return what people may ask of the last window."""
    capacity = seen.capacity
    return {
        "event": decision.event.value,
        "count": str(len(decision.choices)),
        "allowed": str(decision.limit),
        "candidates": str(len(window.candidates)),
        "denied": str(len(decision.denied)),
        "open": "" if capacity.open_orders is None else str(capacity.open_orders),
        "in_flight": str(capacity.in_flight),
    }


def _intents(signals: list[Signal], data: list[str]) -> tuple[Intent, ...]:
    return tuple(
        Intent(s.entry_id, s.dedup_id, text, f"{s.symbol} {s.side}") for s, text in zip(signals, data, strict=True)
    )


def _refused(signals: list[Signal], reply: Reply) -> list[tuple[Signal, Reason]]:
    """Return which of *signals* the commit refused, each with its outcome; none when the reply speaks of all.

    A signal that this very entry published before a crash counts as published, and is not published again.
    """
    stale = [(signals[place - 1], Reason.STALE_AT_COMMIT) for place in reply.stale]
    known = [(signals[place - 1], Reason.PUBLISHED if own else Reason.ID_PUBLISHED) for place, own in reply.duplicates]
    return stale + known
