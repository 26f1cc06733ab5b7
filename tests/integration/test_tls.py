# SPDX-License-Identifier: Apache-2.0
"""TLS to a real redis-server with a CA and client certificates of our own: what is trusted, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import Market, RedisServer
from tests.integration.sentinels import free_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.integration.conftest import RouterProcess


#: The options that name the router's own certificate.
OWN = "ssl_certfile={router}&ssl_keyfile={router_key}"


EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class Authority:
    """A certificate authority; certificates are PEM files in *folder*."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self.certificate = folder / f"{name}.pem"
        self._key = folder / f"{name}.key"
        subject = ["-subj", f"/CN={name}", "-keyout", str(self._key), "-out", str(self.certificate)]
        openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", *subject
        )

    def issue(self, name: str, alternative: str) -> tuple[Path, Path]:
        """Return certificate and key for *name*, valid for the subject alternative name *alternative*."""
        key, request, certificate, extension = (self._folder / f"{name}.{end}" for end in ("key", "csr", "pem", "ext"))
        openssl("req", *EC, "-subj", f"/CN={name}", "-keyout", str(key), "-out", str(request))
        extension.write_text(f"subjectAltName={alternative}\n", encoding="utf-8")
        signed_by = ["-CA", str(self.certificate), "-CAkey", str(self._key), "-CAcreateserial", "-days", "2"]
        files = ["-in", str(request), "-out", str(certificate), "-extfile", str(extension)]
        openssl("x509", "-req", *files, *signed_by)
        return certificate, key


def openssl(*words: str) -> None:
    """Run openssl."""
    subprocess.run(["openssl", *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Our CA, a foreign one, certificates for the server and for the router."""
    folder = tmp_path_factory.mktemp("pki")
    ours, foreign = Authority(folder, "ours"), Authority(folder, "foreign")
    server, server_key = ours.issue("server", "IP:127.0.0.1")
    elsewhere, elsewhere_key = ours.issue("elsewhere", "DNS:redis.elsewhere")
    router, router_key = ours.issue("router", "DNS:router")
    return {
        "ca": ours.certificate,
        "foreign": foreign.certificate,
        "server": server,
        "server_key": server_key,
        "elsewhere": elsewhere,
        "elsewhere_key": elsewhere_key,
        "router": router,
        "router_key": router_key,
    }


class TlsServer:
    """A redis-server that speaks TLS to clients with a certificate, once it is started."""

    def __init__(self, folder: Path, pki: dict[str, Path]) -> None:
        self._pki = pki
        self._folder = folder
        self._server: RedisServer | None = None

    def start(self, certificate: str = "server") -> str:
        """Start it with *certificate*; return its address up to the options."""
        (port,) = free_ports(1)
        options = ["--tls-port", str(port), "--tls-auth-clients", "yes", "--tls-ca-cert-file", str(self._pki["ca"])]
        options += ["--tls-cert-file", str(self._pki[certificate])]
        options += ["--tls-key-file", str(self._pki[f"{certificate}_key"])]
        self._server = RedisServer(self._folder, *options)
        self._server.start()
        return f"rediss://127.0.0.1:{port}/0"

    @property
    def market(self) -> Market:
        """The market on this server, over its socket."""
        assert self._server
        return Market(self._server.client)

    def stop(self) -> None:
        """End it."""
        if self._server:
            self._server.stop()


@pytest.fixture
def tls_server(tmp_path_factory: pytest.TempPathFactory, pki: dict[str, Path]) -> Iterator[TlsServer]:
    """A server that is not started yet."""
    server = TlsServer(tmp_path_factory.mktemp("tls"), pki)
    yield server
    server.stop()


def check(url: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run `router check` on *url*; keyword arguments are environment variables."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ROUTER_")}
    command = [sys.executable, "-m", "router", "check"]
    environ = {**inherited, "ROUTER_REDIS_URL": url, **more}
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30, check=False)


def test_the_router_works_over_tls_with_a_certificate_of_its_own(
    tls_server: TlsServer, pki: dict[str, Path], start_router: Callable[..., RouterProcess]
) -> None:
    """Own CA, client certificate, host name checked: a window is published, and `check` has nothing to warn of."""
    url = f"{tls_server.start()}?ssl_ca_certs={pki['ca']}&ssl_certfile={pki['router']}&ssl_keyfile={pki['router_key']}"
    market = tls_server.market
    market.set_open_orders(0)
    assert (0, "") == ((done := check(url)).returncode, done.stderr)
    router = start_router(url=url)
    router.wait_for("ACTIVE")
    market.signal()
    router.wait_for("INTENT_PUBLISHED")


@pytest.mark.parametrize(
    ("certificate", "options", "words"),
    [
        ("server", f"ssl_ca_certs={{foreign}}&{OWN}", "ssl_ca_certs must name the CA"),
        ("server", OWN, "ssl_ca_certs must name the CA"),
        ("server", "ssl_ca_certs={ca}", "may demand a client certificate, name it in ssl_certfile"),
        ("elsewhere", f"ssl_ca_certs={{ca}}&{OWN}", "IP address mismatch"),
    ],
    ids=["foreign CA", "CA of the system", "no client certificate", "other host's certificate"],
)
def test_what_is_not_trusted_is_refused_in_one_line(
    tls_server: TlsServer, pki: dict[str, Path], certificate: str, options: str, words: str
) -> None:
    """Neither side goes on without proof of the other; the line says which proof is missing."""
    done = check(f"{tls_server.start(certificate)}?{options.format(**pki)}")
    assert 69 == done.returncode
    assert 1 == len(done.stderr.splitlines()), done.stderr
    assert words in done.stderr


def test_a_check_of_the_host_s_name_that_is_off_is_warned_of(tls_server: TlsServer, pki: dict[str, Path]) -> None:
    """It may be needed where sentinels name servers by address; any certificate of the CA passes then."""
    files = f"ssl_ca_certs={pki['ca']}&ssl_certfile={pki['router']}&ssl_keyfile={pki['router_key']}"
    done = check(f"{tls_server.start('elsewhere')}?{files}&ssl_check_hostname=false")
    assert 0 == done.returncode, done.stderr
    assert "warning: ssl_check_hostname is false" in done.stderr


@pytest.mark.parametrize("option", ["ssl_ca_certs", "ssl_certfile"])
def test_a_file_that_cannot_be_read_is_named(option: str, tmp_path: Path) -> None:
    """A missing certificate is a matter of settings (78), told before anything is sent."""
    done = check(f"rediss://127.0.0.1:1/0?{option}={tmp_path}/none.pem")
    assert 78 == done.returncode
    assert f"cannot read {tmp_path}/none.pem, which {option} names: No such file or directory" in done.stderr


def test_every_file_that_cannot_be_read_is_named_with_every_bad_setting_at_once(tmp_path: Path) -> None:
    """Who deploys mends all of it in one go."""
    url = f"rediss://127.0.0.1:1/0?ssl_ca_certs={tmp_path}/a&ssl_certfile={tmp_path}/b&ssl_keyfile={tmp_path}/c"
    files = [f"ROUTER_REDIS_URL: cannot read {tmp_path}/{name}, which " for name in "abc"]
    files.append(f"ROUTER_REDIS_PASSWORD_FILE: cannot read {tmp_path}/secret, which ")
    for wrong, first in (({}, []), ({"MAX_OPEN_ORDERS": "x"}, ["MAX_OPEN_ORDERS='x' must be "])):
        done = check(url, ROUTER_REDIS_PASSWORD_FILE=f"{tmp_path}/secret", **wrong)
        lines, expected = done.stderr.splitlines(), [*first, *files]
        assert (78, len(expected)) == (done.returncode, len(lines)), done.stderr
        assert all(line.startswith(start) for line, start in zip(lines, expected, strict=True)), done.stderr


def test_a_file_that_is_no_certificate_is_told_in_one_line(tls_server: TlsServer, tmp_path: Path) -> None:
    """Rubbish in a certificate's file is no traceback."""
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("rubbish", encoding="utf-8")
    done = check(f"{tls_server.start()}?ssl_ca_certs={rubbish}")
    assert 69 == done.returncode
    assert 1 == len(done.stderr.splitlines()), done.stderr


def test_plain_text_to_a_tls_port_is_told_in_one_line(tls_server: TlsServer) -> None:
    """Who forgets the s in rediss:// reads a line, not a traceback."""
    done = check(tls_server.start().replace("rediss://", "redis://"))
    assert 69 == done.returncode
    assert 1 == len(done.stderr.splitlines()), done.stderr
