# SPDX-License-Identifier: Apache-2.0
"""The approval gate on real sockets: only a clear yes in time passes, and nothing else lets anything through."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from router.approval import CALL_S, Gate
from router.core.signal import Rejected, parse
from tests.integration.approval_gate import GateServer, running_gate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from router.core.signal import Signal

    Start = Callable[..., Any]

YES = '{"approved": true}'


def a_signal(confidence: float = 0.9, symbol: str = "BTCUSDT") -> Signal:
    """A valid signal."""
    fields = {"symbol": symbol, "side": "buy", "confidence": str(confidence), "quantity": "100"}
    signal = parse("1-1", {name.encode(): value.encode() for name, value in fields.items()})
    assert not isinstance(signal, Rejected)
    return signal  # type: ignore[return-value]  # it is no hold


@pytest.fixture
def gate_server() -> Iterator[GateServer]:
    """A gate that approves all."""
    with running_gate() as gate:
        yield gate


#: Far longer than a call may take, and than a busy machine adds to it.
HANG_S = 3.0


@contextlib.contextmanager
def rude_server(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve one connection with *talk*, which may break every rule of HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError):
                connection, _ = listening.accept()
                with connection:
                    while not connection.recv(65_536).endswith(b"}"):
                        pass
                    talk(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join(5)


def ask(url: str) -> tuple[bool, str]:
    """Ask a new gate once; the answer, and the reason of a denial."""
    gate = Gate(url, 3.0, lambda: None)
    return gate.approve(a_signal()), next(iter(gate.denials), "")


def test_the_gate_is_told_symbol_direction_and_confidence(gate_server: GateServer) -> None:
    """What is asked is what would be published."""
    assert (True, "") == ask(gate_server.url)
    assert [{"symbol": "BTCUSDT", "direction": "BUY", "confidence": 0.9}] == gate_server.questions


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (200, '{"approved": false}', "not approved"),
        (200, '{"approved": 1}', "not a JSON object with approved"),
        (200, '{"approved": "true"}', "not a JSON object with approved"),
        (200, '{"approved": null}', "not a JSON object with approved"),
        (200, '[{"approved": true}]', "not a JSON object with approved"),
        (200, "{}", "not a JSON object with approved"),
        (200, "true", "not a JSON object with approved"),
        (200, "", "not a JSON object with approved"),
        (200, '{"approved": true', "not a JSON object with approved"),
        (200, '{"x": ' + "[" * 4000, "not a JSON object with approved"),
        (200, YES + " " * 5000, "not approved"),
        (201, YES, "status 201"),
        (307, YES, "status 307"),
        (500, YES, "status 500"),
    ],
)
def test_whatever_is_no_clear_yes_denies(gate_server: GateServer, status: int, body: str, reason: str) -> None:
    """Only status 200 with an object whose approved is exactly true passes; no redirect is followed."""
    gate_server.answer = lambda _question: (status, body)
    assert (False, reason) == ask(gate_server.url)
    assert 1 == len(gate_server.questions)


def drip(connection: socket.socket) -> None:
    """Send a good answer, one byte each 50 ms."""
    for byte in f"HTTP/1.1 200 OK\r\nContent-Length: {len(YES)}\r\n\r\n{YES}".encode():
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def continue_for_ever(connection: socket.socket) -> None:
    """Send interim answers without end."""
    while True:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


@pytest.mark.parametrize(
    ("talk", "reason"),
    [
        (lambda _connection: time.sleep(HANG_S), "no answer in time"),
        (drip, "no answer in time"),
        (continue_for_ever, "no answer in time"),
        (lambda _connection: None, "no answer: "),
        (lambda connection: connection.sendall(b"\xff" * 100_000), "no answer"),
        (lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 1000), "no answer"),
        (lambda c: c.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), "no answer"),
        (lambda c: c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"), "not a JSON object"),
    ],
)  # fmt: skip
def test_a_gate_that_breaks_the_protocol_denies_in_time(talk: Callable[[socket.socket], None], reason: str) -> None:
    """Silence, a byte now and then, and garbage: each is a denial within the time of a call."""
    with rude_server(talk) as url:
        began_s = time.monotonic()
        approved, why = ask(url)
        assert time.monotonic() - began_s < HANG_S
    assert not approved
    assert why.startswith(reason)


def test_a_gate_that_nobody_serves_denies() -> None:
    """A refused connection is a denial."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert (False, "no answer: ConnectionRefusedError") == ask(f"http://127.0.0.1:{port}")


def test_a_name_that_cannot_be_looked_up_in_time_denies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look-up counts as part of the call, and hanging ones do not pile up."""
    begun = []

    def hang(*_name: object, **_options: object) -> list[object]:
        begun.append(1)
        time.sleep(HANG_S)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    gate = Gate("http://gate.example", 3.0, lambda: None)
    began_s = time.monotonic()
    assert not gate.approve(a_signal(0.9))
    assert not gate.approve(a_signal(0.8))
    assert 2 * CALL_S <= time.monotonic() - began_s < HANG_S
    assert [1] == begun


def test_answers_are_kept_for_the_window_and_asking_ends_with_half_of_it(gate_server: GateServer) -> None:
    """The same question is asked once; what there is no time left for is denied; the next window asks anew."""
    renewals = []
    gate = Gate(gate_server.url, 2.0, lambda: renewals.append(1))
    assert gate.approve(a_signal(0.9))
    assert gate.approve(a_signal(0.9))
    assert gate.approve(a_signal(0.8))
    assert 2 == len(gate_server.questions) == len(renewals)
    time.sleep(1)
    assert not gate.approve(a_signal(0.85))
    assert ["no time left in this window"] == list(gate.denials)
    gate.next_window()
    assert gate.approve(a_signal(0.9))
    assert 3 == len(gate_server.questions)


def test_the_next_best_takes_the_place_of_what_the_gate_denies(
    start_router: Start, market: Any, gate_server: GateServer
) -> None:
    """Rank and boost go to those that are approved; reduce-only signals are not asked for."""
    gate_server.answer = lambda q: (200, YES if q["symbol"] != "S12USDT" else '{"approved": false}')
    router = start_router(ROUTER_STRATEGY_URL=gate_server.url)
    router.wait_for("ACTIVE")
    market.signal("EXIT", 0.9, reduce_only=True)
    market.burst()
    router.wait_for("BEST_OF_PUBLISH", scope="window")
    market.audit()
    assert [("EXIT", None), ("S11USDT", 1), ("S10USDT", 2)] == [(i["symbol"], i.get("rank")) for i in market.intents]
    assert 1 == router.wait_for("APPROVAL_DENIED", REASON="not approved")["COUNT"]
    assert ["S12USDT", "S11USDT", "S10USDT"] == [question["symbol"] for question in gate_server.questions]


def test_a_gate_that_hangs_costs_half_a_window_and_neither_the_lease_nor_an_intent(
    start_router: Start, market: Any, gate_server: GateServer
) -> None:
    """With every answer late nothing is published and the router goes on; once it answers, the next window is."""
    answers = threading.Event()

    def answer_late(_question: object) -> tuple[int, str]:
        answers.wait(1)
        return 200, YES

    gate_server.answer = answer_late
    router = start_router(ROUTER_STRATEGY_URL=gate_server.url, CANDIDATE_WINDOW_SEC="2", ROUTER_LEASE_TTL_SEC="0.5")
    router.wait_for("ACTIVE")
    market.burst()
    assert 0 == router.wait_for("BEST_OF_PUBLISH", scope="window")["COUNT"]
    assert not market.intents
    reasons = {event["REASON"] for event in router.events("APPROVAL_DENIED")}
    assert {"no answer in time", "no time left in this window"} == reasons
    answers.set()
    market.burst()
    router.wait_for("BEST_OF_PUBLISH", COUNT=2)
    market.audit()
    assert not router.events("FAILED")
