# SPDX-License-Identifier: Apache-2.0
"""Looking at a host: systemd's answers, Redis, and what the host is."""

from __future__ import annotations

import socket
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.quantum.router.plugins.module_utils.release import (
    preflight,
    redis_probe,
    resp,
    sentinel,
    systemctl,
)
from ansible_collections.quantum.router.plugins.module_utils.release.errors import ReleaseError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ansible_collections.quantum.router.plugins.module_utils.release.host import Host


class Redis(threading.Thread):
    """A server on loopback that gives the same answers, one a command, and remembers what it was sent."""

    def __init__(self, answers: list[bytes]) -> None:
        super().__init__(daemon=True)
        self.answers = answers
        self.heard = b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.start()

    def run(self) -> None:
        """Serve one connection."""
        connection, _address = self.listener.accept()
        with connection:
            for answer in self.answers:
                self.heard += connection.recv(65536)
                connection.sendall(answer)


@pytest.fixture
def redis() -> Iterator[Callable[..., Redis]]:
    """Start servers, and close their doors afterwards."""
    servers: list[Redis] = []

    def _start(*answers: bytes) -> Redis:
        servers.append(Redis(list(answers)))
        return servers[-1]

    yield _start
    for server in servers:
        server.listener.close()
        server.join(5)


def info(version: str) -> bytes:
    """The answer to INFO."""
    text = f"# Server\r\nredis_version:{version}\r\nredis_mode:standalone\r\nrun_id:c0ffee\r\n".encode()
    return b"$%d\r\n%s\r\n" % (len(text), text)


def test_good_redis_is_no_problem(redis: Callable[..., Redis]) -> None:
    """A Redis 7 that lets us in is reachable and says which one it is, and the password goes only to it."""
    server = redis(b"+OK\r\n", b"+PONG\r\n", info("7.0.15"))
    found = redis_probe.probe(f"redis://{server.url}/0", "s3cret")
    assert redis_probe.Probe(reachable=True, version="7.0.15", run_id="c0ffee") == found
    assert b"*2\r\n$4\r\nAUTH\r\n$6\r\ns3cret\r\n" in server.heard


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (
            [b"+OK\r\n", b"+PONG\r\n", info("6.2.14")],
            "Redis 6.2.14 at {} is too old: 7.0 or newer is needed, upgrade it first",
        ),
        ([b"-WRONGPASS invalid username-password pair\r\n"], "Redis at {} refuses the password (WRONGPASS"),
        ([b"-ERR invalid password\r\n"], "Redis at {} refuses the password (ERR invalid password)"),
        ([b"+OK\r\n", b"-LOADING Redis is loading\r\n"], "Redis at {} is not ready (LOADING Redis is loading)"),
        ([b"+OK\r\n", b"-NOPERM no\r\n"], "Redis at {} asks for a user or password that may do this"),
        ([b"+OK\r\n", b"+PONG\r\n", b"-NOPERM no\r\n"], "Redis at {} does not tell its version: allow the user INFO"),
        ([b"+OK\r\n", b"HTTP/1.1 400 Bad Request\r\n"], "{} is no Redis"),
        ([b"+OK\r\n"], "Redis at {} can't be reached ("),
    ],
)
def test_bad_redis_is_one_line_without_the_password(
    redis: Callable[..., Redis], answers: list[bytes], said: str
) -> None:
    """Whatever is wrong with Redis is one line that names its address, and never the password."""
    server = redis(*answers)
    problem = redis_probe.probe(f"redis://user:s3cret@{server.url}/0").problem
    assert problem.startswith(said.format(server.url))
    assert "s3cret" not in problem
    assert "\n" not in problem


def test_password_that_redis_does_not_know_of_is_refused(redis: Callable[..., Redis]) -> None:
    """A password on a server without one would fail each time the deployer uses it: better said at once."""
    server = redis(b"-ERR AUTH <password> called without any password configured for the default user\r\n")
    problem = redis_probe.probe(f"redis://{server.url}", "x").problem
    assert "has no password: leave router_redis_password empty" in problem


def test_missing_password_is_told(redis: Callable[..., Redis]) -> None:
    """A server that wants a password names the setting to set."""
    found = redis_probe.probe(f"redis://{redis(b'-NOAUTH Authentication required.' + bytes([13, 10])).url}")
    assert "NOAUTH Authentication required." == found.auth_error
    assert found.problem.endswith("set router_redis_password")


@pytest.mark.parametrize("url", ["http://x", "redis://x:notaport", "unix://", "x"])
def test_wrong_address_is_one_line(url: str) -> None:
    """What is no Redis address is told before anything is connected to."""
    assert redis_probe.probe(url).problem.startswith("router_redis_url is no Redis address: ")


@pytest.mark.parametrize("url", ["redis://[::1]:1/0", "unix:///run/redis.sock", "http://x", ""])
def test_only_sentinels_are_asked_for_a_master(url: str) -> None:
    """Any other address is what it is, right or wrong."""
    assert url == sentinel.resolve(url, "s3cret")


@pytest.mark.parametrize("url", ["redis+sentinel://[::1/x", "redis+sentinel://h:port/x", "http+sentinel://h/x"])
def test_an_address_of_sentinels_that_is_none_is_one_line(url: str) -> None:
    """What cannot be asked is told with the variable to correct."""
    with pytest.raises(ReleaseError, match="router_redis_url") as refused:
        sentinel.resolve(url, "s3cret")
    assert "s3cret" not in str(refused.value)


def test_address_forms() -> None:
    """TCP, TLS and socket addresses are read with user, password and options."""
    tls = resp.parse_url("rediss://me:p%40ss@[::1]:7000/1?ssl_check_hostname=false")
    assert ("[::1]:7000".replace("[", "").replace("]", ""), True) == (tls.where, tls.tls)
    assert ("me", "p@ss", {"ssl_check_hostname": "false"}) == (tls.user, tls.password, tls.options)
    unix = resp.parse_url("unix:///run/redis.sock?db=1", "word")
    assert ("/run/redis.sock", "/run/redis.sock", "word") == (unix.path, unix.where, unix.password)
    assert "localhost:6379" == resp.parse_url("redis://").where


PYTHON: dict[str, Any] = {
    "version": "3.11.2",
    "executable": "/usr/bin/python3",
    "tag": "cp311",
    "implementation": "CPython",
    "bits": 64,
    "libc": "glibc",
    "venv": True,
}
GOOD_HOST: dict[str, Any] = {
    "python": PYTHON,
    "machine": "x86_64",
    "os": {"system": "Linux", "id": "debian", "version": "12"},
    "systemd": {"running": True, "version": 252},
    "root": True,
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, []),
        ({"os": {"system": "FreeBSD"}}, ["the host runs FreeBSD"]),
        ({"machine": "riscv64"}, ["machine riscv64 is not supported"]),
        ({"python": {**PYTHON, "libc": ""}}, ["Python /usr/bin/python3 is CPython of 64 bits on another libc"]),
        ({"python": {**PYTHON, "implementation": "PyPy"}}, ["Python /usr/bin/python3 is PyPy of 64 bits on glibc"]),
        ({"python": {**PYTHON, "bits": 32}}, ["Python /usr/bin/python3 is CPython of 32 bits on glibc"]),
        ({"root": False}, ["router_info does not run as root"]),
        ({"systemd": {"running": False, "version": 0}}, ["systemd does not run this host"]),
        ({"systemd": {"running": True, "version": 239}}, ["systemd 239 is too old: 247 or newer is needed"]),
        (
            {"python": {**PYTHON, "version": "3.9.18"}},
            ["Python 3.9.18 (/usr/bin/python3) is too old: 3.10"],
        ),
        ({"python": {**PYTHON, "venv": False}}, ["Python /usr/bin/python3 has no venv module"]),
        (
            {"python": {**PYTHON, "executable": "/root/py/bin/python3"}},
            ["Python /root/py/bin/python3 lies in a home"],
        ),
    ],
)
def test_unfit_host_is_told(change: dict[str, Any], said: list[str]) -> None:
    """Each thing that the router can't live with is one line, and a good host has none."""
    lines = preflight.problems({**GOOD_HOST, **change}, "3.10")
    assert len(said) == len(lines)
    assert all(line.startswith(start) for line, start in zip(lines, said, strict=True))


#: What distributions bring, by Python, systemd and what is said of them; only the first two were run.
DISTRIBUTIONS = {
    "Debian 12": ("3.11.2", 252, ""),
    "Debian 13": ("3.13.5", 257, ""),
    "Ubuntu 22.04": ("3.10.12", 249, ""),
    "Ubuntu 24.04": ("3.12.3", 255, ""),
    "RHEL 9": ("3.9.21", 252, "Python 3.9.21 (/usr/bin/python3) is too old: 3.10 or newer is needed, install one "),
    "RHEL 9, python3.12": ("3.12.9", 252, ""),
    "Debian 11": ("3.9.2", 247, "Python 3.9.2 (/usr/bin/python3) is too old: 3.10 or newer is needed, install one "),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_each_distribution_is_told_what_it_lacks(name: str) -> None:
    """One line at most, by the Python and the systemd that it brings."""
    version, systemd, said = DISTRIBUTIONS[name]
    brings = {"python": {**PYTHON, "version": version}, "systemd": {"running": True, "version": systemd}}
    lines = preflight.problems({**GOOD_HOST, **brings}, "3.10")
    assert [said] * bool(said) == [line[: len(said)] for line in lines]


def test_description_of_this_machine(host: Host) -> None:
    """What is found out about a host has what the judgement needs."""
    host.layout.at("/etc/os-release").write_text('ID=debian\nVERSION_ID="12"\n')
    described = preflight.describe(host)
    assert GOOD_HOST.keys() == described.keys()
    assert ("debian", "12") == (described["os"]["id"], described["os"]["version"])
    assert not described["systemd"]["running"]


def test_systemds_answer_is_read() -> None:
    """Several commands, files that may be missing and drop-ins are taken apart; unknown numbers are 0."""
    facts = systemctl.parse(
        "ExecStartPre={ path=/bin/true ; argv[]=/bin/true ; ignore_errors=no ; pid=0 }\n"
        "ExecStart={ path=/bin/sh ; argv[]=/bin/sh /srv/a b.sh ; ignore_errors=no ; pid=0 }\n"
        "EnvironmentFiles=/etc/a (ignore_errors=yes)\nEnvironmentFiles=/etc/b (ignore_errors=no)\n"
        "DropInPaths=/etc/x.conf /run/y.conf\nMainPID=[not set]\nExecMainCode=2\nExecMainStatus=9\n"
        "WorkingDirectory=!/srv\n"
    )
    assert ("/bin/true", "/bin/sh /srv/a b.sh") == facts.commands
    assert ("/etc/a", "/etc/b") == facts.environment_files
    assert ("/etc/x.conf", "/run/y.conf") == facts.drop_ins
    assert (0, "signal 9", "/srv") == (facts.main_pid, facts.ended, facts.working_directory)


def test_command_that_is_missing_or_slow_is_no_exception(host: Host) -> None:
    """What a command does is in its answer, also when there is none."""
    real = replace(host, run=systemctl.run).run
    assert 127 == real(("/no/such/command",), 5).code
    assert systemctl.TIMED_OUT == real(("sleep", "5"), 0.05).code
    assert (3, "x\n") == real(("sh", "-c", "echo $X; exit 3"), 5, {"X": "x"})[:2]
