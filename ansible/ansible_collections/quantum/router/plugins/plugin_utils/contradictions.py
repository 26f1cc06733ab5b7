# Copyright (c) 2026, Quantum Router contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables of the role that cannot hold together. Pure."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, Callable, Mapping
from urllib.parse import urlsplit

from ansible_collections.quantum.router.plugins.module_utils.release.login import SUFFIX

from . import criteria

Network = IPv4Network | IPv6Network

_OWN = re.compile(r"redis://([A-Za-z0-9._-]+)@(?:127\.0\.0\.1|localhost|\[::1\])(?::([0-9]{1,5}))?(?:/[0-9]*)?")
_LONGEST_USER = 64 - len(SUFFIX)
# systemd.resource-control(5), IPAddressAllow=.
_KEYWORDS = {
    "any": ("0.0.0.0/0", "::/0"),
    "localhost": ("127.0.0.0/8", "::1/128"),
    "link-local": ("169.254.0.0/16", "fe80::/64"),
    "multicast": ("224.0.0.0/4", "ff00::/8"),
}


def find(values: Mapping[str, Any], window_s: float | None) -> list[str]:
    """One line for each contradiction among *values*, which have their types; what is missing contradicts nothing."""
    found: list[str] = []
    for names, rule in _RULES:
        if all(name in values for name in names):
            found += rule(values)
    if window_s is not None and {"router_soak_max", "router_watchdog_s"} <= values.keys():
        found += _soak_of_watchdog(values["router_soak_max"], values["router_watchdog_s"], window_s)
    return found + _change(values)


def _order(low: str, high: str) -> tuple[tuple[str, ...], Callable[[Mapping[str, Any]], list[str]]]:
    """The rule that one number is not above another."""

    def rule(values: Mapping[str, Any]) -> list[str]:
        least, most = values[low], values[high]
        return [f"{high}={most:g} is below {low}={least:g}: raise it"] if most < least else []

    return (low, high), rule


def _soak_of_watchdog(soak_max: float, watchdog_s: float, window_s: float) -> list[str]:
    least = 2 * watchdog_s + 3 * window_s
    needed = f"two watchdog periods and three windows (2 x router_watchdog_s={watchdog_s:g} + 3 x {window_s:g})"
    if soak_max >= least:
        return []
    return [f"router_soak_max={soak_max:g} is below {least:g}, {needed}: raise it, a hang would not show"]


def _capacity(values: Mapping[str, Any]) -> list[str]:
    value = values["router_capacity_value"]
    if value and not values["router_capacity_force"]:
        return [f"router_capacity_value={value} has no effect: set router_capacity_force, or leave it out"]
    return []


def _change(values: Mapping[str, Any]) -> list[str]:
    asked, reasoned = "router_capacity_set" in values, bool(values.get("router_capacity_reason"))
    if asked == reasoned:
        return []
    missing, what = ("reason", "why the count is changed") if asked else ("set", "to what the count is set")
    return [f"router_capacity_{missing} is not given: say {what} (make capacity SET=3 REASON=...)"]


def _networks(entries: list[str]) -> tuple[list[Network], list[str]]:
    """The networks that *entries* name, and a line for each entry that is none."""
    networks: list[Network] = []
    wrong: list[str] = []
    for entry in entries:
        try:
            networks += [ip_network(text, strict=False) for text in _KEYWORDS.get(entry, (entry,))]
        except ValueError:
            wrong.append(
                f"router_redis_addresses holds {entry!r}, which is no address: give an IP address, "
                f"a network such as 10.0.0.0/24, or {', '.join(_KEYWORDS)}"
            )
    return networks, wrong


def _addresses(values: Mapping[str, Any]) -> list[str]:
    """Whether the unit may talk to all that it is told to talk to; an empty list restricts nothing."""
    entries, settings = values["router_redis_addresses"], values["router_settings"]
    networks, found = _networks(entries)
    if not entries or found:
        return found
    listen = str(settings.get("ROUTER_METRICS_LISTEN") or "")
    urls = {
        "router_redis_url": values["router_redis_url"],
        "ROUTER_STRATEGY_URL": str(settings.get("ROUTER_STRATEGY_URL") or ""),
        "ROUTER_METRICS_LISTEN": f"//{listen}" if listen else "",
    }
    return [
        f"{name} names {host}, which router_redis_addresses={','.join(entries)} does not allow: add its address"
        for name, url in urls.items()
        for host in dict.fromkeys(_hosts(url))
        if not _allowed(host, networks)
    ]


def _hosts(url: str) -> list[str]:
    """The hosts of an address, several of sentinels; none of what is no address, which is told elsewhere."""
    try:
        parts = urlsplit(url)
        if not parts.netloc or parts.scheme == "unix":
            return []
        authority = parts.netloc.rpartition("@")[2]
        return [urlsplit(f"//{host}").hostname or "" for host in authority.split(",")]
    except ValueError:
        return []


def _allowed(host: str, networks: list[Network]) -> bool:
    try:
        address = ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        # A name: only the host knows its address, and there `check` finds out. It is not taken for the host itself.
        return any(not network.is_loopback for network in networks)
    return any(address in network for network in networks)


def _overruled(values: Mapping[str, Any]) -> list[str]:
    """The role has variables of its own for these, which it needs itself: another setting would be lost."""
    settings = values["router_settings"]
    service = values["router_redis_password"] or values["router_redis_acl_manage"]
    sentinel = values["router_sentinel_password"]
    own = {
        "ROUTER_REDIS_URL": ("router_redis_url", (values["router_redis_url"],)),
        "ROUTER_REDIS_PASSWORD_FILE": ("router_redis_password", ("", "redis-password" if service else "")),
        "ROUTER_SENTINEL_PASSWORD_FILE": ("router_sentinel_password", ("", "sentinel-password" if sentinel else "")),
    }
    return [
        f"{name} in router_settings has no effect: set {variable} instead"
        for name, (variable, same) in own.items()
        if name in settings and settings[name] not in same
    ]


def _users(values: Mapping[str, Any]) -> list[str]:
    """Whether it is clear who makes the users in Redis, which, and where."""
    given = {name: values[name] for name in ("router_redis_admin_urls", "router_redis_admin_password")}
    if not values["router_redis_acl_manage"]:
        return [f"{name} has no effect: set router_redis_acl_manage, or leave it out" for name in given if given[name]]
    user, found = _user(values["router_redis_url"]), []
    if not user or user == "default":
        found.append("router_redis_acl_manage needs a user in router_redis_url: redis://NAME@HOST:PORT/0, not default")
    if len(user) > _LONGEST_USER:
        found.append(f"the user in router_redis_url has {len(user)} characters: at most {_LONGEST_USER}")
    if values["router_redis_password"]:
        found.append("router_redis_password and router_redis_acl_manage exclude each other: the role makes a password")
    if given["router_redis_admin_password"] and not given["router_redis_admin_urls"]:
        found.append("router_redis_admin_password has no effect: name the servers in router_redis_admin_urls")
    for url in given["router_redis_admin_urls"]:
        found += _admin(url, user)
    return found


def _user(url: str) -> str:
    try:
        return urlsplit(url).username or ""
    except ValueError:
        return ""


def _admin(url: str, user: str) -> list[str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("redis", "rediss", "unix") or "," in parts.netloc:
        return ["router_redis_admin_urls must hold redis://, rediss:// or unix:// addresses, each of one server"]
    if parts.password is not None:
        return ["router_redis_admin_urls must hold no password: give router_redis_admin_password"]
    if user and parts.username in (user, user + SUFFIX):
        return [f"router_redis_admin_urls names the user {parts.username}, whom the role makes: name an administrator"]
    return []


def _install(values: Mapping[str, Any]) -> list[str]:
    """Whether a Redis that is to be installed would be the router's, and let anybody in."""
    if not values["router_redis_install"]:
        return []
    if not values["router_redis_acl_manage"]:
        return ["router_redis_install needs router_redis_acl_manage: what it installs lets nobody in without a user"]
    own, admins = _own(values["router_redis_url"]), [_own(url) for url in values["router_redis_admin_urls"]]
    if own is None:
        return ["router_redis_install is for the host itself: router_redis_url must be redis://NAME@127.0.0.1:PORT/0"]
    named = [(user, port) for user, port in filter(None, admins) if user != "default" and port == own[1]]
    if admins and not (len(admins) == len(named) == 1 and values["router_redis_admin_password"]):
        wanted = f"redis://NAME@127.0.0.1:{own[1]}, NAME not default, with router_redis_admin_password"
        return [f"router_redis_install makes the administrator too: router_redis_admin_urls must be just {wanted}"]
    return []


def _own(url: str) -> tuple[str, int] | None:
    """User and port of an address on the host itself, None for any other."""
    found = _OWN.fullmatch(url)
    return (found[1], int(found[2] or 6379)) if found else None


def _judged_by_none(values: Mapping[str, Any]) -> list[str]:
    """Whether anything is left that could find a release wanting."""
    if values["router_criteria"] or not set(criteria.NAMES) <= set(values["router_criteria_off"]):
        return []
    return ["router_criteria_off switches every criterion off: leave one on, or give your own in router_criteria"]


_SECRETS = ("router_redis_password", "router_redis_acl_manage")
_USERS = ("router_redis_url", "router_redis_admin_urls", "router_redis_admin_password")
_RULES: tuple[tuple[tuple[str, ...], Callable[[Mapping[str, Any]], list[str]]], ...] = (
    _order("router_soak_min", "router_soak_max"),
    _order("router_baseline_min", "router_baseline_window"),
    _order("router_reduction_proven", "router_reduction_min"),
    (("router_capacity_value", "router_capacity_force"), _capacity),
    (("router_redis_addresses", "router_redis_url", "router_settings"), _addresses),
    (("router_settings", "router_redis_url", "router_sentinel_password", *_SECRETS), _overruled),
    (("router_criteria_off",), lambda values: criteria.switched_off(values["router_criteria_off"])),
    (("router_criteria_off", "router_criteria"), _judged_by_none),
    (("router_criteria",), lambda values: criteria.own(values["router_criteria"])),
    ((*_USERS, *_SECRETS), _users),
    ((*_USERS, "router_redis_acl_manage", "router_redis_install"), _install),
)
