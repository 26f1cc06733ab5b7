# SPDX-License-Identifier: Apache-2.0
"""A page that stands by itself: a table and charts as inline SVG, no script, nothing from the network.

Labels and notes may hold what others have written: all text is escaped here, in `_text`, and nowhere else.
"""

from __future__ import annotations

import html
from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from router.simulation.table import moment_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.simulation.charts import Chart, Steps

_WIDTH: Final = 720
_HEIGHT: Final = 200
_LEFT: Final = 52
_BOTTOM: Final = 24
#: Distinct in light and dark, and to most who see few colours; more curves begin anew, dashed.
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00")
_STYLE: Final = """
:root { color-scheme: light dark; --line: #8886; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
svg { width: 100%; height: auto; }
svg text { font-size: 12px; fill: currentColor; }
svg .axis { stroke: var(--line); }
figure { margin: 2rem 0; break-inside: avoid; }
.key { margin-right: 1.2rem; white-space: nowrap; }
.key svg { width: 1.5rem; height: .6rem; }
"""


def page(title: str, lead: str, table: Sequence[Sequence[str]], charts: Sequence[Chart], notes: Sequence[str]) -> str:
    """Return the page: *title*, one line that leads in, the *table* with its heading first, *charts* and *notes*."""
    heading, *rows = table
    body = [
        f"<h1>{_text(title)}</h1>",
        f"<p>{_text(lead)}</p>",
        '<div class="wide"><table>',
        f"<thead>{_row('th', heading)}</thead>",
        f"<tbody>{''.join(_row('td', row) for row in rows)}</tbody>",
        "</table></div>",
        *(f"<p>{_text(note)}</p>" for note in notes),
        *(_figure(chart) for chart in charts),
    ]
    head = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head><body>\n"
    )
    return head + "\n".join(body) + "\n</body></html>\n"


def _text(text: str) -> str:
    return html.escape(text, quote=True)


def _row(cell: str, texts: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{cell}>{_text(text)}</{cell}>" for text in texts) + "</tr>"


def _figure(chart: Chart) -> str:
    """Return *chart* with axes that begin at 0 and at the first step of all, and a key."""
    times = [ms for steps in chart.curves.values() for ms, _ in steps]
    if not times:
        return ""
    begin_ms, end_ms = min(times), max(*times, min(times) + 1)
    top = max([1, *(value for steps in chart.curves.values() for _, value in steps)])
    floor, right = _HEIGHT - _BOTTOM, _WIDTH - 8
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{_text(chart.title)}">',
        f'<path class="axis" fill="none" d="M{_LEFT} 8V{floor}H{right}"/>',
        f'<text x="{_LEFT - 6}" y="16" text-anchor="end">{top:,}</text>',
        f'<text x="{_LEFT - 6}" y="{floor}" text-anchor="end">0</text>',
        f'<text x="{_LEFT}" y="{_HEIGHT - 6}">{moment_of(begin_ms)}</text>',
        f'<text x="{right}" y="{_HEIGHT - 6}" text-anchor="end">{moment_of(end_ms)}</text>',
    ]
    for place, steps in enumerate(chart.curves.values()):
        points = _points(steps, begin_ms, end_ms, top)
        parts.append(f'<path fill="none" stroke-width="1.5" {_stroke(place)} d="M{points}"/>')
    keys = "".join(
        f'<span class="key"><svg viewBox="0 0 24 8"><path stroke-width="3" {_stroke(place)} d="M0 4H24"/></svg> '
        f"{_text(label)}</span>"
        for place, label in enumerate(chart.curves)
    )
    return f"<figure><h2>{_text(chart.title)}</h2>{''.join(parts)}</svg><figcaption>{keys}</figcaption></figure>"


def _stroke(place: int) -> str:
    dashes = 'stroke-dasharray="4 3"' if place >= len(_COLOURS) else ""
    return f'stroke="{_COLOURS[place % len(_COLOURS)]}" {dashes}'.strip()


def _points(steps: Steps, begin_ms: int, end_ms: int, top: int) -> str:
    """Return a point for each column of the picture: the greatest value that falls into it."""
    columns = _WIDTH - 8 - _LEFT
    times, value, first = [ms for ms, _ in steps], 0, 0
    points = []
    for column in range(columns + 1):
        last = bisect_right(times, begin_ms + (end_ms - begin_ms) * column // columns)
        shown = max([value, *(each for _, each in steps[first:last])])
        value = steps[last - 1][1] if last else 0
        first = last
        points.append(f"{_LEFT + column} {8 + (_HEIGHT - _BOTTOM - 8) * (1 - shown / top):.1f}")
    return "L".join(points)
