"""Tokens, cookies, and what of a request tells who sent it."""

import re

import pytest

from sessiond.api.doorkeeper import Doorkeeper, is_own_host, is_own_origin, split_cookies, split_tokens


def test_token_and_cookie_are_of_one_session_and_purpose() -> None:
    """No token or cookie of one session, purpose or secret is one of another."""
    keepers = [Doorkeeper(b"one"), Doorkeeper(b"two")]
    made = [make(session) for keeper in keepers for make in (keeper.token, keeper.cookie) for session in ("a", "b")]
    assert len(set(made)) == len(made)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", value) for value in made)
    assert Doorkeeper(b"one").token("a") == made[0]


def test_only_the_right_value_opens() -> None:
    """One right value among several is enough; a cookie is no token."""
    keeper = Doorkeeper(b"one")
    assert keeper.has_token("a", ["", "wrong", keeper.token("a")])
    assert not keeper.has_token("a", [])
    assert not keeper.has_token("a", [keeper.cookie("a"), keeper.token("b"), keeper.token("a") + "x", "\udcff"])
    assert keeper.has_cookie("a", [keeper.cookie("a")])
    assert not keeper.has_cookie("a", [keeper.token("a")])


@pytest.mark.parametrize(
    ("target", "expected", "tokens"),
    [
        ("/x", "/x", []),
        ("/x?", "/x?", []),
        ("/x?a=%41+b&&c;d", "/x?a=%41+b&&c;d", []),
        ("/x?sessiond=T", "/x", ["T"]),
        ("/x?a=1&sessiond=T&b=2", "/x?a=1&b=2", ["T"]),
        ("/x?sessiond=T&sessiond=U&a", "/x?a", ["T", "U"]),
        ("/x?sessiond", "/x", [""]),
        ("/x?my-sessiond=T&sessiondx=T", "/x?my-sessiond=T&sessiondx=T", []),
        ("/sessiond=T", "/sessiond=T", []),
    ],
)
def test_token_is_cut_out_of_the_query(target: str, expected: str, tokens: list[str]) -> None:
    """The token goes, and every other byte stays."""
    assert (expected, tokens) == split_tokens(target)


@pytest.mark.parametrize(
    ("header", "expected", "own"),
    [
        ("a=1; b=2", "a=1; b=2", {}),
        ("a=1; sessiond_50000=x; b=2", "a=1; b=2", {"sessiond_50000": ["x"]}),
        ("sessiond_50000=x", "", {"sessiond_50000": ["x"]}),
        ("sessiond_1=x; sessiond_1=y", "", {"sessiond_1": ["x", "y"]}),
        ("sessiond_x=1; _xsrf=2|a|b", "sessiond_x=1; _xsrf=2|a|b", {}),
    ],
)
def test_own_cookies_are_kept_from_services(header: str, expected: str, own: dict[str, list[str]]) -> None:
    """Services see their own cookies as they were sent, and none of ours."""
    assert (expected, own) == split_cookies(header)


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        (["127.0.0.1:8700"], True),
        (["localhost:8700"], True),
        (["LOCALHOST:8700"], True),
        (["my-lab.localhost:8700"], True),
        (["[::1]:8700"], True),
        (["127.0.0.2:8700"], True),
        (["127.0.0.2.localhost.evil.example:8700"], False),
        (["127.evil.0.1:8700"], False),
        (["128.0.0.1:8700"], False),
        (["127.0.0.1"], False),
        (["127.0.0.1:8701"], False),
        (["evil.example:8700"], False),
        (["localhost.evil.example:8700"], False),
        (["evillocalhost:8700"], False),
        (["127.0.0.1.evil.example:8700"], False),
        (["user@127.0.0.1:8700"], False),
        (["127.0.0.1:8700\n"], False),
        (["127.0.0.1:8700", "127.0.0.1:8700"], False),
        ([""], False),
        ([], False),
    ],
)
def test_host_must_be_a_loopback_name_with_our_port(hosts: list[str], expected: bool) -> None:
    """A name that merely resolves to loopback is not ours."""
    assert expected == is_own_host(hosts, 8700)


def test_host_without_port_means_port_80() -> None:
    """A browser leaves out the port of plain http."""
    assert is_own_host(["localhost"], 80)


@pytest.mark.parametrize(
    ("origins", "expected"),
    [
        ([], True),
        (["http://localhost:8700"], True),
        (["http://LocalHost:8700"], True),
        (["http://127.0.0.1:8700"], False),
        (["https://localhost:8700"], False),
        (["http://localhost:9999"], False),
        (["http://evil.example"], False),
        (["null"], False),
        ([""], False),
        (["http://localhost:8700", "http://evil.example"], False),
    ],
)
def test_origin_must_be_the_host_itself(origins: list[str], expected: bool) -> None:
    """A page of another origin, even of another loopback name, is another site."""
    assert expected == is_own_origin(origins, "localhost:8700")
