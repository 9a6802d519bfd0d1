"""Requests and answers arrive as they were sent: URLs to the byte, headers but for those of the connection."""

import pytest

from sessiond.core.spec import Prefix

from .house import KEEPER, PORT, SESSION, Canned, ask, cut, door, house, raw_service, request, send

pytestmark = pytest.mark.anyio

HOSTILE = [
    "/",
    "/?",
    "/lab?token=a%2Bb+c&x=%7E~&&;y==",
    "//double//slash/",
    "/a%2Fb%2f..%2F%2e%2e/",
    "/../50001/",
    "/./x/../../me/50001/",
    "/\\..\\x",
    "/%00%0A%0d",
    "/semi;colon,comma:colon@at!$'()*[]{}|^`\"<>",
    "/?q=http://127.0.0.1:1/x?y#z",
    "/:443/websockify",
    "/me/50000/again",
    "/" + "long/" * 6000,
]


@pytest.mark.parametrize("path", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("prefix", list(Prefix))
async def test_target_arrives_byte_for_byte(path: str, prefix: Prefix) -> None:
    """The service gets the path and query as the client wrote them, with or without the prefix."""
    canned = Canned()
    async with raw_service(canned.talk) as upstream, house(door(upstream, prefix=prefix)) as at:
        status, _, body = await ask(at, f"GET /me/{PORT}{path} HTTP/1.1")
    expected = path if prefix is Prefix.STRIP else f"/me/{PORT}{path}"
    assert (status, body) == (200, b"ok")
    assert f"GET {expected} HTTP/1.1".encode() == canned.line


async def test_a_request_that_is_no_http_is_refused_and_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Raw bytes outside ASCII are no request line; a log of it would show the token that may stand there."""
    canned = Canned()
    async with raw_service(canned.talk) as upstream, house(door(upstream)) as at:
        status, _, _ = await ask(at, f"GET /me/{PORT}/\u00e9\udcff?sessiond={KEEPER.token(SESSION)} HTTP/1.1")
    assert status == 400
    assert canned.heads == []
    assert caplog.records == []


async def test_a_line_too_long_is_refused() -> None:
    """There is a limit, and it is far above what services put into a URL."""
    async with house(door(None)) as at:
        status, _, _ = await ask(at, f"GET /me/{PORT}/{'x' * 70_000} HTTP/1.1")
    assert status == 400


async def test_token_is_cut_out_and_the_rest_arrives() -> None:
    """The service never sees the token, and everything around it to the byte."""
    canned = Canned()
    async with raw_service(canned.talk) as upstream, house(door(upstream)) as at:
        line = f"GET /me/{PORT}/x?a=%2b&sessiond={KEEPER.token(SESSION)}&&b=+ HTTP/1.1"
        status, headers, _ = await ask(at, line, cookie=False)
    assert status == 200
    assert canned.line == b"GET /x?a=%2b&&b=+ HTTP/1.1"
    assert headers["set-cookie"] == f"{at.cookie}; HttpOnly; SameSite=Lax; Path=/me/{PORT}/"


@pytest.mark.parametrize(
    "line",
    [
        "GET / HTTP/1.1",
        "GET /favicon.ico HTTP/1.1",
        "GET /me/ HTTP/1.1",
        "GET /me/50001/ HTTP/1.1",
        "GET /me/050000/ HTTP/1.1",
        "GET /me/50000x/ HTTP/1.1",
        "GET /me/%35%30%30%30%30/ HTTP/1.1",
        "GET /me%2F50000/ HTTP/1.1",
        "GET //me/50000/ HTTP/1.1",
        "GET /x/../me/50000/ HTTP/1.1",
        "GET /me/999999999999/ HTTP/1.1",
        "GET /sme/50000/ HTTP/1.1",
        "GET http://127.0.0.1/me/50000/ HTTP/1.1",
    ],
)
async def test_what_names_no_session_is_not_found(line: str) -> None:
    """Only the plain form of a session's path is one."""
    canned = Canned()
    async with raw_service(canned.talk) as upstream, house(door(upstream)) as at:
        status, headers, body = await ask(at, line)
    assert status == 404
    assert headers["content-type"].startswith("text/plain")
    assert b"sessionctl ls" in body
    assert canned.heads == []


@pytest.mark.parametrize("line", ["CONNECT 127.0.0.1:22 HTTP/1.1", "CONNECT /me/50000/ HTTP/1.1"])
async def test_no_tunnel_to_elsewhere(line: str) -> None:
    """The gateway is no forward proxy."""
    canned = Canned()
    async with raw_service(canned.talk) as upstream, house(door(upstream)) as at:
        status, _, _ = await ask(at, line)
    assert status in {400, 404}
    assert canned.heads == []


@pytest.mark.parametrize("query", ["", "?", "?a=%20b", "?sessiond=T&x"])
async def test_missing_slash_is_added(query: str) -> None:
    """Relative links of a service need the slash after the port."""
    async with house(door(None)) as at:
        status, headers, _ = await ask(at, f"GET /me/{PORT}{query} HTTP/1.1")
    assert (307, f"/me/{PORT}/{query}") == (status, headers["location"])


async def test_headers_of_a_request() -> None:
    """A service gets the client's headers as they are, but for the connection's, our cookie and claims of origin."""
    canned = Canned()
    async with raw_service(canned.talk) as upstream, house(door(upstream)) as at:
        await send(
            at,
            f"GET /me/{PORT}/ HTTP/1.1\r\nHost: lab.localhost:{at.port}\r\nConnection: close, X-Mine, Cookie\r\n"
            f"X-Mine: 1\r\nX-Yours: 2\r\nKeep-Alive: 5\r\nTE: trailers\r\nUpgrade: h2c\r\nAccept-Encoding: br\r\n"
            f"Cookie: a=1; {at.cookie}; b=2\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Prefix: /evil\r\n"
            "X-Forwarded-Port: 1\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nX-Latin: caf\udce9\r\n"
            "Range: bytes=1-\r\n\r\n".encode("utf-8", "surrogateescape"),
        )
        port = at.port
    assert canned.headers == {
        b"host": f"lab.localhost:{port}".encode(),
        b"x-yours": b"2",
        b"accept-encoding": b"br",
        b"cookie": b"a=1; b=2",
        b"x-latin": "caf\u00e9".encode(),
        b"range": b"bytes=1-",
        b"x-forwarded-for": b"127.0.0.1",
        b"x-forwarded-proto": b"http",
        b"x-forwarded-host": f"lab.localhost:{port}".encode(),
        b"x-forwarded-prefix": f"/me/{PORT}".encode(),
    }


async def test_the_token_is_not_in_a_referer() -> None:
    """Browsers that do not say that they navigate keep it in the address bar, and pages name that address."""
    canned = Canned()
    async with raw_service(canned.talk) as upstream, house(door(upstream)) as at:
        page = f"{at.url('/lab?a=1')}&sessiond={KEEPER.token(SESSION)}&b=%20"
        await ask(at, f"GET /me/{PORT}/style.css HTTP/1.1", f"Referer: {page}")
        assert canned.headers[b"referer"].decode() == at.url("/lab?a=1&b=%20")


async def test_kept_prefix_is_not_named_as_taken_off() -> None:
    """A service that sees the whole path must not be told to add the prefix once more."""
    canned = Canned()
    async with raw_service(canned.talk) as upstream, house(door(upstream, prefix=Prefix.KEEP)) as at:
        await ask(at, f"GET /me/{PORT}/ HTTP/1.1", "X-Forwarded-Prefix: /evil")
    assert b"x-forwarded-prefix" not in canned.headers


async def test_headers_of_an_answer() -> None:
    """A client gets the service's headers as they are; nothing is added, and our cookie cannot be set by a service."""
    canned = Canned(
        b"HTTP/1.1 299 Quite So\r\nContent-Length: 2\r\nX-Frame-Options: DENY\r\nSet-Cookie: a=1; Path=/\r\n"
        b"Set-Cookie: sessiond_50000=stolen\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n"
        b"Content-Encoding: gzip\r\nX-Latin: caf\xe9\r\nDate: then\r\n\r\n\x1f\x8b"
    )
    async with raw_service(canned.talk) as upstream, house(door(upstream)) as at:
        status, headers, body = await ask(at, f"GET /me/{PORT}/ HTTP/1.1", "Accept-Encoding: gzip")
    assert (status, body) == (299, b"\x1f\x8b")
    assert headers == {
        "content-length": "2",
        "x-frame-options": "DENY",
        "set-cookie": "a=1; Path=/",
        "content-encoding": "gzip",
        "x-latin": "caf\u00e9",
        "date": "then",
        "connection": "close",
    }


async def test_control_characters_in_an_answer_become_spaces(caplog: pytest.LogCaptureFixture) -> None:
    """They are no reason to lose the answer, and nothing of it can become another header."""
    canned = Canned(b"HTTP/1.1 299 Quite\x01So\r\nContent-Length: 2\r\nX-Odd: a\x01b\x7fc\td\r\n\r\nok")
    async with raw_service(canned.talk) as upstream, house(door(upstream)) as at:
        answer = await send(at, request(at, f"GET /me/{PORT}/ HTTP/1.1"))
    assert answer.startswith(b"HTTP/1.1 299 Quite So\r\n")
    status, headers, body = cut(answer)
    assert (status, headers["x-odd"], body) == (299, "a b c\td", b"ok")
    assert caplog.records == []


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/lab", "/lab"),
        ("lab", "lab"),
        ("//127.0.0.1:UP/x", "//127.0.0.1:UP/x"),
        ("http://127.0.0.1:UP/lab?x=%20#y", "/me/50000/lab?x=%20#y"),
        ("https://LOCALHOST:UP", "/me/50000/"),
        ("http://127.0.0.1:UP?x", "/me/50000/?x"),
        ("http://127.0.0.1:1/lab", "http://127.0.0.1:1/lab"),
        ("http://127.0.0.1:UP@evil.example/", "http://127.0.0.1:UP@evil.example/"),
        ("http://example.org:UP/lab", "http://example.org:UP/lab"),
    ],
)
async def test_redirects(location: str, expected: str) -> None:
    """A redirect passes as it is; one to the service's own address, which a browser cannot reach, comes back to us."""
    canned = Canned()
    async with raw_service(canned.talk) as upstream, house(door(upstream)) as at:
        port = str(upstream[1])
        location, expected = location.replace("UP", port), expected.replace("UP", port)
        canned.reply = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
        status, headers, _ = await ask(at, f"GET /me/{PORT}/ HTTP/1.1")
    assert (302, expected) == (status, headers["location"])


async def test_redirect_to_the_service_with_kept_prefix() -> None:
    """Where the service knows the prefix, its own path already has it."""
    canned = Canned()
    async with raw_service(canned.talk) as upstream, house(door(upstream, prefix=Prefix.KEEP)) as at:
        canned.reply = (
            f"HTTP/1.1 302 Found\r\nLocation: http://localhost:{upstream[1]}/me/{PORT}/lab\r\nContent-Length: 0\r\n\r\n"
        ).encode()
        _, headers, _ = await ask(at, f"GET /me/{PORT}/ HTTP/1.1")
    assert headers["location"] == f"/me/{PORT}/lab"
