"""One question to a service, over real sockets."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream

from sessiond.core.errors import NotSent
from sessiond.core.session import Problem
from sessiond.core.spec import Probe, Scheme
from sessiond.runtime.probe import Answer, Down, Up, probe

pytestmark = pytest.mark.anyio

Dial = Callable[[], Awaitable[ByteStream]]


class Server:
    """A server that notes what it is asked and answers with fixed bytes, or keeps silent."""

    def __init__(self, answer: bytes | None, *, keep_open: bool = False) -> None:
        self.answer = answer
        self.keep_open = keep_open
        self.asked = b""

    async def handle(self, stream: ByteStream) -> None:
        """Read a request, answer it."""
        async with stream:
            try:
                while b"\r\n\r\n" not in self.asked:
                    self.asked += await stream.receive()
                if self.answer is not None:
                    await stream.send(self.answer)
                if self.keep_open:
                    await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return

    @asynccontextmanager
    async def dialled(self) -> AsyncIterator[Dial]:
        """The way to it."""
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        port = listener.extra(anyio.abc.SocketAttribute.local_port)

        async def dial() -> ByteStream:
            return await anyio.connect_tcp("127.0.0.1", port)

        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, self.handle)
            yield dial
            tasks.cancel_scope.cancel()


async def asked(server: Server, path: str = "/api", host: str = "127.0.0.1:50001", timeout_s: float = 10) -> Answer:
    """The answer of ``server``."""
    async with server.dialled() as dial:
        return await probe(dial, Probe(), path, host, timeout_s)


def no(code: str, message: str) -> Down:
    """The expected no."""
    return Down(Problem(code=code, message=message))


NOT_HTTP = no("bad-answer", "answered with something that is not HTTP")
CLOSED = no("no-answer", "closed the connection without an answer")


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", Up()),
        (b"HTTP/1.0 302 Found\r\nLocation: /login\r\n\r\n", Up()),
        (b"HTTP/1.1 403 \r\n\r\n", Up()),
        (b"HTTP/1.1 404\r\n\r\n", Up()),
        (b"HTTP/1.1 200 " + "Größe".encode("latin-1") + b"\n", Up()),
        (b"HTTP/1.1 500 Internal Server Error\r\n\r\n", no("bad-answer", "answered 500")),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", no("bad-answer", "answered 502")),
        (b"HTTP/1.1 999 Odd\r\n", no("bad-answer", "answered 999")),
        (b"SSH-2.0-OpenSSH_9.2\r\n", NOT_HTTP),
        (b"HTTP/2 200\r\n", NOT_HTTP),
        (b"HTTP/1.1 20 OK\r\n", NOT_HTTP),
        (b"HTTP/1.1 2000 OK\r\n", NOT_HTTP),
        (b"HTTP/1.1 200 OK", NOT_HTTP),
        (b"HTTP/1.1 200 " + b"x" * 10_000 + b"\r\n", NOT_HTTP),
        (b"\0" * 100_000, NOT_HTTP),
        (b"", CLOSED),
    ],
)
async def test_what_a_service_answers(answer: bytes, verdict: Answer) -> None:
    """Any status below 500 is a yes; all else is a no in precise words."""
    assert verdict == await asked(Server(answer))


async def test_the_answer_is_not_waited_for_to_its_end() -> None:
    """The status line is enough: a stream of events that never ends is up."""
    with anyio.fail_after(5):
        assert Up() == await asked(
            Server(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", keep_open=True)
        )


async def test_silence_is_a_no() -> None:
    """A service that accepts and says nothing is not up."""
    silent = no("no-answer", "accepted the connection but said nothing for 0.3 s")
    assert silent == await asked(Server(None, keep_open=True), timeout_s=0.3)
    assert silent == await asked(Server(b"HTTP/1.1 2", keep_open=True), timeout_s=0.3)


async def test_the_request() -> None:
    """One plain request, of the path and host it was told."""
    server = Server(b"HTTP/1.1 200 OK\r\n\r\n")
    assert Up() == await asked(server, "/me/50001/api?x=1")
    lines = server.asked.decode().split("\r\n")
    assert ["GET /me/50001/api?x=1 HTTP/1.1", "Host: 127.0.0.1:50001"] == lines[:2]
    assert "Connection: close" in lines
    assert ["", ""] == lines[-2:]


async def test_a_service_that_speaks_https() -> None:
    """It is asked over TLS, whoever vouches for its certificate; one that does not speak it is told apart."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(__file__).parents[1] / "gateway" / "node.pem")
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(b"HTTP/1.1 401 Unauthorized\r\n\r\n")
        writer.close()

    for tls, verdict in ((context, Up()), (None, no("bad-answer", "answered with something that is not TLS"))):
        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
        port = server.sockets[0].getsockname()[1]

        async def dial(port: int = port) -> ByteStream:
            return await anyio.connect_tcp("127.0.0.1", port)

        async with server:
            assert verdict == await probe(dial, Probe(), "/x", "h", 5.0, Scheme.HTTPS)
    assert b"GET /x HTTP/1.1\r\n" == asked[0]


async def test_nothing_can_be_smuggled_into_the_request() -> None:
    """A path or host with line ends adds no line to the request."""
    server = Server(b"HTTP/1.1 200 OK\r\n\r\n")
    await asked(server, "a b\r\nX: 1\r\n\r\nGET /é", "x\r\nY: 2")
    first, second, *_ = server.asked.split(b"\r\n")
    assert b"GET /a%20b%0D%0AX:%201%0D%0A%0D%0AGET%20/%C3%A9 HTTP/1.1" == first
    assert b"Host: localhost" == second
    assert b"\nX" not in server.asked
    assert b"\nY" not in server.asked


async def test_tcp_asks_for_a_connection_only() -> None:
    """A service that speaks no HTTP is up when it accepts."""
    async with Server(None, keep_open=True).dialled() as dial:
        assert Up() == await probe(dial, Probe(kind="tcp"), "", "", 5)


async def test_what_cannot_be_dialled_says_why() -> None:
    """The dialler's own reason is the problem, with its code and hint."""

    async def dial() -> ByteStream:
        raise NotSent("127.0.0.1:1: connection refused", hint="h")

    expected = Down(Problem(code="not-sent", message="127.0.0.1:1: connection refused", hint="h"))
    assert expected == await probe(dial, Probe(), "/", "x", 5)


async def test_a_dial_that_hangs() -> None:
    """The time is for everything together, dialling included."""

    async def dial() -> ByteStream:
        await anyio.sleep_forever()
        raise AssertionError

    assert no("no-answer", "did not accept a connection for 0.1 s") == await probe(dial, Probe(), "/", "x", 0.1)
