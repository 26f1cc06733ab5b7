# SPDX-License-Identifier: Apache-2.0
"""The address of Redis: the one grammar of ROUTER_REDIS_URL, which has no place for a secret.

Only the standard library is imported, as in `router.config`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

#: Scheme -> the port it has by itself.
_PORTS: Final = {"redis": 6379, "rediss": 6379, "redis+sentinel": 26379, "rediss+sentinel": 26379}
_TLS_FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_OPTIONS: Final = ("db", "ssl_ca_certs", "ssl_certfile", "ssl_check_hostname", "ssl_keyfile")
_SHAPES: Final = (
    "must look like redis://HOST:PORT/DB, rediss://HOST:PORT/DB, unix:///PATH "
    "or redis+sentinel://HOST:PORT,HOST:PORT/SERVICE/DB"
)
_USER = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253})(?::([0-9]{1,5}))?")
_DB = re.compile(r"[0-9]{1,5}")
_SERVICE = re.compile(r"[A-Za-z0-9._-]{1,64}")
#: An address of which no part can be a password.
_HARMLESS = re.compile(r"[a-z+]{1,16}://[A-Za-z0-9.-]*(:[0-9]{1,5})?(/[0-9]{0,5})?")


@dataclass(frozen=True)
class RedisUrl:
    """A checked address. *hosts* are the server's, or its sentinels' when they watch a *service*; none: a unix socket.

    *options* are redis-py's own: `ssl_*` by name, absolute paths of files and whether the host's name is checked.
    """

    hosts: tuple[tuple[str, int], ...]
    path: str
    service: str
    user: str
    db: int
    tls: bool
    options: dict[str, str | bool]


def parse(text: str) -> RedisUrl:
    """Read an address.

    Raises:
        ValueError: it has no known shape, holds a password or an unknown option, or options that contradict each other.
    """
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError(_SHAPES) from None
    userinfo, _, authority = parts.netloc.rpartition("@")
    options = _options(parts.query)
    if ":" in unquote(userinfo) or any("pass" in name.lower() for name in options):
        raise ValueError("must not hold a password: put it into a file and name that in ROUTER_REDIS_PASSWORD_FILE")
    if any(not "!" <= c <= "~" for c in text) or parts.fragment:
        raise ValueError(_SHAPES)
    if userinfo and not _USER.fullmatch(userinfo):
        raise ValueError("must have a user of 1 to 64 letters, digits and ._-")
    tls = parts.scheme.startswith("rediss")
    hosts, path, service, db = _place(parts.scheme, authority, unquote(parts.path))
    _refuse_options(options, tls=tls)
    if db and "db" in options:
        raise ValueError("must name the database once")
    checked: dict[str, str | bool] = {name: options[name] for name in _TLS_FILES if name in options}
    if "ssl_check_hostname" in options:
        checked["ssl_check_hostname"] = options["ssl_check_hostname"] == "true"
    return RedisUrl(hosts, path, service, userinfo, int(db or options.get("db", "0")), tls, checked)


def shown(text: str) -> str:
    """Return *text* as an error may show it: hidden where it could hold a password."""
    return repr(text[:64]) if _HARMLESS.fullmatch(text) else "(not shown)"


def _place(scheme: str, authority: str, path: str) -> tuple[tuple[tuple[str, int], ...], str, str, str]:
    """Return hosts, socket path, service and database of an address."""
    if scheme == "unix":
        if authority or not path.startswith("/"):
            raise ValueError(_SHAPES)
        return (), path, "", ""
    if scheme not in _PORTS:
        raise ValueError(_SHAPES)
    found = [_HOST.fullmatch(host) for host in authority.split(",")]
    hosts = tuple((match[1].strip("[]"), int(match[2] or _PORTS[scheme])) for match in found if match)
    names = path.strip("/").split("/")
    service = names.pop(0) if scheme.endswith("+sentinel") else ""
    db = names.pop(0) if names else ""
    usable = all(found) and all(0 < port < 65_536 for _, port in hosts) and not names
    if not usable or (db and not _DB.fullmatch(db)):
        raise ValueError(_SHAPES)
    if scheme.endswith("+sentinel"):
        if not _SERVICE.fullmatch(service):
            raise ValueError("must name the service that the sentinels watch: redis+sentinel://HOST:PORT/SERVICE")
    elif len(hosts) != 1:
        raise ValueError("must name one host; several are sentinels: redis+sentinel://HOST:PORT,HOST:PORT/SERVICE")
    return hosts, "", service, db


def _options(query: str) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    options = dict(pairs)
    if len(options) != len(pairs):
        raise ValueError("must hold each option once")
    return options


def _refuse_options(options: dict[str, str], *, tls: bool) -> None:
    if "ssl_cert_reqs" in options:
        raise ValueError(
            "must not hold ssl_cert_reqs: the server's certificate is always checked, name its CA in ssl_ca_certs"
        )
    if not options.keys() <= set(_OPTIONS):
        raise ValueError(f"must hold no options but {', '.join(_OPTIONS)}")
    if not tls and options.keys() - {"db"}:
        raise ValueError("must begin with rediss:// (or rediss+sentinel://) for ssl_ options to mean anything")
    if any(not options[name].startswith("/") for name in _TLS_FILES if name in options):
        raise ValueError(f"must name {', '.join(_TLS_FILES)} by absolute paths")
    if "ssl_keyfile" in options and "ssl_certfile" not in options:
        raise ValueError("must hold ssl_certfile too: ssl_keyfile is its key")
    if options.get("ssl_check_hostname", "true") not in {"true", "false"}:
        raise ValueError("must say true or false for ssl_check_hostname")
    if not _DB.fullmatch(options.get("db", "0")):
        raise ValueError("must number the database")
