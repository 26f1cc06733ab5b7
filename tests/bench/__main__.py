# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.bench`: measure everything in one run, or a part of it for a quick look."""

from __future__ import annotations

import inspect
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from tests.bench import choice, deploy, drain, growth, lab, latency, memory, server, start
from tests.bench.contenders import PYTHON
from tests.bench.report import BARS, Figure, as_json, as_markdown, as_text, merged, part_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from tests.bench.lab import Lab
    from tests.bench.server import Server

#: What the interpreter of the readers is asked.
VERSIONS: Final = """
from importlib.metadata import version
from platform import python_version
print("CPython", python_version(), *(f", {name} {version(name)}" for name in ("redis", "hiredis", "msgspec")), sep="")
"""
DOCS: Final = Path(__file__).parents[2] / "docs"


@dataclass(frozen=True)
class Bench:
    """Parts that are measured in places of one kind, by one command.

    *place* makes such a place in a folder, and takes it away; *fact* says what figures from there depend on. A part has
    what measures it and the rounds of a full run.
    """

    command: str
    place: Callable[[Path], AbstractContextManager[Any]]
    fact: Callable[[Any], Figure]
    parts: Mapping[str, tuple[Callable[[Any, int], list[Figure]], int]]


def _machine_fact(place: Server) -> Figure:
    return Figure("machine", _machine(place), "")


def _lab_fact(place: Lab) -> Figure:
    return Figure("lab", place.fact(), "")


SPEED: Final = Bench(
    "make bench",
    server.running,
    _machine_fact,
    {
        "drain": (drain.measure, 9),
        "peers": (drain.measure_peers, 7),
        "latency": (latency.measure, 5),
        "start": (start.measure, 9),
        "memory": (memory.measure, 1),
        "choice": (choice.measure, 3),
        "growth": (growth.measure, 3),
    },
)
DEPLOYMENTS: Final = Bench(
    "make bench-deploy", lab.running, _lab_fact, {"deploy": (deploy.measure, 5), "hosts": (deploy.measure_growth, 3)}
)


def methods() -> dict[str, tuple[str, str]]:
    """Part -> its command, and how it measures, in the words of the function that does."""
    return {
        part: (bench.command, inspect.cleandoc(measure.__doc__ or "").partition("\n\n")[2])
        for bench in (SPEED, DEPLOYMENTS)
        for part, (measure, _) in bench.parts.items()
    }


@click.command()
@click.option("--deployments", is_flag=True, help="Measure deployments to lab hosts instead of speed.")
@click.option("--rounds", type=click.IntRange(1), help="Rounds of every part; default: as many as the page needs.")
@click.option("--only", help="Measure one part anew.")
def main(rounds: int | None, only: str | None, *, deployments: bool) -> None:
    """Measure, and write docs/benchmarks.json and .md; with fewer rounds it is only a look, and nothing is written."""
    bench = DEPLOYMENTS if deployments else SPEED
    if only not in {None, *bench.parts}:
        raise click.BadParameter(f"{only} is none of {', '.join(bench.parts)}", param_hint="--only")
    figures: list[Figure] = []
    for part, (measure, usual) in bench.parts.items():
        if only in {None, part}:
            with tempfile.TemporaryDirectory(prefix="router-bench-") as folder, bench.place(Path(folder)) as place:
                own = measure(place, rounds or usual)
                figures += [*([] if figures else [bench.fact(place)]), *own]
    rows = json.loads(as_json(figures))
    if rounds is None:
        _write(rows)
    click.echo(as_markdown(rows, methods()))
    due = {name for name in BARS if part_of({"name": name}) in bench.parts}
    if only is None and (missing := due - {figure.name for figure in figures}):
        raise click.ClickException(f"not measured: {', '.join(sorted(missing))}")
    sys.exit(any(figure.passes is False for figure in figures))


def _write(rows: list[Mapping[str, Any]]) -> None:
    """Put *rows* among those of the other bench, which stay."""
    place = DOCS / "benchmarks.json"
    before = json.loads(place.read_text(encoding="utf-8")) if place.exists() else []
    after = merged(before, rows, list(methods()))
    place.write_text(as_text(after), encoding="utf-8")
    (DOCS / "benchmarks.md").write_text(as_markdown(after, methods()), encoding="utf-8")


def _machine(place: Server) -> str:
    """Return what the figures depend on."""
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    models = re.findall(r"^model name\s*: (.+)$", cpuinfo, re.MULTILINE) or [platform.machine()]
    packages = subprocess.run([PYTHON, "-c", VERSIONS], capture_output=True, text=True, check=True).stdout.strip()
    memory_gb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 30
    return (
        f"{len(os.sched_getaffinity(0))} x {models[0]}, {memory_gb} GB, "
        f"Linux {platform.release()}, Redis {place.client.info('server')['redis_version']} without persistence, "
        f"{packages}; {datetime.now(timezone.utc):%Y-%m-%d}"
    )


if __name__ == "__main__":
    main()
