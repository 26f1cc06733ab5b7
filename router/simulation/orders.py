# SPDX-License-Identifier: Apache-2.0
"""What is assumed of open orders, which no recording holds. Functions of what was published and of the time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final, Protocol

#: Begin (included) and end of a time in which a slot is taken, in milliseconds.
Span = tuple[int, int]

#: An order of the lab opens 0.1 to 0.2 s after its intent; how long one is held is the desk's to know.
OPEN_S: Final = 0.15
HOLD_S: Final = 60.0


class Orders(Protocol):
    """Execution, as far as the router sees it."""

    #: When each slot was taken, in the order of the intents.
    spans: list[Span]

    def publish(self, now_ms: int) -> None:
        """An intent is published."""
        ...

    def count(self, now_ms: int) -> tuple[int | None, int]:
        """Return open orders (None: unknown) and intents in flight; never asked about an earlier time than before."""
        ...


@dataclass
class Fixed:
    """The same number of open orders all the time, whatever is published, and nothing in flight."""

    open_orders: int
    spans: list[Span] = field(default_factory=list)

    def publish(self, now_ms: int) -> None:
        """Nothing follows from it."""

    def count(self, now_ms: int) -> tuple[int | None, int]:  # noqa: ARG002 - it is the same at any time
        """Return the number."""
        return self.open_orders, 0


@dataclass
class Delayed:
    """Each intent is in flight for *open_ms*, then an open order for *hold_ms*."""

    open_ms: int
    hold_ms: int
    spans: list[Span] = field(default_factory=list)
    #: When those in flight open, and when those that are open close.
    _opening: deque[int] = field(default_factory=deque)
    _closing: deque[int] = field(default_factory=deque)

    def publish(self, now_ms: int) -> None:
        """Take a slot."""
        self._opening.append(now_ms + self.open_ms)
        self.spans.append((now_ms, now_ms + self.open_ms + self.hold_ms))

    def count(self, now_ms: int) -> tuple[int | None, int]:
        """Open and close what is due."""
        while self._opening and self._opening[0] <= now_ms:
            self._closing.append(self._opening.popleft() + self.hold_ms)
        while self._closing and self._closing[0] <= now_ms:
            self._closing.popleft()
        return len(self._closing), len(self._opening)
