"""A host name for each session: an origin of its own, at which there is nothing but that session."""

import ssl
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from sessiond.core.spec import Prefix, Scheme

from .house import KEEPER, PORT, SESSION, Canned, ask, door, house, raw_service, service

pytestmark = pytest.mark.anyio

TOKEN = KEEPER.token(SESSION)
OTHER_PORT = 50001
OTHER = "zzzzzzzzzzzz"


@pytest.mark.parametrize(
    ("asked", "got", "prefix"),
    [
        ("/", b"/", None),
        ("/a%2Fb/../c//?x=%20&x", b"/a%2Fb/../c//?x=%20&x", None),
        ("/menu/50000/", b"/menu/50000/", None),
        (f"/me/{PORT}/a", b"/a", f"/me/{PORT}".encode()),
    ],
)
async def test_a_service_that_sees_no_prefix_is_at_the_root_and_at_its_path(
    asked: str, got: bytes, prefix: bytes | None
) -> None:
    """Every byte of the path is the service's, and only a prefix that was taken off is named."""
    canned = Canned()
    async with raw_service(canned.talk) as upstream, house(door(upstream)) as at:
        status, _, _ = await ask(at, f"GET {asked} HTTP/1.1", host=f"LAB.localhost:{at.port}")
    assert 200 == status
    assert b"GET " + got + b" HTTP/1.1" == canned.line
    assert prefix == canned.headers.get(b"x-forwarded-prefix")


async def test_redirects_of_such_a_service_stay_at_the_root() -> None:
    """What it calls its own address is the address that was asked."""
    canned = Canned()
    async with raw_service(canned.talk) as upstream, house(door(upstream)) as at:
        canned.reply = (
            f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{upstream[1]}/in?a\r\nContent-Length: 0\r\n\r\n"
        ).encode()
        _, headers, _ = await ask(at, "GET / HTTP/1.1", host=f"lab.localhost:{at.port}")
    assert "/in?a" == headers["location"]


@pytest.mark.parametrize("path", ["//elsewhere.example/a", "/\\elsewhere.example/a"])
async def test_no_path_becomes_the_name_of_a_host(path: str) -> None:
    """Neither one that a browser is sent on to without its token, nor one that the service redirects to."""
    canned = Canned()
    async with raw_service(canned.talk) as upstream, house(door(upstream)) as at:
        here = f"lab.localhost:{at.port}"
        asked = f"GET {path}?sessiond={TOKEN} HTTP/1.1"
        status, headers, _ = await ask(at, asked, "Sec-Fetch-Mode: navigate", host=here, cookie=False)
        assert (303, f"/.{path}") == (status, headers["location"])
        canned.reply = (
            f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{upstream[1]}{path}\r\nContent-Length: 0\r\n\r\n"
        ).encode()
        _, headers, _ = await ask(at, "GET / HTTP/1.1", host=here)
    assert f"/.{path}" == headers["location"]


async def test_a_service_that_knows_its_prefix_keeps_it() -> None:
    """Its root leads there, the token kept; nothing else is at the root."""
    canned = Canned()
    async with raw_service(canned.talk) as upstream, house(door(upstream, prefix=Prefix.KEEP)) as at:
        here = f"lab.localhost:{at.port}"
        for asked, there in (("/", f"/me/{PORT}/"), (f"/?sessiond={TOKEN}&a", f"/me/{PORT}/?sessiond={TOKEN}&a")):
            status, headers, _ = await ask(at, f"GET {asked} HTTP/1.1", host=here, cookie=False)
            assert (307, there) == (status, headers["location"])
        status, _, body = await ask(at, "GET /lab HTTP/1.1", host=here)
        assert (404, True) == (status, f"/me/{PORT}/".encode() in body)
        assert [] == canned.heads
        status, _, _ = await ask(at, f"GET /me/{PORT}/lab HTTP/1.1", host=here)
    assert 200 == status
    assert f"GET /me/{PORT}/lab HTTP/1.1".encode() == canned.line


@pytest.mark.parametrize("host", ["other", "nobody", "lab.other", "a.lab", "lab_"])
async def test_no_session_is_at_anothers_name(host: str) -> None:
    """Neither by its path nor at the root, whatever cookies are shown: a page of one session cannot ask for another."""
    canned = Canned()
    cookies = f"sessiond_{PORT}={KEEPER.cookie(SESSION)}"
    async with (
        raw_service(canned.talk) as upstream,
        house(door(upstream), door(None, open_port=OTHER_PORT, session_id=OTHER, name="other")) as at,
    ):
        for path in (f"/me/{PORT}/", f"/me/{PORT}", f"/sme/{PORT}/", "/"):
            status, _, _ = await ask(
                at, f"GET {path} HTTP/1.1", f"Cookie: {cookies}", host=f"{host}.localhost:{at.port}", cookie=False
            )
            assert status in (403, 404)
    assert [] == canned.heads


async def test_a_port_that_another_session_has_now_is_not_this_ones() -> None:
    """The name of one that is over leads to nothing of whoever has its port today, even for those who may go there."""
    canned = Canned()
    async with raw_service(canned.talk) as upstream, house(door(upstream, name="new")) as at:
        over = door(None, session_id=OTHER, ended=True)
        at.book.named = lambda name: over if name == over.name else None  # type: ignore[method-assign]  # one port, twice
        status, _, _ = await ask(at, f"GET /me/{PORT}/ HTTP/1.1", host=f"lab.localhost:{at.port}")
    assert (404, []) == (status, canned.heads)


async def test_the_cookie_is_for_the_whole_origin() -> None:
    """A browser that comes with the token is sent on without it, and is known at the root and at the path."""
    async with house(door(None)) as at:
        here = f"lab.localhost:{at.port}"
        for asked, there in (
            (f"/lab?a=%20&sessiond={TOKEN}&b", "/lab?a=%20&b"),
            (f"/me/{PORT}/?sessiond={TOKEN}", f"/me/{PORT}/"),
        ):
            status, headers, _ = await ask(
                at, f"GET {asked} HTTP/1.1", "Sec-Fetch-Mode: navigate", host=here, cookie=False
            )
            assert (303, there) == (status, headers["location"])
            assert f"{at.cookie}; HttpOnly; SameSite=Lax; Path=/" == headers["set-cookie"]


@pytest.mark.parametrize("origin", ["127.0.0.1", "localhost", "other.localhost", "lab.localhost"])
async def test_pages_of_other_sessions_may_not_act(origin: str) -> None:
    """Another name of the same machine is another site."""
    canned = Canned(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    async with raw_service(canned.talk) as upstream, house(door(upstream)) as at:
        status, _, _ = await ask(
            at, "POST /x HTTP/1.1", f"Origin: http://{origin}:{at.port}", host=f"lab.localhost:{at.port}"
        )
    assert (200 if origin == "lab.localhost" else 403) == status
    assert (status == 200) == (len(canned.heads) == 1)


async def test_https_and_websockets_at_the_root() -> None:
    """A service that speaks https is at the root of its origin, too, with its WebSockets."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(Path(__file__).with_name("node.pem"))

    async def echo(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await ws.send_str(f"{request.scheme} {request.raw_path} {await ws.receive_str()}")
        await ws.close()
        return ws

    app = web.Application()
    app.router.add_get("/ws", echo)
    async with service(app, tls=tls) as upstream, house(door(upstream, scheme=Scheme.HTTPS)) as at:
        named = {"Host": f"lab.localhost:{at.port}", "Cookie": at.cookie, "Origin": f"http://lab.localhost:{at.port}"}
        async with (
            aiohttp.ClientSession(headers=named) as client,
            client.ws_connect(f"http://127.0.0.1:{at.port}/ws") as ws,
        ):
            await ws.send_str("hello")
            assert "https /ws hello" == await ws.receive_str()
