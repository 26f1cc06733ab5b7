# SPDX-License-Identifier: Apache-2.0
"""Commands of the people who operate the router."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import click
import msgspec
import redis

from router.cli import json_option, redis_of_environment
from router.errors import one_line
from router.redis_io.capacity import change_open_orders
from router.status import lines, look

if TYPE_CHECKING:
    from router.config import Settings
    from router.redis_io.keys import Keys

#: Seconds between two looks of `status --watch`.
WATCH_S = 1.0


@click.command()
@click.option("--create", is_flag=True, help="Create it as 0 if it is missing.")
@click.option("--force", type=click.IntRange(0, 999_999_999), help="Set it, whatever it is.")
@click.option("--add", type=int, help="Change it by this much, never below 0.")
@json_option
def capacity(*, create: bool, force: int | None, add: int | None, as_json: bool) -> None:
    """Show the count of open orders, or change it on purpose."""
    if sum((create, force is not None, add is not None)) > 1:
        raise click.UsageError("--create, --force and --add exclude each other: give one of them")
    with redis_of_environment(retries=0) as (client, _settings, keys):  # adding twice would be worse than an error
        change = change_open_orders(client, keys, create=create, force=force, add=add)
    text = change.after if change.after == change.before else f"{change.before} -> {change.after}"
    click.echo(msgspec.json.encode(change) if as_json else f"{keys.open_orders}: {text}")


@click.command()
@click.option("--watch", is_flag=True, help="Show it anew each second until Ctrl-C.")
@json_option
def status(*, watch: bool, as_json: bool) -> None:
    """Show what the router is doing.

    Exit 0 when signals are routed; 1 when nothing that opens an order is: halted, reduce-only, capacity unknown, or no
    router holds the lease; 69 when Redis cannot be asked. With --watch always 0.
    """
    with redis_of_environment() as (client, settings, keys):
        if watch:
            _watch(client, settings, keys, as_json=as_json)
        else:
            seen = look(client, settings, keys)
            click.echo(msgspec.json.encode(seen) if as_json else "\n".join(lines(seen)))
            sys.exit(0 if seen.routing else 1)


def _watch(client: redis.Redis, settings: Settings, keys: Keys, *, as_json: bool) -> None:
    """Show the status each second, Redis away or not, until Ctrl-C or until nobody reads it any more."""
    redraw = "\x1b[H\x1b[2J" if sys.stdout.isatty() and not as_json else ""
    try:
        while True:
            try:
                seen = look(client, settings, keys)
                text = msgspec.json.encode(seen).decode() if as_json else "\n".join(lines(seen)) + "\n"
            except redis.RedisError as error:
                problem = f"Redis: {one_line(error)}"
                text = msgspec.json.encode({"problem": problem}).decode() if as_json else f"state     {problem}\n"
            click.echo(redraw + text)
            time.sleep(WATCH_S)
    except KeyboardInterrupt:
        return
    except BrokenPipeError:  # what is still buffered has no reader: it must not be an error at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
