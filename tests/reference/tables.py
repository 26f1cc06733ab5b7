# SPDX-License-Identifier: Apache-2.0
"""The tables of the reference pages, each from the one place in the code that has the facts."""

from __future__ import annotations

import ast
import importlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from router.config import CATALOGUE, Settings, read
from router.metrics import registry
from router.tally import Tally
from router.telemetry import LINES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

yaml = importlib.import_module("yaml")  # it carries no types

ROOT: Final = Path(__file__).parents[2]
COLLECTION: Final = "ansible/ansible_collections/quantum/router"
#: One example of each contradiction between settings; the words are the router's own.
_CONTRADICTIONS: Final = (
    {"TARGET_OPEN_ORDERS": "11"},
    {"SUPER_CONFIDENCE": "0.7"},
    {"CANDIDATE_WINDOW_SEC": "10"},
    {"ROUTER_DEDUP_TTL_SEC": "15"},
    {"ROUTER_SENTINEL_PASSWORD_FILE": "sentinel-password"},
    {"ROUTER_SIGNAL_STREAM": "quantum:router:halt"},
    {"ROUTER_INTENT_STREAM": "quantum:stream:ai.decision.made"},
)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table of Markdown; a bar in a cell stays a bar."""
    heads = list(head)
    cells = [heads, ["---"] * len(heads), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    bars = ["|" + "|".join(row) + "|" if row[0] == "---" else "| " + " | ".join(row) + " |" for row in cells]
    return "\n".join(bar.replace("|  |", "| |") for bar in bars)


def code(value: object) -> str:
    """Return a value as it is typed, empty for an empty text and for none."""
    if value is None or value == "":
        return ""
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value)}`"


def settings() -> str:
    """Every setting with its default, what it accepts (in the words of its refusal), and its meaning."""
    rows = []
    for name, (field, parse, meaning) in CATALOGUE.items():
        default = getattr(Settings(), field)
        shown = f"{default:g}" if isinstance(default, float) else default
        rows.append([f"`{name}`", code(shown), _accepted(parse), meaning])
    return table(("setting", "default", "accepts", "meaning"), rows)


def _accepted(parse: Any) -> str:
    try:
        parse("\0")
    except ValueError as error:
        return str(error).removeprefix("must be ").removeprefix("must look like ")
    return "the path of a file"


def contradictions() -> str:
    """What is refused of settings that cannot hold together, an example each."""
    lines = [line for example in _CONTRADICTIONS for line in read(example)[1]]
    return "\n".join(["```", *lines, "```"])


def metrics() -> str:
    """Name, type, labels and help of each metric, in the registry's order."""
    suffix = {"counter": "_total", "info": "_info"}
    rows = []
    for family in registry(Tally(LINES), Settings(), "r").collect():
        labels = ", ".join(sorted({label for sample in family.samples for label in sample.labels if label != "le"}))
        kind = "gauge" if family.type == "info" else family.type
        rows.append([f"`{family.name}{suffix.get(family.type, '')}`", kind, labels, family.documentation])
    return table(("metric", "type", "labels", "meaning"), rows)


def make_targets() -> str:
    """The targets of the Makefile under its own headings, as `make help` lists them."""
    found: list[tuple[str, list[list[str]]]] = []
    for line in (ROOT / "Makefile").read_text(encoding="utf-8").splitlines():
        if heading := re.match(r"##@ (.+)", line):
            found.append((heading[1], []))
        elif target := re.match(r"([a-z-]+):.*?## (.+)", line):
            found[-1][1].append([f"`make {target[1]}`", target[2]])
    return "\n\n".join(f"### {heading}\n\n{table(('target', 'what it does'), rows)}" for heading, rows in found)


def role_variables(role: str) -> str:
    """The variables of each entry point of a role, from its argument specification."""
    path = ROOT / COLLECTION / "roles" / role / "meta/argument_specs.yml"
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]
    parts = []
    for name, entry in entries.items():
        rows = [[f"`{option}`", *_described(given)] for option, given in entry["options"].items()]
        text = f"**{entry['short_description']}** (`{name}`). {prose(entry['description'])}"
        parts.append(f"{text}\n\n{table(('variable', 'type', 'default', 'meaning'), rows)}")
    return "\n\n".join(parts)


def modules() -> str:
    """Options and results of each module of the collection, from its own documentation."""
    parts = []
    for path in sorted((ROOT / COLLECTION / "plugins/modules").glob("*.py")):
        said, answered = (yaml.safe_load(_constant(path, name)) for name in ("DOCUMENTATION", "RETURN"))
        options = [[f"`{name}`", *_described(given)] for name, given in said["options"].items()]
        results = [[f"`{name}`", each["type"], prose(each["description"])] for name, each in answered.items()]
        text = [f"## {path.stem}", f"{said['short_description']}. {prose(said['description'])}"]
        text += [table(("option", "type", "default", "meaning"), options), "It returns:"]
        parts += [*text, table(("value", "type", "meaning"), results)]
    return "\n\n".join(parts)


def _constant(path: Path, name: str) -> str:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return str(ast.literal_eval(node.value))
    raise LookupError(f"{path.name} has no {name}")


def _described(option: Mapping[str, Any]) -> list[str]:
    kind = option["type"] + (f" of {option['elements']}" if "elements" in option else "")
    default = "required" if option.get("required") else code(option.get("default"))
    text = prose(option["description"])
    if "choices" in option:
        text = f"{', '.join(map(code, option['choices']))}. {text}"
    return [kind, default, f"{text} Never shown." if option.get("no_log") else text]


def prose(description: str | list[str]) -> str:
    """Return a description of Ansible's as Markdown in one line: its marks C(), O(), V(), M() and P() become code."""
    text = " ".join(" ".join([description] if isinstance(description, str) else description).split())
    return re.sub(r"\b[COVMP]\(([^)#]+)(?:#[a-z]+)?\)", r"`\1`", text)
