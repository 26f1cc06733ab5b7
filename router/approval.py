# SPDX-License-Identifier: Apache-2.0
"""The approval gate: a desk's own service that is asked before an intent is published (design: policy 11).

Rule: whatever the gate does, only a JSON object whose `approved` is true approves a signal, and asking ends in time.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.core.signal import Signal

#: Longest call, name look-up included, and the part of a window that all its calls may take (design: policy 11).
CALL_S: Final = 0.3
WINDOW_PART: Final = 0.5
#: An answer longer than this is none.
MAX_ANSWER_BYTES: Final = 4096


class _Answer(msgspec.Struct):
    approved: bool


_decode = msgspec.json.Decoder(_Answer).decode


class Gate:
    """Asks *url*; *between* is called before each question, for the lease runs on."""

    def __init__(self, url: str, window_s: float, between: Callable[[], None]) -> None:
        parts = urlsplit(url)
        self._host, self._port, self._path = parts.hostname or "", parts.port or 80, parts.path or "/"
        self._budget_s = window_s * WINDOW_PART
        self._between = between
        self._look_up = _LookUp(self._host, self._port)
        self.next_window()

    def next_window(self) -> None:
        """Forget the answers, and have half a window's time again."""
        #: Why signals were denied -> the signals, in the order of asking.
        self.denials: dict[str, list[Signal]] = {}
        self._refusals: dict[tuple[str, str, float], str] = {}
        self._ends_s: float | None = None

    def approve(self, signal: Signal) -> bool:
        """Say whether *signal* may be published; one answer a window for the same symbol, side and confidence."""
        question = signal.symbol, signal.side, signal.confidence
        if question not in self._refusals:
            self._between()
            now_s = time.monotonic()
            if self._ends_s is None:
                self._ends_s = now_s + self._budget_s
            deadline_s = min(now_s + CALL_S, self._ends_s)
            refusal = self._refusal(question, deadline_s) if now_s < deadline_s else "no time left in this window"
            self._refusals[question] = refusal
            if refusal:
                self.denials.setdefault(refusal, []).append(signal)
        return not self._refusals[question]

    def _refusal(self, question: tuple[str, str, float], deadline_s: float) -> str:
        """Ask; return why the answer is no, empty when it is yes."""
        body = msgspec.json.encode(dict(zip(("symbol", "direction", "confidence"), question, strict=True)))
        connection = http.client.HTTPConnection(self._host, self._port)
        try:
            with contextlib.closing(connection):
                connection.sock = _connect(self._look_up.address(deadline_s), deadline_s)
                connection.request("POST", self._path, body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                answer = response.read(MAX_ANSWER_BYTES + 1)
        except TimeoutError:
            return "no answer in time"
        except (OSError, http.client.HTTPException, ValueError) as error:
            return f"no answer: {type(error).__name__}"
        if response.status != http.client.OK:
            return f"status {response.status}"
        try:
            return "" if len(answer) <= MAX_ANSWER_BYTES and _decode(answer).approved else "not approved"
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return "not a JSON object with approved"


class _LookUp:
    """The gate's address. Looking up a name has no time-out of its own, so a thread does it, one at a time."""

    def __init__(self, host: str, port: int) -> None:
        self._name = host, port
        self._found: list[Any] = []
        self._thread: threading.Thread | None = None

    def address(self, deadline_s: float) -> Any:  # noqa: ANN401 - what getaddrinfo gives and a socket takes
        """Return a fresh address; raise TimeoutError when there is none by *deadline_s*, OSError when there is none."""
        if self._thread is None or not self._thread.is_alive():
            self._found = []
            self._thread = threading.Thread(target=self._ask, args=(self._found,), daemon=True)
            self._thread.start()
        self._thread.join(deadline_s - time.monotonic())
        if self._thread.is_alive():
            raise TimeoutError
        if not self._found:
            raise OSError("no such host")
        return self._found[0]

    def _ask(self, found: list[Any]) -> None:
        with contextlib.suppress(OSError, UnicodeError):
            found.extend(socket.getaddrinfo(*self._name, type=socket.SOCK_STREAM))


class _Socket(socket.socket):
    """A socket all of whose steps end at one moment: a server that drips bytes would outlast a time-out per step."""

    deadline_s: float

    def bound(self) -> None:
        """Let the next step take no longer than what is left."""
        left_s = self.deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        self.settimeout(left_s)

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:  # noqa: ANN401 - as socket has it
        """Receive within what is left."""
        self.bound()
        return super().recv_into(buffer, nbytes, flags)

    def sendall(self, data: Any, flags: int = 0) -> None:  # noqa: ANN401 - as socket has it
        """Send within what is left."""
        self.bound()
        super().sendall(data, flags)


def _connect(address: Any, deadline_s: float) -> _Socket:  # noqa: ANN401 - what getaddrinfo gives
    family, kind, protocol, _, place = address
    connected = _Socket(family, kind, protocol)
    connected.deadline_s = deadline_s
    try:
        connected.bound()
        connected.connect(place)
    except BaseException:
        connected.close()
        raise
    return connected
