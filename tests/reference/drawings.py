# SPDX-License-Identifier: Apache-2.0
"""The drawings of docs/architecture.md (Mermaid), made from imports, task files and the catalogue of keys."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import Any, Final

from router.config import Settings
from router.redis_io.keys import catalogue

yaml = importlib.import_module("yaml")  # it carries no types

ROOT: Final = Path(__file__).parents[2]
ROLE: Final = ROOT / "ansible/ansible_collections/quantum/router/roles/router"
#: The packages of the router from the inside out: what each is for, and its modules (a folder stands for all in it).
#: A module may import what stands above its own line, and its own kind.
LAYERS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "words": (
        "settings, names of keys, errors",
        ("__init__", "config", "errors", "printable", "redis_url", "redis_io.keys"),
    ),
    "core": ("the policy, pure", ("core",)),
    "redis_io": ("streams, lease, commit.lua", ("redis_io",)),
    "telling": (
        "log, metrics, status",
        ("log", "telemetry", "tally", "failures", "metrics", "endpoint", "notify", "status"),
    ),
    "service": (
        "read, decide, commit",
        ("approval", "publisher", "session", "startup", "tenure", "service", "check", "ports"),
    ),
    "proof": ("measure, drill, judge", ("proof",)),
    "simulation": ("the same without Redis", ("simulation",)),
    "commands": ("the command line", ("cli", "commands", "moment", "__main__")),
}


def layer_of(module: str) -> str:
    """Return the layer of *module*, named without `router.`; the longest match counts."""
    fits = [
        (len(part), layer)
        for layer, (_, parts) in LAYERS.items()
        for part in parts
        if module == part or module.startswith(f"{part}.")
    ]
    if not fits:
        raise LookupError(f"router.{module} stands in no layer: give it one in tests/reference/drawings.py")
    return max(fits)[1]


def imports() -> dict[str, set[str]]:
    """Return each module of the router with those that it imports, for types too, all without `router.`."""
    modules = {_name(path): path for path in (ROOT / "router").rglob("*.py")}
    found = {}
    for name, path in modules.items():
        asked = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("router."):
                module = str(node.module).removeprefix("router").removeprefix(".")
                each = {f"{module}.{alias.name}".removeprefix(".") for alias in node.names}
                asked |= {one if one in modules else module or "__init__" for one in each}
        found[name] = asked
    return found


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT / "router").with_suffix("").parts).removesuffix(".__init__")


def packages() -> str:
    """Who imports whom, layer by layer: an arrow points at what is imported; what others imply is left out."""
    edges = {(layer_of(name), layer_of(other)) for name, others in imports().items() for other in others}
    below = {layer: {other for one, other in edges if one == layer != other} for layer in LAYERS}
    lines = []
    for layer in reversed(LAYERS):
        implied = set().union(*(below[other] for other in below[layer]))
        lines.append(f'    {layer}["<b>{layer}</b><br>{LAYERS[layer][0]}"]')
        lines += [f"    {layer} --> {other}" for other in reversed(LAYERS) if other in below[layer] - implied]
    return _mermaid("flowchart TD", lines)


def phases() -> str:
    """The phases of a deployment, as `tasks/main.yml` orders them."""
    (outer,) = yaml.safe_load((ROLE / "tasks/main.yml").read_text(encoding="utf-8"))
    ways = {name: _task_files(outer[name]) for name in ("block", "rescue", "always")}
    first = "activate"
    before, after = ways["block"][: ways["block"].index(first)], ways["block"][ways["block"].index(first) :]
    (rollback,), (report,) = ways["rescue"], ways["always"]
    lines = [
        *_row("nothing", "nothing live is touched", before),
        *_row("guarded", "the host undoes it by itself, unless it is confirmed in time", after),
        f"    nothing --> guarded --> {report}",
        f"    nothing -. refused .-> {report}",
        f"    guarded -. any failure .-> {rollback} --> {report}",
    ]
    return _mermaid("flowchart TB", lines)


def _row(name: str, title: str, steps: list[str]) -> list[str]:
    return [f'    subgraph {name}["{title}"]', "        direction LR", f"        {' --> '.join(steps)}", "    end"]


def _task_files(tasks: list[dict[str, Any]]) -> list[str]:
    found = []
    for task in tasks:
        for name in ("ansible.builtin.import_tasks", "ansible.builtin.include_tasks"):
            found += [task[name].removesuffix(".yml")] if name in task else []
        found += _task_files(task.get("block", []))
    return found


def streams() -> str:
    """The way of a signal, and which keys the three who share a Redis write."""
    keys = catalogue(Settings())
    lines = [
        '    engine["AI engine"]',
        '    router["<b>quantum router</b><br>best few a window"]',
        '    execution["execution"]',
        '    desk["the desk, a person"]',
        f'    engine -- "{keys.signals}" --> router',
        f'    router -- "{keys.intents}" --> execution',
        f'    execution -- "{keys.open_orders}" --> router',
        f'    desk -- "{keys.kill}<br>{keys.halt}" --> router',
        f'    router -. "{keys.rejects}<br>{keys.audit}" .-> desk',
    ]
    return _mermaid("flowchart LR", lines)


def _mermaid(kind: str, lines: list[str]) -> str:
    return "\n".join(["```mermaid", kind, *lines, "```"])
