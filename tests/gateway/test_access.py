"""Who is let in, by what, and what the others are told."""

import ssl
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from sessiond.core.spec import Scheme
from sessiond.runtime.tunnel import Peer

from .house import KEEPER, PORT, SESSION, Canned, ask, door, house, raw_service, service

pytestmark = pytest.mark.anyio

TOKEN = KEEPER.token(SESSION)
OTHER = "zzzzzzzzzzzz"


@pytest.mark.parametrize(
    ("query", "cookies", "expected"),
    [
        ("", [], 403),
        ("", ["right"], 200),
        ("", [f"sessiond_{PORT}=wrong"], 403),
        ("", [f"sessiond_{PORT}={KEEPER.cookie(OTHER)}"], 403),
        ("", [f"sessiond_{PORT}={TOKEN}"], 403),
        ("", [f"sessiond_50001={KEEPER.cookie(SESSION)}"], 403),
        ("", [f"sessiond_{PORT}=wrong", "right"], 200),
        (f"?sessiond={TOKEN}", [], 200),
        ("?sessiond=wrong", [], 403),
        ("?sessiond=", [], 403),
        (f"?sessiond={KEEPER.token(OTHER)}", [], 403),
        (f"?sessiond={KEEPER.cookie(SESSION)}", [], 403),
        ("?sessiond=wrong", ["right"], 200),
        (f"?sessiond=wrong&sessiond={TOKEN}", [], 200),
    ],
)
@pytest.mark.parametrize("upgrade", [False, True])
async def test_token_or_cookie_opens(query: str, cookies: list[str], expected: int, upgrade: bool) -> None:
    """One right token or cookie of this very session opens it, for requests and WebSockets alike."""
    canned = Canned()
    more = ["Upgrade: websocket"] if upgrade else []
    async with raw_service(canned.talk) as upstream, house(door(upstream)) as at:
        more += [f"Cookie: {at.cookie if cookie == 'right' else cookie}" for cookie in cookies]
        line = f"GET /me/{PORT}/{query} HTTP/1.1"
        if upgrade:
            more.append("Connection: upgrade")
        status, headers, body = await ask(at, line, *more, cookie=False)
    assert expected == status
    assert (expected == 200) == (len(canned.heads) == 1)
    if expected == 403:
        assert b"sessionctl open lab" in body
        assert "set-cookie" not in headers


async def test_navigation_with_a_token_leaves_the_address_bar_clean() -> None:
    """A browser that navigates is sent to the same address without the token, and gets the cookie."""
    async with house(door(None)) as at:
        line = f"GET /me/{PORT}/lab?a=%20&sessiond={TOKEN}&b HTTP/1.1"
        status, headers, _ = await ask(at, line, "Sec-Fetch-Mode: navigate", cookie=False)
    assert (303, f"/me/{PORT}/lab?a=%20&b") == (status, headers["location"])
    assert headers["set-cookie"] == f"{at.cookie}; HttpOnly; SameSite=Lax; Path=/me/{PORT}/"
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:PORT", "127.0.0.1:1", "", "127.0.0.1"])
async def test_foreign_hosts_are_turned_away(host: str) -> None:
    """A name that was made to resolve to loopback opens nothing, not even with the right cookie."""
    canned = Canned()
    async with raw_service(canned.talk) as upstream, house(door(upstream)) as at:
        named = host.replace("PORT", str(at.port)) or " "
        status, _, body = await ask(at, f"GET /me/{PORT}/ HTTP/1.1", host=named)
    assert status == 421
    assert b"127.0.0.1" in body
    assert canned.heads == []


@pytest.mark.parametrize("host", ["localhost", "lab.localhost", "[::1]", "127.0.0.1"])
async def test_loopback_names_are_ours(host: str) -> None:
    """Each name of this machine will do."""
    canned = Canned()
    async with raw_service(canned.talk) as upstream, house(door(upstream)) as at:
        status, _, _ = await ask(at, f"GET /me/{PORT}/ HTTP/1.1", host=f"{host}:{at.port}")
    assert status == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1:PORT", "OWN"]
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "PROPFIND", "GET", "HEAD", "WEBSOCKET"])
async def test_foreign_pages_may_not_act(origin: str, method: str) -> None:
    """A page of another origin can neither change anything nor open a WebSocket, though the browser adds the cookie."""
    canned = Canned(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    upgrade = ["Connection: upgrade", "Upgrade: websocket"] if method == "WEBSOCKET" else []
    async with raw_service(canned.talk) as upstream, house(door(upstream)) as at:
        named = f"http://{at.host}" if origin == "OWN" else origin.replace("PORT", str(at.port))
        verb = "GET" if upgrade else method
        status, _, _ = await ask(at, f"{verb} /me/{PORT}/ HTTP/1.1", f"Origin: {named}", *upgrade)
    allowed = origin == "OWN" or method in {"GET", "HEAD"}
    assert (200 if allowed else 403) == status
    assert allowed == (len(canned.heads) == 1)


async def test_failed_tokens_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """What somebody tried is nobody's business: it may be a token with one character missing."""
    caplog.set_level(0)
    async with house(door(None)) as at:
        await ask(at, f"GET /me/{PORT}/?sessiond={TOKEN[:-1]} HTTP/1.1", cookie=False)
        await ask(at, f"GET /me/{PORT}/?sessiond={TOKEN} HTTP/1.1", cookie=False)
    assert TOKEN[:-1] not in caplog.text


@pytest.fixture
def tls() -> ssl.SSLContext:
    """TLS with a certificate nobody vouches for, as services on a node have; its key guards nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(__file__).with_name("node.pem"))
    return context


async def test_services_that_speak_https(tls: ssl.SSLContext) -> None:
    """They are reached at /sme/, see the request as at /me/, and whoever asks at /me/ is sent there."""

    async def hello(request: web.Request) -> web.Response:
        return web.Response(text=f"{request.scheme} {request.raw_path} {request.headers['X-Forwarded-Prefix']}")

    async def echo(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await ws.send_str(await ws.receive_str())
        await ws.close()
        return ws

    app = web.Application()
    app.router.add_get("/ws", echo)
    app.router.add_get("/{rest:.*}", hello)
    async with service(app, tls=tls) as upstream, house(door(upstream, scheme=Scheme.HTTPS)) as at:
        line = f"GET /sme/{PORT}/x?sessiond={TOKEN} HTTP/1.1"
        status, _, body = await ask(at, line, cookie=False)
        assert (200, f"https /x /sme/{PORT}".encode()) == (status, body)
        navigated = await ask(at, line, "Sec-Fetch-Mode: navigate", cookie=False)
        assert (303, f"/sme/{PORT}/x") == (navigated[0], navigated[1]["location"])
        assert f"Path=/sme/{PORT}/" in navigated[1]["set-cookie"]
        async with (
            aiohttp.ClientSession(headers={"Cookie": at.cookie}) as client,
            client.ws_connect(f"http://{at.host}/sme/{PORT}/ws") as ws,
        ):
            await ws.send_str("x" * 100_000)
            assert await ws.receive_str() == "x" * 100_000
        for asked, there in (
            (f"/me/{PORT}", f"/sme/{PORT}/"),
            (f"/me/{PORT}/x?sessiond=a&b=c", f"/sme/{PORT}/x?sessiond=a&b=c"),
        ):
            sent_on = await ask(at, f"GET {asked} HTTP/1.1")
            assert (307, there) == (sent_on[0], sent_on[1]["location"])


async def test_other_users_of_the_machine_are_turned_away() -> None:
    """Neither the right cookie nor the right token helps, and not even a session's name is told."""
    canned = Canned()

    async def nobody(_peer: Peer) -> bool:
        return False

    async with raw_service(canned.talk) as upstream, house(door(upstream), allow=nobody) as at:
        for line, *headers in (
            (f"GET /me/{PORT}/ HTTP/1.1",),
            (f"GET /me/{PORT}/?sessiond={TOKEN} HTTP/1.1", "Sec-Fetch-Mode: navigate"),
            (f"GET /me/{PORT}/ HTTP/1.1", "Upgrade: websocket", "Connection: upgrade"),
            (f"POST /me/{PORT}/ HTTP/1.1", "Content-Length: 0"),
            (f"GET /me/{PORT}/ HTTP/1.1", "Sessiond-Poll: 1"),
            ("GET /me/1/ HTTP/1.1",),
        ):
            status, got, body = await ask(at, line, *headers)
            assert 403 == status, line
            assert b"belongs to another user of this machine" in body
            assert b"lab" not in body
            assert "set-cookie" not in got
        _, got, body = await ask(at, f"GET /me/{PORT}/ HTTP/1.1", "Accept: text/html", host="evil.example")
        assert "text/html; charset=utf-8" == got["content-type"]
        assert b"belongs to another user of this machine" in body
    assert [] == canned.heads


async def test_whose_a_connection_is_is_asked_once() -> None:
    """A connection that is kept costs one question, each new one another; the two ends are those of the socket."""
    asked: list[Peer] = []

    async def allow(peer: Peer) -> bool:
        asked.append(peer)
        return True

    async def hello(_request: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_get("/", hello)
    async with service(app) as upstream, house(door(upstream), allow=allow) as at:
        for _ in range(2):
            async with aiohttp.ClientSession(headers={"Cookie": at.cookie}) as http:
                for _ in range(3):
                    async with http.get(at.url()) as got:
                        assert 200 == got.status
    assert [("127.0.0.1", at.port)] * 2 == [peer.local for peer in asked]
    assert 2 == len({peer.remote for peer in asked})
