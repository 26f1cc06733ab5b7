# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.bench`: measure everything in one run, or a part of it for a quick look."""

from __future__ import annotations

import inspect
import json
import os
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from tests.bench import choice, drain, growth, latency, memory, start
from tests.bench.report import Figure, as_json, as_markdown
from tests.bench.server import Server, running

if TYPE_CHECKING:
    from collections.abc import Callable

DOCS: Final = Path(__file__).parents[2] / "docs"
#: Part -> (what measures it, rounds of a full run).
PARTS: Final[dict[str, tuple[Callable[[Server, int], list[Figure]], int]]] = {
    "drain": (drain.measure, 9),
    "peers": (drain.measure_peers, 9),
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
    figures = [Figure("machine", _machine(), "")]
    for part, (measure, usual) in PARTS.items():
        if only in {None, part}:
            with tempfile.TemporaryDirectory(prefix="router-bench-") as folder, running(Path(folder)) as server:
                figures += measure(server, rounds or usual)
    text = as_json(figures)
    page = as_markdown(json.loads(text), methods())
    if only is None and rounds is None:
        (DOCS / "benchmarks.json").write_text(text, encoding="utf-8")
        (DOCS / "benchmarks.md").write_text(page, encoding="utf-8")
    click.echo(page)
    sys.exit(any(figure.passes is False for figure in figures))


def _machine() -> str:
    """Return what the figures depend on."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    packages = ", ".join(f"{name} {version(name)}" for name in ("redis", "hiredis", "msgspec"))
    return (
        f"{os.cpu_count()} x {cpu}, Linux {platform.release()}, {platform.python_implementation()} "
        f"{platform.python_version()}, {packages}"
    )


if __name__ == "__main__":
    main()
