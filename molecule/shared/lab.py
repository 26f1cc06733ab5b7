#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Brings up and takes down hosts to deploy to: systemd containers made from the folder `host` and `MARKET`.

    lab.py up NAME --network NET --subnet 172.31.73.0/24 --ip 172.31.73.10 [--suite trixie]
    lab.py exec NAME -- COMMAND ...
    lab.py down NAME --network NET
    lab.py clean

Podman needs root here (the machine must reach the container's address), so without root it runs under sudo. Two
work-arounds serve machines that lack something, and only those: `cgroup_namespace` and `base_from_packages`.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SHARED = Path(__file__).resolve().parent
HOST = SHARED / "host"
# The signals of `router simulate`, which the hosts' feed imports.
MARKET = SHARED.parent.parent / "router" / "simulation" / "market.py"
CACHE = SHARED.parent.parent / ".cache" / "lab"
KEY = CACHE / "id_ed25519"
LOCK = Path(f"/tmp/quantum-lab-{os.geteuid()}.lock")
NAMESPACE_DIR = Path("/run/quantum-lab")
NAMESPACE = NAMESPACE_DIR / "mount"
IMAGE = "localhost/quantum-lab"
BASE_IMAGE = "localhost/quantum-lab-base"
# Debian's suites, and the server that the lab has there for Redis' protocol.
SERVERS = {"bookworm": "redis", "trixie": "valkey"}
SUITE = "bookworm"
# Without SYS_ADMIN systemd skips sandboxing silently; PrivateUsers= needs SYS_PTRACE, sshd needs AUDIT_WRITE.
CAPABILITIES = ("AUDIT_WRITE", "SYS_ADMIN", "SYS_PTRACE")
READY_TIMEOUT_S = 60.0
PULL_TIMEOUT_S = 120.0


class LabError(Exception):
    """Something the user can act on; the message is the whole story."""


def has_cgroup2(mounts: str) -> bool:
    """Whether /proc/mounts has cgroup v2 itself, not a hybrid, where systemd expects it."""
    return any(line.split()[1:3] == ["/sys/fs/cgroup", "cgroup2"] for line in mounts.splitlines())


def elevation(*, root: bool) -> list[str]:
    """The words before a command that needs root."""
    return [] if root else ["sudo"]


def podman_prefix(*, root: bool, cgroup2: bool) -> list[str]:
    """The words before podman's own arguments on such a machine."""
    if cgroup2:
        return [*elevation(root=root), "podman"]
    configuration = f"CONTAINERS_CONF={SHARED / 'containers.conf'}"
    return [*elevation(root=root), "nsenter", f"--mount={NAMESPACE}", "env", configuration, "podman"]


def run_arguments(name: str, network: str, ip: str, image: str) -> list[str]:
    """Podman's arguments for one host; the journal gets a volume because podman's tmpfs loses it at a restart.

    The same address has the same MAC: the machine would look for a host made anew at the old one for a while.
    """
    mac = "02:00:" + ":".join(f"{int(part):02x}" for part in ip.split("."))
    return [
        *("run", "--detach", "--name", name, "--hostname", name, "--network", network, "--ip", ip),
        f"--mac-address={mac}",
        *("--systemd=always", "--restart=always", "--volume=/var/log/journal"),
        *(f"--cap-add={capability}" for capability in CAPABILITIES),
        *("--security-opt=apparmor=unconfined", "--security-opt=label=disable"),
        image,
    ]


def digest(files: Iterable[Path]) -> str:
    """Twelve hex digits over the names and contents of files, whatever their order."""
    hashed = hashlib.sha256()
    for file in sorted(files):
        content = file.read_bytes()
        hashed.update(f"{file.name}\0{len(content)}\0".encode() + content)
    return hashed.hexdigest()[:12]


def is_root() -> bool:
    """Whether this process may do everything itself."""
    return os.geteuid() == 0


def call(*command: str, give: str | None = None) -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run(command, input=give, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no message"]
        raise LabError(f"{' '.join(command[:6])} ...: {last[0]}")
    return done.stdout


def podman_command() -> list[str]:
    """Podman on this machine, ready to be given arguments."""
    missing = [tool for tool in ("podman", *elevation(root=is_root())) if shutil.which(tool) is None]
    if missing:
        raise LabError(f"{missing[0]} is missing: run make setup as root")
    cgroup2 = has_cgroup2(Path("/proc/mounts").read_text(encoding="utf-8"))
    if not cgroup2:
        cgroup_namespace()
    return podman_prefix(root=is_root(), cgroup2=cgroup2)


def podman(*arguments: str, give: str | None = None) -> str:
    """Standard output of a podman command that must succeed."""
    return call(*podman_command(), *arguments, give=give)


def succeeds(*arguments: str, timeout_s: float | None = None) -> bool:
    """Whether a podman command exits with 0 in time."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        command = [*podman_command(), *arguments]
        return subprocess.run(command, capture_output=True, check=False, timeout=timeout_s).returncode == 0
    return False


def cgroup_namespace() -> None:
    """Work-around for hybrid cgroups: a mount namespace, kept by a file, whose /sys/fs/cgroup is cgroup v2.

    Containers and their networks are visible only there; nothing outside of it changes.
    """
    sudo = elevation(root=is_root())
    enter = [*sudo, "nsenter", f"--mount={NAMESPACE}", "true"]
    if subprocess.run(enter, capture_output=True, check=False).returncode == 0:
        return
    script = f"""
        mkdir -p {NAMESPACE_DIR}
        mountpoint -q {NAMESPACE_DIR} || mount --bind {NAMESPACE_DIR} {NAMESPACE_DIR}
        mount --make-private {NAMESPACE_DIR}
        touch {NAMESPACE}
        unshare --mount={NAMESPACE} sh -c 'umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup'
    """
    call(*sudo, "sh", "-ec", script)


def base_from_packages(suite: str) -> str:
    """Work-around for machines that reach no registry: a base image straight from Debian's packages."""
    packages = HOST / "packages.txt"
    image = f"{BASE_IMAGE}:{suite}-{digest([packages])}"
    if succeeds("image", "exists", image):
        return image
    include = ",".join([*packages.read_text(encoding="utf-8").split(), f"{SERVERS[suite]}-server"])
    archive = CACHE / "base.tar"
    try:
        make = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={include}", suite, str(archive)]
        call(*elevation(root=is_root()), *make)
        podman("import", "--quiet", str(archive), image)
    finally:
        archive.unlink(missing_ok=True)
    return image


def image_files() -> list[Path]:
    """The files that a host's image is built from; Python leaves folders beside its own."""
    return [*(path for path in HOST.iterdir() if path.is_file()), MARKET]


@contextlib.contextmanager
def build_context(files: Iterable[Path]) -> Iterator[Path]:
    """A folder with a copy of each file, for as long as podman needs it."""
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        for file in files:
            shutil.copy2(file, folder)
        yield Path(folder)


def host_image(suite: str = SUITE) -> str:
    """The image of a host of that suite, built when a file of it has changed since."""
    files = image_files()
    image = f"{IMAGE}:{suite}-{digest(files)}"
    if not succeeds("image", "exists", image):
        print(f"Building the image of the lab's host ({suite}): a minute once, then cached", flush=True)
        base = f"debian:{suite}-slim"
        if not succeeds("pull", "--quiet", base, timeout_s=PULL_TIMEOUT_S):
            base = base_from_packages(suite)
        given = (f"--build-arg=BASE={base}", f"--build-arg=SERVER={SERVERS[suite]}")
        with build_context(files) as context:
            podman("build", "--quiet", "--network=host", *given, f"--tag={image}", str(context))
    return image


def authorize(name: str) -> None:
    """Let this checkout's key in, besides those of other checkouts."""
    if not KEY.exists():
        call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "quantum-lab", "-f", str(KEY))
    line = KEY.with_suffix(".pub").read_text(encoding="utf-8")
    keys = "/home/deploy/.ssh/authorized_keys"
    script = f'read -r key; grep -qxF "$key" {keys} 2> /dev/null || echo "$key" >> {keys}'
    podman("exec", "--interactive", "--user=deploy", name, "sh", "-c", script, give=line)


def complaint(name: str) -> str | None:
    """What a host still lacks, or None when it is ready: booted, Redis answers, somebody has published."""
    state = subprocess.run(
        [*podman_command(), "exec", name, "systemctl", "is-system-running"], capture_output=True, text=True, check=False
    ).stdout.strip()
    if state != "running":
        return f"systemd is {state or 'not there'}"
    published = podman("exec", name, "redis-cli", "XLEN", "quantum:stream:trade.intent").strip()
    if not published.isdigit():
        return f"Redis says {published}"
    return None if int(published) else "the router has published nothing"


def wait_ready(name: str) -> None:
    """Return once the host is ready, or say what it lacks."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while lack := complaint(name):
        if time.monotonic() > deadline:
            raise LabError(
                f"{name} is not ready after {READY_TIMEOUT_S:.0f} s: {lack}; see {__file__} exec {name} journalctl"
            )
        time.sleep(0.3)


def up(name: str, network: str, subnet: str, ip: str, suite: str) -> None:
    """Have a host of that name and address running and ready; one that runs already stays as it is."""
    image = host_image(suite)
    if podman("ps", "--quiet", f"--filter=name=^{name}$", "--filter=status=running"):
        if image not in podman("inspect", "--format={{.ImageName}}", name):
            print(f"{name} is from an older image: lab-down, then lab-up, makes it anew")
    else:
        podman("rm", "--force", "--volumes", "--ignore", name)
        if not succeeds("network", "exists", network):
            podman("network", "create", "--disable-dns", f"--subnet={subnet}", network)
        (CACHE / "known_hosts").unlink(missing_ok=True)
        podman(*run_arguments(name, network, ip, image))
    authorize(name)
    wait_ready(name)
    print(f"{name} is up: ssh -i {KEY} deploy@{ip}")


def down(name: str, network: str) -> None:
    """Remove a host with its journal, and its network when nobody else is on it."""
    podman("rm", "--force", "--time=0", "--volumes", "--ignore", name)
    if succeeds("network", "exists", network) and not podman("ps", "--all", "--quiet", f"--filter=network={network}"):
        podman("network", "rm", network)


def clean() -> None:
    """Remove the cached images; a host that still uses one keeps it."""
    images = podman("images", "--format={{.Repository}}:{{.Tag}}").split()
    for image in (each for each in images if each.startswith((f"{IMAGE}:", f"{BASE_IMAGE}:"))):
        podman("rmi", image)


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Keep runs that build and create apart, those of other checkouts too."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with LOCK.open("a", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for command in ("up", "down", "exec"):
        sub = commands.add_parser(command)
        sub.add_argument("name")
        if command == "exec":
            sub.add_argument("words", nargs="+")
        else:
            sub.add_argument("--network", required=True)
        if command == "up":
            sub.add_argument("--subnet", required=True)
            sub.add_argument("--ip", required=True)
            sub.add_argument("--suite", choices=SERVERS, default=SUITE)
    commands.add_parser("clean")
    return parser.parse_args(arguments)


def main() -> int:
    """Carry out one command; exit status 1 with one line when it can't be done."""
    options = vars(parse())
    command = options.pop("command")
    try:
        if command == "exec":
            words = [*podman_command(), "exec", "--interactive", options["name"], *options["words"]]
            return subprocess.run(words, check=False).returncode
        with one_at_a_time():
            if command == "up":
                up(**options)
            elif command == "down":
                down(**options)
            else:
                clean()
    except (LabError, OSError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
