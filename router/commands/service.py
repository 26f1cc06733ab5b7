# SPDX-License-Identifier: Apache-2.0
"""Commands of the service itself: run it, ask whether it could run, and which one it is."""

from __future__ import annotations

import gc
import json
import os
import platform
import re
import signal
import socket
import sys
from typing import TYPE_CHECKING, NoReturn

import click
import msgspec
import redis

from router import __version__
from router.cli import json_option, of_deployment, printing, redis_of_environment, settings_of_environment
from router.config import Settings
from router.errors import ConfigError, RedisUnavailableError, RouterError
from router.failures import recall, remember
from router.log import open_log
from router.notify import ServiceManager
from router.redis_io.client import password_of
from router.redis_io.keys import catalogue
from router.redis_url import parse
from router.service import AbandonError, Service
from router.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds after SIGTERM in which the service gives its lease back; it has promised to end within one.
PATIENCE_S = 0.6


@click.command()
@click.option("--holder", callback=printing, help="Name of this router in the lease; default: host and process.")
@click.option(
    "--release", default=__version__, show_default=True, callback=printing,
    help="Release id that intents and lease carry.",
)  # fmt: skip
def run(holder: str | None, release: str) -> None:
    """Run the service until SIGTERM."""
    stopping = _stop_on_signals()
    try:
        settings = settings_of_environment()
    except ConfigError as error:
        _fail(_telemetry(Settings()), error)
    telemetry = _telemetry(settings)
    manager = ServiceManager(os.environ)
    name = holder or f"{socket.gethostname()}/pid-{os.getpid()}"
    # What is made from now on lives for one read: to look for cycles in it every 700 objects would be work in vain.
    gc.freeze()
    gc.set_threshold(50_000)
    try:
        if settings.metrics_listen:
            from router.endpoint import serve  # noqa: PLC0415 - who wants no metrics need not wait for their import

            serve(settings, telemetry.tally, release)
        released = Service(settings, name, release, telemetry, manager, stopping).run()
    except RouterError as error:
        _fail(telemetry, error)
    signal.setitimer(signal.ITIMER_REAL, 0)
    manager.stopping()
    telemetry.stopped(released=released)


@click.command()
@json_option
def check(*, as_json: bool) -> None:
    """Check settings, Redis, rights and scripts; has no effect. Warnings do not fail it."""
    from router import check as asked  # noqa: PLC0415 - the service starts quicker without it

    with redis_of_environment(service=True) as (client, settings, keys):
        report = asked.check(client, settings, keys)
    if as_json:
        click.echo(msgspec.json.encode(report))
    for line in report.warnings:
        click.echo(f"warning: {line}", err=True)
    if report.problems:
        raise RedisUnavailableError("\n".join(report.problems))
    if not as_json:
        click.echo(f"ok: settings, Redis {report.redis_version}, rights, scripts")


@click.command()
@click.option("--user", default="", help="Name of the user; default: the one in ROUTER_REDIS_URL, or quantum-router.")
@click.option(
    "--for", "role", type=click.Choice(["service", "deployment"]), default="service", show_default=True,
    help="Who logs in: the service alone, or whoever deploys and operates it.",
)  # fmt: skip
@click.option("--file", "as_file", is_flag=True, help="Print lines of an ACL file instead of commands.")
def acl(user: str, role: str, *, as_file: bool) -> None:
    """Print the Redis user with exactly the rights needed, and `default` off; asks nothing, changes nothing."""
    from router.redis_io.acl import users  # noqa: PLC0415 - the service starts quicker without it
    from router.redis_io.rights import deployment, drilled_service  # noqa: PLC0415

    settings = settings_of_environment()
    settings = settings if role == "service" else of_deployment(settings)
    name = user or parse(settings.redis_url).user or "quantum-router"
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", name):
        raise click.UsageError("--user must be 1 to 64 letters, digits and ._-")
    password = password_of(settings)
    if password is None:
        raise ConfigError(["ROUTER_REDIS_PASSWORD_FILE is not set: name the file with the user's password in it"])
    rights = (drilled_service if role == "service" else deployment)(catalogue(settings), settings)
    for rules in users(name, password, rights):
        click.echo(f"{'user' if as_file else 'ACL SETUSER'} {rules}")


@click.command()
@json_option
def version(*, as_json: bool) -> None:
    """Print the version."""
    facts = {"version": __version__, "python": platform.python_version(), "redis_py": redis.__version__}
    click.echo(json.dumps(facts) if as_json else f"quantum-router {__version__}")


def _telemetry(settings: Settings) -> Telemetry:
    telemetry = Telemetry(open_log(settings.log_format, os.environ), settings, catalogue(settings))
    telemetry.tally.failures = recall(os.environ)
    return telemetry


def _fail(telemetry: Telemetry, error: RouterError) -> NoReturn:
    """End the service with *error*, told in one line and counted."""
    telemetry.failed("; ".join(str(error).splitlines()), error.exit_code)
    remember(os.environ, telemetry.tally.failures)
    sys.exit(error.exit_code)


def _stop_on_signals() -> Callable[[], bool]:
    """Return a function that says whether SIGTERM or SIGINT has come.

    Where nobody asks in time, since Redis hangs, whatever is under way is abandoned: the next router reads it again.
    """
    received: list[int] = []

    def note(number: int, _frame: object) -> None:
        received.append(number)
        signal.setitimer(signal.ITIMER_REAL, PATIENCE_S)

    def abandon(_number: int, _frame: object) -> None:
        raise AbandonError

    signal.signal(signal.SIGALRM, abandon)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, note)
    return lambda: bool(received)
