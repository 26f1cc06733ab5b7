# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures as inline SVG: bars and steps over time, and a bar of a share. Pure; colors come from the page's classes.

A picture is as wide as its place. What is drawn lies in an inner svg that is stretched to that; what is written lies
outside of it, placed in per cent, so that letters keep their shape and size at any width.
"""

from __future__ import annotations

import math
from typing import Iterable

from markupsafe import Markup

_WIDTH, _HEIGHT = 1000, 132
"""Of the inner svg; its height in pixels, its width in units that are stretched."""

_ABOVE, _BELOW = 16, 20
"""Pixels for what is written above and below of it."""


def ticks(low: float, high: float, most: int) -> list[int]:
    """Whole numbers from *low* to *high*, at most about *most* of them, in steps of 1, 2 or 5 times a power of ten."""
    step = next(s * 10**e for e in range(16) for s in (1, 2, 5) if (high - low) <= s * 10**e * most)
    return list(range(math.ceil(low / step) * step, math.floor(high) + 1, step))


_SHARE = Markup('<svg class="share" aria-hidden="true"><rect class="track"/><rect class="{}" width="{:.2f}%"/>{}</svg>')
_REACH = Markup(
    '<line class="reach" x1="{0:.2f}%" x2="{1:.2f}%" y1="50%" y2="50%"/>'
    '<line class="reach" x1="{0:.2f}%" x2="{0:.2f}%" y1="25%" y2="75%"/>'
    '<line class="reach" x1="{1:.2f}%" x2="{1:.2f}%" y1="25%" y2="75%"/>'
)
_BAR = Markup('<rect class="{}" x="{:.2f}" y="{:.2f}" width="{:.2f}" height="{:.2f}"><title>{}</title></rect>')


def share(kind: str, part: float, reach: tuple[float, float] | None = None) -> Markup:
    """A bar that fills *part* (0..1) of its place; *reach* is the range in which its end may truly lie."""
    low, high = (min(1.0, max(0.0, end)) * 100 for end in reach or (0, 0))
    return _SHARE.format(kind, min(1.0, max(0.0, part)) * 100, _REACH.format(low, high) if reach else "")


class Plot:
    """A picture over time: *span* in seconds from left to right, *values* from bottom to top, *name* to be heard."""

    def __init__(self, name: str, span: tuple[float, float], values: tuple[float, float]) -> None:
        self._name = name
        self._span = (span[0], max(span[1], span[0] + 1))
        self._values = (values[0], max(values[1], values[0] + 1))
        self._drawn: list[Markup] = []
        self._written: list[Markup] = []
        for value in ticks(*self._values, most=4):
            self._line("grid", (self._span[0], value), (self._span[1], value))
            self._text("scale", 0, self._y(value) + _ABOVE - 3, f"{abs(value):,}")
        for second in ticks(*self._span, most=6):
            self._text("scale", self._percent(second), _ABOVE + _HEIGHT + 15, f"{second:+,} s" if second else "0")

    def bars(self, kind: str, counts: Iterable[tuple[float, float, int]], *, down: bool = False) -> None:
        """Draw counts that each came from a second on over *seconds*: (second, seconds, count), as high as their rate.

        What is none is not drawn. A bar says its count to who points at it.
        """
        for second, seconds, count in counts:
            if count:
                rate = count / seconds * (-1 if down else 1)
                low, high = sorted((self._y(0), self._y(rate)))
                left, right = self._x(second), self._x(second + seconds)
                said = f"{count:,} {kind} in {seconds:g} s at {second:+.0f} s"
                self._drawn.append(_BAR.format(kind, left, low, (right - left) * 0.86, high - low, said))

    def steps(self, kind: str, points: Iterable[tuple[float, float | None]]) -> None:
        """Draw a value that holds from each second to the next; one that is not known leaves a gap."""
        runs: list[list[tuple[float, float]]] = [[]]
        known: float | None = None
        for second, value in points:
            if known is not None:
                runs[-1].append((second, known))
            if value is None:
                runs.append([])
            else:
                runs[-1].append((second, value))
            known = value
        for run in filter(None, runs):
            line = " ".join(f"{self._x(second):.2f},{self._y(value):.2f}" for second, value in run)
            self._drawn.append(Markup('<polyline class="line {}" points="{}"/>').format(kind, line))

    def dot(self, kind: str, second: float, value: float, said: str) -> None:
        """Draw a single value that was seen at a second."""
        place = self._percent(second), self._y(value) + _ABOVE
        self._written.append(Markup('<circle class="{}" cx="{:.2f}%" cy="{:.2f}" r="4"/>').format(kind, *place))
        template = Markup('<text class="scale" x="{:.2f}%" y="{:.2f}" dx="8" dy="-4">{}</text>')
        self._written.append(template.format(*place, said))

    def blank(self, low: float, high: float, said: str) -> None:
        """Show that nothing was seen from one second to another."""
        ends = self._x(low), self._x(high) - self._x(low), _HEIGHT
        self._drawn.append(Markup('<rect class="blank" x="{:.2f}" width="{:.2f}" height="{}"/>').format(*ends))
        self._text("scale", self._percent((low + high) / 2), _ABOVE + _HEIGHT - 6, said)

    def rule(self, value: float, said: str) -> None:
        """Draw a level across the picture."""
        self._line("rule", (self._span[0], value), (self._span[1], value))
        self._text("said", 100, self._y(value) + _ABOVE - 3, said)

    def mark(self, second: float, said: str) -> None:
        """Draw a moment across the picture."""
        self._line("mark", (second, self._values[0]), (second, self._values[1]))
        self._text("said", self._percent(second), _ABOVE - 5, said)

    def svg(self) -> Markup:
        """Return the picture."""
        return Markup(
            '<svg class="plot" role="img" aria-label="{}" width="100%" height="{}">'
            '<svg y="{}" width="100%" height="{}" viewBox="0 0 {} {}" preserveAspectRatio="none">{}</svg>{}</svg>'
        ).format(
            self._name,
            _ABOVE + _HEIGHT + _BELOW,
            _ABOVE,
            _HEIGHT,
            _WIDTH,
            _HEIGHT,
            Markup("").join(self._drawn),
            Markup("").join(self._written),
        )

    def _x(self, second: float) -> float:
        return (second - self._span[0]) / (self._span[1] - self._span[0]) * _WIDTH

    def _percent(self, second: float) -> float:
        return self._x(second) / _WIDTH * 100

    def _y(self, value: float) -> float:
        return _HEIGHT - (value - self._values[0]) / (self._values[1] - self._values[0]) * _HEIGHT

    def _line(self, kind: str, begin: tuple[float, float], end: tuple[float, float]) -> None:
        ends = self._x(begin[0]), self._y(begin[1]), self._x(end[0]), self._y(end[1])
        drawn = Markup('<line class="{}" x1="{:.2f}" y1="{:.2f}" x2="{:.2f}" y2="{:.2f}"/>').format(kind, *ends)
        self._drawn.append(drawn)

    def _text(self, kind: str, percent: float, y: float, said: str) -> None:
        """Write; what would stand out of the picture at an end is pulled in."""
        anchor = "start" if percent < 5 else "end" if percent > 95 else "middle"
        text = Markup('<text class="{}" x="{:.2f}%" y="{:.2f}" text-anchor="{}">{}</text>')
        self._written.append(text.format(kind, percent, y, anchor, said))
