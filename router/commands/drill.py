# SPDX-License-Identifier: Apache-2.0
"""The drill of a release, as a deployment runs it and a person may."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from router.cli import json_option, printing, redis_of_environment
from router.errors import RouterError
from router.proof.drill import keys as drill_keys
from router.proof.drill.run import Drilled
from router.proof.drill.run import drill as _drill
from router.proof.drill.transient import TransientUnit, clear_command


class DrillError(RouterError):
    """The release failed its drill."""


def _deployment(_context: click.Context, _option: click.Parameter, value: str) -> str:
    if drill_keys.DEPLOYMENT.fullmatch(value):
        return value
    raise click.BadParameter("must be 1 to 64 letters, digits and ._-")


@click.command()
@click.option("--deployment", required=True, callback=_deployment, help="Name of the drill: its keys and unit bear it.")
@click.option("--release", callback=printing, help="Id of the release.")
@click.option("--release-dir", type=click.Path(path_type=Path), help="Its folder.")
@click.option("--record", type=click.Path(path_type=Path), help="File for the result, besides standard output.")
@click.option("--clear", is_flag=True, help="Only remove what this drill has left in Redis.")
@json_option
def drill(
    *, deployment: str, release: str | None, release_dir: Path | None, record: Path | None, clear: bool, as_json: bool
) -> None:
    """Put a release through the capacity states on this host's Redis, without touching a live key. Run as root.

    It runs as a transient unit with its own unit's sandbox, user and settings behind a key prefix of its own; a window
    for each of at most five states. Exit 0 when it did what the policy says, 1 when it did not: the last line says what
    was expected and what was seen.
    """
    if clear:
        with redis_of_environment() as (client, _settings, _keys):
            drill_keys.clear(client, deployment)
        return
    if release is None or release_dir is None:
        raise click.UsageError("--release and --release-dir are needed")
    credentials = os.environ.get("CREDENTIALS_DIRECTORY", "")
    unit = TransientUnit(deployment, release, release_dir, clear_command(deployment, credentials))
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)  # by way of what clears up
    with redis_of_environment() as (client, settings, _keys):
        done = _drill(client, settings, release, deployment, unit)
    tell(done, record, as_json=as_json)


def _leave(number: int, _frame: object) -> None:
    sys.exit(128 + number)


def tell(done: Drilled, record: Path | None, *, as_json: bool) -> None:
    """Print the result, keep it where it is wanted, and raise DrillError when the release failed."""
    text = msgspec.json.format(msgspec.json.encode(done), indent=2)
    if record is not None:
        record.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        record.write_bytes(text + b"\n")
    if as_json:
        click.echo(text)
    else:
        for each in done.states:
            facts: dict[str, Any] = {"open_orders": "missing" if each.open_orders is None else each.open_orders}
            facts |= {"signals": each.signals, "intents": each.seen, "seconds": each.seconds}
            click.echo(" ".join([f"{'ok' if each.problem is None else 'FAILED':6} {each.event}", *_pairs(facts)]))
    if done.problem:
        raise DrillError(done.problem)
    if not as_json:
        click.echo(f"passed=true release={done.release} states={len(done.states)} seconds={done.seconds:g}")


def _pairs(facts: dict[str, Any]) -> list[str]:
    return [f"{name}={value}" for name, value in facts.items()]
