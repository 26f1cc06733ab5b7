# SPDX-License-Identifier: Apache-2.0
"""Each criterion by itself: what passes, what fails, and what cannot be told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from router.core.policy import TradingState
from router.proof.criteria import CRITERIA, Finding, Status, Thresholds
from router.proof.evidence import Said

if TYPE_CHECKING:
    from tests.unit.proof.conftest import Make

LIMITS = Thresholds()


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"active_state": "activating", "sub_state": "auto-restart"}, "activating/auto-restart"),
        ({"active_state": None}, "the unit is None"),
        ({"main_pid": None}, "no main process"),
        ({"main_pid": 4712}, "from 4711 to 4712"),
        ({"restarts": 1}, "restarted it, 1 times since its activation"),
        ({"restarts": None}, "not known"),
        ({"exe": "/usr/bin/python3.9"}, "runs /usr/bin/python3.9"),
        ({"exe": None}, "runs None"),
        ({"cmdline": ["/home/qt/venv/bin/python"]}, "outside"),
        ({"cmdline": None}, "outside"),
        ({"lease_release": "other"}, "held by other"),
        ({"lease_release": None}, "held by nobody"),
    ],
)
def test_service_fails(
    *, make_before: Make, make_after: Make, make_look: Make, make_service: Make, changes: dict[str, Any], part: str
) -> None:
    """One look at a service that stopped, restarted, runs something else or lost the lease fails, and says what."""
    looks = [make_look(), make_look(at_ms=2_000, service=make_service(**changes))]
    found = CRITERIA["service"](make_before(), make_after(looks=looks), LIMITS)
    assert (found.status, found.numbers["at_ms"]) == (Status.FAILED, 2_000)
    assert part in found.detail


def test_a_crash_before_the_first_look_is_a_restart(
    make_before: Make, make_after: Make, make_look: Make, make_service: Make
) -> None:
    """The same process in every look is not the one that was activated when systemd has restarted it already."""
    again = make_service(restarts=1, main_pid=4712)
    looks = [make_look(at_ms=at_ms, service=again) for at_ms in (1_000, 2_000)]
    found = CRITERIA["service"](make_before(), make_after(looks=looks), LIMITS)
    assert (Status.FAILED, 1_000) == (found.status, found.numbers["at_ms"])
    assert "restarted it, 1 times" in found.detail


@pytest.mark.parametrize("command", ["{dir}/../other/venv/bin/python", "{dir}-evil/venv/bin/python", "{dir}", "python"])
def test_service_outside(
    make_before: Make, make_after: Make, make_look: Make, make_service: Make, command: str
) -> None:
    """A command that only looks as if it lay inside the release does not pass."""
    after = make_after()
    seen = make_service(cmdline=[command.format(dir=after.release.dir)])
    found = CRITERIA["service"](make_before(), make_after(looks=[make_look(service=seen)]), LIMITS)
    assert Status.FAILED is found.status


def test_service_passes(make_before: Make, make_after: Make) -> None:
    """The same process of the release in every look, with the lease, passes."""
    assert Status.PASSED is CRITERIA["service"](make_before(), make_after(), LIMITS).status


def test_service_without_looks(make_before: Make, make_after: Make) -> None:
    """A service that nobody looked at is no pass."""
    assert Status.INCONCLUSIVE is CRITERIA["service"](make_before(), make_after(looks=[]), LIMITS).status


def test_service_without_redis(make_before: Make, make_after: Make, make_look: Make, make_service: Make) -> None:
    """While Redis is away the lease is unknown: not the service's fault, and no pass either."""
    gone = make_look(error="Redis unavailable", service=make_service(lease_release=None))
    assert Status.INCONCLUSIVE is CRITERIA["service"](make_before(), make_after(looks=[gone]), LIMITS).status
    assert Status.PASSED is CRITERIA["service"](make_before(), make_after(looks=[make_look(), gone]), LIMITS).status


@pytest.mark.parametrize(
    ("before", "after", "status"),
    [
        ((130, 131), (40, 260), Status.PASSED),
        ((130, 131), (0, 260), Status.PASSED),  # silence is another criterion's business
        ((118, 131), (4, 60), Status.PASSED),
        ((117, 131), (4, 60), Status.SKIPPED),  # 0.893 per signal: chose already
        ((130, 131), (2, 13), Status.PASSED),
        ((10, 10), (2, 13), Status.INCONCLUSIVE),  # estimate 85%, but proven only 40%
        ((130, 131), (3, 13), Status.INCONCLUSIVE),  # estimate 77%, up to 93%
        ((130, 131), (260, 260), Status.FAILED),
        ((130, 131), (68, 260), Status.FAILED),  # 73.6%, at most 79.7%
        ((130, 131), (67, 260), Status.INCONCLUSIVE),  # 74.0%, at most 80.0014%
        ((130, 131), (0, 0), Status.INCONCLUSIVE),
        ((0, 0), (40, 260), Status.INCONCLUSIVE),
        ((0, 131), (40, 260), Status.SKIPPED),
    ],
)
def test_reduction(
    make_before: Make, make_after: Make, before: tuple[int, int], after: tuple[int, int], status: Status
) -> None:
    """Estimate and bounds decide together; too few signals go on, a selective baseline proves nothing."""
    found = CRITERIA["reduction"](
        make_before(intents=before[0], signals=before[1]), make_after(intents=after[0], signals=after[1]), LIMITS
    )
    assert status is found.status


@pytest.mark.parametrize("state", [TradingState.HALTED, TradingState.REDUCE, None])
@pytest.mark.parametrize("criterion", ["reduction", "not silent", "features"])
def test_restricted_trading(
    make_before: Make, make_after: Make, make_look: Make, criterion: str, state: TradingState | None
) -> None:
    """Halted, reduce-only or unknown trading explains few intents, so they prove nothing."""
    looks = [make_look(trading_state=state), *([make_look()] if state else [])]
    assert Status.INCONCLUSIVE is CRITERIA[criterion](make_before(), make_after(looks=looks), LIMITS).status


def _silent(make_after: Make, looks: list[Any], **changes: Any) -> Finding:
    return CRITERIA["not silent"](make_after(), make_after(looks=looks, intents_ms=[], **changes), LIMITS)


def test_silent_fails(make_after: Make, make_look: Make) -> None:
    """The field's fault: 19 good signals, free slots throughout, nothing published."""
    looks = [
        make_look(at_ms=at_ms, eligible_since_last=19 if at_ms == 1_000 else 0) for at_ms in range(0, 8_000, 1_000)
    ]
    found = _silent(make_after, looks)
    assert (found.status, found.numbers["eligible_with_free_slots"]) == (Status.FAILED, 19)


@pytest.mark.parametrize("event", ["APPROVAL_DENIED", "LIMIT_REACHED"])
def test_silence_that_the_desk_asked_for_proves_nothing(make_after: Make, make_look: Make, event: str) -> None:
    """An approval gate that says no, or a full hour, is no fault of the release, and no proof of it either."""
    looks = [make_look(at_ms=at_ms, eligible_since_last=1) for at_ms in range(0, 8_000, 1_000)]
    unsaid = {"events": {event: 3}, "said": Said(0, 0, 0), "boosted": 0}
    found = _silent(make_after, looks, **unsaid)
    assert Status.INCONCLUSIVE is found.status
    after = make_after(looks=looks, intents_ms=[], **unsaid)
    assert Status.INCONCLUSIVE is CRITERIA["features"](make_after(), after, LIMITS).status
    assert f"{event} 3 times" in found.detail


def test_a_router_that_halted_itself_is_named(make_after: Make, make_look: Make) -> None:
    """Who reads the verdict learns that trading stays halted, and what ends it."""
    looks = [make_look(at_ms=at_ms, trading_state=TradingState.HALTED) for at_ms in (0, 1_000)]
    found = _silent(make_after, looks, events={"AUTO_HALTED": 1})
    assert Status.INCONCLUSIVE is found.status
    assert "router resume" in found.detail


@pytest.mark.parametrize(
    ("until_ms", "events", "status"),
    [
        (18_000, {}, Status.PASSED),
        (19_000, {}, Status.FAILED),
        (19_000, {"LIMIT_REACHED": 1}, Status.PASSED),
    ],
)
def test_a_release_that_falls_silent_is_silent(
    make_before: Make, make_after: Make, make_look: Make, until_ms: int, events: dict[str, int], status: Status
) -> None:
    """After its last intent at 2 s, good signals met free slots for three windows of 3 s and were surely decided."""
    looks = [make_look(at_ms=at_ms, eligible_since_last=1) for at_ms in range(0, until_ms + 1_000, 1_000)]
    after = make_after(looks=looks, intents_ms=[2_000, 2_001], events=events)
    assert status is CRITERIA["not silent"](make_before(), after, LIMITS).status


def test_a_foreign_label_hides_no_intent(make_before: Make, make_after: Make) -> None:
    """Who publishes under another release's name after the activation floods, however few it names its own."""
    found = CRITERIA["not flooding"](make_before(), make_after(intents=130, foreign=110), LIMITS)
    assert (Status.FAILED, "110 intents name another release") == (found.status, found.detail)


def test_one_intent_is_not_silent(make_before: Make, make_after: Make) -> None:
    """A single intent of the release is enough, as long as no more were missed after it."""
    assert Status.PASSED is CRITERIA["not silent"](make_before(), make_after(intents_ms=[75_000]), LIMITS).status


@pytest.mark.parametrize(("last_ms", "status"), [(6_000, Status.INCONCLUSIVE), (6_001, Status.FAILED)])
def test_silence_takes_time(make_after: Make, make_look: Make, last_ms: int, status: Status) -> None:
    """A signal seen at 1 s counts only once a look is later than its window of 3 s and the margin of 2 s."""
    looks = [make_look(at_ms=0), make_look(at_ms=1_000, eligible_since_last=1), make_look(at_ms=last_ms)]
    assert status is _silent(make_after, looks).status


@pytest.mark.parametrize(
    ("open_orders", "in_flight", "eligible", "confident", "status"),
    [
        (2, 0, 5, 0, Status.FAILED),  # below the target
        (3, 0, 5, 0, Status.INCONCLUSIVE),  # at the target nothing was super-confident
        (3, 0, 5, 1, Status.FAILED),
        (2, 1, 5, 0, Status.INCONCLUSIVE),  # an intent in flight takes a slot
        (9, 0, 5, 1, Status.FAILED),
        (10, 0, 5, 1, Status.INCONCLUSIVE),  # full
        (8, 2, 5, 1, Status.INCONCLUSIVE),
        (None, 0, 5, 1, Status.INCONCLUSIVE),  # unknown capacity is judged elsewhere
        (0, None, 5, 1, Status.INCONCLUSIVE),
        (0, 0, 0, 0, Status.INCONCLUSIVE),
    ],
)
def test_silence_needs_room(
    *,
    make_after: Make,
    make_look: Make,
    open_orders: int | None,
    in_flight: int | None,
    eligible: int,
    confident: int,
    status: Status,
) -> None:
    """Below the target every eligible signal counts, below the cap the super-confident ones, else none."""
    look = make_look(open_orders=open_orders, in_flight=in_flight)
    came = msgspec.structs.replace(look, at_ms=2_000, eligible_since_last=eligible, super_since_last=confident)
    later = msgspec.structs.replace(look, at_ms=9_000)
    assert status is _silent(make_after, [look, came, later]).status


@pytest.mark.parametrize("full_ms", [0, 1_000, 4_000, 7_000])
def test_silence_needs_room_throughout(make_after: Make, make_look: Make, full_ms: int) -> None:
    """A full moment from the look before the signal until its window was surely over excuses the router."""
    looks = [
        make_look(at_ms=at_ms, eligible_since_last=at_ms == 1_000, open_orders=10 if at_ms == full_ms else 0)
        for at_ms in range(0, 8_000, 1_000)
    ]
    assert Status.INCONCLUSIVE is _silent(make_after, looks).status


def test_first_look_has_no_look_before(make_after: Make, make_look: Make) -> None:
    """Signals from before the first look met nobody knows what."""
    looks = [make_look(at_ms=0, eligible_since_last=9), make_look(at_ms=9_000)]
    assert Status.INCONCLUSIVE is _silent(make_after, looks).status


@pytest.mark.parametrize(
    ("times", "most", "status"),
    [
        ([], 0, Status.PASSED),
        ([0, 0], 2, Status.PASSED),
        ([0, 0, 0], 3, Status.FAILED),
        ([0, 0, 2_700], 3, Status.FAILED),  # 0.9 windows of 3 s: both ends count
        ([0, 0, 2_701], 2, Status.PASSED),
        ([0, 2_700, 5_400], 2, Status.PASSED),
        ([0, 1_350, 2_700], 3, Status.FAILED),
        ([5_000, 0, 5_000, 0, 5_001], 3, Status.FAILED),  # order does not matter
        ([0, 1, 3_000, 3_001, 6_000, 6_001], 2, Status.PASSED),
    ],
)
def test_not_flooding(make_before: Make, make_after: Make, times: list[int], most: int, status: Status) -> None:
    """At most two intents lie within any 2.7 s, wherever that begins."""
    found = CRITERIA["not flooding"](make_before(), make_after(intents_ms=times), LIMITS)
    assert (status, most) == (found.status, found.numbers["most"])


@pytest.mark.parametrize(
    ("looks", "events", "status", "part"),
    [
        ([{}], {}, Status.PASSED, "all 1 looks"),
        ([{}], {"CAPACITY_UNKNOWN": 1}, Status.FAILED, "CAPACITY_UNKNOWN 1 times"),
        ([{}, {"open_orders": None}], {}, Status.FAILED, "1 of 2 looks"),
        ([{}, {"open_orders": None, "error": "Redis unavailable: gone"}], {}, Status.FAILED, "Redis unavailable: gone"),
        ([{}], None, Status.INCONCLUSIVE, "journal"),
        ([], {}, Status.INCONCLUSIVE, "no look"),
    ],
)
def test_capacity_known(
    *,
    make_before: Make,
    make_after: Make,
    make_look: Make,
    looks: list[dict[str, Any]],
    events: dict[str, int] | None,
    status: Status,
    part: str,
) -> None:
    """Known at every look and never reported unknown passes; what could not be seen is no pass."""
    after = make_after(looks=[make_look(**changes) for changes in looks], events=events)
    found = CRITERIA["capacity known"](make_before(), after, LIMITS)
    assert status is found.status
    assert part in found.detail
