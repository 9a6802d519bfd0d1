"""Bodies stream both ways: at once, whole, untouched, or visibly broken."""

import asyncio
import gzip

import aiohttp
import anyio
import pytest
from aiohttp import web

from .house import PORT, Canned, ask, cut, door, house, raw_service, request, send, service

pytestmark = pytest.mark.anyio


async def test_server_sent_events_arrive_at_once() -> None:
    """Each event is there before the next is sent, and its headers before any."""
    go = asyncio.Queue[str]()

    async def events(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        while text := await go.get():
            await response.write(f"data: {text}\n\n".encode())
        return response

    app = web.Application()
    app.router.add_get("/events", events)
    async with service(app) as upstream, house(door(upstream)) as at, aiohttp.ClientSession() as client:
        with anyio.fail_after(10):
            async with client.get(at.url("/events"), headers={"Cookie": at.cookie}) as got:
                assert got.headers["Content-Type"] == "text/event-stream"
                for number in range(3):
                    go.put_nowait(str(number))
                    assert f"data: {number}\n\n".encode() == await got.content.readuntil(b"\n\n")
                go.put_nowait("")
                assert await got.content.read() == b""


async def test_an_upload_streams_while_the_answer_does() -> None:
    """Each piece of a chunked upload reaches the service before the next is sent, and its echo comes back."""

    async def echo(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        async for chunk in request.content.iter_any():
            await response.write(chunk.upper())
        return response

    app = web.Application()
    app.router.add_post("/echo", echo)
    async with service(app) as upstream, house(door(upstream)) as at:
        with anyio.fail_after(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
            writer.write(request(at, f"POST /me/{PORT}/echo HTTP/1.1", "Transfer-Encoding: chunked"))
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            for piece in (b"one", b"two", b"six"):
                writer.write(b"3\r\n" + piece + b"\r\n")
                assert b"3\r\n" + piece.upper() + b"\r\n" == await reader.readexactly(8)
            writer.write(b"0\r\n\r\n")
            assert await reader.read() == b"0\r\n\r\n"
            writer.close()
    assert (at.book.sent > 9, at.book.received > 9) == (True, True)


async def test_bodies_are_not_unpacked_or_repacked() -> None:
    """Compressed bytes pass as they are, up and down."""
    packed = gzip.compress(b"x" * 1000)
    seen: list[bytes] = []

    async def keep(request: web.Request) -> web.Response:
        seen.append(await request.read())
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    app = web.Application()
    app.router.add_put("/", keep)
    async with service(app) as upstream, house(door(upstream)) as at:
        line, length = f"PUT /me/{PORT}/ HTTP/1.1", f"Content-Length: {len(packed)}"
        _, headers, body = await ask(at, line, "Content-Encoding: gzip", length, body=packed)
    assert seen == [packed]
    assert (body, headers["content-encoding"]) == (packed, "gzip")


@pytest.mark.parametrize(
    ("method", "reply", "expected"),
    [
        ("GET", "206 Partial Content\r\nContent-Range: bytes 1-2/9\r\nContent-Length: 2\r\n\r\nbc", (206, b"bc")),
        ("HEAD", "200 OK\r\nContent-Length: 12345\r\n\r\n", (200, b"")),
        ("HEAD", "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", (200, b"")),
        ("GET", "204 No Content\r\nX-A: 1\r\n\r\n", (204, b"")),
        ("GET", '304 Not Modified\r\nETag: "a"\r\n\r\n', (304, b"")),
        (
            "GET",
            "100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            (200, b""),
        ),
        ("GET", "200 OK\r\n\r\nuntil the end", (200, b"d\r\nuntil the end\r\n0\r\n\r\n")),
        ("GET", "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", (200, b"2\r\nab\r\n0\r\n\r\n")),
        ("GET", "401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n", (401, b"")),
        ("GET", "503 Mine\r\nContent-Length: 4\r\n\r\nmine", (503, b"mine")),
    ],
)
async def test_framing_of_answers(method: str, reply: str, expected: tuple[int, bytes]) -> None:
    """Every kind of answer arrives as what it is."""
    canned = Canned(f"HTTP/1.1 {reply}".encode())
    async with raw_service(canned.talk) as upstream, house(door(upstream)) as at:
        status, headers, body = await ask(at, f"{method} /me/{PORT}/ HTTP/1.1", "Range: bytes=1-2")
    assert expected == (status, body)
    assert canned.headers[b"range"] == b"bytes=1-2"
    assert "content-type" not in headers
    if "12345" in reply:
        assert headers["content-length"] == "12345"
    if status in {204, 304}:
        assert {"content-length", "transfer-encoding"}.isdisjoint(headers)


async def test_a_client_of_http_1_0_is_served() -> None:
    """Without chunks, the end of the connection ends the body."""
    canned = Canned(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n")
    async with raw_service(canned.talk) as upstream, house(door(upstream)) as at:
        status, _, body = cut(await send(at, request(at, f"GET /me/{PORT}/ HTTP/1.0")))
    assert (status, body) == (200, b"ab")


async def test_the_client_is_told_to_go_on_once_the_service_takes_it() -> None:
    """Expect: 100-continue is answered when the upload can begin, and never for what is refused."""
    seen: list[bytes] = []

    async def keep(request: web.Request) -> web.Response:
        assert "Expect" not in request.headers
        seen.append(await request.read())
        return web.Response(text="kept")

    app = web.Application()
    app.router.add_put("/", keep)
    async with service(app) as upstream, house(door(upstream)) as at:
        lines = (f"PUT /me/{PORT}/ HTTP/1.1", "Expect: 100-continue", "Content-Length: 3")
        with anyio.fail_after(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
            writer.write(request(at, *lines))
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"abc")
            assert (await reader.read()).endswith(b"kept")
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
            writer.write(request(at, *lines, cookie=False))
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 403 ")
            writer.close()
    assert seen == [b"abc"]


@pytest.mark.parametrize(
    "reply",
    [
        b"Content-Length: 10\r\n\r\nabc",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n5\r\nde",
    ],
)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_an_answer_that_breaks_off_is_broken_for_the_client(reply: bytes, version: str) -> None:
    """A service that dies in the middle never looks like one that said all it had to say."""
    canned = Canned(b"HTTP/1.1 200 OK\r\n" + reply)
    async with raw_service(canned.talk) as upstream, house(door(upstream)) as at:
        try:
            _, headers, body = cut(await send(at, request(at, f"GET /me/{PORT}/ HTTP/{version}")))
        except ConnectionResetError:
            return
    framed = len(body) < int(headers["content-length"]) if "content-length" in headers else b"0\r\n\r\n" not in body
    assert framed
    assert "content-length" in headers or "transfer-encoding" in headers


async def test_an_answer_that_turns_into_nonsense_is_broken_for_the_client() -> None:
    """A chunk that is none ends the transfer, though the service would say more."""
    go, done = asyncio.Event(), asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await go.wait()
        writer.write(b"zz\r\n\r\n0\r\n\r\n")
        await done.wait()

    async with raw_service(talk) as upstream, house(door(upstream)) as at:
        with anyio.fail_after(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
            writer.write(request(at, f"GET /me/{PORT}/ HTTP/1.1"))
            await reader.readuntil(b"3\r\nabc\r\n")
            go.set()
            assert b"0\r\n" not in await reader.read()
            writer.close()
            done.set()


async def test_an_upload_that_breaks_off_is_broken_for_the_service() -> None:
    """A client that goes away in the middle of its upload does not leave a short file that looks whole."""
    ends = asyncio.Queue[bytes]()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        ends.put_nowait(b"began")
        try:
            ends.put_nowait(await reader.read())
        except ConnectionError:
            ends.put_nowait(b"reset")

    async with raw_service(talk) as upstream, house(door(upstream)) as at:
        with anyio.fail_after(10):
            _, writer = await asyncio.open_connection("127.0.0.1", at.port)
            writer.write(request(at, f"POST /me/{PORT}/ HTTP/1.1", "Transfer-Encoding: chunked", body=b"3\r\nabc\r\n"))
            assert await ends.get() == b"began"
            writer.close()
            assert b"0\r\n" not in await ends.get()


async def test_a_client_that_goes_away_ends_the_request_to_the_service() -> None:
    """An event stream nobody reads any more is closed at the service."""
    gone = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        await reader.read()
        gone.set()

    async with raw_service(talk) as upstream, house(door(upstream)) as at:
        with anyio.fail_after(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
            writer.write(request(at, f"GET /me/{PORT}/ HTTP/1.1"))
            await reader.readuntil(b"1\r\na\r\n")
            writer.close()
            await gone.wait()


async def test_a_stale_connection_is_tried_anew_for_requests_that_can_be_repeated() -> None:
    """The service closes the connection it kept just as the next request is sent on it; nobody notices."""
    talks: list[list[bytes]] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines: list[bytes] = []
        talks.append(lines)
        for _ in range(2):
            lines.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
            if len(lines) == 2:
                return
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with raw_service(talk) as upstream, house(door(upstream)) as at:
        for path in ("/1", "/2"):
            status, _, _ = await ask(at, f"GET /me/{PORT}{path} HTTP/1.1")
            assert status == 200
        assert talks == [[b"GET /1 HTTP/1.1", b"GET /2 HTTP/1.1"], [b"GET /2 HTTP/1.1"]]
        status, _, _ = await ask(at, f"POST /me/{PORT}/3 HTTP/1.1", "Content-Length: 1", body=b"x")
        assert (status, talks[2:]) == (200, [[b"POST /3 HTTP/1.1"]])


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_what_may_have_been_done_is_not_done_again(method: str) -> None:
    """A connection that breaks before the answer leaves it open whether the request took effect, and says so."""
    heads: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        await reader.readexactly(3)

    async with raw_service(talk) as upstream, house(door(upstream)) as at:
        status, _, body = await ask(at, f"{method} /me/{PORT}/ HTTP/1.1", "Content-Length: 3", body=b"abc")
    assert (status, len(heads)) == (502, 1)
    assert b"not known" in body
    assert at.book.failures == [PORT]


@pytest.mark.parametrize(
    "reply", [b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\r\n\r\n"]
)
async def test_what_is_not_http_is_said(reply: bytes) -> None:
    """A service that speaks something else is named as what is wrong."""
    canned = Canned(reply)
    async with raw_service(canned.talk) as upstream, house(door(upstream)) as at:
        status, _, body = await ask(at, f"GET /me/{PORT}/ HTTP/1.1")
    assert status == 502
    assert b"not HTTP" in body


async def test_an_early_answer_ends_an_upload() -> None:
    """A service that refuses an upload without reading it is heard."""
    canned = Canned(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
    async with raw_service(canned.talk) as upstream, house(door(upstream)) as at:
        with anyio.fail_after(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
            writer.write(request(at, f"PUT /me/{PORT}/ HTTP/1.1", "Content-Length: 1000000000", body=b"x" * 1000))
            assert (await reader.readuntil(b"big")).startswith(b"HTTP/1.1 413 ")
            writer.close()


async def test_two_requests_on_one_connection() -> None:
    """The browser's connection is kept, whatever the services do with theirs."""
    canned = Canned()
    async with raw_service(canned.talk) as upstream, house(door(upstream)) as at:
        one = request(at, f"GET /me/{PORT}/1 HTTP/1.1").replace(b"Connection: close\r\n", b"")
        answers = await send(at, one + request(at, f"POST /me/{PORT}/2 HTTP/1.1", "Content-Length: 2", body=b"ab"))
    assert answers.count(b"HTTP/1.1 200 OK") == 2


async def test_the_gateway_closes_though_streams_are_open() -> None:
    """An event stream that never ends does not keep the daemon from stopping, and is seen to break off."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        await reader.read()

    with anyio.fail_after(10):
        async with raw_service(talk) as upstream:
            async with house(door(upstream)) as at:
                reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
                writer.write(request(at, f"GET /me/{PORT}/ HTTP/1.1"))
                await reader.readuntil(b"1\r\na\r\n")
            assert await reader.read() == b""
            writer.close()
