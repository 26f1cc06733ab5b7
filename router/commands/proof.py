# SPDX-License-Identifier: Apache-2.0
"""Commands of a deployment: measure the router, watch a new release, judge it."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from router.cli import json_option, redis_of_environment
from router.proof.criteria import CRITERIA, RANGES, Status, Thresholds
from router.proof.evidence import AnySnapshot, Snapshot, Soaked, decode
from router.proof.host import Host, release_in
from router.proof.judge import Action, act
from router.proof.judge import judge as _judge
from router.proof.own import Command
from router.proof.snapshot import WINDOW_S, take
from router.proof.soak import Watch, prove

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.proof.judge import Verdict
    from router.proof.soak import Progress

VERDICT_EXIT_CODES = {Status.PASSED: 0, Status.FAILED: 1, Status.INCONCLUSIVE: 2}
_Command = TypeVar("_Command", bound="Callable[..., Any]")
_unit_option = click.option("--unit", required=True, help="The systemd unit of the router.")


def _limit_options(command: _Command) -> _Command:
    """Add what a deployment may set of the criteria: thresholds, and which are switched off."""
    defaults = Thresholds()
    off = click.option("--off", multiple=True, type=click.Choice(list(CRITERIA)), help="Switch a criterion off.")
    command = off(command)
    for name, ends in RANGES.items():
        part = click.FloatRange(*ends)
        flag = f"--{name.replace('_', '-')}"
        command = click.option(flag, type=part, default=getattr(defaults, name), show_default=True)(command)
    return command


def _own(_context: click.Context, _option: click.Parameter, value: str) -> dict[str, Command]:
    try:
        return msgspec.json.decode(value, type=dict[str, Command])
    except msgspec.DecodeError as error:
        raise click.BadParameter(f"{error}") from None


class _Drilled(msgspec.Struct):
    """What is asked of a drill's record."""

    passed: bool


@click.command()
@_unit_option
@click.option("--since-ms", type=click.IntRange(0), help="Count from this time of the host's clock on.")
@click.option(
    "--window-s", type=click.FloatRange(1, 86_400), default=WINDOW_S, show_default=True, help="Or look this far back."
)
@json_option
def snapshot(unit: str, since_ms: int | None, window_s: float, *, as_json: bool) -> None:
    """Measure the router that runs as a unit: signals, intents, capacity, service. Run as root."""
    with redis_of_environment() as (client, settings, keys):
        taken = take(client, settings, keys, unit, Host(), window_s=window_s, since_ms=since_ms)
    _show(msgspec.to_builtins(taken), as_json=as_json)


@click.command()
@_unit_option
@click.option(
    "--release-dir",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder, named by its id, of what must be running.",
)
@click.option("--since-ms", required=True, type=click.IntRange(0), help="When it was activated, by the host's clock.")
@click.option("--before", required=True, type=click.Path(path_type=Path), help="Snapshot of the router before it.")
@click.option(
    "--after",
    type=click.Path(path_type=Path),
    help="File for what was seen, besides standard output; FILE.progress tells how far it is.",
)
@click.option("--min-s", required=True, type=click.FloatRange(0), help="A pass needs at least this long.")
@click.option("--max-s", required=True, type=click.FloatRange(0), help="Give up then.")
@click.option(
    "--own", default="{}", callback=_own, help='Own criteria, as JSON: {"NAME": {"command": [...], "timeout_s": 10}}.'
)
@_limit_options
def soak(
    *,
    unit: str,
    release_dir: Path,
    since_ms: int,
    before: Path,
    after: Path | None,
    min_s: float,
    max_s: float,
    own: dict[str, Command],
    off: tuple[str, ...],
    **limits: float,
) -> None:
    """Watch a release until its verdict is certain; print what was seen, as JSON. Run as root."""
    baseline, thresholds = _evidence(before, Snapshot), Thresholds(**limits)

    def judged(seen: Soaked) -> Verdict:
        return _judge(baseline, seen, thresholds, off)

    def tell(now: Progress) -> None:
        # Only people wait for it: a full disk is no reason to stop watching.
        with contextlib.suppress(OSError):
            if after is not None:
                _replace(Path(f"{after}.progress"), msgspec.json.encode(now))

    with redis_of_environment() as (client, settings, keys):
        watch = Watch(client, settings, keys, unit, Host(), release_in(release_dir), since_ms)
        done = prove(watch, judged, (min_s, max_s), own, tell)
    if after is not None:
        after.write_bytes(msgspec.json.encode(done.after))
    click.echo(msgspec.json.encode(done))


@click.command()
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.option(
    "--on-inconclusive",
    type=click.Choice([action.value for action in Action]),
    default=Action.ROLLBACK.value,
    show_default=True,
    help="What is to be done when nobody knows.",
)
@click.option("--drill", type=click.Path(path_type=Path), help="Record of the drill that the release has passed.")
@_limit_options
@json_option
def judge(
    *,
    before: Path,
    after: Path,
    on_inconclusive: str,
    drill: Path | None,
    off: tuple[str, ...],
    as_json: bool,
    **limits: float,
) -> None:
    """Judge the deployment between two snapshots: exit 0 pass, 1 fail, 2 inconclusive."""
    baseline, seen = _evidence(before, Snapshot), _evidence(after, Soaked)
    verdict = _judge(baseline, seen, Thresholds(**limits), off)
    drilled = drill is not None and _passed(drill)
    verdict = act(verdict, baseline, seen, Action(on_inconclusive), drilled=drilled)
    if as_json:
        click.echo(msgspec.json.encode(verdict))
    else:
        for criterion in verdict.criteria:
            click.echo(f"{criterion.status.value:13} {criterion.name}: {criterion.detail}")
        for line in verdict.advice:
            click.echo(line)
        action = (verdict.action or Action.ROLLBACK).value
        click.echo(f"verdict={verdict.verdict.value} intents/signals {verdict.line_counts} action={action}")
    sys.exit(VERDICT_EXIT_CODES[verdict.verdict])


def _passed(record: Path) -> bool:
    """Say whether *record* is that of a drill that was passed; one that cannot be read is not."""
    try:
        return msgspec.json.decode(record.read_bytes(), type=_Drilled).passed
    except (OSError, msgspec.DecodeError):
        return False


def _evidence(path: Path, kind: type[AnySnapshot]) -> AnySnapshot:
    """Read a snapshot from *path*; a soak's output holds it under `after`."""
    try:
        document = path.read_bytes()
    except OSError as error:
        raise click.UsageError(f"cannot read {path}: {error.strerror}") from None
    return decode(document, kind, str(path))


def _replace(path: Path, document: bytes) -> None:
    """Write *document* so that a reader finds this one or the one before, each whole."""
    draft = path.with_name(f".{path.name}")
    draft.write_bytes(document)
    draft.replace(path)


def _show(facts: dict[str, Any], *, as_json: bool) -> None:
    """Print *facts* as JSON, or a line each."""
    if as_json:
        click.echo(msgspec.json.encode(facts))
    else:
        click.echo("\n".join(f"{name}: {json.dumps(value)}" for name, value in facts.items()))
