# SPDX-License-Identifier: Apache-2.0
"""Commands that try a policy before it is used."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click
import msgspec

from router.cli import json_option, redis_of_environment
from router.moment import moment
from router.redis_io.client import redis_time_ms
from router.simulation import recording
from router.simulation.contest import Conditions
from router.simulation.contest import simulate as _simulate
from router.simulation.orders import HOLD_S, OPEN_S
from router.simulation.page import page
from router.simulation.replay import Assumed, charts, summed_up
from router.simulation.replay import replay as _replay
from router.simulation.table import aligned, decimal, moment_of, per_cent
from router.simulation.variants import variants

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.core.window import Entry
    from router.simulation.contest import Simulated
    from router.simulation.replay import Replayed, Row

_SECONDS = click.FloatRange(0, 604_800)
_settings_option = click.option(
    "--settings", multiple=True, metavar="[LABEL:]NAME=VALUE,...|FILE",
    help="Settings to try: changes to those of the environment, or an environment file (-: standard input) that is all"
    " of them. Repeat it to compare; `now:` are those of the environment as they are.",
)  # fmt: skip
_html_option = click.option(
    "--html", type=click.Path(dir_okay=False), help="Write the comparison with charts to this file, too."
)
_MARKET = Conditions()


@click.command()
@click.option("--since", help="Begin: RFC 3339, milliseconds since 1970, or 10m (ago; s, m, h, d).")
@click.option("--until", help="End, in the same forms; default: now.")
@click.option(
    "--file", "path", help="Read a recording instead of the stream: a JSON object a line; - is standard input."
)
@click.option("--save", type=click.Path(dir_okay=False), help="Keep what was read, as --file takes it.")
@_settings_option
@click.option("--open-s", type=_SECONDS, default=OPEN_S, show_default=True, help="An intent is an order after so long,")
@click.option("--hold-s", type=_SECONDS, default=HOLD_S, show_default=True, help="and the order is open for so long.")
@click.option("--open-orders", type=click.IntRange(0, 999_999_999), help="Or: so many are open all the time.")
@_html_option
@json_option
def replay(
    *,
    since: str | None,
    until: str | None,
    path: str | None,
    save: str | None,
    settings: tuple[str, ...],
    html: str | None,
    as_json: bool,
    **orders: float | None,
) -> None:
    """Run recorded signals through settings: what would have been published. Only reads; publishes nothing."""
    if (since is None) == (path is None):
        raise click.UsageError("give either --since, to read the stream, or --file, to read a recording")
    if since is None and until is not None:
        raise click.UsageError("--until has no effect on --file: give it with --since, and keep that with --save")
    wanted = variants(settings, os.environ, _text_of)
    entries = _of_file(path) if path is not None else _of_stream(str(since), until or "0s")
    if save is not None:
        _write(save, "".join(recording.as_lines(entries)))
    assumed = msgspec.convert(orders, Assumed)
    ledgers = _replay(entries, wanted, assumed)
    done = summed_up(entries, ledgers, assumed)
    if html is not None:
        _write(html, page("What a policy would have published", _lead(done), _table(done), charts(ledgers), done.notes))
    click.echo(msgspec.json.encode(done) if as_json else "\n".join(_lines(done)))
    if not done.recorded.signals:
        click.echo("there are no signals in the recording: is it the right stream, and the right time?", err=True)


@click.command()
@click.option("--seed", type=int, default=_MARKET.seed, show_default=True, help="The same one gives the same figures.")
@click.option("--minutes", type=click.IntRange(1, 1440), default=_MARKET.minutes, show_default=True, help="So long.")
@click.option(
    "--place-s", type=click.FloatRange(0.001, 60), default=_MARKET.place_s, show_default=True,
    help="Execution takes about so long for an intent,",
)  # fmt: skip
@click.option("--hold-s", type=_SECONDS, default=_MARKET.hold_s, show_default=True, help="and holds an order so long.")
@click.option("--faults", type=click.IntRange(0, 1000), default=0, show_default=True, help="So many, 10 to 60 s each.")
@_settings_option
@_html_option
@json_option
def simulate(*, settings: tuple[str, ...], html: str | None, as_json: bool, **market: float) -> None:
    """Let a router that publishes everything and ours loose on the same market, in one process and without Redis.

    13 signals within 10 ms every 4 s or so, and an execution service that works off one intent after the other.
    """
    wanted = variants(settings, os.environ, _text_of)
    done, charts_of_it = _simulate(msgspec.convert(market, Conditions), wanted)
    if html is not None:
        _write(
            html, page("Two routers in the same market", _setting(done), _standings(done), charts_of_it, done.faults)
        )
    lines = [_setting(done), *aligned(_standings(done)), *done.faults]
    click.echo(msgspec.json.encode(done) if as_json else "\n".join(lines))


def _setting(done: Simulated) -> str:
    c = done.conditions
    market = f"execution takes {c.place_s:g} s for each intent and holds an order for {c.hold_s:g} s"
    return f"{done.signals} signals in {c.minutes} minutes, seed {c.seed}; {market}"


def _standings(done: Simulated) -> list[list[str]]:
    heading = ["router", "intents", "of signals", "mean score", "in stream", "lag half-way", "lag at end", "most open"]
    return [
        heading,
        *(
            [each.label, str(each.intents), per_cent(each.of_signals), decimal(each.mean_score)]
            + [str(n) for n in (each.in_stream, each.lag_half, each.lag_end, each.most_open)]
            for each in done.standings
        ),
    ]


def _of_stream(since: str, until: str) -> list[Entry]:
    with redis_of_environment() as (client, _settings, keys):
        now_ms = redis_time_ms(client)
        since_ms, until_ms = moment("since", since, now_ms), moment("until", until, now_ms)
        if since_ms > until_ms:
            raise click.UsageError(f"--since {since} is after --until {until}")
        # The service takes no entry from the future either.
        return recording.of_stream(client, keys, since_ms, min(until_ms, now_ms))


def _of_file(path: str) -> list[Entry]:
    with _opened("--file", path) as lines:
        return recording.of_lines(lines, path)


def _text_of(path: str) -> str:
    with _opened("--settings", path) as stream:
        return stream.read().decode("utf-8", "replace")


@contextlib.contextmanager
def _opened(option: str, path: str) -> Iterator[BinaryIO]:
    """Yield the file *path* of an option, standard input for `-`, and close it."""
    try:
        with sys.stdin.buffer if path == "-" else Path(path).open("rb") as stream:
            yield stream
    except OSError as error:
        raise click.UsageError(f"{option}: cannot read {path}: {error.strerror}") from None
    except ValueError:  # it is closed
        raise click.UsageError(f"{option}: standard input can be read only once") from None


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"cannot write {path}: {error.strerror}") from None


def _lines(done: Replayed) -> list[str]:
    return [_lead(done), *aligned(_table(done)), *done.notes]


def _lead(done: Replayed) -> str:
    seen = done.recorded
    time = f" from {moment_of(seen.since_ms)} to {moment_of(seen.until_ms)}" if seen.entries else ""
    return f"{seen.signals} signals in {seen.entries} entries{time}"


def _table(done: Replayed) -> list[list[str]]:
    heading = ["settings", "published", "of signals", "mean score", "missed better", "at cap"]
    return [heading, *map(_cells, done.rows)]


def _cells(row: Row) -> list[str]:
    cap = "-" if row.at_cap is None else f"{row.at_cap_s:.0f} s {per_cent(row.at_cap)}"
    return [
        row.label,
        str(row.published),
        per_cent(row.of_signals),
        decimal(row.mean_score),
        str(row.missed_better),
        cap,
    ]
