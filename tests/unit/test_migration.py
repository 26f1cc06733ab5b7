# SPDX-License-Identifier: Apache-2.0
"""The page for who comes from the guide names only what exists: it is walked cell by cell, other pages by command."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import pytest

from router.cli import main
from router.config import CATALOGUE, Settings
from router.proof.criteria import CRITERIA
from router.redis_io.keys import catalogue
from router.redis_io.rights import deployment
from router.telemetry import LINES
from tests.reference.lines import samples
from tests.reference.tables import COLLECTION, metrics
from tests.unit.collection.samples import PASSED, SAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable

yaml = importlib.import_module("yaml")  # it carries no types
report = importlib.import_module("ansible_collections.quantum.router.plugins.action.report")
commands = importlib.import_module("ansible_collections.quantum.router.plugins.module_utils.release.commands")
layout = importlib.import_module("ansible_collections.quantum.router.plugins.module_utils.release.layout")

ROOT: Final = Path(__file__).parents[2]
ROLE: Final = ROOT / COLLECTION / "roles/router"
MAKEFILE: Final = (ROOT / "Makefile").read_text(encoding="utf-8")
#: Units that a deployment or the host starts beside the service.
PASSING_UNITS: Final = ("quantum-router-*", "quantum-router-drill-*")
VARIABLES: Final = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]
INVENTORY: Final = (ROOT / "inventory/production.example/hosts.yml").read_text(encoding="utf-8")
UNIT: Final = VARIABLES["main"]["options"]["router_unit"]["default"].removesuffix(".service")
#: What a deployment or a rollback says in its last line.
LAST_LINES: Final = "\n".join(
    (
        *map(report.line, SAMPLES.values()),
        report.line({**PASSED, "capacity": {"created": True}}),
        (ROOT / COLLECTION / "playbooks/rollback.yml").read_text(encoding="utf-8"),
    )
)
#: The commands of the guide, as far as they tell one from another.
GUIDE: Final = (
    *("scp -i", "ssh -i", "chmod +x", "bash /tmp/deploy_p0_capqual.sh", "tee", "date -u", "TODAY="),
    *(
        "systemctl is-active",
        "systemctl cat",
        "systemctl restart",
        "systemctl status",
        "sleep 3`",
        "sleep 10",
        "sleep 30",
    ),
    *("grep -c", "grep -E", "grep ExecStart", "-n 100", "-n 50", "-n 20", "-f`", "wc -l", "head -40", "head -100"),
    *("GET quantum:governor:daily_trades", "TTL quantum:governor:daily_trades", "--scan --pattern"),
    *("GET quantum:state:open_orders", "SET quantum:state:open_orders 0", "SET quantum:state:open_orders 10"),
    *(
        "SET … 3",
        "SET … 1",
        "DEL quantum:state:open_orders",
        "BACKUP_DIR=",
        "mkdir -p",
        "cp -a",
        "cp $BACKUP_DIR",
        "ls -la",
    ),
    *('echo "Backup', "ROLLBACK COMPLETE", "py_compile", "diff -u", "mv "),
)
#: What the state machine writes into the journal of a host.
JOURNAL: Final = {
    words
    for path in (ROOT / COLLECTION / "plugins/module_utils/release").glob("*.py")
    for words in re.findall(r'record\(\s*[\w.]+, "([^"]+)"', path.read_text(encoding="utf-8"))
}


def rows() -> list[list[str]]:
    """The rows of all tables: what the guide has, what does it now, where it is seen."""
    lines = (ROOT / "docs/migration.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines if line.startswith("| ")]
    return [row for row in cells if row[0] != "the guide"]


def is_make(text: str) -> bool:
    """A target of the Makefile, with variables that it takes."""
    if not text.startswith("make "):
        return False
    _, target, *variables = shlex.split(text)
    names = {word.partition("=")[0] for word in variables}
    taken = re.findall(
        r'^([A-Z]+) \?=|\$\(([A-Z]+)\)|environ\.get\("([A-Z]+)"\)|^export ([A-Z]+)$', MAKEFILE, re.MULTILINE
    )
    targets = re.findall(r"^([a-z-]+):.*?## ", MAKEFILE, re.MULTILINE)
    return target in targets and names <= {name for names in taken for name in names}


def options(words: list[str]) -> set[str]:
    """The options among *words*."""
    return {word for word in words if word.startswith("--")}


def is_router(text: str) -> bool:
    """A command of the router on a host, with options that it has."""
    words = shlex.split(text) if text.startswith("sudo router ") else []
    command = main.get_command(click.Context(main), words[2]) if words[2:] else None
    return command is not None and options(words) <= {name for each in command.params for name in each.opts}


def is_release(text: str) -> bool:
    """A command of the state machine, with options that it has."""
    words = shlex.split(text) if text.startswith("sudo router-release ") else []
    command = commands.COMMANDS.get(words[2]) if words[2:] else None
    return command is not None and options(words) <= set(command[2])


def is_field(text: str) -> bool:
    """A field of report.json as the report action assembles it."""
    place: Any = PASSED
    for name in text.split("."):
        if not (isinstance(place, dict) and name in place):
            return False
        place = place[name]
    return True


def is_log_line(text: str) -> bool:
    """A line of the log, or how one begins, as the router's own telemetry says it; `…` stands for the rest."""
    whole = r"[^`]*" if text.endswith("…") else ""
    signed = not text[0].isascii()
    return signed and bool(re.search(rf"`{re.escape(text.removesuffix('…'))}{whole}`", samples()))


def is_journalctl(text: str) -> bool:
    """A look into the journal of our unit, for an event that is logged, or of those that come and go."""
    found = re.fullmatch(r"sudo journalctl(?: -p crit)? -u '?([\w*-]+)'?(?: -f| -n \d+| EVENT=(\w+))?", text)
    return found is not None and found[1] in {UNIT, *PASSING_UNITS} and (found[2] is None or found[2] in LINES)


def is_redis(text: str) -> bool:
    """A command that the user who operates may send, on keys of ours or on none."""
    head, *words = shlex.split(text.replace("--latency", "PING")) if text.startswith("redis-cli ") else [""]
    command = "|".join(words).lower()
    return head != "" and any(
        f"{command}|".startswith(f"{right.command}|") and set(right.keys) <= set(words)
        for right in deployment(catalogue(Settings()), Settings())
    )


def is_code(text: str) -> bool:
    """A file of this repository, or a name that can be imported from the router."""
    if re.fullmatch(r"router/[\w/.]+", text):
        return (ROOT / text).is_file()
    module, _, name = text.rpartition(".")
    return text.startswith("router.") and hasattr(importlib.import_module(module), name)


def is_place(text: str) -> bool:
    """A file or folder that a deployment writes."""
    written = {str(layout.Layout().journal), "/var/log/quantum-router"}
    return text in written or text == "run.log"


#: Everything that the columns of ours may name.
KINDS: Final[dict[str, Callable[[str], bool]]] = {
    "make target": is_make,
    "command of router": is_router,
    "command of router-release": is_release,
    "field of report.json": is_field,
    "line of the log": is_log_line,
    "event of the log": LINES.__contains__,
    "journalctl": is_journalctl,
    "systemctl": lambda text: bool(
        re.fullmatch(rf"systemctl status( {UNIT})?|sudo systemctl (start|stop) {UNIT}", text)
    ),
    "redis-cli": is_redis,
    "code": is_code,
    "place": is_place,
    "setting": CATALOGUE.__contains__,
    "criterion": CRITERIA.__contains__,
    "metric": lambda text: f"`{text}`" in metrics(),
    "role variable": lambda text: text.partition(": ")[0] in VARIABLES["main"]["options"],
    "variable of the inventory": lambda text: text.startswith("ansible_") and f"{text}:" in INVENTORY,
    "part of a last line": lambda text: bool(re.match(r"[a-z_]+=", text)) and text in LAST_LINES,
    "key of a log line": lambda text: bool(re.fullmatch(r"[a-z]+=", text)) and text in samples(),
    "word of the host's journal": JOURNAL.__contains__,
    "tag of the guide that is gone": "P0.CAP".__eq__,
}


def kinds(text: str) -> list[str]:
    """Which kinds of thing *text* is the name of."""
    return [name for name, holds in KINDS.items() if holds(text)]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0][:40])
def test_each_row_names_only_what_exists(row: list[str]) -> None:
    """Commands, options, phases, fields, events and variables beside a step of the guide are the code's own."""
    guide, ours, seen = row
    assert guide
    assert ours
    assert [] == [text for cell in (ours, seen) for text in re.findall(r"`([^`]+)`", cell) if not kinds(text)]
    phases = re.findall(r"_tasks: (\w+)\.yml", (ROLE / "tasks/main.yml").read_text(encoding="utf-8"))
    assert set(re.findall(r"(?<!\*)\*([a-z]+)\*(?!\*)", ours.replace("*per signal*", ""))) <= set(phases)


@pytest.mark.parametrize(
    "page",
    ["docs/migration.md", "docs/operations.md", "docs/redis-server.md", "docs/policy.md", "README.md"],
)
def test_every_command_that_a_page_tells_exists(page: str) -> None:
    """What an operator types, in a line of its own or in a sentence, is a command with options that it has."""
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if page != "docs/migration.md" or not line.startswith("| "))
    heads = "make|sudo router|sudo router-release|sudo journalctl|systemctl|sudo systemctl"
    # What begins so with other options logs in as Redis' administrator, who may do anything.
    named = re.findall(rf"`((?:{heads}|redis-cli(?= [A-Z]+ | --latency)) (?!…)[^`]+)`", text)
    named += re.findall(rf"^ *(?:\$ )?((?:{heads}) .*?)(?: *#.*)?$", text, re.MULTILINE)
    assert named
    assert [] == [said for said in named if not kinds(" ".join(said.split()))]


@pytest.mark.parametrize(
    "wrong",
    [
        "make deplo",
        "make deploy FOO=1",
        "sudo router stat",
        "sudo router status --for-ever",
        "sudo router-release undo",
        "sudo router-release rollback --from ID",
        "before.governer.count",
        "CAPACITY_FULLY",
        "🔴 CAPACITY_FULL open=9 max=10",
        "router.core.policy.allow",
        "sudo journalctl -u other EVENT=SIZE_BOOST",
        "redis-cli GET quantum:state:closed_orders",
        "redis-cli HGETALL quantum:router:lease",
        "sudo journalctl -n 20",
        "router_soak",
        "verdikt=",
    ],
)
def test_what_does_not_exist_is_noticed(wrong: str) -> None:
    """The walk is no formality: nothing that is mistyped passes for anything."""
    assert [] == kinds(wrong)


def test_every_command_of_the_guide_has_a_row() -> None:
    """Who types the next one finds what has become of it."""
    guide = " ".join(row[0] for row in rows())
    assert [] == [command for command in GUIDE if command not in guide]


def test_every_setting_and_every_log_line_of_the_guide_has_a_place() -> None:
    """The six settings and the five lines stand in the page with what they are now."""
    ours = " ".join(cell for row in rows() for cell in row[1:])
    settings = [name for name in CATALOGUE if not name.startswith("ROUTER_")]
    events = ["CAPACITY_UNKNOWN", "CAPACITY_FULL", "TARGET_REACHED", "BEST_OF_PUBLISH", "SIZE_BOOST"]
    assert [] == [name for name in (*settings, *events) if name not in ours]


def test_every_criterion_has_a_place() -> None:
    """Who knows the guide's criteria finds what has become of them, and which came to them."""
    ours = " ".join(cell for row in rows() for cell in row[1:])
    assert [] == [name for name in CRITERIA if f"`{name}`" not in ours]
