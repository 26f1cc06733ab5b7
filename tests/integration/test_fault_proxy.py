# SPDX-License-Identifier: Apache-2.0
"""The fault proxy does what it says: a fault that never happened proves nothing."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.integration.fault_proxy import Fault, FaultProxy

if TYPE_CHECKING:
    from collections.abc import Iterator

INCR = b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n"
OTHER = b"*2\r\n$4\r\nINCR\r\n$1\r\nm\r\n"
ANSWER = b":1\r\n"


@pytest.fixture
def proxy(redis_server: Any) -> Iterator[FaultProxy]:
    """A proxy before the test's server."""
    proxy = FaultProxy(str(redis_server.socket))
    yield proxy
    proxy.close()


@pytest.fixture
def line(proxy: FaultProxy) -> Iterator[socket.socket]:
    """A bare connection through the proxy, so that nothing sends again what was lost."""
    with socket.create_connection(("127.0.0.1", urlsplit(proxy.url).port or 0), timeout=5) as line:
        yield line


def everything(line: socket.socket) -> bytes:
    """All that still comes until the connection ends in order."""
    return b"".join(iter(lambda: line.recv(100), b""))


def test_without_a_fault_everything_passes(proxy: FaultProxy, line: socket.socket, redis_server: Any) -> None:
    """The proxy is transparent, and a fault for another request stays asked for."""
    proxy.ask(Fault.RESET, b"unheard of")
    line.sendall(INCR)
    assert ANSWER == line.recv(100)
    assert ("1", 0) == (redis_server.client.get("n"), proxy.happened.total())


def test_delay_holds_the_reply_back(proxy: FaultProxy, line: socket.socket) -> None:
    """The reply comes whole, but later; the connection lives on."""
    proxy.ask(Fault.DELAY, delay_s=0.2)
    begun_s = time.monotonic()
    line.sendall(INCR)
    assert ANSWER == line.recv(100)
    assert time.monotonic() - begun_s >= 0.2
    line.sendall(INCR)
    assert b":2\r\n" == line.recv(100)
    assert {Fault.DELAY: 1} == proxy.happened


def test_cut_ends_the_connection_after_the_request_was_done(
    proxy: FaultProxy, line: socket.socket, redis_server: Any
) -> None:
    """Redis has executed it, no byte of the reply arrives."""
    proxy.ask(Fault.CUT, b"INCR")
    line.sendall(INCR)
    assert b"" == everything(line)
    assert ("1", {Fault.CUT: 1}) == (redis_server.client.get("n"), proxy.happened)


def test_truncate_hands_over_half_of_the_reply(proxy: FaultProxy, line: socket.socket, redis_server: Any) -> None:
    """Redis has executed it, the reply ends in the middle."""
    proxy.ask(Fault.TRUNCATE)
    line.sendall(INCR)
    assert ANSWER[:2] == everything(line)
    assert ("1", {Fault.TRUNCATE: 1}) == (redis_server.client.get("n"), proxy.happened)


def test_reset_keeps_the_request_from_redis(proxy: FaultProxy, line: socket.socket, redis_server: Any) -> None:
    """The client gets a reset, and nothing was executed; the request before, which was not meant, was."""
    proxy.ask(Fault.RESET, b"\r\nn\r\n")
    line.sendall(OTHER)
    assert ANSWER == line.recv(100)
    line.sendall(INCR)
    with pytest.raises(ConnectionResetError):
        line.recv(100)
    assert [None, "1"] == redis_server.client.mget("n", "m")
    assert {Fault.RESET: 1} == proxy.happened


def test_a_redis_that_is_down_ends_the_connection(proxy: FaultProxy, redis_server: Any) -> None:
    """The proxy outlives its server, as a network does, and passes on again when it is back."""
    redis_server.stop()
    port = urlsplit(proxy.url).port or 0
    with socket.create_connection(("127.0.0.1", port), timeout=5) as refused:
        assert b"" == everything(refused)
    redis_server.start()
    with socket.create_connection(("127.0.0.1", port), timeout=5) as again:
        again.sendall(INCR)
        assert ANSWER == again.recv(100)
