# SPDX-License-Identifier: Apache-2.0
"""ACL users with the router's rights, and rights that are missing, each named with the rule that would allow it."""

from __future__ import annotations

import contextlib
import hashlib
import re
from typing import TYPE_CHECKING

import msgspec
import redis

from router.errors import RedisUnavailableError, one_line
from router.redis_io.rights import Right, rules
from router.redis_io.scripts import register
from router.redis_url import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.config import Settings

#: A refusal by Redis: of a command, of one within a script, and by a commit that asked before it wrote.
_REFUSAL = re.compile(r"NOPERM|no permissions|The user executing the script|no right to")
_COMMAND = re.compile(r"the '([a-z|]+)' command|no right to ([A-Z]+)")


def users(name: str, password: str, rights: list[Right]) -> list[str]:
    """Return the two users as `ACL SETUSER` takes them: *name* with exactly *rights*, and `default` off.

    The password stands there only as its SHA-256, which is how Redis keeps it.
    """
    digest = hashlib.sha256(password.encode()).hexdigest()
    return [f"{name} reset on #{digest} {rules(rights)}", "default off"]


def missing(client: redis.Redis, settings: Settings, rights: list[Right]) -> list[str]:
    """Return a line for each of *rights* that the user of *client* lacks; nothing is executed.

    Raises:
        redis.RedisError: the server does not even answer that.
    """
    asked = msgspec.msgpack.encode([right.words for right in rights])
    return [_line(settings, rights[place - 1]) for place in register(client, "allowed")(args=[asked])]


@contextlib.contextmanager
def naming_rights(client: redis.Redis, settings: Settings, rights: list[Right]) -> Iterator[None]:
    """Turn a refusal by Redis within the block into those of *rights* that are missing.

    Raises:
        RedisUnavailableError: with a line for each of them.
    """
    try:
        yield
    except (redis.ResponseError, RedisUnavailableError) as error:
        if not _REFUSAL.search(str(error)):
            raise
        raise RedisUnavailableError("\n".join(_named(client, settings, rights, one_line(error)))) from None


def _named(client: redis.Redis, settings: Settings, rights: list[Right], refusal: str) -> list[str]:
    if match := _COMMAND.search(refusal):
        named = (match[1] or match[2]).lower()
        rights = [right for right in rights if named in {right.command, right.words[0].lower()}]
    try:
        lines = missing(client, settings, rights)
    except redis.RedisError:  # the refused command is what asking takes
        lines = [_line(settings, right) for right in rights if match]
        lines += ["more may be missing: `router acl` prints all that the user needs"] if lines else []
    return list(dict.fromkeys(lines)) or [f"{refusal}: `router acl` prints what the user needs"]


def _line(settings: Settings, right: Right) -> str:
    user = parse(settings.redis_url).user or "default"
    return f"the user {user!r} may not {right}: ACL SETUSER {user} {rules([right])}"
