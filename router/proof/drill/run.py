# SPDX-License-Identifier: Apache-2.0
"""The drill itself: start the release behind a prefix of its own, put it through the states, count what it publishes.

What counts is what Redis holds. The release's own words are looked at in addition, since an operator greps for them.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import msgspec
import redis

from router.errors import RouterError
from router.proof.drill import keys as drill_keys
from router.proof.drill import live
from router.proof.drill.expectation import difference, expect, without_time
from router.proof.drill.plan import drilled, overrides, plan
from router.redis_io.keys import catalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from router.config import Settings
    from router.core.window import Entry
    from router.proof.drill.expectation import Expected, Intent
    from router.proof.drill.plan import State
    from router.redis_io.keys import Keys

#: Seconds beyond its window after which a state must have been decided, on a busy host too.
PATIENCE_S: Final = 5.0
#: Seconds that starting, stopping and reading the journal may take besides what the unit itself allows a start.
OVERHEAD_S: Final = 30.0
#: Seconds within which the journal must hold what the release logged.
LOG_S: Final = 5.0
#: Seconds after the last state in which something may yet be published that should not be.
LATE_S: Final = 0.5
_POLL_S: Final = 0.05
_ALIVE_EVERY_S: Final = 0.5


class CandidateError(RouterError):
    """The release could not be started, or did not get ready; the message says what was seen."""


class Candidate(Protocol):
    """A release that can be run for a drill."""

    start_timeout_s: float
    """Seconds that it may take to get ready."""

    def start(self, holder: str, environ: Mapping[str, str], lasts_s: float) -> None:
        """Start it under the name *holder*, with *environ* over its own settings, and return once it is ready.

        It ends by itself after *lasts_s* seconds. Raises CandidateError.
        """
        ...

    def ended(self) -> str:
        """Return how it ended, "" while it runs."""
        ...

    def stop(self) -> None:
        """End it; afterwards it runs no more."""
        ...

    def log(self) -> str:
        """Return everything it has logged."""
        ...


class StateResult(msgspec.Struct, frozen=True):
    """What became of one state: *expected* and *seen* are numbers of intents, *problem* says how they differ."""

    name: str
    open_orders: int | None
    signals: int
    event: str
    expected: int
    seen: int
    seconds: float
    problem: str | None


class Drilled(msgspec.Struct, frozen=True):
    """How a drill went; *problem* is one line that says what was expected and what was seen, None when it passed.

    *settings* are those that the drill set otherwise than the release has them.
    """

    release: str
    deployment: str
    passed: bool
    problem: str | None
    seconds: float
    states: list[StateResult]
    settings: dict[str, str]


@dataclass
class _Drill:
    """A drill under way: what was published so far, what should have been, and what became of each state."""

    client: redis.Redis
    settings: Settings
    keys: Keys
    release: str
    candidate: Candidate
    intents: list[Intent] = field(default_factory=list)
    wanted: list[Expected] = field(default_factory=list)
    outcomes: list[StateResult] = field(default_factory=list)

    def state(self, state: State) -> str | None:
        """Put the release through *state*; return what went wrong."""
        began_s, before = time.monotonic(), len(self.intents)
        entries = self._begin(state)
        expected = expect(state, entries, self.settings, self.release)
        self.wanted.append(expected)
        obstacle = self._wait(entries[-1][0], before + len(expected.intents))
        seen = self.intents[before:]
        problem = obstacle or difference(expected, seen)
        shown = (expected.event.value, len(expected.intents), len(seen), round(time.monotonic() - began_s, 2), problem)
        self.outcomes.append(StateResult(state.name, state.open_orders, len(state.signals), *shown))
        missing = state.open_orders is None
        return problem and f"open_orders {'missing' if missing else state.open_orders}: {problem}"

    def unsaid(self) -> str | None:
        """Return the first line that the release should have logged and did not."""
        lines = [line for expected in self.wanted for line in expected.lines]
        deadline_s = time.monotonic() + LOG_S
        while True:
            said = self.candidate.log()
            missing = next((line for line in lines if line not in said), None)
            if missing is None or time.monotonic() > deadline_s:
                return missing and f"expected the line {missing!r} in its log, seen none such"
            time.sleep(_ALIVE_EVERY_S)

    def late(self) -> str | None:
        """Return what was published after its state had been judged."""
        time.sleep(LATE_S)
        self._read()
        wanted = sum(len(each.intents) for each in self.wanted)
        if wanted != len(self.intents):
            return f"expected {wanted} intents in all states together, seen {len(self.intents)} in the end"
        return None

    def _begin(self, state: State) -> list[Entry]:
        """Set the scene and send the signals in one go; return their entries as the stream holds them."""
        pipeline: Any = self.client.pipeline(transaction=False)
        # Each state has a whole hour's intents before it, or a low limit would leave nothing to see.
        pipeline.delete(self.keys.recent, self.keys.open_orders)
        if state.open_orders is not None:
            pipeline.set(self.keys.open_orders, state.open_orders)
        for fields in state.signals:
            pipeline.xadd(self.keys.signals, fields)
        ids = pipeline.execute()[-len(state.signals) :]
        flat = ([text.encode() for pair in fields.items() for text in pair] for fields in state.signals)
        return list(zip(ids, flat, strict=True))

    def _wait(self, last_id: bytes, enough: int) -> str | None:
        """Wait until all up to *last_id* is dealt with, or more than *enough* published; return what is in the way."""
        began_s = alive_s = time.monotonic()
        within_s = self.settings.window_s + PATIENCE_S
        while True:
            cursor, gone = self._cursor()
            now_s = time.monotonic()
            if gone or now_s - alive_s > _ALIVE_EVERY_S:
                alive_s = now_s
                if how := self.candidate.ended():
                    return f"expected the release to go on, seen it end: {how}"
            if gone:
                return "expected the signals to stay in their stream, seen it removed"
            self._read()
            if cursor == last_id or len(self.intents) > enough:
                return None
            if now_s - began_s > within_s:
                return f"expected the signals to be dealt with within {within_s:g} s, seen the cursor before them"
            time.sleep(_POLL_S)

    def _cursor(self) -> tuple[bytes | None, bool]:
        """Return where the release's group stands, and whether the stream is gone: removed behind one that ended."""
        try:
            groups = self.client.xinfo_groups(self.keys.signals)
        except redis.ResponseError as error:
            if "no such key" in str(error):
                return None, True
            raise
        own = (g["last-delivered-id"] for g in groups if g["name"] == self.settings.group.encode())
        return next(own, None), False

    def _read(self) -> None:
        """Read all intents: there are few, and one that was removed shows as well."""
        entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", self.client.xrange(self.keys.intents))
        self.intents = [without_time(_decoded(fields)) for _, fields in entries]


def drill(client: redis.Redis, settings: Settings, release: str, deployment: str, candidate: Candidate) -> Drilled:
    """Drill *release*, which *candidate* runs with *settings*; nothing of it is left in Redis or running afterwards.

    Raises:
        redis.RedisError: Redis does not answer, or refuses what a drill needs.
        ConfigError: a live key bears a name that belongs to drills.
    """
    began_s = time.monotonic()
    drill_keys.refuse_live_names(settings)
    changed = overrides(settings, drill_keys.prefix_of(deployment), _free_port())
    own = drilled(settings, changed)
    states = plan(own, f"drill-{deployment}-")
    lasts_s = len(states) * (own.window_s + PATIENCE_S) + OVERHEAD_S
    drill_keys.sweep(client)
    drill_keys.claim(client, deployment, candidate.start_timeout_s + lasts_s)
    under_way = _Drill(client, own, catalogue(own), release, candidate)
    problems: list[str | None] = []
    before = live.look(client, settings, catalogue(settings))
    holder = f"quantum-drill/{deployment}"
    try:
        problems.append(_through(under_way, states, lambda: candidate.start(holder, changed, lasts_s)))
        problems.append(_touched(under_way, settings, before, holder, states))
    finally:
        candidate.stop()
        drill_keys.clear(client, deployment)
    problem = "; ".join(each for each in problems if each)
    seconds = round(time.monotonic() - began_s, 2)
    return Drilled(release, deployment, not problem, problem or None, seconds, under_way.outcomes, changed)


def _free_port() -> int:
    """Return a port of the loopback that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _through(under_way: _Drill, states: list[State], start: Callable[[], None]) -> str | None:
    """Put the release through *states*; return what went wrong first."""
    try:
        start()
    except CandidateError as error:
        return f"expected it to get ready within {under_way.candidate.start_timeout_s:g} s, seen: {error}"
    problem = next((problem for state in states if (problem := under_way.state(state))), None)
    return problem or under_way.unsaid() or under_way.late()


def _touched(under_way: _Drill, settings: Settings, before: live.Live, holder: str, states: list[State]) -> str | None:
    """Return what the drill changed behind the live prefix."""
    client, keys = under_way.client, catalogue(settings)
    after = live.look(client, settings, keys)
    ids = {fields["correlation_id"] for state in states for fields in state.signals}
    found = live.strays(client, keys, (before, after), under_way.release, ids)
    return live.touched(before, after, keys, holder) or found


def _decoded(fields: Mapping[bytes, bytes]) -> Intent:
    """Return an intent as a dict, whatever a release has written."""
    try:
        return msgspec.json.decode(fields.get(b"data", b""), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
