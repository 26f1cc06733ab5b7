# SPDX-License-Identifier: Apache-2.0
"""Units as people leave them: each is put back as it was, or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.infra.desk import UNIT
from tests.infra.endings import UNITS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.infra.conftest import Playbooks
    from tests.infra.desk import Desk
    from tests.infra.endings import Fault

pytestmark = pytest.mark.long

FILE, LINKED, PACKAGED = f"{UNITS}/{UNIT}", "/home/qt/quantum_trader/router.service", f"/usr/lib/systemd/system/{UNIT}"
#: Form of a unit -> how the usual one becomes that, and back.
FORMS = {
    "drop-ins and an environment file": (
        f"""
            install -d {FILE}.d
            printf '[Service]\\nNice=5\\n' > {FILE}.d/a.conf
            printf '[Service]\\nEnvironmentFile=/etc/quantum.env\\n' > {FILE}.d/b.conf
            echo REDIS_URL=redis://127.0.0.1:6379/0 > /etc/quantum.env
            chmod 0600 /etc/quantum.env
        """,
        f"rm -r {FILE}.d /etc/quantum.env",
    ),
    "a link": (f"mv {FILE} {LINKED} && ln -s {LINKED} {FILE}", f"rm {FILE} && mv {LINKED} {FILE}"),
    "of a package": (
        f"mv {FILE} {PACKAGED} && ln -sf {PACKAGED} {UNITS}/multi-user.target.wants/",
        f"mv {PACKAGED} {FILE} && ln -sf {FILE} {UNITS}/multi-user.target.wants/",
    ),
}


@pytest.fixture
def form(desk: Desk, request: pytest.FixtureRequest) -> Iterator[str]:
    """The router from before with a unit of another form, until the test has ended."""
    there, back = FORMS[request.param]
    again = f"systemctl daemon-reload && systemctl restart {UNIT}"
    desk.run(f"set -e\n{there}\n{again}")
    yield request.param
    desk.run(f"set -e\n{back}\n{again}")


@pytest.mark.fault(
    29, "a unit with drop-ins and environment file, as a link, in /usr/lib", phase="activate", outcome="back"
)
@pytest.mark.parametrize("form", FORMS, indirect=True)
def test_adopted_and_restored(
    desk: Desk, playbooks: Playbooks, bad_wheel: Callable[[str], str], form: str, fault: Fault
) -> None:
    """Whatever its form, it is adopted and comes back in it when the release does not start."""
    drop_ins = len(desk.runs()["DropInPaths"].split())
    assert (2 if form.startswith("drop-ins") else 0) == drop_ins
    run = playbooks.deploy(router_artifact=bad_wheel("exits-at-start-when-live"))
    assert "rolled_back=true" in run.last_line
    fault.ends(run)


@pytest.fixture
def masked(desk: Desk) -> Iterator[None]:
    """The unit is masked while its process runs, until the test has ended."""
    desk.run(f"mv {FILE} /root/unit && ln -s /dev/null {FILE} && systemctl daemon-reload")
    yield
    desk.run(f"rm {FILE} && mv /root/unit {FILE} && systemctl daemon-reload")


@pytest.mark.usefixtures("masked")
@pytest.mark.fault(30, "a unit that was masked or edited by hand", phase="preflight", outcome="refused")
def test_masked(playbooks: Playbooks, fault: Fault) -> None:
    """Somebody does not want it to run: the line says so, and how that ends."""
    run = playbooks.deploy()
    assert f"unit {UNIT} is masked: systemctl unmask {UNIT} first" in run.reason
    fault.ends(run)
