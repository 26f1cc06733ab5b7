# SPDX-License-Identifier: Apache-2.0
"""A host that Molecule made, deployments to it, and what is to be seen there: all over SSH."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

# They change the host they run on: outside of Molecule that would be this machine.
collect_ignore_glob = [] if "MOLECULE_INVENTORY_FILE" in os.environ else ["*"]

ROOT = Path(__file__).resolve().parents[2]
UNIT = "quantum-ai-strategy-router.service"
INTENTS = "quantum:stream:trade.intent"
#: The fields of `systemctl show` that tell how a unit runs.
RUNS_AS = "ActiveState,UnitFileState,MainPID,ExecStart,FragmentPath,DropInPaths,User,Type,NRestarts"
#: Whatever a deployment may write, and no more.
WRITABLE = ("/etc/passwd", "/etc/group", "/etc/quantum-router", "/etc/systemd", "/home/qt", "/opt", "/usr/local")
STATE = "/var/lib/quantum-router"


@dataclass(frozen=True)
class Run:
    """How a playbook ended."""

    code: int
    output: str

    @property
    def last_line(self) -> str:
        """What a person reads last."""
        return self.output.strip().splitlines()[-1]

    @property
    def reason(self) -> str:
        """The reason that the last line gives."""
        found = re.search(r' reason=(".*")$', self.last_line)
        assert found, self.output
        return str(json.loads(found[1]))


class Playbooks:
    """Runs playbooks as `make` does, against the scenario's host."""

    def __init__(self, reports: Path, inventory: str = "") -> None:
        self.reports = reports
        self.inventory = inventory or os.environ["MOLECULE_INVENTORY_FILE"]

    def start(self, playbook: str, *arguments: str, **variables: Any) -> subprocess.Popen[str]:
        """Begin to run a playbook of this repository with extra variables, in a process group of its own."""
        variables.setdefault("router_report_dir", str(self.reports))
        command = ["ansible-playbook", "--inventory", self.inventory, playbook, "--extra-vars", json.dumps(variables)]
        return subprocess.Popen(
            [*command, *arguments],
            cwd=ROOT,
            # Molecule forces colors, and force wins.
            env={
                **os.environ,
                "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_FORCE_COLOR": "0",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, playbook: str, *arguments: str, **variables: Any) -> Run:
        """Run a playbook of this repository with extra variables."""
        with self.start(playbook, *arguments, **variables) as process:
            output, _nothing = process.communicate()
        sys.stdout.write(output)
        return Run(process.returncode, output)

    def deploy(self, *arguments: str, **variables: Any) -> Run:
        """`make deploy`."""
        return self.run("site.yml", *arguments, **variables)

    def roll_back(self, *arguments: str, **variables: Any) -> Run:
        """`make rollback`."""
        return self.run("rollback.yml", *arguments, **variables)

    @property
    def report(self) -> dict[str, Any]:
        """The newest report."""
        (newest,) = (self.reports / "latest").glob("*/report.json")
        report: dict[str, Any] = json.loads(newest.read_text(encoding="utf-8"))
        return report


class Desk:
    """The host as someone sees it who logs in there."""

    def __init__(self, host: Any) -> None:
        self.host = host

    def run(self, command: str) -> str:
        """Standard output of a shell command that must succeed."""
        return str(self.host.check_output(command)).strip()

    def redis(self, *words: str) -> str:
        """Redis' answer."""
        return self.run("redis-cli " + " ".join(words))

    def runs(self) -> dict[str, str]:
        """What systemd says of the router's unit."""
        lines = self.run(f"systemctl show --property={RUNS_AS} {UNIT}").splitlines()
        facts = dict(line.split("=", 1) for line in lines)
        # What follows are the times of the last start.
        facts["ExecStart"] = facts["ExecStart"].partition(" ; ignore_errors")[0]
        return facts

    def runs_apart_from_process(self) -> dict[str, str]:
        """What systemd says of the unit whichever process runs it."""
        return {name: value for name, value in self.runs().items() if name not in {"MainPID", "NRestarts"}}

    def command_line(self) -> str:
        """What the main process was started as."""
        return self.run(f"tr '\\0' ' ' < /proc/{self.runs()['MainPID']}/cmdline")

    def files(self, *paths: str) -> str:
        """Kind, mode, owner, target and digest of everything under the paths, but no times."""
        where = " ".join(paths)
        listing = f"find {where} -printf '%p %y %m %u %g %l\\n'; find {where} -type f -exec sha256sum {{}} +"
        return self.run(f"({listing}) 2> /dev/null | sort")

    def listing(self) -> str:
        """Everything on the host that a deployment may write."""
        return self.files(*WRITABLE, STATE)

    def intents(self) -> int:
        """How many intents there ever were."""
        words = self.redis("XINFO", "STREAM", INTENTS).split()
        return int(words[words.index("entries-added") + 1])

    def left_of_drills(self) -> tuple[str, str]:
        """Keys and units that a drill has left."""
        units = self.run("systemctl list-units --all --plain --no-legend 'quantum-router-drill-*'")
        return self.redis("--scan", "--pattern", "'quantum-drill:*'"), units

    def publishes(self) -> bool:
        """Whether intents come, within a few bursts of signals."""
        before = self.intents()
        return bool(eventually(lambda: self.intents() > before))


def eventually(condition: Callable[[], Any], within_s: float = 12.0) -> Any:
    """The first true value of a condition, or its last one."""
    deadline_s = time.monotonic() + within_s
    while not (value := condition()) and time.monotonic() < deadline_s:
        time.sleep(0.5)
    return value


@pytest.fixture(scope="module")
def desk(host: Any) -> Desk:
    """The scenario's host."""
    return Desk(host)


@pytest.fixture(scope="session")
def playbooks() -> Playbooks:
    """Playbooks whose reports lie with those of Molecule's own runs."""
    return Playbooks(Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "reports")


@pytest.fixture(scope="session")
def bad_wheel(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Make a wheel of a kind that `bad_wheels.py` knows; returns its path."""
    (good,) = (ROOT / "ansible/ansible_collections/quantum/router/roles/router/files").glob("quantum_router-*.whl")

    def make(kind: str) -> str:
        bad = tmp_path_factory.mktemp(kind) / good.name
        subprocess.run([sys.executable, ROOT / "tests/infra/bad_wheels.py", kind, good, bad], check=True)
        return str(bad)

    return make


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the router of the host said last, if a test fails."""
    report = yield
    host = getattr(item, "funcargs", {}).get("desk")
    if report.failed and host is not None:
        journal = f"journalctl --no-pager --lines=40 _SYSTEMD_UNIT={UNIT} + UNIT={UNIT}"
        report.sections.append((f"journal of {UNIT}", str(host.host.run(journal).stdout)))
    return report
