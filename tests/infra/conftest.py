# SPDX-License-Identifier: Apache-2.0
"""A host that Molecule made, deployments to it, and what is to be seen there: all over SSH."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.fault_matrix import RECOVERY, faults_of
from tests.infra.desk import ROOT, UNIT, Desk, Run
from tests.infra.endings import LOCK, Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from types import ModuleType

# They change the host they run on: outside of Molecule that would be this machine.
collect_ignore_glob = [] if "MOLECULE_INVENTORY_FILE" in os.environ else ["*"]


class Playbooks:
    """Runs playbooks as `make` does, against the scenario's host."""

    def __init__(self, reports: Path, inventory: str = "") -> None:
        self.reports = reports
        self.inventory = inventory or os.environ["MOLECULE_INVENTORY_FILE"]
        self.folder, self.environment = ROOT, {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}

    def start(self, playbook: str, *arguments: str, **variables: Any) -> subprocess.Popen[str]:
        """Begin to run a playbook of this repository with extra variables, in a process group of its own."""
        variables.setdefault("router_report_dir", str(self.reports))
        command = ["ansible-playbook", "--inventory", self.inventory, playbook, "--extra-vars", json.dumps(variables)]
        return subprocess.Popen(
            [*command, *arguments],
            cwd=self.folder,
            # Molecule forces colors, and force wins.
            env={**self.environment, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"},
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


@pytest.fixture(scope="module")
def desk(host: Any) -> Desk:
    """The scenario's host."""
    return Desk(host)


@pytest.fixture
def fault(desk: Desk, request: pytest.FixtureRequest) -> Iterator[Fault]:
    """The fault that the test is marked with; afterwards what ran before runs again, for the next test."""
    (outcome,) = {each["outcome"] for each in faults_of(request.node)}
    struck = Fault(desk, outcome, lambda seconds: request.node.user_properties.append((RECOVERY, seconds)))
    before = desk.live()
    yield struck
    if desk.live() not in ("", before):
        desk.run("router-release rollback")
    if not struck.ended:
        # It failed, and the lock of a deployment that was killed would fail those after it too.
        desk.run(f"rm -f {LOCK}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """A test that strikes a host looks at how that ended."""
    yield
    struck = getattr(item, "funcargs", {}).get("fault")
    assert struck is None or struck.ended, "call fault.ends()"


@pytest.fixture(scope="session")
def lab() -> ModuleType:
    """The script that makes hosts, for what a test does to one from outside."""
    spec = importlib.util.spec_from_file_location("lab", ROOT / "molecule" / "shared" / "lab.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
