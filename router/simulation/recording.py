# SPDX-License-Identifier: Apache-2.0
"""Recorded signals: out of the live stream, by pages and reading only, or a file with a JSON object a line.

A line is `{"id": "1764177600000-0", "fields": {"payload": "{...}"}}`: an entry of the stream as Redis has it, in the
order of the ids. Bytes that are no UTF-8 stand there as Python's surrogate escapes.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from router.core.entry_id import order
from router.errors import RouterError
from router.printable import printable
from router.proof.streams import Pages

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import redis

    from router.core.window import Entry
    from router.redis_io.keys import Keys

#: As much of a time as a timestamp can say.
_ID: Final = re.compile(r"[0-9]{1,14}-[0-9]{1,20}")


class RecordingError(RouterError):
    """The file is no recording."""

    exit_code = 64


def of_stream(client: redis.Redis, keys: Keys, since_ms: int, until_ms: int) -> list[Entry]:
    """Return the entries whose ids lie between *since_ms* and *until_ms*, both included."""
    pages = Pages(client, keys.signals, since_ms).until(until_ms)
    return [(entry_id.encode(), [text for pair in fields.items() for text in pair]) for entry_id, fields in pages]


def as_lines(entries: Iterable[Entry]) -> Iterable[str]:
    """Return *entries* as lines of a file."""
    for entry_id, flat in entries:
        texts = [text.decode("utf-8", "surrogateescape") for text in flat]
        yield json.dumps({"id": entry_id.decode(), "fields": dict(zip(texts[::2], texts[1::2], strict=True))}) + "\n"


def of_lines(lines: Iterable[bytes], name: str) -> list[Entry]:
    """Return the entries of the file *name* with *lines*.

    Raises:
        RecordingError: naming the first line that is no entry, or whose id is not above the one before.
    """
    entries: list[Entry] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = _entry(json.loads(line))
        except (ValueError, RecursionError):
            shown = printable(line[:60].decode("utf-8", "replace").strip())
            raise RecordingError(
                f'{name} line {number}: {shown} is no entry: write {{"id": "MS-SEQ", "fields": {{"payload": "..."}}}}'
            ) from None
        _check_order(entries, entry, f"{name} line {number}")
        entries.append(entry)
    return entries


def _entry(found: Any) -> Entry:  # noqa: ANN401 - whatever the line holds
    if not isinstance(found, dict) or found.keys() != {"id", "fields"} or not isinstance(found["fields"], dict):
        raise ValueError
    texts = [text for pair in found["fields"].items() for text in pair]
    if not all(isinstance(text, str) for text in (found["id"], *texts)) or not _ID.fullmatch(found["id"]):
        raise ValueError
    return found["id"].encode(), [text.encode("utf-8", "surrogateescape") for text in texts]


def _check_order(before: Sequence[Entry], entry: Entry, where: str) -> None:
    if before and order(entry[0].decode()) <= order(before[-1][0].decode()):
        raise RecordingError(
            f"{where}: id {entry[0].decode()} is not after {before[-1][0].decode()} of the line before: sort by id"
        )
