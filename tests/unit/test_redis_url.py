# SPDX-License-Identifier: Apache-2.0
"""The address of Redis: every shape that works, and no way to put a secret into one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.config import load
from router.errors import ConfigError
from router.redis_url import RedisUrl, parse


def test_a_server_has_one_host_a_port_and_a_database() -> None:
    """What is left out is as everywhere: port 6379, database 0."""
    plain = RedisUrl((("redis.example", 6379),), "", "", "", 0, tls=False, options={})
    assert plain == parse("redis://redis.example") == parse("redis://redis.example:6379/0")
    assert RedisUrl((("::1", 7000),), "", "", "desk", 3, tls=True, options={}) == parse("rediss://desk@[::1]:7000/3")


def test_a_unix_socket_is_a_path() -> None:
    """The database stands in an option, since the path is taken."""
    assert RedisUrl((), "/run/redis/r s.sock", "", "desk", 2, tls=False, options={}) == parse(
        "unix://desk@/run/redis/r%20s.sock?db=2"
    )


def test_sentinels_are_several_hosts_and_a_service() -> None:
    """Their own port is 26379; TLS holds for sentinels and server alike."""
    hosts = (("a", 26379), ("b", 5000), ("::1", 26379))
    assert RedisUrl(hosts, "", "trading", "", 0, tls=False, options={}) == parse(
        "redis+sentinel://a,b:5000,[::1]/trading"
    )
    assert RedisUrl(hosts[:1], "", "trading", "u", 1, tls=True, options={"ssl_ca_certs": "/ca.pem"}) == parse(
        "rediss+sentinel://u@a/trading/1?ssl_ca_certs=/ca.pem"
    )


def test_tls_options_are_files_and_whether_the_name_is_checked() -> None:
    """They reach redis-py by its own names."""
    text = "rediss://h?ssl_ca_certs=/ca.pem&ssl_certfile=/c.pem&ssl_keyfile=/k.pem&ssl_check_hostname=false"
    expected = {
        "ssl_ca_certs": "/ca.pem",
        "ssl_certfile": "/c.pem",
        "ssl_keyfile": "/k.pem",
        "ssl_check_hostname": False,
    }
    assert expected == parse(text).options


@pytest.mark.parametrize(
    "text",
    [
        "redis://user:hunter2@host/0",
        "redis://:hunter2@host",
        "redis://user%3Ahunter2@host",
        "redis://user:@host",
        "rediss://user:hunter2@host",
        "unix://user:hunter2@/run/redis.sock",
        "unix:///run/redis.sock?password=hunter2",
        "redis+sentinel://user:hunter2@a:1,b:2/trading",
        "redis+sentinel://a:1,user:hunter2@b:2/trading",
        "redis://host/0?password=hunter2",
        "redis://host/0?pass%77ord=hunter2",
        "redis://host/0?PASSWORD=hunter2",
        "redis://host/0?ssl_password=hunter2",
        "redis://host/0?hunter2",
        "redis://host/0?username=hunter2",
        "redis://host/0#hunter2",
        "redis://host/hunter2",
        "redis://host:hunter2",
        "redis://hunter2@host@host",
        "redis://user:hunter2",
        "http://user:hunter2@host",
        "redis://host\n/0?password=hunter2",
    ],
)
def test_no_spelling_of_a_password_is_taken_or_shown(text: str) -> None:
    """Secrets come from files; the error neither takes nor repeats one."""
    with pytest.raises(ConfigError) as raised:
        load({"ROUTER_REDIS_URL": text})
    (problem,) = raised.value.problems
    assert problem.startswith("ROUTER_REDIS_URL=(not shown) must ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("http://127.0.0.1", "must look like"),
        ("redis://", "must look like"),
        ("redis://h:0", "must look like"),
        ("redis://h:65536", "must look like"),
        ("redis://[::1", "must look like"),
        ("redis://h/0/1", "must look like"),
        ("redis://h/zero", "must look like"),
        ("unix://relative/path", "must look like"),
        ("redis://a,b/0", "must name one host"),
        ("redis+sentinel://a,b", "must name the service"),
        ("redis+sentinel://a,,b/trading", "must look like"),
        ("redis://h/1?db=1", "must name the database once"),
        ("redis://h?db=one", "must number the database"),
        ("redis://h?db=1&db=2", "must hold each option once"),
        ("redis://h?ssl_ca_certs=/ca.pem", "must begin with rediss://"),
        ("rediss://h?ssl_ca_certs=ca.pem", "by absolute paths"),
        ("rediss://h?ssl_keyfile=/k.pem", "must hold ssl_certfile too"),
        ("rediss://h?ssl_cert_reqs=none", "must not hold ssl_cert_reqs"),
        ("rediss://h?ssl_check_hostname=maybe", "must say true or false"),
        ("redis://h?socket_timeout=1", "must hold no options but"),
    ],
)
def test_what_is_wrong_with_an_address_is_said(text: str, words: str) -> None:
    """One clause that names the way out."""
    with pytest.raises(ValueError, match=words):
        parse(text)


@given(st.from_regex(r"(redis|rediss|unix|redis\+sentinel)://.{0,40}", fullmatch=True) | st.text(max_size=40))
def test_any_text_is_an_address_or_a_value_error(text: str) -> None:
    """Nothing else is ever raised, and a path or a host is always there."""
    try:
        url = parse(text)
    except ValueError:
        return
    assert bool(url.hosts) != bool(url.path)
