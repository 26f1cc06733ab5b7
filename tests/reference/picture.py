# SPDX-License-Identifier: Apache-2.0
"""The picture of docs/policy.md: a window that the policy itself chooses from, and the gates in their order."""

from __future__ import annotations

from typing import Final
from xml.sax.saxutils import escape

from router.config import Settings
from router.core.policy import Capacity, Choice, Event, TradingState, decide
from router.core.window import Window
from tests.property.samples import NOW_MS, entry

_SETTINGS: Final = Settings()
_OPEN_ORDERS: Final = 1
#: Seconds since the first candidate, symbol and confidence; one comes before the window and one after it.
_SIGNALS: Final = (
    (-0.6, "ADA", 0.62), (0.0, "BTC", 0.81), (0.2, "ETH", 0.93), (0.4, "SOL", 0.78), (0.6, "XRP", 0.7),
    (0.8, "BNB", 0.86), (1.0, "DOGE", 0.64), (1.2, "ETH", 0.77), (1.5, "LINK", 0.97), (1.9, "LTC", 0.68),
    (2.1, "DOT", 0.79), (2.4, "AVAX", 0.87), (3.3, "UNI", 0.94),
)  # fmt: skip
_GATES: Final = {
    Event.HALTED: ("the desk or we", "have halted?"),
    Event.CAPACITY_UNKNOWN: ("open orders", "not known?"),
    Event.CAPACITY_FULL: ("open + in flight", f"≥ {_SETTINGS.max_open_orders}?"),
    Event.LIMIT_REACHED: ("the hour's", "intents used up?"),
    Event.TARGET_REACHED: ("open + in flight", f"≥ {_SETTINGS.target_open_orders}?"),
    Event.BEST_OF_PUBLISH: ("else", "the best"),
}
_WIDTH, _HEIGHT = 800, 470
_STYLE: Final = """
  .card { fill: #ffffff; stroke: #c8ccd4 } .window { fill: #e8f0fe } .box { fill: #f4f5f7; stroke: #8a909c }
  text { fill: #1c2330; font: 13px system-ui, sans-serif } .faint { fill: #5b6472 } .mark { fill: #0b57d0 }
  .name { font: 600 11px ui-monospace, monospace } .line { stroke: #8a909c; fill: none } .dash { stroke-dasharray: 5 4 }
  .candidate { fill: #ffffff; stroke: #0b57d0; stroke-width: 2 } .chosen { fill: #0b57d0 } .low { fill: #a3a9b5 }
  @media (prefers-color-scheme: dark) {
    .card { fill: #14181f; stroke: #3a414d } .window { fill: #1c2a44 } .box { fill: #20262f; stroke: #7d8695 }
    text { fill: #e6e9ee } .faint { fill: #a6adba } .mark { fill: #8ab4f8 } .line { stroke: #7d8695 }
    .candidate { fill: #14181f; stroke: #8ab4f8 } .chosen { fill: #8ab4f8 } .low { fill: #6c7482 }
  }
"""


def policy() -> str:
    """Return the picture as SVG; readable on a light and on a dark page, since it brings its own ground."""
    title = "A window and the gates that decide what it publishes"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{title}">',
        f"<title>{title}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect class="card" x="0.5" y="0.5" width="{_WIDTH - 1}" height="{_HEIGHT - 1}" rx="8"/>',
        *_window(),
        *_signals(),
        *_gates(),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _x(time_s: float) -> float:
    return round(200 + 150 * time_s, 1)


def _y(confidence: float) -> float:
    return round(70 + (1 - confidence) * 500, 1)


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "middle") -> str:
    return f'<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'


def _window() -> list[str]:
    s = _SETTINGS
    opens, closes, bottom = _x(0), _x(s.window_s), _y(0.58)
    parts = [
        f'<rect class="window" x="{opens}" y="46" width="{closes - opens}" height="{bottom - 46}"/>',
        _text((opens + closes) / 2, 34, f"a window: {s.window_s:g} s (CANDIDATE_WINDOW_SEC) from its first candidate"),
        _text(opens, bottom + 18, "opens", "faint"),
        _text(closes, bottom + 18, "closes and decides", "faint"),
    ]
    for name, least in (("SUPER_CONFIDENCE", s.super_confidence), ("MIN_CONFIDENCE", s.min_confidence)):
        parts += [
            f'<line class="line dash" x1="150" x2="{_WIDTH - 20}" y1="{_y(least)}" y2="{_y(least)}"/>',
            _text(144, _y(least) + 4, f"{least:g}", anchor="end"),
            _text(20, _y(least) - 8, name, "faint name", "start"),
        ]
    return parts


def _signals() -> list[str]:
    chosen = {choice.signal.entry_id: choice for choice in _choices()}
    parts = []
    for number, (time_s, symbol, confidence) in enumerate(_SIGNALS):
        x, y, choice = _x(time_s), _y(confidence), chosen.get(_entry(number)[0].decode())
        kind = "chosen" if choice else "candidate" if confidence >= _SETTINGS.min_confidence else "low"
        parts.append(f'<circle class="{kind}" cx="{x}" cy="{y}" r="{7 if choice else 5}"/>')
        label = f"{symbol} {confidence:g}" + (f": rank {choice.rank}, size × {choice.boost:.2f}" if choice else "")
        parts.append(_text(x + 11, y + 4, label, "mark" if choice else "faint", "start"))
    return parts


def _choices() -> tuple[Choice, ...]:
    window = Window("0-0", _SETTINGS)
    inside = [_entry(n) for n, (time_s, _, _) in enumerate(_SIGNALS) if 0 <= time_s <= _SETTINGS.window_s]
    window.take(inside, NOW_MS, 0.0)
    return decide(window.ranked(), Capacity(TradingState.ACTIVE, _OPEN_ORDERS, 0), _SETTINGS).choices


def _entry(number: int) -> tuple[bytes, list[bytes]]:
    _, symbol, confidence = _SIGNALS[number]
    return entry(number, symbol=symbol, confidence=confidence)


def _gates() -> list[str]:
    s, width, top = _SETTINGS, 118, 345
    words = "at its close, from left to right; the first that says yes is the outcome:"
    parts = [_text(20, top - 14, words, "faint", "start")]
    for number, event in enumerate(Event):
        left = 20 + number * (width + 10.4)
        middle = round(left + width / 2, 1)
        outcome = {
            Event.TARGET_REACHED: f"1, if ≥ {s.super_confidence:g}",
            Event.BEST_OF_PUBLISH: f"up to {s.max_new_per_cycle}",
        }.get(event, "publish 0")
        parts.append(f'<rect class="box" x="{round(left, 1)}" y="{top}" width="{width}" height="52" rx="6"/>')
        parts += [_text(middle, top + 22 + 18 * row, words) for row, words in enumerate(_GATES[event])]
        parts.append(f'<path class="line" d="M{middle} {top + 52} v14 m-4 -5 l4 5 l4 -5"/>')
        parts += [_text(middle, top + 82, event.value, "name"), _text(middle, top + 102, outcome, "faint")]
    return parts
