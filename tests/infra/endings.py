# SPDX-License-Identifier: Apache-2.0
"""The four states that a host may be left in, whatever goes wrong: one implementation of each.

proven   the new release runs, the judge said that it is to be confirmed, and it is
back     what ran before runs again: same bytes, active, publishing
refused  what ran before never stopped: same process, same bytes, publishing
stopped  there was nothing to return to: no unit, no process, nothing that starts at boot
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tests.infra.desk import STATE, UNIT, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.infra.desk import Desk, Run

UNITS = "/etc/systemd/system"
CURRENT = "/opt/quantum-router/current"
MARKER, LOCK, JOURNAL = f"{STATE}/pending.json", f"{STATE}/lock.json", f"{STATE}/journal.jsonl"
#: All that decides what runs, of a router from before and of one of ours.
PLACES = (
    *(f"{UNITS}/{UNIT}", f"{UNITS}/{UNIT}.d", f"{UNITS}/*.wants/{UNIT}", f"/usr/lib/systemd/system/{UNIT}"),
    *("/etc/quantum.env", "/home/qt/quantum_trader", CURRENT, f"{CURRENT}/"),
)
#: Longest that a deployment which died before activation may keep others away, in these tests (`_router_lock_s`).
LOCK_S = 20
#: systemd's own messages (systemd.journal-fields, sd-messages.h): it stops a unit, it has started one.
STOPPING, STARTED = "de5b426a63be47a7b6ac3eaac82e2f6f", "39f53479d3a045ac8e11786248231fbf"


class Fault:
    """A fault that a test strikes with: what ran before it, and how it must end.

    Seconds to recover count from `strikes`, or else from when systemd stopped what ran before for the new release,
    until systemd had started it again, both by the host's clock. Refused is 0: nothing was interrupted.
    """

    def __init__(self, desk: Desk, outcome: str, record: Callable[[float | None], None]) -> None:
        self.desk = desk
        self.outcome = outcome
        self.record = record
        self.began_s = self.struck_s = self._now_s()
        self.struck = False
        self.ended = False
        self.before = self._seen()

    def strikes(self) -> None:
        """The fault happens now."""
        self.struck_s, self.struck = self._now_s(), True

    def ends(self, run: Run | None = None, within_s: float = 0.0) -> None:
        """Assert that the host is in the state that the test is marked with, and record the seconds to recover.

        `run` is the deployment, if its controller lived: it succeeds where its release is proven and nowhere else.
        What nobody told to end ends by itself `within_s`.
        """
        eventually(lambda: not self.desk.host.file(MARKER).exists, within_s)
        if run is not None:
            assert (0 == run.code) == (self.outcome == "proven"), run.output
            assert "Traceback" not in run.last_line
        ends: dict[str, Callable[[], float | None]] = {
            "proven": self._proven,
            "back": self._back,
            "refused": self._refused,
            "stopped": self._stopped,
        }
        self.record(ends[self.outcome]())
        self._is_free()
        self.ended = True

    def _proven(self) -> float | None:
        state = json.loads(self.desk.run(f"cat {STATE}/state.json"))
        release = state["known_good"][-1]
        assert f"/opt/quantum-router/releases/{release}" == self.desk.run(f"readlink --canonicalize {CURRENT}")
        assert self.desk.command_line().startswith(f"/opt/quantum-router/releases/{release}/")
        assert (None, "confirm") == (state["pending"], state["verdicts"][release]["action"])
        assert {"ActiveState": "active", "UnitFileState": "enabled"}.items() <= self.desk.runs().items()
        assert self.desk.publishes()
        return None

    def _back(self) -> float:
        now = self._seen()
        unlike = ("MainPID", "NRestarts")
        assert _without(self.before, *unlike) == _without(now, *unlike)
        assert "active" == now["ActiveState"]
        assert self.desk.publishes()
        return self._since_it_struck_s(self._messages_s(STARTED)[-1])

    def _refused(self) -> float:
        assert self.before == self._seen()
        assert "active" == self.before["ActiveState"]
        assert self.desk.publishes()
        return 0.0

    def _stopped(self) -> float:
        assert "not-found" == self.desk.run(f"systemctl show --property=LoadState --value {UNIT}")
        assert "0" == self.desk.runs()["MainPID"]
        assert "" == self.desk.run(f"ls {UNITS}/*.wants/{UNIT} {CURRENT} 2> /dev/null || true")
        undone = json.loads(self.desk.run(f"tail -n 1 {JOURNAL}"))
        assert "rolled back" == undone["action"]
        return self._since_it_struck_s(datetime.fromisoformat(undone["at"].replace("Z", "+00:00")).timestamp())

    def _is_free(self) -> None:
        """Nothing is pending, no guard waits, and the next deployment may have the host, soon at the latest."""
        assert not self.desk.host.file(MARKER).exists
        assert "" == self.desk.run("systemctl list-units --all --plain --no-legend 'quantum-router-guard-*'")
        assert eventually(self._is_unlocked, LOCK_S + 5.0), self.desk.run(f"cat {LOCK}")

    def _is_unlocked(self) -> bool:
        """Whether there is no lock, or one whose time is up, by the clock that nobody sets."""
        if not self.desk.host.file(LOCK).exists:
            return True
        ends_s = json.loads(self.desk.run(f"cat {LOCK}"))["ends_s"]
        return ends_s is not None and float(ends_s) <= float(self.desk.run("cut -d ' ' -f 1 /proc/uptime"))

    def _seen(self) -> dict[str, str]:
        facts = self.desk.runs()
        process = self.desk.command_line() if facts["MainPID"] != "0" else ""
        return {"files": self.desk.files(*PLACES), "process": process, **facts}

    def _since_it_struck_s(self, end_s: float) -> float:
        since_s = self.struck_s if self.struck else self._messages_s(STOPPING)[0]
        # A guard may have been quicker than the fault that a test had in mind.
        return round(max(0.0, end_s - since_s), 1)

    def _now_s(self) -> float:
        return float(self.desk.run("date +%s.%N"))

    def _messages_s(self, kind: str) -> list[float]:
        command = f"journalctl --no-pager --output=json --output-fields=UNIT UNIT={UNIT} MESSAGE_ID={kind}"
        entries: list[dict[str, Any]] = [
            json.loads(line) for line in self.desk.run(f"{command} --since=@{int(self.began_s)}").splitlines()
        ]
        times = [int(entry["__REALTIME_TIMESTAMP"]) / 1e6 for entry in entries]
        return [at_s for at_s in times if at_s >= self.began_s]


def _without(facts: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in facts.items() if name not in names}
