# SPDX-License-Identifier: Apache-2.0
"""From the bytes of one stream entry to a signal, a rejection or an ignored hold (design: wire contract, policy 1).

Rule: whatever bytes an entry holds, `parse` returns one of its three results and never raises.
"""

from __future__ import annotations

import enum
import math
import re
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

_SYMBOL: Final = re.compile(r"[A-Za-z0-9._:/-]{1,32}")
_NUMBER: Final = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_TRUE: Final = frozenset({"true", "1", "yes"})
_NO_ID: Final = frozenset({"", "0", "null", "none"})
_NO_REGIME: Final = frozenset({"", "unknown", "none"})
#: Characters of a correlation or trace id. Longer ones identify nothing; they only fill Redis.
MAX_ID_LENGTH: Final = 256
#: Sizes in USD that can be an order; beyond, boosting and rounding would give no number or nothing.
MIN_SIZE_USD: Final = 1e-6
MAX_SIZE_USD: Final = 1e12
#: Characters of a number that comes as text; no double needs more.
MAX_NUMBER_LENGTH: Final = 64
#: Characters of the detail that a rejection carries.
MAX_DETAIL_LENGTH: Final = 80

_Confidence = Annotated[float, msgspec.Meta(ge=0, le=1)]
_NotNegative = Annotated[float, msgspec.Meta(ge=0)]
_Identifier = Annotated[str, msgspec.Meta(max_length=MAX_ID_LENGTH)]


class RejectCode(str, enum.Enum):
    """Why an entry is no signal; written to the stream of rejects."""

    PAYLOAD = "payload"
    ENCODING = "encoding"
    SYMBOL = "symbol"
    SIDE = "side"
    CONFIDENCE = "confidence"
    SIZE = "size"
    PRICE = "price"
    IDENTIFIER = "identifier"
    CLOCK = "clock"


class Signal(msgspec.Struct, frozen=True, gc=False):
    """One valid signal. Sizes are US dollars, percentages as the producer wrote them, confidence 0..1."""

    entry_id: str
    symbol: str
    side: str
    confidence: float
    reduce_only: bool
    rl_gate_pass: bool
    regime_known: bool
    dedup_id: str
    trace_id: str | None
    correlation_id: str | None
    position_size_usd: float | None
    quantity: float | None
    leverage: float | None
    entry_price: float | None
    stop_loss: float | None
    take_profit: float | None
    stop_loss_pct: float | None
    take_profit_pct: float | None


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """An entry that is no valid signal, and why. *detail* is printable ASCII of at most 80 characters."""

    entry_id: str
    code: RejectCode
    detail: str


class Ignored(msgspec.Struct, frozen=True, gc=False):
    """A valid entry that asks for nothing: a hold."""

    entry_id: str


class Attributes(msgspec.Struct, gc=False):
    """What an entry says, each attribute of its type; decoding into it checks all of them at once.

    A symbol may still be none, and a side of any case. Absent and null are None.
    """

    symbol: str
    side: Literal["buy", "sell", "hold", "BUY", "SELL", "HOLD"]
    confidence: _Confidence
    position_size_usd: _NotNegative | None = None
    quantity: _NotNegative | None = None
    leverage: _NotNegative | None = None
    entry_price: _NotNegative | None = None
    stop_loss: _NotNegative | None = None
    take_profit: _NotNegative | None = None
    stop_loss_pct: float | None = None
    take_profit_pct: float | None = None
    regime: str | None = None
    rl_gate_pass: bool | None = None
    reduce_only: bool | None = None
    trace_id: _Identifier | None = None
    correlation_id: _Identifier | None = None
    #: Another name of the side, used where there is no `side`; here since a value that is no JSON spoils the payload.
    action: str | None = None


class _InvalidError(Exception):
    def __init__(self, code: RejectCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code


#: Every name that an entry may give an attribute by.
NAMES: Final = Attributes.__struct_fields__
_Raw = msgspec.defstruct("_Raw", [(name, Any, None) for name in NAMES], gc=False)
_decode_raw = msgspec.json.Decoder(_Raw).decode


def parse(entry_id: str, fields: Mapping[bytes, bytes]) -> Signal | Rejected | Ignored:
    """Return what the entry *entry_id* with *fields* asks for; never raises, whatever the bytes."""
    try:
        attributes = _checked(_raw(fields))
    except _InvalidError as error:
        detail = str(error).encode("ascii", "backslashreplace").decode()
        if len(detail) > MAX_DETAIL_LENGTH:
            detail = f"{detail[: MAX_DETAIL_LENGTH - 3]}..."
        return Rejected(entry_id, error.code, detail)
    return Ignored(entry_id) if attributes is None else signal_of(entry_id, attributes)


def signal_of(entry_id: str, attributes: Attributes) -> Signal:
    """Return the signal of valid *attributes* that are no hold."""
    a = attributes
    trace_id, correlation_id = identifier(a.trace_id), identifier(a.correlation_id)
    rl_gate_pass, regime_known = bonuses(a)
    return Signal(
        entry_id=entry_id,
        symbol=a.symbol.upper(),
        side=a.side.upper(),
        confidence=a.confidence,
        reduce_only=bool(a.reduce_only),
        rl_gate_pass=rl_gate_pass,
        regime_known=regime_known,
        dedup_id=correlation_id or trace_id or entry_id,
        trace_id=trace_id,
        correlation_id=correlation_id,
        position_size_usd=a.position_size_usd,
        quantity=a.quantity,
        leverage=a.leverage,
        entry_price=a.entry_price,
        stop_loss=a.stop_loss,
        take_profit=a.take_profit,
        stop_loss_pct=a.stop_loss_pct,
        take_profit_pct=a.take_profit_pct,
    )


def bonuses(attributes: Attributes) -> tuple[bool, bool]:
    """Return whether the signal passed the producer's gate, and whether its market regime is known."""
    regime = attributes.regime
    return bool(attributes.rl_gate_pass), regime is not None and regime_is_known(regime)


def is_symbol(text: str) -> bool:
    """Say whether *text* is 1 to 32 of letters, digits and ._:/- ."""
    return _SYMBOL.fullmatch(text) is not None


def regime_is_known(text: str) -> bool:
    """Say whether *text* names a market regime."""
    return text.strip().lower() not in _NO_REGIME


def identifier(text: str | None) -> str | None:
    """Return *text*, or None when it is a value that does not count as an id."""
    return None if text is None or text.lower() in _NO_ID else text


def size_is_tradeable(position_size_usd: float | None, quantity: float | None) -> bool:
    """Say whether the greater of the two sizes can be an order."""
    return MIN_SIZE_USD <= max(position_size_usd or 0, quantity or 0) <= MAX_SIZE_USD


def _raw(fields: Mapping[bytes, bytes]) -> Any:  # noqa: ANN401 - attributes as they came, of any type
    """Merge payload and flat fields; the payload wins."""
    payload = fields.get(b"payload")
    if payload is None:
        raw: Any = _Raw()
    else:
        try:
            raw = _decode_raw(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _InvalidError(RejectCode.PAYLOAD, f"payload is not a JSON object: {error}") from None
    settled = {"side", "action"} if raw.side is not None or raw.action is not None else set()
    for name in NAMES:
        text = fields.get(name.encode())
        if text is not None and name not in settled and getattr(raw, name) is None:
            try:
                setattr(raw, name, text.decode())
            except UnicodeDecodeError:
                raise _InvalidError(RejectCode.ENCODING, f"{name} is not UTF-8 text") from None
    return raw


def _checked(raw: Any) -> Attributes | None:  # noqa: ANN401 - attributes as they came, of any type
    """Return the attributes as what they should be, None for a hold."""
    symbol = _symbol(raw.symbol)
    side = _side(raw.action if raw.side is None else raw.side)
    if side == "HOLD":
        return None
    confidence = _number(raw.confidence, RejectCode.CONFIDENCE, "confidence")
    if confidence is None or not 0 <= confidence <= 1:
        raise _InvalidError(RejectCode.CONFIDENCE, f"confidence={_shown(raw.confidence)} is not a number from 0 to 1")
    position_size_usd = _not_negative(raw.position_size_usd, RejectCode.SIZE, "position_size_usd")
    quantity = _not_negative(raw.quantity, RejectCode.SIZE, "quantity")
    if not size_is_tradeable(position_size_usd, quantity):
        size_usd = max(position_size_usd or 0, quantity or 0)
        raise _InvalidError(RejectCode.SIZE, f"size {size_usd:g} is not from {MIN_SIZE_USD:g} to {MAX_SIZE_USD:g} USD")
    return Attributes(
        symbol=symbol,
        side=side,
        confidence=confidence,
        position_size_usd=position_size_usd,
        quantity=quantity,
        leverage=_not_negative(raw.leverage, RejectCode.SIZE, "leverage"),
        entry_price=_not_negative(raw.entry_price, RejectCode.PRICE, "entry_price"),
        stop_loss=_not_negative(raw.stop_loss, RejectCode.PRICE, "stop_loss"),
        take_profit=_not_negative(raw.take_profit, RejectCode.PRICE, "take_profit"),
        stop_loss_pct=_number(raw.stop_loss_pct, RejectCode.PRICE, "stop_loss_pct"),
        take_profit_pct=_number(raw.take_profit_pct, RejectCode.PRICE, "take_profit_pct"),
        regime=raw.regime if isinstance(raw.regime, str) else None,
        rl_gate_pass=flag(raw.rl_gate_pass),
        reduce_only=flag(raw.reduce_only),
        trace_id=_identifier(raw.trace_id, "trace_id"),
        correlation_id=_identifier(raw.correlation_id, "correlation_id"),
    )


def _symbol(value: object) -> str:
    if isinstance(value, str) and is_symbol(value):
        return value
    raise _InvalidError(RejectCode.SYMBOL, f"symbol={_shown(value)} is not 1 to 32 of letters, digits and ._:/-")


def _side(value: object) -> Literal["BUY", "SELL", "HOLD"]:
    match value.upper() if isinstance(value, str) else "":
        case "BUY" | "SELL" | "HOLD" as side:
            return side
    raise _InvalidError(RejectCode.SIDE, f"side={_shown(value)} is not buy, sell or hold")


def _number(value: object, code: RejectCode, name: str) -> float | None:
    """Return a finite number, None when absent. Numeric strings are numbers, booleans are not."""
    if value is None:
        return None
    number = math.nan
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
    elif isinstance(value, str) and len(value) <= MAX_NUMBER_LENGTH and _NUMBER.fullmatch(value):
        number = float(value)
    if not math.isfinite(number):
        raise _InvalidError(code, f"{name}={_shown(value)} is not a finite number")
    return number


def _not_negative(value: object, code: RejectCode, name: str) -> float | None:
    number = _number(value, code, name)
    if number is not None and number < 0:
        raise _InvalidError(code, f"{name}={number:g} is negative")
    return number


def flag(value: object) -> bool:
    """Say whether a JSON value means yes, as producers write it: true, 1, "1", "true" or "yes"."""
    if isinstance(value, str):
        return value.lower() in _TRUE
    return value is True or (isinstance(value, (int, float)) and value == 1)


def _shown(value: object) -> str:
    """Return a short text for a message; containers only by their type, for they may be nested without end."""
    if value is None or isinstance(value, (str, float)):
        return repr(value)[:40]
    if isinstance(value, int) and abs(value) < 1 << 64:
        return repr(value)
    return f"({type(value).__name__})"


def _identifier(value: object, name: str) -> str | None:
    """Return a correlation or trace id, None for what cannot be one."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    text = value if isinstance(value, str) else str(value) if abs(value) < 1 << 64 else "x" * (MAX_ID_LENGTH + 1)
    if len(text) > MAX_ID_LENGTH:
        raise _InvalidError(RejectCode.IDENTIFIER, f"{name} has {len(text)} characters, at most {MAX_ID_LENGTH} count")
    return text
