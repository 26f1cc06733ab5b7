# SPDX-License-Identifier: Apache-2.0
"""What is to be seen on a host, and how a playbook ended there."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
UNIT = "quantum-ai-strategy-router.service"
UNIT_FILE = f"/etc/systemd/system/{UNIT}"
#: The router of the field, and where the lab has it from.
SCRIPT = "/home/qt/quantum_trader/ai_strategy_router.py"
FIELD = ROOT / "molecule" / "shared" / "host"
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
        facts["ExecStart"] = facts.get("ExecStart", "").partition(" ; ignore_errors")[0]
        return facts

    def runs_apart_from_process(self) -> dict[str, str]:
        """What systemd says of the unit whichever process runs it."""
        return {name: value for name, value in self.runs().items() if name not in {"MainPID", "NRestarts"}}

    def command_line(self) -> str:
        """What the main process was started as."""
        return self.run(f"tr '\\0' ' ' < /proc/{self.runs()['MainPID']}/cmdline")

    def live(self) -> str:
        """The release of ours that runs; empty where another router does, or none."""
        return self.run("readlink /opt/quantum-router/current || true").rpartition("/")[2]

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


def is_legacy(desk: Desk) -> None:
    """Assert that the router of the field is there byte for byte, with its owners and modes, and publishes."""
    unit, script = desk.host.file(UNIT_FILE), desk.host.file(SCRIPT)
    assert ((FIELD / UNIT).read_bytes(), "root", 0o644) == (unit.content, unit.user, unit.mode)
    assert ((FIELD / "ai_strategy_router.py").read_bytes(), "qt", 0o644) == (script.content, script.user, script.mode)
    assert {"ActiveState": "active", "UnitFileState": "enabled", "User": "qt"}.items() <= desk.runs().items()
    assert f"/usr/bin/python3 {SCRIPT}" == desk.command_line()
    assert desk.publishes()


def eventually(condition: Callable[[], Any], within_s: float = 12.0) -> Any:
    """The first true value of a condition, or its last one."""
    deadline_s = time.monotonic() + within_s
    while not (value := condition()) and time.monotonic() < deadline_s:
        time.sleep(0.5)
    return value
