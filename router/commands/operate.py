# SPDX-License-Identifier: Apache-2.0
"""Commands of the people who operate the router."""

from __future__ import annotations

import click
import msgspec

from router.cli import json_option, redis_of_environment
from router.redis_io.capacity import change_open_orders


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
