# SPDX-License-Identifier: Apache-2.0
"""Whether each window's choice is the best there was: an oracle of its own recomputes it from what was fed."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.bench.contenders import router
from tests.bench.data import INTENTS, OPEN_ORDERS, SIGNALS, Feed
from tests.bench.report import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.server import Server

BURST: Final = 13
#: Windows of a round, for bursts and for steady flow each.
WINDOWS: Final = 40
#: Signals a write of the steady flow, and seconds between two.
WRITE: Final = 4
EVERY_S: Final = 0.01
#: What the settings say as shipped; with so few open orders every window may publish.
TARGET, MOST_NEW, GATE = 3, 2, 0.75
OPEN: Final = (0, 1, 2)
_PUBLISHED: Final = re.compile(r"BEST_OF_PUBLISH count=\d+ allowed=\d+ open=(\d+)")

Id = tuple[int, int]


@dataclass(frozen=True)
class Seen:
    """What one look found: the windows' signal ids since the look before, the cursor, and the last intent's id.

    It is one window, unless the machine was so slow that the next had closed too before the look.
    """

    windows: list[list[str]]
    end: Id
    last_intent: bytes


def measure(server: Server, rounds: int) -> list[Figure]:
    """Compare the scores that were published with the most that the same windows and allowances held.

    Bursts of 13 signals, one a window, and a steady flow of 400 signals a second; 40 windows of each a round, with 0, 1
    and 2 open orders in turn. Where a window ended is read from the group's cursor in one transaction with its intents,
    how many orders it took for open from its log line. The oracle in `tests/bench/choice.py` shares no code with the
    router. The value is that of the worst window.
    """
    figures = []
    for name, flows in (("bursts of 13", False), ("steady flow", True)):
        worst = [_furthest_from_one(_shares(server, flows=flows)) for _ in range(rounds)]
        title = f"choice: selected score / best possible, {name}"
        figures.append(Figure(title, _furthest_from_one(worst), "times", tuple(worst)))  # not rounded
    return figures


def _furthest_from_one(shares: list[float]) -> float:
    return max(shares, key=lambda share: abs(share - 1))


def _shares(server: Server, *, flows: bool) -> list[float]:
    """Return, of each window, the share of the best possible score that it published."""
    server.clear()
    server.client.set(OPEN_ORDERS, OPEN[0])
    looks = [Seen([], (0, 0), b"0-0")]
    with router(server, {"CANDIDATE_WINDOW_SEC": "0.25"}) as process, contextlib.closing(Feed(server)) as feed:
        with _flowing(feed) if flows else contextlib.nullcontext():
            for turn in range(1, WINDOWS + 1):
                if not flows:
                    feed.send(feed.batch(BURST), BURST)
                looks.append(_look(server, looks[-1].last_intent))
                server.client.set(OPEN_ORDERS, OPEN[turn % len(OPEN)])
        log = process.log
    return list(_judged(server, looks, [int(count) for count in _PUBLISHED.findall(log)]))


@contextlib.contextmanager
def _flowing(feed: Feed) -> Iterator[None]:
    """Let signals flow steadily while the block runs."""
    enough = threading.Event()

    def flow() -> None:
        while not enough.wait(EVERY_S):
            feed.send(feed.batch(WRITE), WRITE)

    thread = threading.Thread(target=flow)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()


def _look(server: Server, last_intent: bytes) -> Seen:
    """Wait for intents after *last_intent*, and see at one instant all of them and where the cursor stands."""
    if not server.client.xread({INTENTS: last_intent}, block=5000):
        raise TimeoutError("no intent within 5 s")
    with server.client.pipeline(transaction=True) as both:
        intents, groups = both.xrange(INTENTS, f"({last_intent.decode()}").xinfo_groups(SIGNALS).execute()
    decided = [json.loads(fields[b"data"]) for _, fields in intents]
    # All intents of a window bear the time at which it was decided.
    windows = [[intent["signal_id"] for intent in group] for _, group in itertools.groupby(decided, _timestamp)]
    return Seen(windows, _id(groups[0]["last-delivered-id"]), intents[-1][0])


def _judged(server: Server, looks: list[Seen], open_orders: list[int]) -> Iterator[float]:
    """Yield the share of each window whose limits are known."""
    entries = [(_id(entry_id), json.loads(fields[b"payload"])) for entry_id, fields in server.client.xrange(SIGNALS)]
    scores = {entry_id: _score(signal) for entry_id, signal in entries}
    met = iter(open_orders)
    for before, look in itertools.pairwise(looks):
        counts = [next(met) for _ in look.windows]
        if len(counts) == 1:
            held = [signal for entry_id, signal in entries if before.end < entry_id <= look.end]
            selected = math.fsum(scores[_id(signal_id.encode())] for signal_id in look.windows[0])
            yield selected / _best_possible(held, counts[0])


def _best_possible(signals: list[dict[str, Any]], open_orders: int) -> float:
    """Return the most that a window of *signals* may select: the best of each symbol, as many as there is room for."""
    best: dict[str, float] = {}
    for signal in signals:
        if signal["confidence"] >= GATE:
            best[signal["symbol"]] = max(best.get(signal["symbol"], 0.0), _score(signal))
    return math.fsum(sorted(best.values(), reverse=True)[: min(TARGET - open_orders, MOST_NEW)])


def _score(signal: dict[str, Any]) -> float:
    bonus = 0.02 * signal["rl_gate_pass"] + 0.01 * (signal["regime"] != "unknown")
    return round(float(signal["confidence"] + bonus), 9)


def _id(entry_id: bytes) -> Id:
    milliseconds, number = entry_id.split(b"-")
    return int(milliseconds), int(number)


def _timestamp(intent: dict[str, Any]) -> str:
    return str(intent["timestamp"])
