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
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec
import redis

from router import __version__
from router import check as _check
from router.config import Settings, load
from router.errors import RedisUnavailableError, RouterError
from router.log import open_log
from router.notify import ServiceManager
from router.proof.criteria import Status, Thresholds
from router.proof.evidence import AnySnapshot, Snapshot, Soaked, decode
from router.proof.host import Host, release_in
from router.proof.judge import judge as _judge
from router.proof.snapshot import WINDOW_S, take
from router.proof.soak import Watch, prove
from router.redis_io.capacity import change_open_orders
from router.redis_io.client import connect
from router.redis_io.keys import Keys, catalogue
from router.service import AbandonError, Service
from router.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

USAGE_EXIT_CODE = 64
#: Seconds after SIGTERM in which the service gives its lease back; it has promised to end within one.
PATIENCE_S = 0.6
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_unit_option = click.option("--unit", required=True, help="The systemd unit of the router.")
VERDICT_EXIT_CODES = {Status.PASSED: 0, Status.FAILED: 1, Status.INCONCLUSIVE: 2}
_Command = TypeVar("_Command", bound="Callable[..., Any]")


def _limit_options(command: _Command) -> _Command:
    """Add the thresholds that a deployment may set."""
    defaults = Thresholds()
    part = click.FloatRange(0, 1)
    least = click.option("--reduction-min", type=part, default=defaults.reduction_min, show_default=True)
    proven = click.option("--reduction-proven", type=part, default=defaults.reduction_proven, show_default=True)
    return least(proven(command))


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
        except redis.RedisError as error:
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
        released = Service(settings, name, release, telemetry, manager, stopping).run()
    except RouterError as error:
        telemetry.failed(str(error), error.exit_code)
        sys.exit(error.exit_code)
    signal.setitimer(signal.ITIMER_REAL, 0)
    manager.stopping()
    telemetry.stopped(released=released)


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
    with _redis(retries=0) as (client, _settings, keys):  # adding twice would be worse than an error
        change = change_open_orders(client, keys, create=create, force=force, add=add)
    text = change.after if change.after == change.before else f"{change.before} -> {change.after}"
    click.echo(msgspec.json.encode(change) if as_json else f"{keys.open_orders}: {text}")


@main.command()
@_unit_option
@click.option("--since-ms", type=click.IntRange(0), help="Count from this time of the host's clock on.")
@click.option(
    "--window-s", type=click.FloatRange(1, 86_400), default=WINDOW_S, show_default=True, help="Or look this far back."
)
@_json_option
def snapshot(unit: str, since_ms: int | None, window_s: float, *, as_json: bool) -> None:
    """Measure the router that runs as a unit: signals, intents, capacity, service. Run as root."""
    with _redis() as (client, settings, keys):
        taken = take(client, settings, keys, unit, Host(), window_s=window_s, since_ms=since_ms)
    _show(msgspec.to_builtins(taken), as_json=as_json)


@main.command()
@_unit_option
@click.option("--release", required=True, help="Id of the release that must be running.")
@click.option("--release-dir", required=True, type=click.Path(path_type=Path), help="Its folder.")
@click.option("--since-ms", required=True, type=click.IntRange(0), help="When it was activated, by the host's clock.")
@click.option("--before", required=True, type=click.Path(path_type=Path), help="Snapshot of the router before it.")
@click.option("--min-s", required=True, type=click.FloatRange(0), help="A pass needs at least this long.")
@click.option("--max-s", required=True, type=click.FloatRange(0), help="Give up then.")
@_limit_options
def soak(
    unit: str, release: str, release_dir: Path, since_ms: int, before: Path, min_s: float, max_s: float, **limits: float
) -> None:
    """Watch a release until its verdict is certain; print what was seen, as JSON. Run as root."""
    baseline = _evidence(before, Snapshot)
    with _redis() as (client, settings, keys):
        watch = Watch(client, settings, keys, unit, Host(), release_in(release_dir, release), since_ms)
        done = prove(watch, baseline, (min_s, max_s), Thresholds(**limits))
    click.echo(msgspec.json.encode(done))


@main.command()
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@_limit_options
@_json_option
def judge(before: Path, after: Path, *, as_json: bool, **limits: float) -> None:
    """Judge the deployment between two snapshots: exit 0 pass, 1 fail, 2 inconclusive."""
    verdict = _judge(_evidence(before, Snapshot), _evidence(after, Soaked), Thresholds(**limits))
    if as_json:
        click.echo(msgspec.json.encode(verdict))
    else:
        for criterion in verdict.criteria:
            click.echo(f"{criterion.status.value:13} {criterion.name}: {criterion.detail}")
        for line in verdict.advice:
            click.echo(line)
        click.echo(f"verdict={verdict.verdict.value} intents/signals {verdict.line_counts}")
    sys.exit(VERDICT_EXIT_CODES[verdict.verdict])


@main.command()
@_json_option
def version(*, as_json: bool) -> None:
    """Print the version."""
    facts = {"version": __version__, "python": platform.python_version(), "redis_py": redis.__version__}
    click.echo(json.dumps(facts) if as_json else f"quantum-router {__version__}")


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


def _evidence(path: Path, kind: type[AnySnapshot]) -> AnySnapshot:
    """Read a snapshot from *path*; a soak's output holds it under `after`."""
    try:
        document = path.read_bytes()
    except OSError as error:
        raise click.UsageError(f"cannot read {path}: {error.strerror}") from None
    return decode(document, kind, str(path))


def _show(facts: dict[str, Any], *, as_json: bool) -> None:
    """Print *facts* as JSON, or a line each."""
    if as_json:
        click.echo(msgspec.json.encode(facts))
    else:
        click.echo("\n".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in facts.items()))


@contextlib.contextmanager
def _redis(retries: int = 2) -> Iterator[tuple[redis.Redis, Settings, Keys]]:
    """Yield a client, the settings and the keys of this environment."""
    settings = load(os.environ)
    with contextlib.closing(connect(settings, retries)) as client:
        yield client, settings, catalogue(settings)
