# SPDX-License-Identifier: Apache-2.0
"""Changing the count of open orders on purpose: a deployment's business, never the service's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from router.redis_io.scripts import register

if TYPE_CHECKING:
    import redis

    from router.redis_io.keys import Keys


class Change(msgspec.Struct, frozen=True):
    """The count of open orders before and after, as Redis holds it; None: the key was missing."""

    before: str | None
    after: str | None
    created: bool


def change_open_orders(
    client: redis.Redis, keys: Keys, *, create: bool, force: int | None, add: int | None, token: str = ""
) -> Change:
    """Create the count as 0 if it is missing, force it, add to it, or (none of these) only read it.

    What is added under a *token* is added once, however often it is asked for.
    """
    key = keys.open_orders
    if force is not None:
        before = client.set(key, force, get=True)
        return Change(_text(before), str(force), created=before is None)
    if add is not None:
        before, after = register(client, "add_open_orders")(keys=[key, keys.settled], args=[add, token])
        return Change(_text(before), _text(after), created=before is None)
    created = bool(create and client.set(key, 0, nx=True))
    now = _text(client.get(key))
    return Change(None if created else now, now, created)


def _text(value: object) -> str | None:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else None
