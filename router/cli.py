# SPDX-License-Identifier: Apache-2.0
"""The command line: data on standard output, messages on standard error, exit codes as in `router.errors`."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

import click
import msgspec
import redis

from router import __version__
from router import check as _check
from router.config import Settings, load
from router.errors import RedisUnavailableError, RouterError
from router.log import open_log
from router.notify import ServiceManager
from router.redis_io.capacity import change_open_orders
from router.redis_io.client import connect
from router.redis_io.keys import Keys, catalogue
from router.service import Service
from router.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

USAGE_EXIT_CODE = 64
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class _Commands(click.Group):
    """A group whose errors are one line and whose exit codes are sysexits'."""

    def main(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - click's own signature
        try:
            return super().main(*args, **{**options, "standalone_mode": False})
        except click.ClickException as error:
            error.show()
            sys.exit(USAGE_EXIT_CODE)
        except click.Abort:
            sys.exit(130)
        except RouterError as error:
            click.echo(error, err=True)
            sys.exit(error.exit_code)
        except (redis.RedisError, OSError) as error:
            click.echo(f"Redis: {' '.join(str(error).split())}", err=True)
            sys.exit(RedisUnavailableError.exit_code)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Publish the best few trading signals per window. Settings come from the environment."""


@main.command()
@click.option("--holder", default="", help="Name of this router in the lease; default: host and process.")
@click.option("--release", default=__version__, show_default=True, help="Release id that intents and lease carry.")
def run(holder: str, release: str) -> None:
    """Run the service until SIGTERM."""
    stopping = _stop_on_signals()
    settings = load(os.environ)
    telemetry = Telemetry(open_log(settings.log_format, os.environ), settings, catalogue(settings))
    manager = ServiceManager(os.environ)
    name = holder or f"{socket.gethostname()}/pid-{os.getpid()}"
    try:
        Service(settings, name, release, telemetry, manager, stopping).run()
    except RouterError as error:
        telemetry.failed(str(error), error.exit_code)
        sys.exit(error.exit_code)
    manager.stopping()
    telemetry.stopped()


@main.command()
@_json_option
def check(*, as_json: bool) -> None:
    """Check settings, Redis, rights and scripts; has no effect. Warnings do not fail it."""
    with _redis() as (client, settings, keys):
        report = _check.check(client, settings, keys)
    if as_json:
        click.echo(msgspec.json.encode(report))
    for line in report.warnings:
        click.echo(f"warning: {line}", err=True)
    if report.problems:
        raise RedisUnavailableError("\n".join(report.problems))
    if not as_json:
        click.echo(f"ok: settings, Redis {report.redis_version}, rights, scripts")


@main.command()
@click.option("--create", is_flag=True, help="Create it as 0 if it is missing.")
@click.option("--force", type=click.IntRange(0, 999_999_999), help="Set it, whatever it is.")
@click.option("--add", type=int, help="Change it by this much, never below 0.")
@_json_option
def capacity(*, create: bool, force: int | None, add: int | None, as_json: bool) -> None:
    """Show the count of open orders, or change it on purpose."""
    if sum((create, force is not None, add is not None)) > 1:
        raise click.UsageError("--create, --force and --add exclude each other: give one of them")
    with _redis() as (client, _settings, keys):
        change = change_open_orders(client, keys, create=create, force=force, add=add)
    text = change.after if change.after == change.before else f"{change.before} -> {change.after}"
    click.echo(msgspec.json.encode(change) if as_json else f"{keys.open_orders}: {text}")


@main.command()
@_json_option
def version(*, as_json: bool) -> None:
    """Print the version."""
    facts = {"version": __version__, "python": platform.python_version(), "redis_py": redis.__version__}
    click.echo(json.dumps(facts) if as_json else f"quantum-router {__version__}")


def _stop_on_signals() -> Callable[[], bool]:
    """Return a function that says whether SIGTERM or SIGINT has come."""
    received: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda n, _frame: received.append(n))
    return lambda: bool(received)


@contextlib.contextmanager
def _redis() -> Iterator[tuple[redis.Redis, Settings, Keys]]:
    """Yield a client, the settings and the keys of this environment."""
    settings = load(os.environ)
    with contextlib.closing(connect(settings)) as client:
        yield client, settings, catalogue(settings)
