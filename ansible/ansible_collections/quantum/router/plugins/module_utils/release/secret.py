# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The router's users in Redis and their passwords on this host: made, and exchanged without a lost signal.

A password is made here, lies in a file that only root reads, and Redis is told its SHA-256. Nobody is ever shown one.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Iterator, Mapping, Sequence

from . import acl, durable, lock, login, store, systemctl
from .activation import STOP_S, failure
from .errors import ReleaseError
from .resp import Address, Link, parse_url
from .rollback import START_S

if TYPE_CHECKING:
    from pathlib import Path

    from .host import Host

ANSWER_S = 30.0
"""Seconds in which the deployer prints rights; it asks nobody."""


@dataclass(frozen=True)
class Admin:
    """Redis as an administrator: every server that is to know the users."""

    urls: Sequence[str]
    password: str = ""


def due(host: Host, given: login.Login) -> list[login.Account]:
    """Whose passwords are to be exchanged: the users of the release that runs, or where that has none, of *given*.

    An exchange for *given* that was cut off, before the host went over to other users, is to be ended too.
    Raises ReleaseError where the role has not made the passwords.
    """
    live = host.layout.live()
    found = login.accounts((login.of_release(host.layout, live) if live else None) or given)
    for account in found:
        if not account.password.is_file():
            raise ReleaseError(
                f"the role has made no password for {account.name} here: deploy with router_redis_acl_manage"
            )
    return found + [account for account in login.accounts(given) if account.half_exchanged and account not in found]


def make(
    host: Host, admin: Admin, given: login.Login, settings: Mapping[str, str], *, check: bool = False
) -> list[str]:
    """Make the users, or give them what rights they lack; returns what was changed, one line each.

    Rights are never taken: what ran before must be able to come back. A user whose password this host does not have is
    somebody else's, and left alone.
    """
    with _links(admin) as links, _alone(host, check=check):
        changes: list[str] = []
        for account in login.accounts(given):
            if account.half_exchanged:
                raise ReleaseError(f"the password of {account.name} is half exchanged: make rotate-secret ends that")
            changes += _make(host, links, account, {**settings, login.URL_SETTING: given.url}, check=check)
        for line in [] if check else changes:
            store.record(host, "redis user", change=line)
    return changes


def _make(
    host: Host, links: list[Link], account: login.Account, settings: Mapping[str, str], *, check: bool
) -> list[str]:
    found = [(link, _find(link, account.name)) for link in links]
    digest = _digest(account.password) if account.password.is_file() else ""
    for link, user in found:
        if user and digest not in user.digests:
            raise ReleaseError(
                f"the user {account.name} at {link.where} has a password that this host does not have for this "
                "address: choose another name in router_redis_url, or remove the user"
            )
    if check and not (digest and host.layout.deployers_built()):
        return [f"{account.name} made at {link.where}" for link in links]
    if not digest:
        durable.write(account.password, _new_password(), 0o600)
        digest = _digest(account.password)
    wanted = _wanted(host, account, settings)
    changes = []
    for link, user in found:
        rules = acl.lacking(wanted, user) if user else sorted(["on", *_rendered(wanted)])
        if rules and not check:
            # Before and after: users that a restart forgets must not be made at all.
            _keep(link)
            link.ask("ACL", "SETUSER", account.name, *([] if user else ["reset", f"#{digest}"]), *rules)
            _keep(link)
        if rules:
            changes.append(f"{account.name} {'was given rights' if user else 'made'} at {link.where}")
    return changes


def rotate(host: Host, admin: Admin, given: login.Login) -> list[str]:
    """Give each user that is `due` a new password, restart the router with it, and only then take the old one away.

    Returns the users. On a failure the old password is back when this raises ReleaseError; what was interrupted is
    ended by the next call.
    """
    done = []
    with _links(admin) as links, store.locked(host.layout):
        # Not while somebody deploys, nor on a host that is frozen; who wants to deploy meanwhile waits for this to end.
        lock.check(host, lock.Request("new passwords", 0.0, "rotate-secret"))
        for account in due(host, given):
            try:
                _exchange(host, admin, links, account)
            except ReleaseError as error:
                store.record(host, "secret not rotated", user=account.name, reason=str(error))
                raise
            store.record(host, "secret rotated", user=account.name)
            done.append(account.name)
    return done


def _exchange(host: Host, admin: Admin, links: list[Link], account: login.Account) -> None:
    if account.fresh.exists() or not account.old.exists():
        _begin(links, account)
    problem = _proven(host, admin, account)
    if problem:
        raise ReleaseError(f"{problem}; {_go_back(host, links, account)}")
    try:
        _forget(links, account.name, _digest(account.old))
    except ReleaseError as error:
        raise ReleaseError(f"{error}; the new password is used and the old one still works: rotate again") from None
    durable.remove(account.old)


def _begin(links: list[Link], account: login.Account) -> None:
    """Make the new password known to Redis beside the old one, then put it in its place."""
    if not account.fresh.exists():
        durable.write(account.fresh, _new_password(), 0o600)
    for link in links:
        user = _find(link, account.name)
        if user is None or _digest(account.password) not in user.digests:
            durable.remove(account.fresh)
            raise ReleaseError(
                f"Redis at {link.where} has no user {account.name} with this host's password: deploy first"
            )
    digest = _digest(account.fresh)
    try:
        _learn(links, account.name, digest)
    except ReleaseError:
        # Nothing uses it yet. Where it stays known, nobody knows it any more.
        for link in links:
            with contextlib.suppress(ReleaseError):
                _forget([link], account.name, digest)
        durable.remove(account.fresh)
        raise
    if not account.old.exists():
        durable.write(account.old, account.password.read_bytes(), 0o600)
    account.fresh.replace(account.password)
    durable.sync_directory(account.password.parent)


def _proven(host: Host, admin: Admin, account: login.Account) -> str | None:
    """Whether Redis takes the password that lies there now, and the router runs with it; returns what is wrong."""
    password = account.password.read_text(encoding="utf-8")
    try:
        for url in admin.urls:
            Link(replace(address(url, password), user=account.name)).close()
        return _restarted(host, account)
    except ReleaseError as error:
        return str(error)


def _restarted(host: Host, account: login.Account) -> str | None:
    """Have the router log in anew, where it is with this password that it does; returns what is wrong."""
    since_s = host.now()
    live = host.layout.live()
    uses_it = live is not None and account.password in login.passwords(host.layout, live)
    # One that failed is to run: only a router that somebody stopped stays so.
    if not uses_it or host.facts().active_state == "inactive":
        return None
    # The unit says itself when it is ready, which takes a login.
    done = host.run(("systemctl", "restart", host.unit), START_S + STOP_S)
    facts = host.facts()
    if done.code == 0 and facts.active_state == "active":
        return None
    return failure(host, facts, done.code, START_S, since_s)


def _go_back(host: Host, links: list[Link], account: login.Account) -> str:
    """Use the old password again and forget the new one; returns how that went."""
    digest = _digest(account.password)
    # One that was cut off at its end has been forgotten here or there already.
    with contextlib.suppress(ReleaseError):
        _learn(links, account.name, _digest(account.old))
    account.old.replace(account.password)
    durable.sync_directory(account.password.parent)
    problem = _restarted(host, account)
    if problem:
        return f"the old password is back, but {problem}"
    try:
        _forget(links, account.name, digest)
    except ReleaseError as error:
        return f"the old password is back; the new one, which nobody has, could not be taken from Redis ({error})"
    return "the old password is back"


def _wanted(host: Host, account: login.Account, settings: Mapping[str, str]) -> acl.User:
    python = host.layout.deployer_python()
    environment = {**settings, login.PASSWORD_SETTING: str(account.password)}
    words = ("acl", "--user", account.name, "--for", account.role)
    done = host.run((python, "-I", "-m", "router", *words), ANSWER_S, environment)
    prefix = f"ACL SETUSER {account.name} "
    first = done.out.partition("\n")[0]
    if done.code != 0 or not first.startswith(prefix):
        raise ReleaseError(f"router acl failed: {systemctl.last_line(done.err) or f'exit status {done.code}'}")
    return acl.parse(first[len(prefix) :])


def _rendered(user: acl.User) -> list[str]:
    nobody = acl.User(on=True, digests=frozenset(), rules=frozenset(), selectors=frozenset())
    return acl.lacking(user, nobody)


def _find(link: Link, name: str) -> acl.User | None:
    """The user as Redis has it, None when it has none of that name."""
    prefix = f"user {name} "
    lines = [line for line in link.ask("ACL", "LIST") if line.startswith(prefix)]
    return acl.parse(lines[0][len(prefix) :]) if lines else None


def _learn(links: list[Link], name: str, digest: str) -> None:
    """Let a password in, whatever others do."""
    for link in links:
        link.ask("ACL", "SETUSER", name, f"#{digest}")
        _keep(link)


def _forget(links: list[Link], name: str, digest: str) -> None:
    """Let a password in no more, where an attempt before has not come that far: Redis refuses to forget one twice."""
    for link in links:
        user = _find(link, name)
        if user and digest in user.digests:
            link.ask("ACL", "SETUSER", name, f"!{digest}")
        _keep(link)


def _keep(link: Link) -> None:
    """Make Redis remember its users over a restart: in its file of users, or in its configuration."""
    try:
        link.ask("ACL", "SAVE")
    except ReleaseError as error:
        if "ACL file" not in str(error):
            raise
        try:
            link.ask("CONFIG", "REWRITE")
        except ReleaseError as refused:
            raise ReleaseError(f"{refused}: it would forget the users at its next start, give it an aclfile") from None


def _alone(host: Host, *, check: bool) -> contextlib.AbstractContextManager[object]:
    """The flock around a transition, which a mere look does not need."""
    return contextlib.nullcontext() if check else store.locked(host.layout)


@contextlib.contextmanager
def _links(admin: Admin) -> Iterator[list[Link]]:
    if not admin.urls:
        raise ReleaseError("router_redis_admin_urls is empty: name Redis as an administrator sees it, for this run")
    with contextlib.ExitStack() as stack:
        links = []
        for url in admin.urls:
            links.append(Link(address(url, admin.password)))
            stack.callback(links[-1].close)
        yield links


def address(url: str, password: str) -> Address:
    """An administrator's address; raises ReleaseError for what is none."""
    try:
        return parse_url(url, password)
    except ValueError as error:
        raise ReleaseError(f"router_redis_admin_urls holds what is no Redis address: {error}") from None


def _new_password() -> bytes:
    return secrets.token_urlsafe(32).encode()


def _digest(path: Path) -> str:
    """SHA-256 of a password, which is how Redis keeps it; blanks around it are not part of it."""
    return hashlib.sha256(path.read_bytes().strip()).hexdigest()
