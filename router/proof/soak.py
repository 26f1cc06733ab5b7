# SPDX-License-Identifier: Apache-2.0
"""Watching a release after its activation until the verdict is certain."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import redis

from router.errors import one_line
from router.proof.evidence import Execution, Look, Policy, RedisState, Release, Said, Service, Soaked
from router.proof.host import SAMPLE_ERRORS
from router.proof.judge import Verdict, certain, error_spent
from router.proof.own import Command, ask
from router.proof.snapshot import (
    count_dedup_keys,
    count_rejected,
    frame,
    ratio,
    read_governor,
    read_state,
    with_lease,
)
from router.proof.streams import IntentTally, Pages, RejectTally, SignalTally, pace
from router.redis_io.scripts import Scripts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from router.config import Settings
    from router.proof.criteria import Status
    from router.proof.evidence import Answer
    from router.proof.host import Host, Journal
    from router.redis_io.keys import Keys

#: Seconds between looks, and between judgements (those read the journal, so they are fewer).
LOOK_EVERY_S: Final = 1.0
JUDGE_EVERY_S: Final = 3.0
#: Seconds that reading and committing may add to a window before its intents are in the stream.
COMMIT_GRACE_S: Final = 0.5
#: Milliseconds at either end of a soak in which a log line may tell of an intent outside of it.
EDGE_MS: Final = 1000


class Progress(msgspec.Struct, frozen=True):
    """How far a soak has come, for people who wait: its seconds, the counts so far, and the verdict as it stands.

    A pass needs at least *least_s*; *most_s* is when the soak gives up. *certain* says that it has ended.
    """

    elapsed_s: float
    least_s: float
    most_s: float
    signals: int
    intents: int
    open_orders: int | None
    verdict: Status
    certain: bool


class Soak(msgspec.Struct, frozen=True):
    """What a soak saw, and the verdict that ended it."""

    after: Soaked
    verdict: Verdict


def soak(
    look: Callable[[], Look],
    evidence: Callable[[Sequence[Look]], Soaked],
    judged: Callable[[Soaked], Verdict],
    span_s: tuple[float, float],
    clock_s: Callable[[], float],
    sleep: Callable[[float], None],
    answers: Callable[[], list[Answer]] = list,
    tell: Callable[[Progress], None] = lambda _progress: None,
) -> Soak:
    """Look every second and judge every third until the verdict is certain, or *span_s* (least, most) has passed.

    *judged* gives the verdict on evidence; *answers*, those of the user's own criteria, are asked for once a verdict
    may pass; *tell* hears of each judgement. *clock_s* is monotonic. A look that takes long, since Redis does not
    answer, delays the next one.
    """
    start_s = clock_s()
    judged_s, spent = float("-inf"), 0.0
    looks: list[Look] = []
    while True:
        looks.append(look())
        elapsed_s = clock_s() - start_s
        if elapsed_s - judged_s >= JUDGE_EVERY_S or elapsed_s >= span_s[1]:
            share = error_spent(elapsed_s, *span_s) - spent
            said = answers() if elapsed_s >= span_s[0] else []
            after = msgspec.structs.replace(evidence(looks), error_share=share, answers=said)
            verdict = judged(after)
            is_certain = certain(verdict, elapsed_s, *span_s)
            tell(_progress(elapsed_s, span_s, after, verdict, is_certain=is_certain))
            if is_certain:
                return Soak(after, verdict)
            judged_s, spent = elapsed_s, spent + share
        sleep(LOOK_EVERY_S)


def _progress(
    elapsed_s: float, span_s: tuple[float, float], after: Soaked, verdict: Verdict, *, is_certain: bool
) -> Progress:
    open_orders = after.capacity.open_orders
    return Progress(elapsed_s, *span_s, after.signals, after.intents, open_orders, verdict.verdict, is_certain)


def prove(
    watch: Watch,
    judged: Callable[[Soaked], Verdict],
    span_s: tuple[float, float],
    own: Mapping[str, Command],
    tell: Callable[[Progress], None],
) -> Soak:
    """Soak on a real host with real clocks: `soak` with what *watch* sees, its end completed by the dedup keys."""

    def answers() -> list[Answer]:
        return [ask(name, command, watch.facts) for name, command in own.items()]

    done = soak(watch.look, watch.evidence, judged, span_s, time.monotonic, time.sleep, answers, tell)
    return Soak(msgspec.structs.replace(done.after, dedup_keys=watch.dedup_keys()), done.verdict)


class _Tallies(NamedTuple):
    """What is counted in the streams since the activation."""

    signals: SignalTally
    intents: IntentTally
    rejects: RejectTally


class Watch:
    """The eyes of a soak on a real host: looks, and all of them together as evidence.

    *activated_ms* is when *release* was activated, by the host's clock.
    """

    def __init__(
        self,
        client: redis.Redis,
        settings: Settings,
        keys: Keys,
        unit: str,
        host: Host,
        release: Release,
        activated_ms: int,
    ) -> None:
        self._client = client
        self._settings = settings
        self._keys = keys
        self._unit = unit
        self._host = host
        self._release = release
        self._activated_ms = activated_ms
        self._scripts = Scripts(client, settings, keys)
        #: Redis' clock minus the host's; taken to be none until Redis has answered once.
        self._skew_ms = 0
        self._tallies: _Tallies | None = None
        #: What the last look had counted: a look that fails half-way leaves its signals to the next one.
        self._counted = (0, 0, 0)

    def look(self) -> Look:
        """Look once. Redis not answering is something seen: the look then says so, and counts nothing."""
        service, _age_s = self._host.service(self._unit)
        try:
            return self._look(service)
        except redis.RedisError as error:
            at_ms = self._host.wall_ms + self._skew_ms
            return Look(at_ms=at_ms, service=service, error=f"Redis unavailable: {one_line(error)}")

    def evidence(self, looks: Sequence[Look]) -> Soaked:
        """Return everything seen in *looks*; with Redis away now, its state is unknown and the counts stand.

        The dedup keys are left out: counting them takes a scan, and this is called every few seconds.
        """
        now_ms = looks[-1].at_ms
        try:
            state = read_state(self._client, self._settings, self._keys, now_ms)
        except redis.RedisError:
            state = RedisState()
        decided_ms = now_ms - (self._settings.window_s + COMMIT_GRACE_S) * 1000
        decided = [look for look in looks if look.at_ms <= decided_ms]
        signals = sum(look.signals_since_last for look in decided)
        counted = self._from_streams(now_ms)
        journal = self._host.journal(self._unit, self._activated_ms)
        return Soaked(
            **frame(now_ms, self._activated_ms + self._skew_ms),
            signals=signals,
            eligible=sum(look.eligible_since_last for look in decided),
            publish_ratio=ratio(counted["intents"], signals),
            service=looks[-1].service,
            events=journal.events if journal else None,
            said=self._said(journal, now_ms) if journal else None,
            looks=list(looks),
            settings=Policy(**{name: getattr(self._settings, name) for name in Policy.__struct_fields__}),
            release=self._release,
            systemctl_status=self._host.status(self._unit),
            log_sample=journal.sample if journal else [],
            **counted,
            **msgspec.structs.asdict(state),
        )

    def dedup_keys(self) -> int | None:
        """Count the ids remembered as published; None when Redis does not answer."""
        try:
            return count_dedup_keys(self._client, self._keys)
        except redis.RedisError:
            return None

    @property
    def facts(self) -> dict[str, str]:
        """What a criterion of the user's own is told, as its environment."""
        return {"UNIT": self._unit, "RELEASE": self._release.id, "SINCE_MS": str(self._activated_ms)}

    def _from_streams(self, now_ms: int) -> dict[str, Any]:
        """Return the fields of evidence that the streams tell; nothing is counted until Redis has answered once."""
        if self._tallies is None:
            return {"intents": 0, "intents_ms": [], "offered": 0}
        signals, intents, rejects = self._tallies
        return {
            "intents": intents.count,
            "intents_ms": list(intents.times_ms),
            "boosted": intents.boosted,
            "foreign": intents.foreign,
            "invalid": signals.invalid,
            "offered": signals.offered,
            "reduce_only": intents.reduce_only,
            "reduce_only_offered": signals.reduce_only,
            "pace": pace(signals.seconds, intents.seconds, self._activated_ms + self._skew_ms, now_ms),
            "rejects": dict(rejects.codes),
        }

    def _said(self, journal: Journal, now_ms: int) -> Said:
        """Return what the log claims; *now_ms* is Redis' time of the last look, which counted the intents."""
        first_ms, last_ms = self._activated_ms + EDGE_MS, now_ms - self._skew_ms - EDGE_MS
        claimed = sum(count for at_ms, count in journal.published if first_ms <= at_ms <= last_ms)
        return Said(len(journal.published), claimed, len(journal.errors), journal.errors[:SAMPLE_ERRORS])

    def _look(self, service: Service) -> Look:
        seen = self._scripts.observe()
        self._skew_ms = seen.now_ms - self._host.wall_ms
        rejected = count_rejected(self._client, self._keys)  # before the signals are counted: none is seen too late
        if self._tallies is None:
            self._tallies = self._begun()
        signals, intents, rejects = self._tallies
        if rejected:  # so it is a stream
            rejects.advance(seen.now_ms)
        intents.advance(seen.now_ms)
        # A producer's clock may be ahead by the maximum age: the router takes such signals as they come.
        signals.advance(seen.now_ms + int(self._settings.max_age_s * 1000))
        service = with_lease(self._client, self._keys, service)
        counted = (signals.tradeable, signals.eligible, signals.confident)
        new = [total - before for total, before in zip(counted, self._counted, strict=True)]
        self._counted = counted
        return Look(
            at_ms=seen.now_ms,
            open_orders=seen.capacity.open_orders,
            in_flight=seen.capacity.in_flight,
            trading_state=seen.capacity.state,
            signals_since_last=new[0],
            eligible_since_last=new[1],
            super_since_last=new[2],
            governor=read_governor(self._client, self._keys, seen.now_ms),
            execution=Execution(seen.execution_lag, seen.execution_pending),
            rejected=rejected,
            service=service,
        )

    def _begun(self) -> _Tallies:
        """Return the tallies, begun at the activation: Redis' clock is known."""
        since_ms = self._activated_ms + self._skew_ms
        waiting_ms = int(since_ms - self._settings.max_age_s * 1000)  # the oldest that it may still have to read

        def pages(stream: str, from_ms: int = since_ms) -> Pages:
            return Pages(self._client, stream, from_ms)

        return _Tallies(
            SignalTally(pages(self._keys.signals, waiting_ms), self._settings, since_ms),
            IntentTally(pages(self._keys.intents), self._release.id),
            RejectTally(pages(self._keys.rejects)),
        )
