# SPDX-License-Identifier: Apache-2.0
"""Fuzz what comes from the stream: `python -m tests.property.fuzz CASES SEED`, or `make fuzz`.

Whatever bytes an entry holds: parsing gives a result, a window gives it one outcome, sieve and rule agree on it, and
what may be published is an intent of valid JSON with finite numbers.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any

from router.config import Settings
from router.core.intent import chosen_intent, reduce_only_intent
from router.core.policy import Choice
from router.core.signal import MAX_DETAIL_LENGTH, NAMES, Ignored, Rejected, Signal, parse
from router.core.window import Window

if TYPE_CHECKING:
    from router.core.window import Entry

NOW_MS = 1_700_000_000_000
#: Entries that a window is given at once.
BATCH = 100
GOOD = {
    "symbol": "BTCUSDT", "side": "buy", "confidence": 0.8, "position_size_usd": 100, "leverage": 3, "entry_price": 5e4,
    "stop_loss_pct": 1.5, "regime": "bull", "rl_gate_pass": True, "trace_id": "t", "correlation_id": "c",
}  # fmt: skip
#: JSON values, some of them none, that have broken parsers or are near a limit of ours.
TOKENS = [
    "null", "true", "false", "0", "-0", "-0.0", "1", "-1", "0.75", "0.9", "1.0000000001", "1e-6", "9e-7", "2e12",
    "1e308", "1.8e308", "1e999", "-1e999", "1e-400", "NaN", "Infinity", "18446744073709551616", "1" + "0" * 400, "[]",
    "{}", "[[]]", '{"a": {"b": []}}', '""', '" "', '"0"', '"none"', '"NULL"', '"unknown"', '"buy"', '"SELL"', '"Hold"',
    '"hold"', '"long"', '"1e3"', '"0x1f"', '" 1"', '"1_000"', '"٣"', '"ﬀ"', '"ß"', '"true"', '"Yes"', '"\\u0000"',
    '"\\ud800"', '"\\ud83d\\ude00"', '"\\n"', '"<b>"', '"A\\"B"', '"' + "x" * 32 + '"', '"' + "x" * 33 + '"',
    '"' + "y" * 256 + '"', '"' + "y" * 257 + '"', "1.", ".5", "+1", "01", "'a'", "undefined", "",
]  # fmt: skip
ALIKE = Settings()
AUDITED = Settings(audit_max=BATCH)


def mutated(random: Random, text: bytes) -> bytes:
    """Return *text* with up to four bytes or pieces changed, doubled, moved or cut off."""
    for _ in range(random.randint(1, 4)):
        at, length = random.randint(0, len(text)), random.randint(0, 8)
        piece = random.choice(
            [b"", random.randbytes(length), text[at : at + length], b'"', b"{", b"\\", b"\xff", b"\0"]
        )
        text = text[:at] + piece + text[at + random.randint(0, length) :]
    return text[: random.randint(0, len(text))] if random.randrange(8) == 0 else text


def document(random: Random) -> bytes:
    """Return a payload: a good one with odd values, absent, doubled and unknown names."""
    good = {**GOOD, "confidence": random.choice([0.5, 0.75, 0.8, 0.95])}
    pairs = [(name, json.dumps(value)) for name, value in good.items() if random.randrange(40)]
    for _ in range(random.choice([0, 0, 1, 1, 2])):
        pairs.insert(random.randint(0, len(pairs)), (random.choice([*NAMES, "other"]), random.choice(TOKENS)))
    return ("{" + ", ".join(f'"{name}": {value}' for name, value in pairs) + "}").encode()


def case(random: Random) -> list[bytes]:
    """Return the names and values, in turn, of one entry."""
    flat: dict[bytes, bytes] = {}
    kind = random.randrange(8)
    if kind:
        text = document(random)
        flat[b"payload"] = text if kind < 4 else mutated(random, text) if kind < 7 else random.randbytes(40)
    for _ in range(random.choice([0, 0, 1, 2, 12]) if kind else 12):
        name = random.choice(NAMES)
        value = str(GOOD.get(name, "")) if random.randrange(3) else random.choice(TOKENS).strip('"')
        flat[name.encode()] = mutated(random, value.encode()) if not random.randrange(3) else value.encode()
    names = list(flat)
    if not random.randrange(4):
        random.shuffle(names)
    return [text for name in names for text in (name, flat[name])]


def check(cases: list[list[bytes]]) -> Counter[str]:
    """Assert the promise for *cases* as entries read at once; return how many there were of each result."""
    entries: list[Entry] = [(f"{NOW_MS}-{i}".encode(), flat) for i, flat in enumerate(cases)]
    results = [parse(i.decode(), dict(zip(flat[::2], flat[1::2], strict=True))) for i, flat in entries]
    quick, slow = Window("0-0", ALIKE), Window("0-0", AUDITED)
    exits = quick.take(entries, NOW_MS, 0.0)
    assert exits == slow.take(entries, NOW_MS, 0.0)
    assert (quick.outcomes, quick.rejects, quick.candidates) == (slow.outcomes, slow.rejects, slow.candidates)
    assert len(entries) == quick.passed == quick.outcomes.total() + len(quick.candidates) + len(exits)
    for result in results:
        assert isinstance(result, (Signal, Rejected, Ignored))
        if isinstance(result, Rejected):
            assert result.detail.isprintable()
            assert result.detail.isascii()
            assert len(result.detail) <= MAX_DETAIL_LENGTH
        if isinstance(result, Signal):
            check_intents(result)
    return Counter(type(result).__name__ for result in results)


def passes(alone: list[bytes]) -> bool:
    """Say whether one case passes."""
    try:
        check([alone])
    except Exception:  # noqa: BLE001 - any one is a failure
        return False
    return True


def check_intents(signal: Signal) -> None:
    """Assert that the intents of *signal* are JSON objects with finite numbers and what execution needs."""
    chosen = chosen_intent(Choice(signal, 1), NOW_MS, "release", None)
    for text in (chosen, reduce_only_intent(signal, NOW_MS, "release")):
        intent: dict[str, Any] = json.loads(text, parse_constant=float)
        assert all(math.isfinite(value) for value in intent.values() if isinstance(value, float))
        assert intent["side"] in {"BUY", "SELL"}
        assert 0 <= intent["confidence"] <= 1
        assert max(intent.get("position_size_usd", 0), intent.get("quantity", 0)) > 0
        assert isinstance(intent["reduce_only"], bool)


def main(number: int, seed: int) -> None:
    """Check *number* cases, and say how many there were of each result."""
    random, results, begun_s = Random(seed), Counter[str](), time.monotonic()
    while results.total() < number:
        cases = [case(random) for _ in range(min(BATCH, number - results.total()))]
        try:
            results += check(cases)
        except Exception:
            wrong = [alone for alone in cases if not passes(alone)]
            sys.stderr.write(f"seed {seed}, wrong alone: {wrong!r:.4000}\n")
            raise
    shown = ", ".join(f"{count} {name}" for name, count in results.most_common())
    sys.stdout.write(f"{results.total()} cases in {time.monotonic() - begun_s:.0f} s, seed {seed}: {shown}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
