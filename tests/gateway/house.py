"""A house to knock at: a real gateway on a real socket, real services behind it, and a client that speaks raw bytes."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from sessiond.api.doorkeeper import Doorkeeper
from sessiond.api.gateway import Door, make_gateway, serve_gateway
from sessiond.api.peers import Allow
from sessiond.core.spec import Prefix, Scheme
from sessiond.runtime.tunnel import Peer

PORT = 50000
SESSION = "0123456789ab"
KEEPER = Doorkeeper(b"a secret of the tests")

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Book:
    """The sessions as a daemon would give them, and what the gateway told about them."""

    doors: dict[int, Door] = field(default_factory=dict)
    sent: int = 0
    received: int = 0
    failures: list[int] = field(default_factory=list)

    def at(self, open_port: int) -> Door | None:
        """The door at a port."""
        return self.doors.get(open_port)

    def named(self, name: str) -> Door | None:
        """The door of a session's name."""
        return next((one for one in self.doors.values() if one.name == name), None)

    def carried(self, open_port: int, sent: int, received: int) -> None:
        """Sum up the bytes."""
        assert open_port in self.doors
        self.sent += sent
        self.received += received

    def failed(self, open_port: int) -> None:
        """Remember the hint."""
        self.failures.append(open_port)


def door(
    upstream: tuple[str, int] | None,
    *,
    open_port: int = PORT,
    session_id: str = SESSION,
    name: str = "lab",
    ready: bool = True,
    phrase: str = "running",
    following: str = "",
    ended: bool = False,
    prefix: Prefix = Prefix.STRIP,
    scheme: Scheme = Scheme.HTTP,
) -> Door:
    """A door with the values a test does not care about filled in."""
    return Door(
        open_port=open_port,
        session_id=session_id,
        name=name,
        ready=ready,
        phrase=phrase,
        next=following,
        severity="busy",
        ended=ended,
        prefix=prefix,
        scheme=scheme,
        upstream=upstream,
    )


@dataclass
class House:
    """A running gateway: its port, its book of sessions, and what a client needs to come in."""

    port: int
    book: Book

    @property
    def host(self) -> str:
        """The authority of the gateway's URLs."""
        return f"127.0.0.1:{self.port}"

    @property
    def cookie(self) -> str:
        """A Cookie header's value that opens the first session."""
        return f"sessiond_{PORT}={KEEPER.cookie(SESSION)}"

    def url(self, rest: str = "/") -> str:
        """The URL of something of the first session."""
        return f"http://{self.host}/me/{PORT}{rest}"


def bound() -> socket.socket:
    """A socket bound to a free loopback port."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock


async def anybody(_peer: Peer) -> bool:
    """Let every program in."""
    return True


@asynccontextmanager
async def house(*doors: Door, allow: Allow = anybody) -> AsyncIterator[House]:
    """Run a gateway in front of some doors."""
    book = Book({one.open_port: one for one in doors})
    sock = bound()
    port = sock.getsockname()[1]
    async with serve_gateway(make_gateway(book, KEEPER, allow), sock):
        yield House(port, book)


@asynccontextmanager
async def service(app: web.Application, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[str, int]]:
    """Run a service written with aiohttp; it sees request bodies as they were sent."""
    runner = web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,
        handler_cancellation=True,
        shutdown_timeout=0.1,
        max_line_size=65536,
    )
    await runner.setup()
    sock = bound()
    try:
        await web.SockSite(runner, sock, ssl_context=tls).start()
        yield sock.getsockname()[:2]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def raw_service(talk: Talk) -> AsyncIterator[tuple[str, int]]:
    """Run a service that is whatever ``talk`` does with a connection; the connection is closed after it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 20)
    try:
        yield server.sockets[0].getsockname()[:2]
    finally:
        server.close()


@dataclass
class Canned:
    """A service that keeps the heads of the requests it gets and answers each with the same bytes."""

    reply: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    heads: list[bytes] = field(default_factory=list)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection: one request."""
        self.heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self.reply)
        await writer.drain()

    @property
    def line(self) -> bytes:
        """The request line of the last request."""
        return self.heads[-1].split(b"\r\n")[0]

    @property
    def headers(self) -> dict[bytes, bytes]:
        """The headers of the last request, names in lower case."""
        lines = self.heads[-1].split(b"\r\n")[1:-2]
        return {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}


def request(
    at: House, line: str, *headers: str, cookie: bool = True, host: str | None = None, body: bytes = b""
) -> bytes:
    """The bytes of a request; the gateway is asked to close the connection after it."""
    lines = [line, f"Host: {host or at.host}", "Connection: close", *headers]
    if cookie:
        lines.append(f"Cookie: {at.cookie}")
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body


async def ask(at: House, line: str, *headers: str, **more: object) -> tuple[int, dict[str, str], bytes]:
    """Send a request as raw bytes; the status, headers (names in lower case) and raw body of what came back."""
    return cut(await send(at, request(at, line, *headers, **more)))  # type: ignore[arg-type]  # passed on as given


async def send(at: House, data: bytes) -> bytes:
    """Send bytes; everything that came back until the connection was closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
    try:
        writer.write(data)
        return await reader.read()
    finally:
        writer.close()


def cut(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    """Part an answer's bytes into status, headers and raw body."""
    top, _, body = answer.partition(b"\r\n\r\n")
    lines = top.decode("utf-8").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    return int(lines[0].split()[1]), headers, body
