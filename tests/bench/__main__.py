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
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from tests.bench import choice, drain, growth, latency, memory, start
from tests.bench.contenders import PYTHON
from tests.bench.report import BARS, Figure, as_json, as_markdown
from tests.bench.server import Server, running

if TYPE_CHECKING:
    from collections.abc import Callable

#: What the interpreter of the readers is asked.
VERSIONS: Final = """
from importlib.metadata import version
from platform import python_version
print("CPython", python_version(), *(f", {name} {version(name)}" for name in ("redis", "hiredis", "msgspec")), sep="")
"""
DOCS: Final = Path(__file__).parents[2] / "docs"
#: Part -> (what measures it, rounds of a full run).
PARTS: Final[dict[str, tuple[Callable[[Server, int], list[Figure]], int]]] = {
    "drain": (drain.measure, 9),
    "peers": (drain.measure_peers, 7),
    "latency": (latency.measure, 5),
    "start": (start.measure, 9),
    "memory": (memory.measure, 1),
    "choice": (choice.measure, 3),
    "growth": (growth.measure, 3),
}


def methods() -> dict[str, str]:
    """Part -> how it measures, in the words of the function that does."""
    return {part: inspect.cleandoc(measure.__doc__ or "").partition("\n\n")[2] for part, (measure, _) in PARTS.items()}


@click.command()
@click.option("--rounds", type=click.IntRange(1), help="Rounds of every part; default: as many as the page needs.")
@click.option("--only", type=click.Choice(list(PARTS)), help="Measure one part; nothing is written.")
def main(rounds: int | None, only: str | None) -> None:
    """Measure, and write docs/benchmarks.json and .md unless it is only a look."""
    figures: list[Figure] = []
    for part, (measure, usual) in PARTS.items():
        if only in {None, part}:
            with tempfile.TemporaryDirectory(prefix="router-bench-") as folder, running(Path(folder)) as server:
                figures = figures or [Figure("machine", _machine(server), "")]
                figures += measure(server, rounds or usual)
    text = as_json(figures)
    page = as_markdown(json.loads(text), methods())
    if only is None and rounds is None:
        (DOCS / "benchmarks.json").write_text(text, encoding="utf-8")
        (DOCS / "benchmarks.md").write_text(page, encoding="utf-8")
    click.echo(page)
    if only is None and (missing := BARS.keys() - {figure.name for figure in figures}):
        raise click.ClickException(f"not measured: {', '.join(sorted(missing))}")
    sys.exit(any(figure.passes is False for figure in figures))


def _machine(server: Server) -> str:
    """Return what the figures depend on."""
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    models = re.findall(r"^model name\s*: (.+)$", cpuinfo, re.MULTILINE) or [platform.machine()]
    packages = subprocess.run([PYTHON, "-c", VERSIONS], capture_output=True, text=True, check=True).stdout.strip()
    memory_gb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 30
    return (
        f"{len(os.sched_getaffinity(0))} x {models[0]}, {memory_gb} GB, "
        f"Linux {platform.release()}, Redis {server.client.info('server')['redis_version']} without persistence, "
        f"{packages}; {datetime.now(timezone.utc):%Y-%m-%d}"
    )


if __name__ == "__main__":
    main()
