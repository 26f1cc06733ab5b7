# SPDX-License-Identifier: Apache-2.0
"""The least-privileged user that `router acl` prints, on a real Redis with `default` off."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
import redis

from router.check import check
from router.cli import MODULES
from router.config import load
from router.errors import RedisUnavailableError
from router.redis_io.acl import naming_rights
from router.redis_io.client import connect
from router.redis_io.keys import catalogue
from router.redis_io.rights import deployment, rules, service
from tests.integration.conftest import PASSWORD, RENAMED, Market, eventually, run_router

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.conftest import RedisServer, RouterProcess

DANGEROUS = """
DEL {intents} | DEL {signals} | DEL {kill} | DEL {halt} | DEL {open_orders} | DEL {epoch} | UNLINK {intents}
SET {kill} GO | SET {open_orders} 0 | INCR {open_orders} | GETDEL {open_orders} | SET {safe_mode} 0 | RENAME {intents} x
XADD {signals} * payload x | XTRIM {intents} MAXLEN 0 | XTRIM {signals} MAXLEN 0 | XDEL {intents} 0-1
XSETID {intents} 0-1 | XGROUP DESTROY {signals} r2 | XGROUP CREATE {intents} g 0 | XGROUP SETID {intents} g 0
XGROUP DELCONSUMER {signals} r2 x | XREADGROUP GROUP r2 x STREAMS {signals} > | XACK {intents} g 0-1
XCLAIM {signals} r2 x 0 0-1 | HDEL {halt} reason | HDEL {epoch} epoch | EXPIRE {intents} 1 | PERSIST {lease} | FLUSHALL
FLUSHDB | SWAPDB 0 1 | GET secret | SET secret x | GET quantum:kill | SET quantum:state:open_orders 0 | KEYS * | SCAN 0
RANDOMKEY | DBSIZE | CONFIG GET maxmemory | CONFIG SET maxmemory 1 | CONFIG REWRITE | DEBUG SLEEP 0 | SHUTDOWN NOSAVE
SAVE | BGSAVE | SCRIPT FLUSH | SCRIPT KILL | EVAL return(1) 0 | EVALSHA x 1 secret | FUNCTION FLUSH | FCALL f 0
ACL SETUSER x on | ACL LIST | ACL WHOAMI | CLIENT KILL TYPE normal | CLIENT LIST | CLIENT PAUSE 1 | MONITOR
SUBSCRIBE x | PUBLISH x y | REPLICAOF NO ONE | MIGRATE h 1 k 0 1 | RESTORE k 0 x | DUMP {intents} | MODULE LIST
SLOWLOG GET | LATENCY RESET | MULTI | WAIT 0 1 | COMMAND | MEMORY USAGE {intents} | OBJECT ENCODING {intents}
"""


def as_user(server: RedisServer) -> Any:
    """A client that is logged in as the router's user."""
    return redis.Redis(unix_socket_path=str(server.socket), username="desk", password=PASSWORD, protocol=2)


def refused(client: Any, *words: str) -> bool:
    """Whether Redis refuses *words* for want of rights."""
    try:
        client.execute_command(*words)
    except redis.exceptions.NoPermissionError:
        return True
    except redis.ResponseError as error:
        return "DEBUG command not allowed" in str(error)  # by the server's own setting; else wrong in another way
    return False


@pytest.mark.parametrize("renamed", [{}, RENAMED], ids=["as shipped", "prefix and other names"])
def test_the_whole_service_works_as_that_user(
    redis_server: RedisServer,
    login: Callable[..., dict[str, str]],
    start_router: Callable[..., RouterProcess],
    renamed: dict[str, str],
) -> None:
    """Adoption of pending entries, windows, rejects, reduce-only, in-flight, restart: nothing is refused."""
    keys = catalogue(load(renamed))
    settings = login(**renamed, ROUTER_REPEAT_LIMIT="1000", ROUTER_MAX_INTENTS_PER_HOUR="1000")
    desk: Any = redis_server.client
    desk.set(keys.open_orders, 0)
    desk.xgroup_create(keys.intents, "quantum:group:execution:trade.intent", mkstream=True)
    payloads = [
        '{"symbol":"A","side":"buy","confidence":0.9,"quantity":1}',
        '{"symbol":"B","side":"sell","confidence":0.8,"quantity":1,"reduce_only":true}',
        "rubbish",
    ]
    desk.xgroup_create(keys.signals, renamed.get("ROUTER_GROUP", "router"), "0", mkstream=True)
    desk.xadd(keys.signals, {"payload": payloads[0]})
    desk.xreadgroup(renamed.get("ROUTER_GROUP", "router"), "old", {keys.signals: ">"})
    for _ in range(2):
        router = start_router(**settings)
        for payload in payloads:
            desk.xadd(keys.signals, {"payload": payload})
        router.wait_for("INTENT_PUBLISHED", count=2)
        eventually(lambda: desk.xlen(keys.rejects), "the reject")
        desk.set(keys.kill, "HALT")
        router.wait_for("HALTED")
        desk.delete(keys.kill)
        assert 0 == router.stop()
        assert not router.events("REDIS_UNAVAILABLE"), router.log
    assert [] == [entry for entry in desk.acl_log() if entry["username"] == "desk"]


def test_check_asks_for_nothing_that_the_user_lacks(login: Callable[..., dict[str, str]]) -> None:
    """The printed user passes `router check`, whatever the number of the database and the names of the keys."""
    settings = login(**RENAMED)
    url = settings.pop("url") + "?db=3"
    settings = {**login(**RENAMED, ROUTER_REDIS_URL=url), "ROUTER_REDIS_URL": url}
    done = run_router(settings.pop("url"), "check", **settings)
    assert (0, "") == (done.returncode, done.stderr)


def test_the_deployment_s_user_may_all_that_its_commands_need(
    login: Callable[..., dict[str, str]], market: Market
) -> None:
    """Each command of deployment and operation runs as the user that is printed for it."""
    market.signal()
    settings = login("deployment", ROUTER_AUDIT_MAX="10")
    url = settings.pop("url")
    commands: dict[str, list[list[str]]] = {
        "check": [[]],
        "acl": [[]],
        "version": [[]],
        "status": [[], ["--json"]],
        "halt": [["--reason", "a test"]],
        "resume": [[]],
        "capacity": [["--create"], ["--force", "3"], ["--add", "-1"], []],
        "snapshot": [["--unit", "none.service", "--json"]],
        "drill": [["--deployment", "d", "--clear"]],
        "replay": [["--since", "1h"]],
    }
    # `run` is the service's own, `judge` reads files alone, `soak` asks what `snapshot` and the service ask, `simulate`
    # needs no Redis. A whole drill as that user is in test_drill.py.
    assert set(MODULES) - {"run", "judge", "soak", "reconcile", "simulate"} == set(commands)
    for name, calls in commands.items():
        for words in calls:
            done = run_router(url, name, *words, **settings)
            not_routing = 1  # what `status` ends with where no router runs
            assert ("", True) == (done.stderr, done.returncode in {0, not_routing}), (name, words)
    assert "nothing could be compared" in run_router(url, "reconcile", "--since", "1h", **settings).stderr


def test_what_could_do_harm_is_refused(redis_server: RedisServer, login: Callable[..., dict[str, str]]) -> None:
    """The service's user can neither destroy, nor forge, nor look elsewhere."""
    login(**RENAMED)
    keys, client = vars(catalogue(load(RENAMED))), as_user(redis_server)
    commands = [command.split() for line in DANGEROUS.strip().splitlines() for command in line.split("|")]
    assert [] == [words for words in commands if not refused(client, *(word.format(**keys) for word in words))]


def test_default_is_off(redis_server: RedisServer, login: Callable[..., dict[str, str]]) -> None:
    """Who gives no name is not let in, so that a mistyped login does not go on as somebody else."""
    login()
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(unix_socket_path=str(redis_server.socket), protocol=2).ping()


def test_the_access_that_is_rendered_is_what_redis_demands(redis_server: RedisServer) -> None:
    """Reading and writing of each right are as in Redis' own table of commands; what does neither counts as reading."""
    admin: Any = redis_server.client
    settings = load({})
    for right in deployment(catalogue(settings), settings):
        for _, flags in admin.execute_command("COMMAND GETKEYSANDFLAGS", *right.words) if right.keys else []:
            writes = bool({"update", "insert", "delete"} & set(flags))
            assert (writes, "access" in flags or not writes) == (right.writes, right.reads), right


def test_each_right_that_is_missing_is_named_with_the_rule_that_allows_it(
    redis_server: RedisServer, login: Callable[..., dict[str, str]]
) -> None:
    """Without any one right `check` names command, key and ACL rule; with that rule it has nothing to say."""
    admin: Any = redis_server.client
    environ = login()
    settings = load({**environ, "ROUTER_REDIS_URL": environ.pop("url")})
    keys = catalogue(settings)
    rights = service(keys, settings)

    def problems() -> list[str]:
        with contextlib.closing(connect(settings)) as client:
            try:
                with naming_rights(client, settings, rights):
                    return check(client, settings, keys).problems
            except RedisUnavailableError as error:
                return str(error).splitlines()

    for lacking in rights:
        rest = [right for right in rights if right != lacking]
        admin.execute_command("ACL", "SETUSER", "desk", "clearselectors", "-@all", *rules(rest).split())
        line, *more = problems()
        assert more in ([], ["more may be missing: `router acl` prints all that the user needs"])
        assert line.startswith(f"the user 'desk' may not {lacking}: ACL SETUSER desk ")
        admin.execute_command(*line.partition(": ")[2].split())
        assert [] == problems(), lacking


def test_missing_rights_hide_no_key_of_the_wrong_type(
    redis_server: RedisServer, login: Callable[..., dict[str, str]]
) -> None:
    """`check` names both at once; only keys of which it may not ask the type are left out."""
    admin: Any = redis_server.client
    environ = login()
    settings = load({**environ, "ROUTER_REDIS_URL": environ.pop("url")})
    keys = catalogue(settings)
    for key in (keys.kill, keys.audit):
        admin.lpush(key, "x")
    lacking = {("TYPE", keys.audit), ("GET", keys.kill)}
    rest = [right for right in service(keys, settings) if right.words[:2] not in lacking]
    admin.execute_command("ACL", "SETUSER", "desk", "clearselectors", "-@all", *rules(rest).split())
    with contextlib.closing(connect(settings)) as client:
        problems = check(client, settings, keys).problems
    assert 3 == len(problems)
    assert all("the user 'desk' may not " in problem for problem in problems[:2])
    assert problems[2].startswith(f"key {keys.kill} is a list, not a string: ")


def test_a_right_that_is_lost_while_running_is_named_until_it_is_given_back(
    redis_server: RedisServer,
    login: Callable[..., dict[str, str]],
    start_router: Callable[..., RouterProcess],
    market: Market,
) -> None:
    """The service tells which rule is missing, publishes nothing, and goes on by itself once it is allowed."""
    admin: Any = redis_server.client
    environ = login()
    settings = load({})
    rights = service(catalogue(settings), settings)
    router = start_router(**environ)
    # Its first commit proves that the start is over: until then a lost right ends it, as it should.
    eventually(lambda: admin.hget("quantum:router:epoch", "commit_id"), "the first commit")
    for word in ("XADD", "HINCRBY", "SMEMBERS"):
        rest = [right for right in rights if right.words[0] != word]
        seen, told = len(router.events("ACTIVE")), len(router.events("REDIS_UNAVAILABLE"))
        admin.execute_command("ACL", "SETUSER", "desk", "clearselectors", "-@all", *rules(rest).split())
        market.signal()
        router.wait_for("REDIS_UNAVAILABLE", count=told + 1)
        assert f"may not {word} quantum:" in router.events("REDIS_UNAVAILABLE")[-1]["MESSAGE"], router.log
        admin.execute_command("ACL", "SETUSER", "desk", "clearselectors", "-@all", *rules(rights).split())
        router.wait_for("ACTIVE", count=seen + 1)


@pytest.mark.parametrize(("command", "spared"), [("check", "scan"), ("status", "")])
def test_a_user_with_no_right_at_all_is_told_what_that_command_is_about(
    redis_server: RedisServer, login: Callable[..., dict[str, str]], command: str, spared: str
) -> None:
    """Each line once; `check` names only what the service needs; where Redis answers nothing, that more may follow."""
    settings = login()
    url = settings.pop("url")
    admin: Any = redis_server.client
    asking = ["+info", "+script|load", "+evalsha"] if command == "check" else ["+script|load"]
    admin.execute_command("ACL", "SETUSER", "desk", "clearselectors", "-@all", "~*", *asking)
    done = run_router(url, command, **settings)
    told = done.stderr.splitlines()
    assert 69 == done.returncode
    assert len(told) == len(set(told)) > 1
    if command == "check":
        assert not [line for line in told if spared in line.lower() or "quantum-drill:" in line]
    else:
        assert "more may be missing: `router acl` prints all that the user needs" == told[-1]


def test_commands_log_in_as_who_operates_where_its_password_lies(
    redis_server: RedisServer, login: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    """With a second user's password among the secrets the commands are that user, `check` is the service."""
    settings = login("service")
    url = settings.pop("url")
    assert 69 == run_router(url, "capacity", "--create", **settings).returncode
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "redis-password").write_text(PASSWORD, encoding="utf-8")
    second = credentials / "desk-deployment.password"
    second.write_text("another-s3cret", encoding="utf-8")
    environ = {"CREDENTIALS_DIRECTORY": str(credentials), "ROUTER_REDIS_PASSWORD_FILE": "redis-password"}
    printed = run_router(url, "acl", "--for", "deployment", **environ).stdout.splitlines()[0]
    assert printed.startswith("ACL SETUSER desk-deployment reset on #")
    admin: Any = redis_server.client
    admin.execute_command(*printed.split())
    done = run_router(url, "capacity", "--create", **environ)
    assert (0, "") == (done.returncode, done.stderr)
    second.write_text("wrong", encoding="utf-8")
    assert "invalid username-password pair" in run_router(url, "capacity", **environ).stderr
    assert 0 == run_router(url, "check", **environ).returncode
