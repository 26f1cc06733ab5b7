# SPDX-License-Identifier: Apache-2.0
"""What the router says of its work: one method a fact, worded as the operator's guide greps for it.

Keys beyond the guide's own come after them in each line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.core.outcome import Outcome
from router.core.policy import Event, score
from router.log import Level

if TYPE_CHECKING:
    from router.config import Settings
    from router.core.policy import Choice, Decision
    from router.core.signal import Signal
    from router.core.window import Window
    from router.log import Log
    from router.redis_io.keys import Keys
    from router.redis_io.scripts import Observation, Reply

#: A state that publishes nothing is repeated this often, so that whoever waits 10 s sees the line (seed guide).
REPEAT_STATE_S: Final = 10.0


class Telemetry:
    """Logs the router's events; remembers only the last state line, to repeat or omit it."""

    def __init__(self, log: Log, settings: Settings, keys: Keys) -> None:
        self._log = log
        self._settings = settings
        self._keys = keys
        self._state: tuple[object, ...] = ()
        self._state_logged_s = float("-inf")

    def state(self, event: Event, seen: Observation, now_s: float, next_s: float) -> None:
        """Log the capacity state when it changed, and every 10 s while it is one that publishes nothing.

        *next_s* is when the state will be told again: a line that would be late then is repeated now.
        """
        name, line, fields = self._capacity_line(event, seen)
        publishes = event is Event.BEST_OF_PUBLISH
        state = (name, "" if publishes else seen.halted_by, seen.open_orders_problem, publishes or fields["open"])
        if state != self._state or (not publishes and next_s - self._state_logged_s > REPEAT_STATE_S):
            self._state, self._state_logged_s = state, now_s
            self._log.event(name, line, _level(event), **fields, scope="state")

    def window(self, decision: Decision, seen: Observation, reply: Reply, window: Window) -> None:
        """Log the one outcome line of a window and each intent, as the commit's *reply* has them."""
        capacity = seen.capacity
        _, line, fields = self._capacity_line(decision.event, seen)
        if decision.event is Event.BEST_OF_PUBLISH:
            top = ",".join(f"{c.signal.symbol}:{c.signal.side}:{score(c.signal):.3f}" for c in decision.choices)
            line = (
                f"📤 BEST_OF_PUBLISH count={len(reply.intents)} allowed={decision.limit} open={capacity.open_orders} "
                f"slots={decision.slots} top=[{top}] inflight={capacity.in_flight}"
            )
            fields |= {"slots": decision.slots, "top": top}
        fields |= {"count": len(reply.intents), "allowed": decision.limit, "candidates": len(window.candidates)}
        self._log.event(decision.event.value, line, _level(decision.event), **fields, scope="window")
        for choice, intent_id in zip(decision.choices, reply.intents, strict=True):
            self._boost(choice)
            self.intent(choice.signal, intent_id)
        self.stale_signals(window)

    def intent(self, signal: Signal, intent_id: str) -> None:
        """Log one published intent."""
        line = f"Trade Intent published: {signal.symbol} {signal.side}" + (" reduce_only" if signal.reduce_only else "")
        facts: dict[str, Any] = {
            "symbol": signal.symbol,
            "side": signal.side,
            "signal_id": signal.entry_id,
            "intent_id": intent_id,
        }
        self._log.event("INTENT_PUBLISHED", line, **facts, reduce_only=signal.reduce_only)

    def trimmed(self, undelivered: int) -> None:
        """Warn that trimming took intents which execution had not been given."""
        line = f"INTENTS_TRIMMED undelivered={undelivered}: execution is too far behind to see them"
        self._log.event("INTENTS_TRIMMED", line, Level.WARNING, undelivered=undelivered)

    def stale_signals(self, window: Window) -> None:
        """Warn when most of what a window took was too old."""
        stale, entries = window.outcomes[Outcome.STALE], window.passed + len(window.adopted)
        if stale * 2 > entries:
            line = f"STALE_SIGNALS stale={stale} of={entries} max_age={self._settings.max_age_s:g}s"
            self._log.event("STALE_SIGNALS", line, Level.WARNING, stale=stale, entries=entries)

    def backlog_skipped(self, cursor: str, skipped: int | None) -> None:
        """Say how many stale entries were jumped over (None: uncounted), and to which."""
        line = f"BACKLOG_SKIPPED stale={'uncounted' if skipped is None else skipped} cursor={cursor}"
        self._log.event("BACKLOG_SKIPPED", line, Level.WARNING, stale=skipped, cursor=cursor)

    def adopted(self, stale: int, fresh: int) -> None:
        """Say what was done with entries that an older router left pending."""
        line = f"PENDING_ADOPTED stale={stale} fresh={fresh}"
        self._log.event("PENDING_ADOPTED", line, Level.WARNING, stale=stale, fresh=fresh)

    def active(self, holder: str, epoch: str, release: str) -> None:
        """Say that this router holds the lease."""
        line = f"ACTIVE holder={holder} epoch={epoch} release={release}"
        self._log.event("ACTIVE", line, holder=holder, epoch=epoch, release=release)

    def standby(self, holder: str) -> None:
        """Say that *holder* holds the lease and this router waits for it."""
        self._log.event("STANDBY", f"STANDBY: {holder!r} holds the lease", holder=holder)

    def redis_unavailable(self, reason: str) -> None:
        """Say that nothing is published, since Redis does not answer or refuses."""
        line = f"🔴 REDIS_UNAVAILABLE: {reason} → nothing is published, trying again"
        self._log.event("REDIS_UNAVAILABLE", line, Level.ERROR, reason=reason)

    def failed(self, reason: str, exit_code: int) -> None:
        """Say why the service ends."""
        self._log.event("FAILED", f"🔴 FAILED: {reason} (exit {exit_code})", Level.ERROR, exit_code=exit_code)

    def stopped(self, *, released: bool) -> None:
        """Say that the service ends because it was told to, and whether it gave a lease back."""
        lease = "lease given back" if released else "no lease given back"
        self._log.event("STOPPED", f"STOPPED: {lease}, what was not committed will be read again")

    def _boost(self, choice: Choice) -> None:
        if choice.boost != 1.0:
            facts: dict[str, Any] = {
                "rank": choice.rank,
                "factor": f"{choice.boost:.2f}",
                "symbol": choice.signal.symbol,
            }
            line = "💰 SIZE_BOOST " + " ".join(f"{name}={value}" for name, value in facts.items())
            self._log.event("SIZE_BOOST", line, **facts)

    def _capacity_line(self, event: Event, seen: Observation) -> tuple[str, str, dict[str, Any]]:
        """Return the event's name, its line and its facts; the state that publishes has a name of its own."""
        open_orders, in_flight, s = seen.capacity.open_orders, seen.capacity.in_flight, self._settings
        facts: dict[str, Any] = {"open": open_orders, "inflight": in_flight}
        tail = f" inflight={in_flight}" if in_flight else ""
        match event:
            case Event.HALTED:
                state = seen.capacity.state.value
                facts |= {"state": state, "by": seen.halted_by}
                return event.value, f"🔴 HALTED state={state} by={seen.halted_by}", facts
            case Event.CAPACITY_UNKNOWN:
                line = f"🔴 CAPACITY_UNKNOWN: {self._keys.open_orders} {seen.open_orders_problem} → fail-closed"
            case Event.CAPACITY_FULL:
                line = f"🔴 CAPACITY_FULL open={open_orders} max={s.max_open_orders}{tail}"
            case Event.TARGET_REACHED:
                line = (
                    f"⏸️ TARGET_REACHED open={open_orders} target={s.target_open_orders} (awaiting super-signal){tail}"
                )
            case Event.BEST_OF_PUBLISH:
                line = f"▶️ CAPACITY_AVAILABLE open={open_orders} target={s.target_open_orders}{tail}"
                return "CAPACITY_AVAILABLE", line, facts
        return event.value, line, facts


def _level(event: Event) -> Level:
    return Level.WARNING if event in {Event.HALTED, Event.CAPACITY_UNKNOWN} else Level.INFO
