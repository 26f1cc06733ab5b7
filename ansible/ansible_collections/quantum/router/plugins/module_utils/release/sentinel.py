# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which server is the master, as its sentinels say."""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace
from urllib.parse import urlsplit

from .errors import ReleaseError
from .resp import Link, parse_url

PORT = 26379
"""Where a sentinel listens unless its address says otherwise."""


def resolve(url: str, password: str) -> str:
    """The address of the master when *url* names sentinels, which may want a password; any other as it is.

    Raises ReleaseError, with what each sentinel said, when none of them names a master.
    """
    scheme, found, _rest = url.partition("+sentinel://")
    if not found:
        return url
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ReleaseError(f"router_redis_url is no Redis address: {error}") from None
    user, at, places = parts.netloc.rpartition("@")
    service, _slash, database = parts.path.strip("/").partition("/")
    said = []
    for place in places.split(","):
        try:
            host, port = _ask(f"{scheme}://{place}?{parts.query}", service, password)
        except ReleaseError as error:
            said.append(str(error))
        else:
            where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            return f"{scheme}://{user}{at}{where}/{database}?{parts.query}"
    raise ReleaseError(
        f"no sentinel names the master ({'; '.join(said)}): correct router_redis_url or router_sentinel_password"
    )


def _ask(url: str, service: str, password: str) -> tuple[str, str]:
    """Host and port of the master that one sentinel names."""
    try:
        address = parse_url(url, password)
        port = address.port if re.search(r":[0-9]+$", urlsplit(url).netloc) else PORT
    except ValueError as error:
        raise ReleaseError(f"{url} is no address: {error}") from None
    where = f"{address.host}:{port}"
    with contextlib.closing(Link(replace(address, port=port, where=where))) as link:
        answer = link.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service)
    if not answer:
        raise ReleaseError(f"the sentinel at {where} watches no {service!r}")
    return answer[0], answer[1]
