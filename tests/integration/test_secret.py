# SPDX-License-Identifier: Apache-2.0
"""The users that the role makes in Redis, and the exchange of their passwords while a router works with them."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis
from ansible_collections.quantum.router.plugins.module_utils.release import lock, login, secret, store
from ansible_collections.quantum.router.plugins.module_utils.release.errors import ReleaseError
from ansible_collections.quantum.router.plugins.module_utils.release.host import Host
from ansible_collections.quantum.router.plugins.module_utils.release.layout import UNIT, Layout
from ansible_collections.quantum.router.plugins.module_utils.release.resp import Link
from ansible_collections.quantum.router.plugins.module_utils.release.state import Pending, State
from ansible_collections.quantum.router.plugins.module_utils.release.systemctl import Completed, run

from tests.integration.conftest import FAST, RedisServer, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tests.integration.conftest import Market, RouterProcess

RELEASE = "1.0.0-aaaaaaaaaaaa"
SECRETS = "/etc/quantum-router/0123456789abcdef"


class Desk:
    """A host with a deployer and a live release, whose systemctl starts real routers on a real Redis."""

    def __init__(self, root: Path, server: RedisServer, start_router: Callable[..., RouterProcess]) -> None:
        self.server = server
        self.admin = secret.Admin((f"unix://boss@{server.socket}",), "adm1n-s3cret")
        self.layout = Layout(root)
        self.login = login.Login(f"unix://desk@{server.socket}", self.layout.at(SECRETS))
        self.host = Host(layout=self.layout, run=self.run, who="ann")
        self.router: RouterProcess | None = None
        self.starts = 0
        self.refuses_to_start = 0
        self.argv: list[str] = []
        self._start_router = start_router
        deployer = self.layout.deployers / "0123456789ab"
        (deployer / "venv" / "bin").mkdir(parents=True)
        (deployer / "manifest.json").write_text("{}")
        (deployer / "venv" / "bin" / "python").symlink_to(sys.executable)
        self.release(RELEASE, self.login)
        self.login.secrets.mkdir(parents=True)

    def release(self, name: str, logs_in: login.Login) -> None:
        """Have a release live that logs in like that."""
        tree = self.layout.release(name)
        tree.mkdir(parents=True)
        (tree / "environment").write_text(
            f"ROUTER_REDIS_URL={logs_in.url}\nROUTER_REDIS_PASSWORD_FILE=redis-password\n"
        )
        secrets = self.layout.host_path(logs_in.secrets)
        (tree / "unit").write_text(f"[Service]\nLoadCredential=redis-password:{secrets}/redis-password\n")
        self.layout.current.unlink(missing_ok=True)
        self.layout.current.symlink_to(f"releases/{name}")

    def run(self, argv: Sequence[str], timeout_s: float, environment: Mapping[str, str] | None = None) -> Completed:
        """What the host would run: systemctl on our process, everything else for real."""
        self.argv += argv
        if argv[0] == "journalctl":
            return Completed(0, "REDIS_UNAVAILABLE: WRONGPASS\n", "")
        if argv[0] == "systemctl":
            return self.systemctl(argv[1])
        # The deployer's own environment has the package; this one finds it here.
        python = (sys.executable, "-m", *argv[3:])
        return run(
            python,
            timeout_s,
            {**FAST, "PYTHONPATH": os.environ.get("PYTHONPATH", str(Path.cwd())), **(environment or {})},
        )

    def systemctl(self, verb: str) -> Completed:
        """Restart the router, or say how it is."""
        if verb == "restart":
            if self.router is not None and self.router.process.poll() is None:
                assert 0 == self.router.stop()
            if self.refuses_to_start:
                self.refuses_to_start -= 1
                return Completed(1, "", "")
            self.start()
        running = self.router is not None and self.router.process.poll() is None
        stopped = "failed" if self.starts else "inactive"
        facts = {"ActiveState": "active" if running else stopped, "MainPID": "1" if running else "0", "Type": "notify"}
        return Completed(0, "".join(f"{name}={value}\n" for name, value in facts.items()), "")

    def start(self) -> None:
        """Start the router as the unit does: the credential is a copy of the password as it is now."""
        self.starts += 1
        credentials = self.layout.root / f"credentials-{self.starts}"
        credentials.mkdir()
        (credentials / "redis-password").write_bytes((self.login.secrets / "redis-password").read_bytes())
        self.router = self._start_router(
            url=self.login.url,
            CREDENTIALS_DIRECTORY=str(credentials),
            ROUTER_REDIS_PASSWORD_FILE="redis-password",
            ROUTER_SIGNAL_MAX_AGE_SEC="60",  # however slow the machine, an exchange makes none stale
        )
        self.router.wait_for("ACTIVE")

    def make(self, **settings: str) -> list[str]:
        """Make the users."""
        return secret.make(self.host, self.admin, self.login, {**FAST, **settings})

    def rotate(self) -> list[str]:
        """Exchange the passwords."""
        return secret.rotate(self.host, self.admin, self.login)

    @property
    def passwords(self) -> dict[str, str]:
        """The password of each user, as it lies on the host."""
        return {each.name: each.password.read_text() for each in login.accounts(self.login)}

    @property
    def digests(self) -> dict[str, list[str]]:
        """The SHA-256 of each user's passwords, as Redis has them."""
        return self.digests_at(self.server)

    def digests_at(self, server: RedisServer) -> dict[str, list[str]]:
        """The same of another server."""
        client: Any = server.client
        return {name: client.acl_getuser(name)["passwords"] for name in self.passwords}

    def journal(self) -> list[dict[str, Any]]:
        """The audit journal."""
        lines = (self.layout.state_dir / "journal.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]


def sha256(text: str) -> str:
    """As Redis keeps a password, but for the sign before it."""
    return hashlib.sha256(text.encode()).hexdigest()


def with_users(folder: Path) -> RedisServer:
    """A server with a file of users, and an administrator in it."""
    (folder / "users.acl").write_text(
        f"user boss on #{sha256('adm1n-s3cret')} ~* &* +@all\nuser default on nopass ~* &* +@all\n"
    )
    server = RedisServer(folder, "--aclfile", str(folder / "users.acl"))
    server.start()
    return server


@pytest.fixture
def configured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Such a server."""
    server = with_users(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Another one, that may take the place of the first."""
    server = with_users(tmp_path_factory.mktemp("second"))
    yield server
    server.stop()


@pytest.fixture
def redis_server(configured: RedisServer) -> RedisServer:
    """The market and the routers of these tests are on that server."""
    return configured


@pytest.fixture
def desk(tmp_path: Path, redis_server: RedisServer, start_router: Callable[..., RouterProcess]) -> Desk:
    """The host on that server."""
    return Desk(tmp_path / "host", redis_server, start_router)


def test_the_users_are_made_once_with_their_rights(desk: Desk) -> None:
    """Both users log in with passwords that only root reads; the same again changes nothing."""
    assert ["desk made at", "desk-deployment made at"] == [line.rpartition(" ")[0] for line in desk.make()]
    paths = [account.password for account in login.accounts(desk.login)]
    assert [0o600, 0o600] == [path.stat().st_mode & 0o777 for path in paths]
    assert {name: [sha256(password)] for name, password in desk.passwords.items()} == desk.digests
    assert 2 == len(set(desk.passwords.values()))
    listed = desk.server.client.acl_list()
    assert [] == desk.make()
    assert listed == desk.server.client.acl_list()
    for name, password in desk.passwords.items():
        client = redis.Redis(unix_socket_path=str(desk.server.socket), username=name, password=password)
        assert client.time()
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.flushall()


def test_check_mode_says_it_and_makes_nothing(desk: Desk) -> None:
    """Before, while rights are missing, and after: what it predicts is what is done, and nothing is written."""

    def check(**settings: str) -> list[str]:
        listed, files = desk.server.client.acl_list(), sorted(desk.login.secrets.iterdir())
        found = secret.make(desk.host, desk.admin, desk.login, {**FAST, **settings}, check=True)
        assert (listed, files) == (desk.server.client.acl_list(), sorted(desk.login.secrets.iterdir()))
        return found

    assert check() == desk.make()
    assert [] == check()
    prefix = {"ROUTER_KEY_PREFIX": "desk2:"}
    assert check(**prefix) == desk.make(**prefix)
    assert [] == check(**prefix)


def test_rights_are_added_and_those_before_stay(desk: Desk) -> None:
    """Other names of keys are allowed besides those that the release before them needs to come back."""
    desk.make()
    passwords = desk.passwords
    lines = desk.make(ROUTER_KEY_PREFIX="desk2:")
    assert ["desk was given rights at", "desk-deployment was given rights at"] == [
        line.rpartition(" ")[0] for line in lines
    ]
    assert passwords == desk.passwords
    client = redis.Redis(unix_socket_path=str(desk.server.socket), username="desk", password=passwords["desk"])
    assert [None, None] == [client.get("quantum:kill"), client.get("desk2:quantum:kill")]


def test_users_outlive_a_restart_of_redis(desk: Desk) -> None:
    """They are in the file of users before the deployment goes on."""
    desk.make()
    digests = desk.digests
    desk.server.stop()
    desk.server.start()
    assert digests == desk.digests


def test_without_a_file_of_users_they_are_in_the_configuration(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, start_router: Callable[..., RouterProcess]
) -> None:
    """Redis writes them into its own configuration, selectors and all, and reads them again."""
    configuration = tmp_path_factory.mktemp("configured") / "redis.conf"
    configuration.write_text(f"user boss on #{sha256('adm1n-s3cret')} ~* &* +@all\n")
    server = RedisServer(configuration.parent, configuration=configuration)
    server.start()
    try:
        desk = Desk(tmp_path / "host", server, start_router)
        desk.make()
        digests = desk.digests
        server.stop()
        server.start()
        assert digests == desk.digests
        assert [] == desk.make()
    finally:
        server.stop()


def test_a_server_that_forgets_its_users_is_refused_before_any_is_made(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, start_router: Callable[..., RouterProcess]
) -> None:
    """Without a place to keep them they would be gone at the next start, and the router with them."""
    server = RedisServer(tmp_path_factory.mktemp("forgets"))
    server.start()
    try:
        desk = Desk(tmp_path / "host", server, start_router)
        desk.admin = secret.Admin((f"unix://{server.socket}",))
        with pytest.raises(ReleaseError, match="it would forget the users at its next start, give it an aclfile"):
            desk.make()
        assert ["default"] == server.client.acl_users()
    finally:
        server.stop()


def test_somebody_else_s_user_is_left_alone(desk: Desk) -> None:
    """A user whose password this host does not have may be another host's."""
    client: Any = desk.server.client
    client.execute_command("ACL", "SETUSER", "desk", "on", ">theirs", "+ping")
    listed = desk.server.client.acl_list()
    with pytest.raises(ReleaseError, match=r"the user desk at .* has a password that this host does not have"):
        desk.make()
    assert listed == desk.server.client.acl_list()
    assert [] == list(desk.login.secrets.iterdir())


def test_a_wrong_administrator_is_one_line_without_the_password(desk: Desk) -> None:
    """Redis' refusal names the address."""
    desk.admin = secret.Admin(desk.admin.urls, "wr0ng-s3cret")
    with pytest.raises(ReleaseError, match=r"^Redis at .*WRONGPASS") as refused:
        desk.make()
    assert "s3cret" not in str(refused.value)


def test_no_signal_is_lost_while_passwords_are_exchanged(desk: Desk, market: Market) -> None:
    """Signals come all the time; each gets its one outcome, and afterwards only the new passwords let in."""
    desk.make()
    desk.start()
    old = desk.passwords
    done = threading.Event()
    made: list[str] = []

    def produce() -> None:
        while not done.wait(0.01):
            made.append(market.signal(symbol=f"S{time.monotonic_ns() % 50}USDT", confidence=0.8))

    producer = threading.Thread(target=produce)
    producer.start()
    try:
        for _ in range(3):
            wanted = len(made) + 20
            assert ["desk", "desk-deployment"] == desk.rotate()
            while producer.is_alive() and len(made) < wanted:
                time.sleep(0.01)
    finally:
        done.set()
        producer.join()
    market.audit()
    assert len(made) == sum(market.outcomes.values())
    assert not {"stale", "rejected"} & market.outcomes.keys()
    assert 4 == desk.starts
    assert {name: [sha256(password)] for name, password in desk.passwords.items()} == desk.digests
    assert not set(old.values()) & set(desk.passwords.values())
    assert ["desk-deployment.password", "redis-password"] == sorted(path.name for path in desk.login.secrets.iterdir())
    assert 6 == [line["action"] for line in desk.journal()].count("secret rotated")


def test_a_router_that_does_not_come_back_gets_the_old_password_again(desk: Desk, market: Market) -> None:
    """The exchange fails with the reason; router and Redis are as before, and the new password lets nobody in."""
    desk.make()
    desk.start()
    passwords, digests = desk.passwords, desk.digests
    desk.refuses_to_start = 1
    with pytest.raises(ReleaseError, match=f"{UNIT} did not start .*WRONGPASS; the old password is back$"):
        desk.rotate()
    assert (passwords, digests) == (desk.passwords, desk.digests)
    assert 2 == len(list(desk.login.secrets.iterdir()))
    market.signal()
    market.audit()
    assert ("secret not rotated", "desk", "ann") == tuple(desk.journal()[-1][key] for key in ("action", "user", "who"))


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(
    ("step", "nth"),
    [
        ("ACL SETUSER desk #", 1),
        ("ACL SETUSER desk #", 2),
        ("ACL SAVE", 1),
        ("ACL SAVE", 2),
        ("systemctl restart", 1),
        ("ACL SETUSER desk !", 1),
        ("ACL SETUSER desk !", 2),
        ("ACL SAVE", 3),
        ("ACL SAVE", 4),
    ],
)
def test_an_exchange_that_was_cut_off_is_ended_by_the_next(
    desk: Desk, second: RedisServer, market: Market, monkeypatch: pytest.MonkeyPatch, step: str, nth: int, moment: str
) -> None:
    """Wherever the host dies, the router's password is one that Redis takes, and rotating again leaves one password.

    There are two servers, as with sentinels: each command goes to one after the other.
    """
    desk.admin = secret.Admin((*desk.admin.urls, f"unix://boss@{second.socket}"), desk.admin.password)
    desk.make()
    desk.start()
    seen = 0

    class CutError(BaseException):
        """The power goes."""

    def cut(words: str, done: Callable[[], Any]) -> Any:
        nonlocal seen
        seen += words.startswith(step)
        if not words.startswith(step) or seen != nth:
            return done()
        monkeypatch.undo()
        if moment == "after":
            done()
        raise CutError

    ask, systemctl = Link.ask, desk.systemctl
    monkeypatch.setattr(Link, "ask", lambda link, *words: cut(" ".join(words), lambda: ask(link, *words)))
    monkeypatch.setattr(desk, "systemctl", lambda verb: cut(f"systemctl {verb}", lambda: systemctl(verb)))
    with pytest.raises(CutError):
        desk.rotate()
    assert all(sha256(desk.passwords["desk"]) in digests["desk"] for digests in (desk.digests, desk.digests_at(second)))
    if any(path.name.endswith((".old", ".new")) for path in desk.login.secrets.iterdir()):
        with pytest.raises(ReleaseError, match="the password of desk is half exchanged: make rotate-secret ends that"):
            desk.make()
    desk.rotate()
    now = {name: [sha256(password)] for name, password in desk.passwords.items()}
    assert now == desk.digests == desk.digests_at(second)
    assert 2 == len(list(desk.login.secrets.iterdir()))
    market.signal()
    market.audit()


def test_the_old_password_works_again_though_redis_had_forgotten_it(
    desk: Desk, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exchange is cut off at its end, and the router does not start with the new password when it is ended."""
    desk.make()
    desk.start()
    passwords = desk.passwords
    ask = Link.ask

    def full(link: Link, *words: str) -> Any:
        if words == ("ACL", "SAVE") and [sha256(desk.passwords["desk"])] == desk.digests["desk"] != [old]:
            raise ReleaseError("Redis at x: ERR There was an error trying to save the ACLs")
        return ask(link, *words)

    old = sha256(passwords["desk"])
    monkeypatch.setattr(Link, "ask", full)
    with pytest.raises(ReleaseError, match="trying to save the ACLs; the new password is used"):
        desk.rotate()
    monkeypatch.undo()
    assert old not in desk.digests["desk"]
    desk.refuses_to_start = 1
    with pytest.raises(ReleaseError, match=f"{UNIT} did not start .*; the old password is back$"):
        desk.rotate()
    assert passwords == desk.passwords
    assert [old] == desk.digests["desk"]
    market.signal()
    market.audit()


def test_an_old_password_that_cannot_be_taken_away_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The router runs with the new one; the next exchange takes both older ones away."""
    desk.make()
    desk.start()
    ask = Link.ask

    def refused(link: Link, *words: str) -> Any:
        if words[-1].startswith("!"):
            raise ReleaseError("Redis at x does not answer: timed out")
        return ask(link, *words)

    monkeypatch.setattr(Link, "ask", refused)
    with pytest.raises(ReleaseError, match="the new password is used and the old one still works: rotate again"):
        desk.rotate()
    assert 2 == len(desk.digests["desk"])
    monkeypatch.undo()
    desk.rotate()
    assert [sha256(desk.passwords["desk"])] == desk.digests["desk"]


def test_the_passwords_of_the_release_that_runs_are_exchanged(desk: Desk, market: Market) -> None:
    """Not those of another account that the inventory names by now, but for an exchange of theirs that was cut off."""
    desk.make()
    other = login.Login(f"unix://other@{desk.server.socket}", desk.layout.at("/etc/quantum-router/other"))
    other.secrets.mkdir()
    running, desk.login = desk.login, other
    desk.make()
    others = desk.passwords
    assert ["desk", "desk-deployment"] == desk.rotate()
    assert others == desk.passwords
    (other.secrets / ".redis-password.old").write_text("of an exchange that was cut off")
    desk.login = running
    desk.start()
    assert ["desk", "desk-deployment", "other"] == secret.rotate(desk.host, desk.admin, other)
    assert 2 == desk.starts, "once for its own password"
    market.signal()
    market.audit()


def test_passwords_that_the_role_did_not_make_are_left_alone(desk: Desk) -> None:
    """The release that runs logs in as a user that somebody else has made: none of its passwords is exchanged."""
    client: Any = desk.server.client
    client.execute_command("ACL", "SETUSER", "desk", "on", ">theirs", "+ping")
    (desk.login.secrets / "redis-password").write_text("theirs")
    with pytest.raises(ReleaseError, match="the role has made no password for desk-deployment here"):
        desk.rotate()
    assert [sha256("theirs")] == client.acl_getuser("desk")["passwords"]


def test_nothing_is_exchanged_while_a_deployment_is_not_judged(desk: Desk) -> None:
    """A rollback must find what it left; a host that somebody works on, or that is frozen, is left alone too."""
    desk.make()
    passwords = desk.passwords
    held = lock.acquire(desk.host, lock.Request("release b", 60.0, "d1"))
    with pytest.raises(ReleaseError, match=r"the host is locked by ann since .*: release b"):
        desk.rotate()
    lock.unlock(desk.host, held.token)
    store.save(desk.layout, State(pending=Pending("d1", RELEASE, None, "now")))
    with pytest.raises(ReleaseError, match=r"deployment d1 of release .* is not judged yet"):
        desk.rotate()
    assert passwords == desk.passwords


def test_a_router_that_is_stopped_stays_stopped(desk: Desk) -> None:
    """Its next start takes the new password."""
    desk.make()
    desk.rotate()
    assert 0 == desk.starts
    desk.start()
    eventually(lambda: desk.router and desk.router.events("ACTIVE"), "a router with the new password")


def test_no_secret_is_in_a_command_line_or_the_journal(desk: Desk) -> None:
    """Passwords go through files and connections alone."""
    desk.make()
    seen = list(desk.passwords.values())
    desk.start()
    desk.rotate()
    seen += [*desk.passwords.values(), desk.admin.password]
    told = " ".join(desk.argv) + json.dumps(desk.journal())
    assert [] == [password for password in seen if password in told]
