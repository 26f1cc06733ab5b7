# SPDX-License-Identifier: Apache-2.0
"""Where deployments are measured: lab hosts of their own, made when asked for and gone afterwards."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]
LAB: Final = ROOT / "molecule" / "shared" / "lab.py"
KEY: Final = ROOT / ".cache" / "lab" / "id_ed25519"
NETWORK: Final = ("--network", "quantum-molecule")
SSH: Final = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
UNIT: Final = "quantum-ai-strategy-router.service"
NAMES: Final = tuple(f"quantum-bench-{number}" for number in range(6))
ADDRESSES: Final = {name: f"172.31.74.{40 + number}" for number, name in enumerate(NAMES)}
#: Short times, so that a deployment's own are not lost in waiting; everything else is as shipped.
SETTINGS: Final = {"CANDIDATE_WINDOW_SEC": 1, "ROUTER_LEASE_TTL_SEC": 1}
PACE: Final = {
    "router_watchdog_s": 4,
    "router_start_timeout_s": 8,
    "router_baseline_min": 5,
    "router_soak_min": 5,
    "router_soak_max": 60,
}


@dataclass(frozen=True)
class Run:
    """One run of `make`: how long it took as a whole, and what it did."""

    seconds: float
    output: str

    @property
    def tasks(self) -> int:
        """Tasks that ran on the busiest host, or would have to be looked at there: all but skipped ones."""
        return max(int(count) for count in re.findall(r"^\S+ +: ok=(\d+) ", self.output, re.MULTILINE))


class BenchError(Exception):
    """A run that did not do what is to be measured."""


class Host:
    """One lab host, over SSH."""

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, script: str) -> str:
        """Return what a shell script says there, run by the unprivileged user that deploys."""
        words = ["ssh", "-i", str(KEY), *SSH.split(), f"deploy@{ADDRESSES[self.name]}", script]
        return subprocess.run(words, check=True, capture_output=True, text=True, timeout=300).stdout

    def times_us(self) -> dict[str, int]:
        """When the unit last went through its states: microseconds on the host's monotonic clock."""
        names = ("InactiveEnter", "ActiveEnter", "ExecMainStart")
        wanted = ",".join(f"{name}TimestampMonotonic" for name in names)
        lines = self.run(f"systemctl show --property={wanted} {UNIT}").splitlines()
        return {line.partition("Timestamp")[0]: int(line.partition("=")[2]) for line in lines}

    @property
    def release(self) -> str:
        """The release that is live."""
        return self.run("readlink /opt/quantum-router/current").strip().rpartition("/")[2]

    @property
    def gap_s(self) -> float:
        """Seconds from the end of the process before to the READY of the one that runs."""
        times = self.times_us()
        return (times["ActiveEnter"] - times["InactiveEnter"]) / 1e6


class Lab:
    """Hosts to deploy to, and `make` to do it with; *folder* holds inventories and reports."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fresh(self, count: int) -> list[Host]:
        """Return so many hosts with nothing of ours on them, each with the router from before at work."""
        for name in NAMES[:count]:
            self.remove(name)
            _call(LAB, "up", name, *NETWORK, "--subnet", "172.31.74.0/24", "--ip", ADDRESSES[name])
        return [Host(name) for name in NAMES[:count]]

    def remove(self, name: str) -> None:
        """Remove a host; nothing happens if there is none of that name."""
        _call(LAB, "down", name, *NETWORK)

    def make(self, target: str, hosts: list[Host], **variables: Any) -> Run:
        """Run `make TARGET` for the hosts; raises BenchError if it fails."""
        inventory = self._inventory(hosts)
        given = {"router_settings": SETTINGS, **PACE, "router_report_dir": str(self._folder / "reports"), **variables}
        arguments = f"--extra-vars {shlex.quote(json.dumps(given))}"
        began_s = time.monotonic()
        done = subprocess.run(
            ["make", target, f"INVENTORY={inventory}", f"ARGS={arguments}"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.monotonic() - began_s
        if done.returncode:
            raise BenchError(f"make {target} failed\n{done.stdout[-4000:]}{done.stderr[-1000:]}")
        return Run(seconds, done.stdout)

    def soak_s(self, host: Host) -> float:
        """Seconds that the newest deployment of the host watched it, as its report has them."""
        report = json.loads((self._folder / "reports" / "latest" / host.name / "report.json").read_text("utf-8"))
        return float(next((phase["seconds"] for phase in report["phases"] if phase["name"] == "soak"), 0.0))

    def fact(self) -> str:
        """Return what the figures depend on besides the machine."""
        said = Host(NAMES[0]).run(
            "systemctl --version | head -n 1; /usr/bin/python3 --version; cat /etc/debian_version"
        )
        systemd, python, debian = said.splitlines()
        version, day = " ".join(systemd.split()[:2]), time.strftime("%Y-%m-%d", time.gmtime())
        return f"containers of Debian {debian} with {version} and {python} on that machine; {day}"

    def _inventory(self, hosts: list[Host]) -> Path:
        place = self._folder / "hosts.json"
        reached = {
            "ansible_user": "deploy",
            "ansible_become": True,
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_ssh_private_key_file": str(KEY),
            "ansible_ssh_common_args": SSH,
        }
        members = {host.name: {"ansible_host": ADDRESSES[host.name]} for host in hosts}
        place.write_text(json.dumps({"routers": {"hosts": members, "vars": reached}}), encoding="utf-8")
        return place


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Lab]:
    """Have a lab; its hosts are removed at the end, whatever happened."""
    lab = Lab(folder)
    try:
        yield lab
    finally:
        for name in NAMES:
            lab.remove(name)


def _call(script: Path, *words: str) -> None:
    subprocess.run([sys.executable, str(script), *words], check=True, capture_output=True)
