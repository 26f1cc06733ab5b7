# SPDX-License-Identifier: Apache-2.0
"""Commands of the people who operate the router."""

from __future__ import annotations

import os
import pwd
import socket
import sys
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import click
import msgspec

from router.cli import json_option, printing, redis_of_environment
from router.core.policy import TradingState
from router.errors import RedisUnavailableError, one_line
from router.moment import moment
from router.printable import printable
from router.proof.reconcile import compare
from router.redis_io import halt as halting
from router.redis_io.capacity import change_open_orders
from router.redis_io.client import redis_time_ms
from router.status import lines, look

if TYPE_CHECKING:
    from router.status import Status

#: Seconds between two looks of `status --watch`.
WATCH_S = 1.0


@click.command()
@click.option("--reason", required=True, callback=printing, help="Why, for whoever finds the router halted.")
@json_option
def halt(*, reason: str, as_json: bool) -> None:
    """Publish nothing from now on, whatever the router does, until `router resume`."""
    with redis_of_environment() as (client, settings, keys):
        new, held = halting.halt(client, settings, keys, reason, _person())
    text = f"{keys.halt}: {'halted' if new else 'halted already'} {_shown(held)}"
    _tell({"new": new, "key": keys.halt, **msgspec.to_builtins(held)}, text, as_json)


@click.command()
@json_option
def resume(*, as_json: bool) -> None:
    """End our own halt, by whom it ever was. The desk's kill switch is left alone."""
    with redis_of_environment() as (client, settings, keys):
        ended, state = halting.resume(client, settings, keys, _person())
    if state is not TradingState.ACTIVE:
        allowed = "only reduce-only signals pass" if state is TradingState.REDUCE else "nothing is published"
        click.echo(f"warning: {keys.kill} says {state.value}, so {allowed} until the desk changes it", err=True)
    facts = {"resumed": ended is not None, "state": state.value, "halt": msgspec.to_builtins(ended)}
    _tell(facts, "was not halted" if ended is None else f"resumed; was halted {_shown(ended)}", as_json)


def _tell(facts: dict[str, Any], text: str, as_json: bool) -> None:  # noqa: FBT001 - as the option is named
    click.echo(msgspec.json.encode(facts) if as_json else text)


def _shown(held: halting.Halt) -> str:
    since = "" if held.when_ms is None else f" since {datetime.fromtimestamp(held.when_ms / 1000, timezone.utc):%FT%TZ}"
    return f"by {printable(held.who)}{since}: {printable(held.reason)}"


def _person() -> str:
    """Return who runs this command, as user@host: the one behind sudo, if it was used."""
    try:
        user = os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = f"uid-{os.getuid()}"
    return f"{user}@{socket.gethostname()}"


@click.command()
@click.option("--create", is_flag=True, help="Create it as 0 if it is missing.")
@click.option("--force", type=click.IntRange(0, 999_999_999), help="Set it, whatever it is.")
@click.option("--add", type=int, help="Change it by this much, never below 0.")
@click.option("--token", callback=printing, help="With --add: a name under which it is added only once.")
@json_option
def capacity(*, create: bool, force: int | None, add: int | None, token: str | None, as_json: bool) -> None:
    """Show the count of open orders, or change it on purpose."""
    if sum((create, force is not None, add is not None)) > 1:
        raise click.UsageError("--create, --force and --add exclude each other: give one of them")
    if token and add is None:
        raise click.UsageError("--token has no effect without --add")
    # Without a token adding twice would be worse than an error.
    retries = 2 if token else 0
    with redis_of_environment(retries) as (client, _settings, keys):
        change = change_open_orders(client, keys, create=create, force=force, add=add, token=token or "")
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
    if watch:
        _watch(as_json=as_json)
        return
    seen = _look()
    click.echo(msgspec.json.encode(seen) if as_json else "\n".join(lines(seen)))
    sys.exit(0 if seen.routing else 1)


def _look() -> Status:
    with redis_of_environment() as (client, settings, keys):
        return look(client, settings, keys)


def _watch(*, as_json: bool) -> None:
    """Show the status each second, Redis away or not, until Ctrl-C or until nobody reads it any more.

    Each look connects anew, so that after a failover it is at the new master.
    """
    redraw = "\x1b[H\x1b[2J" if sys.stdout.isatty() and not as_json else ""
    try:
        while True:
            try:
                seen = _look()
                text = msgspec.json.encode(seen).decode() if as_json else "\n".join(lines(seen)) + "\n"
            except RedisUnavailableError as error:
                problem = one_line(error)
                text = msgspec.json.encode({"problem": problem}).decode() if as_json else f"state     {problem}\n"
            click.echo(redraw + text)
            time.sleep(WATCH_S)
    except KeyboardInterrupt:
        return
    except BrokenPipeError:  # what is still buffered has no reader: it must not be an error at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.command()
@click.option("--since", required=True, help="Begin: RFC 3339, milliseconds since 1970, or 10m (ago; s, m, h, d).")
@click.option("--until", default="0s", help="End, in the same forms; default: now.")
@json_option
def reconcile(since: str, until: str, *, as_json: bool) -> None:
    """Compare signals, audit and intents: exit 0 equal, 1 different, 2 not to be compared. Needs ROUTER_AUDIT_MAX."""
    with redis_of_environment() as (client, settings, keys):
        now_ms = redis_time_ms(client)
        since_ms, until_ms = (moment(name, text, now_ms) for name, text in (("since", since), ("until", until)))
        if since_ms > until_ms:
            raise click.UsageError(f"--since {since} is after --until {until}")
        found = compare(client, settings, keys, (since_ms, until_ms), now_ms)
    counts = msgspec.to_builtins(found.counts)
    if as_json:
        described = {"compared": found.compared, "different": found.different, "differences": found.differences}
        click.echo(msgspec.json.encode({**described, "counts": counts}))
    else:
        click.echo(" ".join(f"{name}={n}" for name, n in counts.items()))
        click.echo("".join(f"difference: {printable(line, 500)}\n" for line in found.differences), nl=False)
        if found.different > len(found.differences):
            click.echo(f"and {found.different - len(found.differences)} more differences")
    if not found.compared:
        click.echo("nothing could be compared: the range is not audited any more, or never was", err=True)
    sys.exit(2 if not found.compared else 1 if found.different else 0)
