# SPDX-License-Identifier: Apache-2.0
"""The lab's commands, as they are on each kind of machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

UNIFIED = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nodev,noexec 0 0\n"
HYBRID = """\
tmpfs /sys/fs/cgroup tmpfs rw,mode=755 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0
"""


@pytest.mark.parametrize(("mounts", "expected"), [(UNIFIED, True), (HYBRID, False), ("", False)])
def test_cgroup2_counts_only_where_systemd_expects_it(lab: ModuleType, mounts: str, *, expected: bool) -> None:
    """A hybrid machine has cgroup v2 too, but below the folder that systemd looks at."""
    assert expected == lab.has_cgroup2(mounts)


def test_an_ordinary_machine_runs_plain_podman(lab: ModuleType) -> None:
    """With cgroup v2 and root nothing stands before podman."""
    assert lab.podman_prefix(root=True, cgroup2=True) == ["podman"]


def test_without_root_podman_runs_under_sudo(lab: ModuleType) -> None:
    """The machine must reach the container's address, which rootless podman does not offer."""
    assert lab.podman_prefix(root=False, cgroup2=True) == ["sudo", "podman"]


def test_a_hybrid_machine_enters_the_namespace_with_its_own_configuration(lab: ModuleType) -> None:
    """The work-around stands before podman, and sudo before the work-around."""
    prefix = lab.podman_prefix(root=False, cgroup2=False)
    assert prefix[:4] == ["sudo", "nsenter", "--mount=/run/quantum-lab/mount", "env"]
    assert prefix[4].startswith("CONTAINERS_CONF=/")
    assert Path(prefix[4].partition("=")[2]).is_file()
    assert prefix[5:] == ["podman"]


def test_a_host_keeps_address_and_journal_and_may_sandbox(lab: ModuleType) -> None:
    """What a systemd host needs of podman is on the command line, and the image comes last."""
    arguments = lab.run_arguments("quantum-lab", "net", "172.31.73.10", "image:1")
    assert arguments[:2] == ["run", "--detach"]
    assert {"--cap-add=SYS_ADMIN", "--cap-add=SYS_PTRACE", "--cap-add=AUDIT_WRITE"} <= set(arguments)
    assert arguments[arguments.index("--ip") + 1] == "172.31.73.10"
    assert "--volume=/var/log/journal" in arguments
    assert arguments[-1] == "image:1"


def test_the_digest_follows_names_and_contents_only(lab: ModuleType, tmp_path: Path) -> None:
    """Order does not matter; another content, or the same under another name, is another image."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("a")
    two.write_text("b")
    before = lab.digest([one, two])
    assert before == lab.digest([two, one])
    two.write_text("c")
    changed = lab.digest([one, two])
    assert before != changed
    assert changed != lab.digest([one, two.rename(tmp_path / "three")])


def test_words_after_two_dashes_belong_to_the_command(lab: ModuleType) -> None:
    """Options of the command inside the host are not taken for the lab's own."""
    assert lab.parse(["exec", "NAME", "--", "ls", "-l"]).words == ["ls", "-l"]


def test_a_host_is_of_the_usual_suite_unless_it_says_otherwise(lab: ModuleType) -> None:
    """Each suite that can be named has a server whose package is installed."""
    up = ["up", "NAME", "--network=net", "--subnet=172.31.73.0/24", "--ip=172.31.73.10"]
    assert ("bookworm", "redis") == (lab.parse(up).suite, lab.SERVERS[lab.parse(up).suite])
    assert "valkey" == lab.SERVERS[lab.parse([*up, "--suite=trixie"]).suite]
    with pytest.raises(SystemExit):
        lab.parse([*up, "--suite=potato"])


def test_a_failing_command_is_told_in_one_line(lab: ModuleType) -> None:
    """The error names the command and carries its last line."""
    with pytest.raises(lab.LabError, match=r"^sh -c .*: the reason$"):
        lab.call("sh", "-c", "echo noise >&2; echo the reason >&2; exit 3")
