# SPDX-License-Identifier: Apache-2.0
"""Where each criterion changes its mind: at the limit, a step before and a step beyond, and where nothing is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from router.core.policy import TradingState
from router.proof.criteria import CRITERIA, Status, Thresholds
from router.proof.evidence import Execution, Governor, Look, Said, Soaked
from router.proof.judge import judge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.unit.proof.conftest import Make

PASSED, FAILED, INCONCLUSIVE, SKIPPED = Status.PASSED, Status.FAILED, Status.INCONCLUSIVE, Status.SKIPPED
DAY, NEXT = 20_089, 20_090


def looked(after: Soaked, **each: Sequence[Any]) -> Soaked:
    """The evidence with these fields in its looks, one look a value, from the first on at its times."""
    count = len(next(iter(each.values())))
    looks = [
        msgspec.structs.replace(look, **{name: values[place] for name, values in each.items()})
        for place, look in enumerate(after.looks[:count])
    ]
    return msgspec.structs.replace(after, looks=looks)


def found(name: str, before: Any, after: Soaked, **limits: float) -> Status:
    """What a criterion finds."""
    return CRITERIA[name](before, after, Thresholds(**limits)).status


@pytest.mark.parametrize(
    ("limits", "status"),
    [
        ({}, PASSED),  # the evidence: 84.497 %, at least 76.696 %, at most 90.016 %
        ({"reduction_min": 0.8449}, PASSED),
        ({"reduction_min": 0.845}, INCONCLUSIVE),
        ({"reduction_min": 0.9001}, INCONCLUSIVE),
        ({"reduction_min": 0.9002}, FAILED),
        ({"reduction_proven": 0.7669}, PASSED),
        ({"reduction_proven": 0.767}, INCONCLUSIVE),
        ({"publish_everything": 0.992}, PASSED),  # 130 of 131
        ({"publish_everything": 0.993}, SKIPPED),
        ({"confidence": 0.9999, "reduction_proven": 0.7669}, INCONCLUSIVE),
    ],
)
def test_reduction(make_before: Make, make_after: Make, limits: dict[str, float], status: Status) -> None:
    """Estimate, lower and upper bound decide where they meet their limit."""
    assert status is found("reduction", make_before(), make_after(), **limits)


@pytest.mark.parametrize("name", ["reduction", "governor", "execution lag"])
def test_chance_is_not_asked_too_early(make_before: Make, make_after: Make, name: str) -> None:
    """Before the least time of a soak nothing is spent of the error, so nothing is told by chance, either way."""
    bad = make_after(intents=130, error_share=0.0)
    assert INCONCLUSIVE is found(name, make_before(), bad)


@pytest.mark.parametrize(
    ("at_ms", "windows", "boosts", "boosted", "status"),
    [
        (57_000, 1, 1, 1, PASSED),
        (57_000, 0, 1, 1, FAILED),
        (57_000, 1, 0, 1, FAILED),
        (57_000, 1, 1, 0, FAILED),
        (57_001, 0, 0, 0, INCONCLUSIVE),  # younger than 2 s: its lines may be under way
        (None, 0, 0, 0, INCONCLUSIVE),
    ],
)
def test_features(
    *, make_before: Make, make_after: Make, at_ms: int | None, windows: int, boosts: int, boosted: int, status: Status
) -> None:
    """An intent of 2 s ago needs both lines and a boosted intent, one of each is enough."""
    times = [] if at_ms is None else [at_ms]
    after = make_after(intents_ms=times, said=Said(windows, 0, 0), boosted=boosted, events={"SIZE_BOOST": boosts})
    looks = [msgspec.structs.replace(after.looks[0], at_ms=59_000)]
    assert status is found("features", make_before(), msgspec.structs.replace(after, looks=looks))


@pytest.mark.parametrize(("claimed", "status"), [(20, PASSED), (21, FAILED)])
def test_features_claimed(make_before: Make, make_after: Make, claimed: int, status: Status) -> None:
    """The log may claim as many intents as there are, and not one more."""
    assert status is found("features", make_before(), make_after(said=Said(10, claimed, 0)))


def test_features_when_signals_met_free_slots(make_before: Make, make_after: Make) -> None:
    """A router that neither published nor said anything had its chance."""
    after = make_after(intents_ms=[], boosted=0, said=Said(0, 0, 0), events={})
    assert FAILED is found("features", make_before(), after)


@pytest.mark.parametrize(
    ("counts", "before", "status"),
    [
        # 30 s before and 59 s after; trades count two by two
        ((110, 110), (100, DAY), PASSED),
        ((110, 111), (100, DAY), PASSED),
        ((110, 130), (100, DAY), PASSED),  # the same pace
        ((110, 157), (100, DAY), PASSED),
        ((110, 158), (100, DAY), FAILED),
        ((100, 100), (100, DAY), PASSED),  # none before, none after
        ((100, 101), (100, DAY), SKIPPED),  # none before: nothing to compare with
        ((110, 109), (100, DAY), INCONCLUSIVE),  # set back
        ((99, 109), (100, DAY), INCONCLUSIVE),
        ((110, None), (100, DAY), INCONCLUSIVE),  # vanished
        ((None, 110), (100, DAY), INCONCLUSIVE),
        ((10, 20), (None, DAY), PASSED),  # counting made it
        ((None, None), (None, DAY), SKIPPED),
        ((110, 110), (100, None), INCONCLUSIVE),  # no day: an older snapshot
        ((110, 110), (100, DAY - 31), INCONCLUSIVE),
    ],
)
def test_governor(
    *, make_before: Make, make_after: Make, counts: tuple[Any, Any], before: tuple[Any, Any], status: Status
) -> None:
    """Ten trades in half a minute before: what may come in a minute after, and what cannot be told."""
    governors = [Governor(count, 1, DAY) for count in counts]
    after = looked(make_after(signals=65), governor=governors)
    last = msgspec.structs.replace(after.looks[1], at_ms=89_000)
    after = msgspec.structs.replace(after, looks=[after.looks[0], last])
    assert status is found("governor", make_before(governor=Governor(before[0], 1, before[1])), after)


def test_without_a_router_before_there_is_no_pace(make_before: Make, make_after: Make) -> None:
    """Trades up to a late first look are those of the release itself where nobody published before it."""
    after = looked(make_after(signals=65), governor=[Governor(105, 1, DAY), *[Governor(158, 1, DAY)] * 59])
    assert FAILED is found("governor", make_before(), after)
    assert SKIPPED is found("governor", make_before(intents=0), after)


def test_governor_in_a_busier_market(make_before: Make, make_after: Make) -> None:
    """Twice the signals a minute may bring twice the trades."""
    governors = [Governor(110, 1, DAY), *[Governor(158, 1, DAY)] * 59]
    assert FAILED is found("governor", make_before(), looked(make_after(signals=65), governor=governors))
    assert PASSED is found("governor", make_before(), looked(make_after(signals=130), governor=governors))


@pytest.mark.parametrize(
    ("first", "last", "status"),
    [
        (Governor(110, 1, DAY), Governor(3, 1, NEXT, 112), PASSED),
        (Governor(110, 1, DAY), Governor(None, 1, NEXT, 112), PASSED),  # none yet today
        (Governor(110, 1, DAY), Governor(3, 1, NEXT, 200), FAILED),
        (Governor(110, 1, DAY), Governor(90, 1, NEXT, 110), FAILED),
        (Governor(110, 1, DAY), Governor(3, 1, NEXT, None), INCONCLUSIVE),
        (Governor(110, 1, DAY), Governor(3, 1, NEXT + 1, 112), INCONCLUSIVE),
        (Governor(2, 1, NEXT, 108), Governor(4, 1, NEXT, 108), PASSED),  # midnight came before the activation
    ],
)
def test_governor_over_midnight(
    *, make_before: Make, make_after: Make, first: Governor, last: Governor, status: Status
) -> None:
    """What was counted before midnight and after it is summed; a day that is missing is not guessed."""
    after = looked(make_after(signals=65), governor=[first, *[last] * 59])
    assert status is found("governor", make_before(governor=Governor(100, 1, DAY)), after)


#: Thirty looks: ten at first, ten in between, ten at last.
def thirds(first: int | None, middle: int | None, last: int | None) -> list[Execution]:
    """A lag for each third."""
    return [Execution(lag, 0) for lag in (first, middle, last) for _ in range(10)]


@pytest.mark.parametrize(
    ("executions", "status"),
    [
        (thirds(0, 0, 0), PASSED),
        (thirds(0, 9, 2), PASSED),  # a window adds two
        (thirds(0, 0, 3), FAILED),
        (thirds(67_448, 67_000, 66_000), PASSED),  # working off what the old router left
        (thirds(67_448, 67_449, 67_450), PASSED),
        (thirds(67_448, 67_449, 67_451), FAILED),
        ([Execution(3, 0), *thirds(0, 0, 3)[1:]], PASSED),  # as high at first, once
        ([*thirds(0, 0, 3)[:-1], Execution(2, 0)], PASSED),  # as low at last, once
        (thirds(None, None, None), INCONCLUSIVE),  # NULL is never 0
        (thirds(0, 0, None), INCONCLUSIVE),
        (thirds(None, 0, 0), PASSED),  # known at 20 of 30
        ([Execution(None, 0), *thirds(None, 0, 0)[:-1]], INCONCLUSIVE),
        ([*thirds(0, 0, 0)[:-1], Execution(None, 0)], INCONCLUSIVE),
        ([Execution(0, 0)] * 3, PASSED),
        ([Execution(0, 0)] * 2, INCONCLUSIVE),
        ([Execution(None, None)] * 30, INCONCLUSIVE),  # the group is gone
    ],
)
def test_execution_lag(make_before: Make, make_after: Make, executions: list[Execution], status: Status) -> None:
    """It may go up by what one window adds from the first third to the last; a lag that nobody knows is no pass."""
    assert status is found("execution lag", make_before(), looked(make_after(), execution=executions))


def test_no_group_of_execution(make_before: Make, make_after: Make) -> None:
    """Without a group before and after there is no lag to speak of."""
    after = looked(make_after(), execution=[Execution()] * 30)
    assert SKIPPED is found("execution lag", make_before(execution=Execution()), after)


@pytest.mark.parametrize(
    ("rejected", "invalid", "errors", "status"),
    [
        ((5, 5), 0, 0, PASSED),
        ((5, 8), 3, 0, PASSED),
        ((5, 9), 3, 0, FAILED),
        ((5, 5), 0, 1, FAILED),
        ((5, 4), 0, 0, INCONCLUSIVE),
        ((None, None), 0, 0, INCONCLUSIVE),
        ((None, 8), 0, 0, PASSED),  # counted from the first look that knew
        ((5, 5), 0, None, INCONCLUSIVE),
        ((5, 9), 3, None, FAILED),
    ],
)
def test_errors(
    *, make_before: Make, make_after: Make, rejected: tuple[Any, Any], invalid: int, errors: int | None, status: Status
) -> None:
    """No error line; as many rejects as there were invalid signals, and not one more."""
    said = None if errors is None else Said(10, 20, errors, ["Traceback"] * errors)
    after = looked(make_after(invalid=invalid, said=said), rejected=rejected)
    assert status is found("errors", make_before(), after)


#: What a look is without Redis.
UNSEEN = {"error": "Redis unavailable", "open_orders": None, "in_flight": None, "trading_state": None}
#: What a look sees in which a window may publish nothing, each for another reason.
SHUT = [
    {"open_orders": 10},
    {"open_orders": 10, "in_flight": 3},
    {"open_orders": 7, "in_flight": 3},
    {"open_orders": 0, "trading_state": TradingState.HALTED},
    {"open_orders": 0, "trading_state": TradingState.REDUCE},
]


@pytest.mark.parametrize("shut", SHUT)
@pytest.mark.parametrize(
    ("times", "share", "status"),
    [
        # 1/4 each: a look a second misses a slot of a window of 3 s; as often as intents came between looks
        ([31_001, 34_001], 1.0, PASSED),  # 2/16
        ([31_001, 34_001, 37_001], 1.0, FAILED),  # 3/64
        ([31_001, 34_001, 37_001], 0.5, PASSED),
        ([31_001, 34_001, 37_001, 40_001], 0.5, FAILED),  # 4/256
        ([31_001, 31_002, 34_001, 34_002], 1.0, PASSED),  # two at once came once,
        ([31_000, 31_001, 34_000, 34_001], 1.0, PASSED),  # on both sides of a look too
        ([32_000, 35_000, 38_000], 1.0, FAILED),  # at a look is before it
        ([31_001, 34_001, 37_001, 40_001], 0.0, PASSED),  # too early to tell
        ([22_000, 26_000, 30_000, 90_000, 94_000, 98_000], 1.0, PASSED),  # before the first look, after the last
    ],
)
def test_published_without_room(
    *, make_before: Make, make_after: Make, shut: dict[str, Any], times: list[int], share: float, status: Status
) -> None:
    """What goes on publishing while no look has a slot, or trading is not active, fails once it is no luck any more."""
    after = make_after(intents_ms=times, error_share=share)
    looks = [msgspec.structs.replace(look, **shut) for look in after.looks]
    assert status is found("not flooding", make_before(), msgspec.structs.replace(after, looks=looks))


@pytest.mark.parametrize(
    ("there", "at_ms", "status"),
    [
        ({}, 36_000, FAILED),
        ({"open_orders": 9}, 36_000, PASSED),
        (UNSEEN, 36_000, FAILED),  # what nobody saw is no slot
        (UNSEEN, 37_000, PASSED),  # nor is it a full book: nobody looked for 2 s around the third time
    ],
)
def test_a_slot_that_is_seen_explains_what_came(
    *, make_before: Make, make_after: Make, there: dict[str, Any], at_ms: int, status: Status
) -> None:
    """Three times in one run of full looks fails, twice before and once after a look with a slot does not."""
    after = make_after(intents_ms=[31_001, 34_001, 37_001])
    looks = [
        msgspec.structs.replace(look, **({"open_orders": 10} | (there if look.at_ms == at_ms else {})))
        for look in after.looks
    ]
    assert status is found("not flooding", make_before(), msgspec.structs.replace(after, looks=looks))


@pytest.mark.parametrize(
    ("gap_ms", "count", "status"),
    [
        (2_000, 5, PASSED),  # 5 times (2/5)^5
        (2_000, 6, FAILED),  # 6 times (2/5)^6
        (6_000, 9, PASSED),  # 9 times (3/4)^9
    ],
)
def test_looks_that_are_apart_see_less(
    *, make_before: Make, make_after: Make, gap_ms: int, count: int, status: Status
) -> None:
    """The longer nobody looked, the less it says that no slot was seen."""
    after = make_after(intents_ms=[31_001 + 6_000 * number for number in range(count)])
    looks = [
        msgspec.structs.replace(look, open_orders=10) for look in after.looks if (look.at_ms - 30_000) % gap_ms == 0
    ]
    assert status is found("not flooding", make_before(), msgspec.structs.replace(after, looks=looks))


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"offered": 20}, PASSED),
        ({"offered": 19}, FAILED),
        ({"reduce_only": 3, "reduce_only_offered": 3}, PASSED),
        ({"reduce_only": 4, "reduce_only_offered": 3}, FAILED),
        ({"intents": 0, "offered": 0, "intents_ms": []}, PASSED),
    ],
)
def test_no_intent_comes_out_of_nothing(
    make_before: Make, make_after: Make, changes: dict[str, int], status: Status
) -> None:
    """As many intents as signals of their kind may be there, and not one more."""
    assert status is found("not flooding", make_before(), make_after(**changes))


@pytest.mark.parametrize("name", CRITERIA)
def test_nothing_known_is_no_pass(make_before: Make, make_after: Make, name: str) -> None:
    """Looks that saw nothing, a journal that cannot be read and no counts: no criterion passes."""
    blind = [Look(at_ms=at_ms) for at_ms in range(30_000, 90_000, 1_000)]
    nothing = {"intents_ms": [], "signals": 0, "intents": 0, "events": None, "said": None}
    assert PASSED is not found(name, make_before(), make_after(looks=blind, **nothing)) or name == "not flooding"
    assert PASSED is not found(name, make_before(), make_after(looks=[], **nothing))


@pytest.mark.parametrize("name", CRITERIA)
def test_a_criterion_that_is_off_is_skipped_and_says_so(make_before: Make, make_after: Make, name: str) -> None:
    """Whatever it would have found, it does not count, and the report shows that somebody wanted that."""
    worst = make_after(looks=[], intents=130, intents_ms=[1] * 9, said=Said(0, 9, 9, ["x"]))
    verdict = judge(make_before(), worst, off=[name])
    (off,) = (criterion for criterion in verdict.criteria if criterion.status is SKIPPED and criterion.name == name)
    assert "switched off on purpose" == off.detail


def test_with_everything_off_nothing_is_known(make_before: Make, make_after: Make) -> None:
    """No criterion at all is no pass."""
    assert INCONCLUSIVE is judge(make_before(), make_after(), off=list(CRITERIA)).verdict


@pytest.mark.parametrize("state", [TradingState.HALTED, TradingState.REDUCE])
def test_halted_leaves_what_does_not_depend_on_it(make_before: Make, make_after: Make, state: TradingState) -> None:
    """While trading is restricted nobody knows about intents, and everything else is judged as ever."""
    after = make_after(intents=0, intents_ms=[], boosted=0, said=Said(0, 0, 0))
    after = looked(after, trading_state=[state] * len(after.looks))
    statuses = {criterion.name: criterion.status for criterion in judge(make_before(), after).criteria}
    assert {"reduction", "not silent", "features"} == {name for name, s in statuses.items() if s is INCONCLUSIVE}
    assert {PASSED, INCONCLUSIVE} == set(statuses.values())
