"""One request carried to a service and its answer carried back, streaming both ways at constant memory."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from sessiond.api.gateway_headers import spaced, to_client, to_service
from sessiond.api.gateway_target import Target
from sessiond.core.spec import Prefix, Scheme
from sessiond.runtime.tls import unverified

READ_BYTES = 256 * 1024
"""How much is read at a time; with it aiohttp holds at most twice as much a direction before it stops reading."""

LINE_LIMIT = 64 * 1024
"""The longest request line or header that passes, either way. Services put whole states into URLs."""

HEADER_COUNT_LIMIT = 256
CONNECT_TIMEOUT_S = 15.0
"""A tunnel may hold a new connection for some seconds while its link comes back; only connecting is timed."""

_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class Unreachable(Exception):
    """The service took no connection, or closed it before any byte of an answer.

    ``perhaps_done``: the request was sent, cannot be repeated without harm, and may have taken effect.
    """

    def __init__(self, *, perhaps_done: bool) -> None:
        super().__init__("the service cannot be reached")
        self.perhaps_done = perhaps_done


class Unintelligible(Exception):
    """What listens there does not answer in HTTP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Connections to services. ``kept`` are used again, ``fresh`` carry one request each.

    A service may close an idle connection just as a request is sent on it. Requests that can be repeated are, by
    aiohttp; for all others a fresh connection leaves no doubt.
    """

    kept: aiohttp.ClientSession
    fresh: aiohttp.ClientSession


@asynccontextmanager
async def open_lines() -> AsyncIterator[Lines]:
    """Make the connections' pools, and close every connection in the end."""
    async with _session(force_close=False) as kept, _session(force_close=True) as fresh:
        yield Lines(kept=kept, fresh=fresh)


def _session(*, force_close: bool) -> aiohttp.ClientSession:
    # No limit on connections: event streams hold one each for hours, and the tunnels have limits of their own.
    connector = (
        aiohttp.TCPConnector(limit=0, force_close=True)
        if force_close
        else aiohttp.TCPConnector(limit=0, keepalive_timeout=15.0)
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
        auto_decompress=False,
        skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        read_bufsize=READ_BYTES,
        max_line_size=LINE_LIMIT,
        max_field_size=LINE_LIMIT,
        max_headers=HEADER_COUNT_LIMIT,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The way to one session's service: the loopback address to dial, what is spoken there, and what it is asked."""

    target: Target
    prefix: Prefix
    scheme: Scheme
    upstream: tuple[str, int]


class _Upload:
    """A request's body on its way up. It can be read once only; the client is told to go on when it is."""

    __slots__ = ("_request", "_sent", "_started")

    def __init__(self, request: web.Request, sent: Callable[[int], None]) -> None:
        self._request = request
        self._sent = sent
        self._started = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        if self._started:
            raise Unreachable(perhaps_done=True)
        self._started = True
        return self._chunks()

    async def _chunks(self) -> AsyncIterator[bytes]:
        expects = self._request.headers.get("Expect", "").lower() == "100-continue"
        if expects and self._request.transport is not None:
            self._request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if not self._request.content.total_bytes:
            # aiohttp holds the headers back until it has a first piece of the body; an empty one sends them.
            yield b""
        while chunk := await self._request.content.readany():
            self._sent(len(chunk))
            yield chunk


@asynccontextmanager
async def asked(
    request: web.Request,
    route: Route,
    lines: Lines,
    sent: Callable[[int], None],
    upgrade: CIMultiDict[str] | None = None,
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Send a request to its service; yield the answer as soon as its headers are there, its body unread.

    ``sent`` is told the bytes of the body as they go. ``upgrade`` are the connection's own headers an upgrade needs.

    Raises:
        Unreachable: there is no answer.
        Unintelligible: the answer is not HTTP.
    """
    headers = to_service(
        request.raw_headers,
        target=route.target,
        prefix=route.prefix,
        host=request.host,
        peer=request.remote or "127.0.0.1",
    )
    if upgrade is not None:
        headers.update(upgrade)
    repeatable = request.method in _REPEATABLE and not request.body_exists
    session = lines.kept if repeatable and upgrade is None else lines.fresh
    # A path given whole, its query included, is written to the service byte for byte.
    url = URL.build(
        scheme=route.scheme,
        host=route.upstream[0],
        port=route.upstream[1],
        path=route.target.upstream(route.prefix),
        encoded=True,
    )
    try:
        answer = await session.request(
            request.method,
            url,
            headers=headers,
            data=_Upload(request, sent) if request.body_exists else None,
            allow_redirects=False,
            ssl=unverified() if route.scheme is Scheme.HTTPS else True,
        )
    except (aiohttp.ClientConnectorError, aiohttp.ServerTimeoutError) as error:
        raise Unreachable(perhaps_done=False) from error
    except aiohttp.ClientConnectionError as error:
        raise Unreachable(perhaps_done=not repeatable) from error
    except (aiohttp.ClientError, ValueError) as error:
        raise Unintelligible from error
    try:
        yield answer
    finally:
        answer.close()


def head(answer: aiohttp.ClientResponse, route: Route, cookies: tuple[str, ...]) -> web.StreamResponse:
    """The beginning of the client's answer: the service's status and headers, and our own cookies."""
    headers = to_client(answer.raw_headers, target=route.target, prefix=route.prefix, upstream=route.upstream)
    response = web.StreamResponse(status=answer.status, reason=spaced(answer.reason or ""), headers=headers)
    response[_STATED] = frozenset(name.lower() for name in headers)
    for cookie in cookies:
        response.headers.add("Set-Cookie", cookie)
    return response


async def unadorned(_: web.Request, response: web.StreamResponse) -> None:
    """Take off what aiohttp's server adds to an answer of its own accord (a signal handler for the application)."""
    stated = response.get(_STATED, _OWN)
    for name in _ADDED - stated:
        response.headers.pop(name, None)


async def carry(
    request: web.Request,
    answer: aiohttp.ClientResponse,
    response: web.StreamResponse,
    received: Callable[[int], None],
) -> None:
    """Send the client a service's answer, each piece as it comes; ``received`` is told the bytes.

    An answer that breaks off is broken for the client too: never does it look whole and short.
    """
    with (
        _ended_with_its_line(answer),
        suppress(ConnectionError),
    ):  # the client has gone; leaving here closes the connection to the service
        await response.prepare(request)
        while True:
            try:
                chunk = await answer.content.readany()
            except aiohttp.ClientError:
                _break(request, response)
                return
            if not chunk:
                break
            received(len(chunk))
            await response.write(chunk)
        await response.write_eof()


@contextmanager
def _ended_with_its_line(answer: aiohttp.ClientResponse) -> Iterator[None]:
    """Break an answer's body when its connection is lost.

    aiohttp (3.14) closes the connection when a body turns into nonsense, but leaves its reader waiting for more.
    """
    line = answer.connection
    closed = line.protocol.closed if line is not None and line.protocol is not None else None

    def lost(_: asyncio.Future[None]) -> None:
        if not answer.content.is_eof() and answer.content.exception() is None:
            answer.content.set_exception(aiohttp.ClientPayloadError("the connection ended before the body"))

    if closed is not None:
        # The connection may serve more requests after this one: leave it with no more than one listener.
        closed.remove_done_callback(_heard)
        closed.add_done_callback(_heard)
        closed.add_done_callback(lost)
    try:
        yield
    finally:
        if closed is not None:
            closed.remove_done_callback(lost)


def _heard(closed: asyncio.Future[None]) -> None:
    """Take note of how a connection was lost, which asyncio would otherwise report as unheard."""
    if not closed.cancelled():
        closed.exception()


def _break(request: web.Request, response: web.StreamResponse) -> None:
    transport = request.transport
    if transport is None:
        return
    if "Content-Length" not in response.headers and "Transfer-Encoding" not in response.headers:
        # The end of this body is the end of the connection: only a reset tells it from a good one.
        peer = transport.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()


_STATED = web.ResponseKey("stated", frozenset[str])
_ADDED = frozenset({"server", "content-type"})
_OWN = frozenset({"content-type"})
