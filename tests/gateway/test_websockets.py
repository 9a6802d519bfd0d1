"""WebSockets on any path: what the two ends agreed on holds between them, and the gateway adds and takes nothing."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import anyio
import pytest
from aiohttp import web

from sessiond.core.spec import Prefix

from .house import KEEPER, PORT, SESSION, House, ask, cut, door, house, raw_service, request, send, service

pytestmark = pytest.mark.anyio

ENDS = asyncio.Queue[tuple[int | None, str]]


def echo_app(ends: ENDS) -> web.Application:
    """A service that sends back every message, closes on "close CODE", and notes how each connection ended."""

    async def echo(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse(protocols=("two", "one"), max_msg_size=0, autoping=True)
        await ws.prepare(request)
        await ws.send_str(f"hello at {request.raw_path}")
        try:
            async for message in ws:
                if message.type is aiohttp.WSMsgType.BINARY:
                    await ws.send_bytes(message.data)
                elif message.data.startswith("close"):
                    await ws.close(code=int(message.data.split()[1]), message=b"as asked")
                else:
                    await ws.send_str(message.data)
        finally:
            ends.put_nowait((ws.close_code, request.raw_path))
        return ws

    app = web.Application()
    app.router.add_get("/{path:.*}", echo)
    return app


@asynccontextmanager
async def sockets(prefix: Prefix = Prefix.STRIP) -> AsyncIterator[tuple[House, aiohttp.ClientSession, ENDS]]:
    """A gateway before an echo service, and a client to open WebSockets with."""
    ends: ENDS = asyncio.Queue()
    with anyio.fail_after(60):
        async with (
            service(echo_app(ends)) as upstream,
            house(door(upstream, prefix=prefix)) as at,
            aiohttp.ClientSession(headers={"Cookie": at.cookie}) as client,
        ):
            yield at, client, ends


@pytest.mark.parametrize("path", ["/", "/api/kernels/1/channels?session_id=%20x", "/:443/websockify", "//x/../y"])
@pytest.mark.parametrize("prefix", list(Prefix))
async def test_any_path_takes_a_websocket(path: str, prefix: Prefix) -> None:
    """The service speaks first, is heard, and sees the path it should."""
    ends: ENDS = asyncio.Queue()
    async with service(echo_app(ends)) as upstream, house(door(upstream, prefix=prefix)) as at:
        with anyio.fail_after(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
            key = ("Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
            shake = request(at, f"GET /me/{PORT}{path} HTTP/1.1", *key)
            writer.write(shake.replace(b"Connection: close", b"Connection: keep-alive, Upgrade"))
            status, headers, _ = cut(await reader.readuntil(b"\r\n\r\n"))
            seen = path if prefix is Prefix.STRIP else f"/me/{PORT}{path}"
            hello = f"hello at {seen}".encode()
            assert (status, headers["sec-websocket-accept"]) == (101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
            assert (headers["upgrade"].lower(), headers["connection"].lower()) == ("websocket", "upgrade")
            assert bytes([0x81, len(hello)]) + hello == await reader.readexactly(2 + len(hello))
            writer.close()


async def test_messages_of_all_kinds_and_sizes() -> None:
    """Text, bytes, nothing, and more than any buffer holds come back as they were."""
    async with sockets() as (at, client, _):
        async with client.ws_connect(at.url("/ws"), max_msg_size=0) as ws:
            await ws.receive_str()
            for text in ("", "x", "\u2603" * 70_000):
                await ws.send_str(text)
                assert text == await ws.receive_str()
            for size in (0, 1, 125, 126, 65_535, 65_536, 24 << 20):
                sent = os.urandom(size)
                await ws.send_bytes(sent)
                assert (sent == await ws.receive_bytes()) is True
        assert at.book.sent > 24 << 20
        assert at.book.received > 24 << 20


@pytest.mark.parametrize(("offered", "expected"), [(("one", "two"), "one"), (("two",), "two"), ((), None)])
async def test_subprotocols_are_agreed_between_the_ends(offered: tuple[str, ...], expected: str | None) -> None:
    """The service picks, the client hears what."""
    async with sockets() as (at, client, _), client.ws_connect(at.url("/ws"), protocols=offered) as ws:
        assert expected == ws.protocol


async def test_compression_is_agreed_between_the_ends() -> None:
    """permessage-deflate passes, because frames are not taken apart."""
    async with sockets() as (at, client, _), client.ws_connect(at.url("/ws"), compress=15) as ws:
        assert ws.compress == 15
        await ws.receive_str()
        await ws.send_str("a" * 100_000)
        assert await ws.receive_str() == "a" * 100_000
        assert at.book.received < 5000


async def test_pings_reach_the_service() -> None:
    """A ping is answered by the service with its own words."""
    async with sockets() as (at, client, _), client.ws_connect(at.url("/ws"), autoping=False) as ws:
        await ws.receive_str()
        await ws.ping(b"are you there")
        message = await ws.receive()
        assert (message.type, message.data) == (aiohttp.WSMsgType.PONG, b"are you there")


@pytest.mark.parametrize("code", [1000, 1001, 1011, 3000, 4999])
async def test_close_codes_pass_both_ways(code: int) -> None:
    """Who closes says why, and the other hears it."""
    async with sockets() as (at, client, ends):
        async with client.ws_connect(at.url("/a")) as ws:
            await ws.receive_str()
            await ws.send_str(f"close {code}")
            message = await ws.receive()
            assert (message.type, message.data, message.extra) == (aiohttp.WSMsgType.CLOSE, code, "as asked")
        assert (await ends.get())[1] == "/a"
        async with client.ws_connect(at.url("/b")) as ws:
            await ws.receive_str()
            await ws.close(code=code)
        assert await ends.get() == (code, "/b")


async def test_last_words_are_delivered() -> None:
    """A close frame sent together with the end of the connection reaches the service."""
    async with sockets() as (at, client, ends):
        ws = await client.ws_connect(at.url("/a"), autoclose=False)
        await ws.receive_str()
        line = ws._response.connection
        assert line is not None
        assert line.transport is not None
        line.transport.write(bytes.fromhex("8882000000000fa1"))
        line.transport.close()
        assert await ends.get() == (4001, "/a")
        await ws.close()


async def test_a_lost_client_and_a_lost_service_are_noticed() -> None:
    """An end that vanishes without a word takes the other with it."""
    async with sockets() as (at, client, ends):
        ws = await client.ws_connect(at.url("/a"))
        await ws.receive_str()
        line = ws._response.connection
        assert line is not None
        assert line.transport is not None
        line.transport.abort()
        assert (await ends.get())[1] == "/a"
        await ws.close()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nlast words")

    async with raw_service(talk) as upstream, house(door(upstream)) as at:
        shake = request(at, f"GET /me/{PORT}/ HTTP/1.1", "Upgrade: websocket")
        answer = await send(at, shake.replace(b"Connection: close", b"Connection: Upgrade"))
    assert answer.endswith(b"\r\n\r\nlast words")


async def test_a_refused_handshake_is_an_ordinary_answer() -> None:
    """The service's own refusal arrives whole."""

    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=401, text="not you")

    app = web.Application()
    app.router.add_get("/ws", refuse)
    async with service(app) as upstream, house(door(upstream)) as at:
        shake = request(at, f"GET /me/{PORT}/ws HTTP/1.1", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
        shake = shake.replace(b"Connection: close", b"Connection: Upgrade")
        follow = request(at, f"GET /me/{PORT}/ws HTTP/1.1")
        answers = await send(at, shake + follow)
    assert answers.count(b"HTTP/1.1 401 ") == 2
    assert answers.count(b"not you") == 2


async def test_a_service_that_is_not_there_refuses_the_handshake() -> None:
    """A WebSocket to a waiting session is told 503, as any request."""
    async with house(door(None, ready=False)) as at:
        line = f"GET /me/{PORT}/ HTTP/1.1"
        status, _, _ = await ask(at, line, "Upgrade: websocket", "Connection: Upgrade")
    assert status == 503


async def test_an_unasked_upgrade_is_no_answer() -> None:
    """A service that switches protocols on its own gets nobody to follow."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        await reader.read()

    async with raw_service(talk) as upstream, house(door(upstream)) as at:
        status, _, _ = await ask(at, f"GET /me/{PORT}/ HTTP/1.1")
    assert status == 502


@pytest.mark.parametrize("more", [b"", b"Upgrade: h2c\r\nConnection: Upgrade\r\n"], ids=["nothing", "another"])
async def test_an_upgrade_to_something_else_is_no_answer(more: bytes) -> None:
    """Who asked for a WebSocket is not told that it has one, and does not wait for it."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\n" + more + b"\r\n")
        await reader.read()

    async with raw_service(talk) as upstream, house(door(upstream)) as at:
        with anyio.fail_after(10):
            status, _, _ = await ask(at, f"GET /me/{PORT}/ HTTP/1.1", "Upgrade: websocket", "Connection: Upgrade")
    assert status == 502
    assert at.book.failures == [PORT]


async def test_a_token_opens_a_websocket_and_gives_the_cookie() -> None:
    """A client without cookies opens a WebSocket by its token, which the service does not see."""
    async with sockets() as (at, _, _ends), aiohttp.ClientSession() as stranger:
        url = at.url(f"/ws?a&sessiond={KEEPER.token(SESSION)}")
        async with stranger.ws_connect(url) as ws:
            assert ws._response.headers["Set-Cookie"].startswith(at.cookie)
            assert await ws.receive_str() == "hello at /ws?a"


async def test_a_slow_reader_holds_the_service_back() -> None:
    """What the client does not take stays with the service: the gateway holds no more than its buffers."""
    filled, total = asyncio.Event(), 256 << 20
    written = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        while written < total:
            writer.write(b"x" * 65536)
            written += 65536
            with anyio.move_on_after(0.5) as patience:
                await writer.drain()
            if patience.cancelled_caught:
                filled.set()
                return

    async with raw_service(talk) as upstream, house(door(upstream)) as at:
        with anyio.fail_after(30):
            _, writer = await asyncio.open_connection("127.0.0.1", at.port, limit=1024)
            shake = request(at, f"GET /me/{PORT}/ HTTP/1.1", "Upgrade: websocket")
            writer.write(shake.replace(b"Connection: close", b"Connection: Upgrade"))
            await filled.wait()
            writer.transport.abort()
    assert written < 64 << 20
