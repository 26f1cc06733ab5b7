# SPDX-License-Identifier: Apache-2.0
"""What the router says of its work: one method a fact, worded as the operator's guide greps for it.

Keys beyond the guide's own come after them in each line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.core.outcome import Outcome
from router.core.policy import Event, allowance, score
from router.log import Level
from router.tally import Role, Tally

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.config import Settings
    from router.core.policy import Choice, Decision
    from router.core.signal import Signal
    from router.core.window import Window
    from router.log import Log
    from router.redis_io.keys import Keys
    from router.redis_io.scripts import Commit, Observation, Reply

#: A state that publishes nothing is repeated this often, so that whoever waits 10 s sees the line (seed guide).
REPEAT_STATE_S: Final = 10.0
#: An outage is told when it begins, when its reason changes, and this often.
REPEAT_OUTAGE_S: Final = 10.0
#: Every event that is logged, with its level; each has a counter (`quantum_router_log_events_total`) and a row in docs.
LINES: Final[Mapping[str, Level]] = {
    "ACTIVE": Level.INFO,
    "STANDBY": Level.INFO,
    "CAPACITY_AVAILABLE": Level.INFO,
    "BEST_OF_PUBLISH": Level.INFO,
    "SIZE_BOOST": Level.INFO,
    "INTENT_PUBLISHED": Level.INFO,
    "TARGET_REACHED": Level.INFO,
    "CAPACITY_FULL": Level.INFO,
    "CAPACITY_UNKNOWN": Level.WARNING,
    "HALTED": Level.WARNING,
    "LIMIT_REACHED": Level.WARNING,
    "AUTO_HALTED": Level.ERROR,
    "APPROVAL_DENIED": Level.WARNING,
    "AUDIT_TRUNCATED": Level.WARNING,
    "STALE_SIGNALS": Level.WARNING,
    "FUTURE_SIGNALS": Level.WARNING,
    "INTENTS_TRIMMED": Level.WARNING,
    "BACKLOG_SKIPPED": Level.WARNING,
    "PENDING_ADOPTED": Level.WARNING,
    "REDIS_UNAVAILABLE": Level.ERROR,
    "FAILED": Level.ERROR,
    "STOPPED": Level.INFO,
}


class Telemetry:
    """Logs the router's events and counts them in *tally*; remembers the last state line, to repeat or omit it."""

    def __init__(self, log: Log, settings: Settings, keys: Keys) -> None:
        self._log = log
        self._settings = settings
        self._keys = keys
        self._state: tuple[object, ...] = ()
        self._state_logged_s = float("-inf")
        self._outage = ""
        self._outage_logged_s = float("-inf")
        self.tally = Tally(LINES)

    def state(self, seen: Observation, now_s: float, next_s: float) -> None:
        """Log the capacity state of *seen* when it changed, and every 10 s while it is one that publishes nothing.

        *next_s* is when the state will be told again: a line that would be late then is repeated now.
        """
        self.tally.seen = seen
        event = allowance(seen.capacity, self._settings).event
        name, line, fields = self._capacity_line(event, seen)
        publishes = event is Event.BEST_OF_PUBLISH
        state = (name, "" if publishes else seen.halted_by, seen.open_orders_problem, publishes or fields["open"])
        if state != self._state or (not publishes and next_s - self._state_logged_s > REPEAT_STATE_S):
            self._state, self._state_logged_s = state, now_s
            self._say(name, line, **fields, scope="state")

    def window(self, decision: Decision, seen: Observation, reply: Reply, window: Window, now_s: float) -> None:
        """Log the one outcome line of a window and each intent, as the commit's *reply* has them.

        *now_s* is the local time at which Redis had taken the commit.
        """
        due_s = (now_s if window.opened_s is None else window.opened_s) + self._settings.window_s
        self.tally.window(decision.event, len(reply.intents), len(window.candidates), now_s - due_s)
        capacity = seen.capacity
        _, line, fields = self._capacity_line(decision.event, seen)
        if decision.event is Event.BEST_OF_PUBLISH:
            top = ",".join(f"{c.signal.symbol}:{c.signal.side}:{score(c.signal):.3f}" for c in decision.choices)
            line = (
                f"📤 BEST_OF_PUBLISH count={len(reply.intents)} allowed={decision.limit} open={capacity.open_orders} "
                f"slots={decision.slots} top=[{top}] inflight={capacity.in_flight}"
            )
            if decision.denied:
                line += f" denied={len(decision.denied)}"
            fields |= {"slots": decision.slots, "top": top, "denied": len(decision.denied)}
        fields |= {"count": len(reply.intents), "allowed": decision.limit, "candidates": len(window.candidates)}
        self._say(decision.event.value, line, **fields, scope="window")
        for choice, intent_id in zip(decision.choices, reply.intents, strict=True):
            self._boost(choice)
            self.intent(choice.signal, intent_id)
        self.wrong_ages(window)

    def intent(self, signal: Signal, intent_id: str) -> None:
        """Log one published intent."""
        line = f"Trade Intent published: {signal.symbol} {signal.side}" + (" reduce_only" if signal.reduce_only else "")
        facts = {
            "symbol": signal.symbol,
            "side": signal.side,
            "signal_id": signal.entry_id,
            "intent_id": intent_id,
        }
        self._say("INTENT_PUBLISHED", line, **facts, reduce_only=signal.reduce_only)

    def audit_truncated(self, unlisted: int) -> None:
        """Warn that a commit deals with more entries than the audit lists."""
        self._say("AUDIT_TRUNCATED", f"AUDIT_TRUNCATED unlisted={unlisted}: counted, not listed", unlisted=unlisted)

    def approval_denied(self, denials: Mapping[str, list[Signal]]) -> None:
        """Say which signals the approval gate denied: a line for each reason, with the first five."""
        for reason, signals in denials.items():
            top = ",".join(f"{s.symbol}:{s.side}:{s.confidence:g}" for s in signals[:5])
            line = f"APPROVAL_DENIED count={len(signals)} reason={reason!r} top=[{top}]"
            self._say("APPROVAL_DENIED", line, count=len(signals), reason=reason, top=top)

    def wrong_ages(self, window: Window) -> None:
        """Warn when most of what a window took was too old, or from the future: then nothing new can come through."""
        stale, entries = window.outcomes[Outcome.STALE], window.passed + len(window.adopted)
        if stale * 2 > entries:
            line = f"STALE_SIGNALS stale={stale} of={entries} max_age={self._settings.max_age_s:g}s"
            self._say("STALE_SIGNALS", line, stale=stale, entries=entries)
        if window.from_future * 2 > entries:
            line = f"FUTURE_SIGNALS rejected={window.from_future} of={entries}: ids ahead of Redis' clock"
            self._say("FUTURE_SIGNALS", line, rejected=window.from_future, entries=entries)

    def backlog_skipped(self, cursor: str, skipped: int | None) -> None:
        """Say how many stale entries were jumped over (None: uncounted), and to which."""
        line = f"BACKLOG_SKIPPED stale={'uncounted' if skipped is None else skipped} cursor={cursor}"
        self._say("BACKLOG_SKIPPED", line, stale=skipped, cursor=cursor)

    def adopted(self, stale: int, fresh: int) -> None:
        """Say what was done with entries that an older router left pending."""
        line = f"PENDING_ADOPTED stale={stale} fresh={fresh}"
        self._say("PENDING_ADOPTED", line, stale=stale, fresh=fresh)

    def committed(self, commit: Commit, reply: Reply, took_s: float) -> None:
        """Count a commit that Redis took; warn when it trimmed what execution was not given, or has halted us."""
        self.tally.committed(commit, reply, took_s)
        if reply.trimmed:
            line = f"INTENTS_TRIMMED undelivered={reply.trimmed}: execution is too far behind to see them"
            self._say("INTENTS_TRIMMED", line, undelivered=reply.trimmed)
        if reply.halted:
            line = f"🔴 AUTO_HALTED: {reply.halted} → nothing is published until a person resumes"
            self._say("AUTO_HALTED", line, reason=reply.halted)

    def active(self, holder: str, epoch: str, release: str) -> None:
        """Say that this router holds the lease."""
        self._reached(Role.ACTIVE)
        line = f"ACTIVE holder={holder} epoch={epoch} release={release}"
        self._say("ACTIVE", line, holder=holder, epoch=epoch, release=release)

    def standby(self, holder: str) -> None:
        """Say that *holder* holds the lease and this router waits for it."""
        self._reached(Role.STANDBY)
        self._say("STANDBY", f"STANDBY: {holder!r} holds the lease", holder=holder)

    def redis_unavailable(self, reason: str, now_s: float) -> None:
        """Say that nothing is published, since Redis does not answer or refuses.

        A new reason is told at once, a known one every 10 s.
        """
        self.tally.redis_up, self.tally.role, self.tally.seen = False, Role.CUT_OFF, None
        if reason == self._outage and now_s - self._outage_logged_s < REPEAT_OUTAGE_S:
            return
        self._outage, self._outage_logged_s = reason, now_s
        line = f"🔴 REDIS_UNAVAILABLE: {reason} → nothing is published, trying again"
        self._say("REDIS_UNAVAILABLE", line, reason=reason)

    def failed(self, reason: str, exit_code: int) -> None:
        """Say why the service ends."""
        self.tally.failures[str(exit_code)] += 1
        self._say("FAILED", f"🔴 FAILED: {reason} (exit {exit_code})", exit_code=exit_code)

    def stopped(self, *, released: bool) -> None:
        """Say that the service ends because it was told to, and whether it gave a lease back."""
        lease = "lease given back" if released else "no lease given back"
        self._say("STOPPED", f"STOPPED: {lease}, what was not committed will be read again")

    def _say(self, name: str, line: str, **fields: object) -> None:
        """Log *line* under the event *name*, which `LINES` knows, and count it."""
        self.tally.lines[name] += 1
        self.tally.lines_lost += not self._log.event(name, line, LINES[name], **fields)

    def _reached(self, role: Role) -> None:
        self.tally.redis_up, self.tally.role = True, role

    def _boost(self, choice: Choice) -> None:
        if choice.boost != 1.0:
            facts: dict[str, Any] = {
                "rank": choice.rank,
                "factor": f"{choice.boost:.2f}",
                "symbol": choice.signal.symbol,
            }
            line = "💰 SIZE_BOOST " + " ".join(f"{name}={value}" for name, value in facts.items())
            self._say("SIZE_BOOST", line, **facts)

    @property
    def status(self) -> str:
        """One line for `systemctl status`: state, lag, capacity and what the last window did."""
        seen, s = self.tally.seen, self._settings
        if seen is None or self.tally.role is not Role.ACTIVE:
            return self.tally.role.value
        name, _, _ = self._capacity_line(allowance(seen.capacity, s).event, seen)
        lag = "unknown" if seen.lag is None else seen.lag
        open_orders = "unknown" if seen.capacity.open_orders is None else seen.capacity.open_orders
        room = f"open {open_orders} of {s.max_open_orders} (target {s.target_open_orders})"
        by = f" by {seen.halted_by}" if seen.halted_by else ""
        parts = [f"active: {name}{by}", f"lag {lag}", f"{room}, in flight {seen.capacity.in_flight}"]
        if self.tally.last_window:
            parts.append("last window {} {} of {}".format(*self.tally.last_window))
        return ", ".join(parts)

    def _capacity_line(self, event: Event, seen: Observation) -> tuple[str, str, dict[str, Any]]:
        """Return the event's name, its line and its facts; the state that publishes has a name of its own."""
        open_orders, in_flight, s = seen.capacity.open_orders, seen.capacity.in_flight, self._settings
        facts: dict[str, Any] = {"open": open_orders, "inflight": in_flight}
        tail = f" inflight={in_flight}" if in_flight else ""
        match event:
            case Event.HALTED:
                state = seen.capacity.state.value
                facts |= {"state": state, "by": seen.halted_by}
                line = f"🔴 HALTED state={state} by={seen.halted_by}"
                if seen.halt_reason or seen.halt_who:
                    facts |= {"who": seen.halt_who, "reason": seen.halt_reason}
                    line += f" who={seen.halt_who} reason={seen.halt_reason}"
                return event.value, line, facts
            case Event.CAPACITY_UNKNOWN:
                line = f"🔴 CAPACITY_UNKNOWN: {self._keys.open_orders} {seen.open_orders_problem} → fail-closed"
            case Event.CAPACITY_FULL:
                line = f"🔴 CAPACITY_FULL open={open_orders} max={s.max_open_orders}{tail}"
            case Event.LIMIT_REACHED:
                hour = seen.capacity.hour_intents
                line = f"🔴 LIMIT_REACHED intents={hour} max={s.max_intents_per_hour} per hour"
                facts |= {"intents": hour}
            case Event.TARGET_REACHED:
                line = (
                    f"⏸️ TARGET_REACHED open={open_orders} target={s.target_open_orders} (awaiting super-signal){tail}"
                )
            case Event.BEST_OF_PUBLISH:
                line = f"▶️ CAPACITY_AVAILABLE open={open_orders} target={s.target_open_orders}{tail}"
                return "CAPACITY_AVAILABLE", line, facts
        return event.value, line, facts
