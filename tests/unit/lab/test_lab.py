# SPDX-License-Identifier: Apache-2.0
"""The lab's commands, as they are on each kind of machine."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis

from router.simulation import market

if TYPE_CHECKING:
    from types import ModuleType

UNIFIED = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nodev,noexec 0 0\n"
HYBRID = """\
tmpfs /sys/fs/cgroup tmpfs rw,mode=755 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0
"""
# What is installed is found only once the market is there.
BARE = """
import random, sys
sys.path.insert(0, sys.argv[1])
import router.simulation.market
sys.path.append(sys.argv[2])
import feed
print(feed.signal(random.Random(1), "BTCUSDT"))
"""


def copied(context: Path) -> list[tuple[str, str]]:
    """Which files the Containerfile copies into which folder of the host."""
    text = (context / "Containerfile").read_text(encoding="utf-8")
    found = re.findall(r"^COPY (?:--\S+ )?(.+) /(\S+)$", text, re.MULTILINE)
    return [(pattern, folder) for patterns, folder in found for pattern in patterns.split()]


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


def test_another_market_is_another_image(lab: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host never feeds the signals of an older `router simulate`."""
    before = lab.digest(lab.image_files())
    changed = tmp_path / lab.MARKET.name
    changed.write_text(lab.MARKET.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    monkeypatch.setattr(lab, "MARKET", changed)
    assert before != lab.digest(lab.image_files())


def test_podman_gets_every_file_that_the_image_is_made_of(
    lab: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each by its own name, those among them that the Containerfile copies; after the build they are gone."""
    monkeypatch.setattr(lab, "CACHE", tmp_path)
    with lab.build_context(lab.image_files()) as context:
        assert sorted(file.name for file in lab.image_files()) == sorted(file.name for file in context.iterdir())
        assert all(any(context.glob(pattern)) for pattern, _ in copied(context))
    assert not any(tmp_path.iterdir())


def test_the_feed_runs_where_there_is_no_router(
    lab: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Laid out as the Containerfile says; the market needs the standard library alone, the feed Redis' client too."""
    monkeypatch.setattr(lab, "CACHE", tmp_path)
    host = tmp_path / "host"
    with lab.build_context(lab.image_files()) as context:
        for pattern, folder in copied(context):
            for file in context.glob(pattern):
                (host / folder).mkdir(parents=True, exist_ok=True)
                shutil.copy(file, host / folder)
    beside = host / "usr/local/lib/lab"
    command = [sys.executable, "-IS", "-c", BARE, str(beside), str(Path(redis.__file__).parents[1])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (0, f"{market.signal(random.Random(1), 'BTCUSDT')}\n", "") == (done.returncode, done.stdout, done.stderr)


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
