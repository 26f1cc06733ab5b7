# SPDX-License-Identifier: Apache-2.0
"""Metrics, health and readiness: every name documented, and no client that gets in the way."""

from __future__ import annotations

import contextlib
import http.client
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from router import endpoint, errors
from router.config import Settings
from router.endpoint import serve, unhealthy, unready
from router.errors import ConfigError
from router.failures import EXIT_CODES, recall, remember
from router.tally import Role, Tally
from router.telemetry import LINES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SETTINGS = Settings(lease_ttl_s=1, window_s=2)


@pytest.fixture
def port() -> int:
    """A port of the loopback that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def tally(port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tally]:
    """A tally, served on *port* to clients that get half a second each."""
    monkeypatch.setattr(endpoint, "PATIENCE_S", 0.5)
    tally = Tally(LINES)
    server = serve(Settings(metrics_listen=f"127.0.0.1:{port}"), tally, 'r"1\n')
    yield tally
    server.shutdown()
    server.server_close()


def ask(port: int, path: str = "/metrics", method: str = "GET") -> tuple[int, str]:
    """Return status and body of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(connection):
        connection.request(method, path)
        reply = connection.getresponse()
        return reply.status, reply.read().decode()


@pytest.mark.usefixtures("tally")
def test_every_label_set_is_there_from_the_start(port: int) -> None:
    """A counter that has not counted yet is 0, not absent: the first event of a kind is an increase too."""
    status, text = ask(port)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    events = {s.labels["event"] for s in families["quantum_router_log_events"].samples}
    assert 200 == status
    assert set(LINES) == events
    assert {0.0} == {
        s.value for f in families.values() if f.type == "counter" and "cpu" not in f.name for s in f.samples
    }
    (build,) = families["quantum_router_build_info"].samples
    assert 'r"1\n' == build.labels["release"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/metrics/../etc/passwd", 404),
        ("GET", "/metrics?x=1", 200),
        ("HEAD", "/healthz", 200),
        ("POST", "/metrics", 501),
        ("BREW", "/metrics", 501),
        ("GET", "/" + "x" * 70_000, 414),
    ],
)
@pytest.mark.usefixtures("tally")
def test_only_known_pages_are_served_and_only_to_be_read(port: int, method: str, path: str, status: int) -> None:
    """Anything else gets its status, and none of its own words back."""
    found, body = ask(port, path, method)
    assert status == found
    assert "BREW" not in body
    assert "passwd" not in body


@pytest.mark.usefixtures("tally")
def test_clients_that_dawdle_are_cut_off_and_too_many_turned_away(port: int) -> None:
    """Eight at once; who says nothing, or a letter at a time, is gone after the time of all."""
    with contextlib.ExitStack() as stack:
        idle = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), 5)) for _ in range(endpoint.MAX_CLIENTS)
        ]
        idle[0].sendall(b"GET /metr")
        time.sleep(0.1)
        extra = stack.enter_context(socket.create_connection(("127.0.0.1", port), 5))
        assert b"" == extra.recv(100)
        assert {b""} == {client.recv(100) for client in idle}
    assert 200 == ask(port)[0]


@pytest.mark.usefixtures("tally")
def test_a_port_that_is_taken_is_one_line_that_names_it(port: int) -> None:
    """A person frees the port or names another; systemd does not try again."""
    with pytest.raises(ConfigError) as refused:
        serve(Settings(metrics_listen=f"127.0.0.1:{port}"), Tally(LINES), "r")
    expected = f"ROUTER_METRICS_LISTEN='127.0.0.1:{port}' cannot listen there: Address already in use"
    assert [f"{expected}; free the port or name another"] == refused.value.problems


def test_health_ends_two_lease_times_and_a_window_after_the_last_turn() -> None:
    """By then a standby would have taken over: a loop that is silent for longer hangs."""
    tally = Tally(LINES)
    assert "" == unhealthy(tally, SETTINGS, tally.turned_s + 3.9)
    assert "the work loop has not turned for 4.1 s" == unhealthy(tally, SETTINGS, tally.turned_s + 4.1)


@pytest.mark.parametrize(
    ("role", "problem"),
    [
        (Role.STARTING, "starting"),
        (Role.CUT_OFF, "cut off: Redis cannot be used, trying again"),
        (Role.ACTIVE, ""),
        (Role.STANDBY, ""),
    ],
)
def test_ready_is_who_routes_or_stands_by(role: Role, problem: str) -> None:
    """One line says why not; one that hangs is not ready either."""
    tally = Tally(LINES)
    tally.role = role
    assert problem == unready(tally, SETTINGS, tally.turned_s)
    assert unready(tally, SETTINGS, tally.turned_s + 60)


def test_the_loopback_may_be_given_by_its_name(port: int) -> None:
    """A name that the settings accept can be listened on."""
    server = serve(Settings(metrics_listen=f"localhost:{port}"), Tally(LINES), "r")
    server.shutdown()
    server.server_close()


def test_failures_are_kept_for_the_next_process(tmp_path: Path) -> None:
    """In the folder that systemd keeps over restarts; without one, or with rubbish in it, counting begins at 0."""
    environ = {"RUNTIME_DIRECTORY": str(tmp_path)}
    none = dict.fromkeys(EXIT_CODES, 0)
    assert none == recall(environ) == recall({})
    remember(environ, none | {"75": 2})
    assert none | {"75": 2} == recall(environ)
    for rubbish in (b'{"75": "x"}', b'{"\xff": 1}', b"", b"\xff"):
        (tmp_path / "failures.json").write_bytes(rubbish)
        assert none == recall(environ)
    remember({"RUNTIME_DIRECTORY": str(tmp_path / "gone")}, none)


def test_every_exit_code_of_the_errors_that_end_the_service_is_counted() -> None:
    """Whatever has been imported: a label must be there from the start."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.RouterError)]
    assert set(EXIT_CODES) == {str(kind.exit_code) for kind in kinds if kind is not errors.RouterError}


def test_who_wants_no_metrics_does_not_pay_for_them() -> None:
    """The service starts without importing the library."""
    program = (
        "import sys, router.commands.service; print('prometheus_client' in sys.modules, 'http.server' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "False False" == done.stdout.strip()
