"""A session's door in the workspace: a listener of its own that lasts as long as the session."""

from __future__ import annotations

import html
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import anyio
from anyio.abc import ByteStream, SocketAttribute

from sessiond.core.errors import RemoteError
from sessiond.runtime.pump import BROKEN, OnBytes, close_both, pump

CONNECTIONS = 256
"""The most connections at once; further ones wait in the kernel's queue of the listener."""
HOLD_S = 5.0
"""How long a connection is held while nothing can be dialled."""
REDIAL_FIRST_S = 0.1
REDIAL_LAST_S = 1.0
FAREWELL_S = 2.0
"""How long a client may take to read the waiting page."""

_REQUEST_LIMIT = 65536
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="2"><title>Not ready</title></head>
<body><p>The session is not ready: {reason}.</p><p>This page tries again by itself.</p></body></html>
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """The two ends of an accepted connection, each a numeric host and a port."""

    local: tuple[str, int]
    remote: tuple[str, int]


class Guard(Protocol):
    """Runs one connection's work and keeps what it raises away from the others."""

    async def __call__(self, work: Callable[[], Awaitable[None]]) -> None:
        """Await ``work()``."""


async def unguarded(work: Callable[[], Awaitable[None]]) -> None:
    """The guard that keeps nothing away."""
    await work()


class Accepting(Protocol):
    """What a tunnel listens on."""

    @property
    def port(self) -> int:
        """Its number."""

    async def accept(self) -> ByteStream:
        """The next connection."""

    def close(self) -> None:
        """Free the port."""


class Tunnel:
    """Carries every connection to a session's listener over a stream of its own to the session's service.

    ``dial`` opens such a stream and raises a RemoteError where there is nothing to dial. ``allow`` says whether a
    peer may connect; None: all may. ``on_bytes`` is told of bytes carried (from the client, to the
    client). With ``http`` a client that cannot be served gets a page that says so and refreshes itself, else its
    connection is closed; ``on_failed`` is called before that. ``guard`` runs each connection.

    The listener is not the tunnel's work but its possession: when `serve` is cancelled or fails it stays open, and
    `serve` may be called again; only `aclose` closes it.
    """

    def __init__(
        self,
        listener: Accepting,
        dial: Callable[[], Awaitable[ByteStream]],
        allow: Callable[[Peer], Awaitable[bool]] | None,
        on_bytes: OnBytes,
        *,
        http: bool = True,
        on_failed: Callable[[], None] = lambda: None,
        guard: Guard = unguarded,
        hold_s: float = HOLD_S,
        limit: int = CONNECTIONS,
    ) -> None:
        self._listener = listener
        self._dial = dial
        self._allow = allow
        self._on_bytes = on_bytes
        self._http = http
        self._on_failed = on_failed
        self._guard = guard
        self._hold_s = hold_s
        self._slots = anyio.Semaphore(limit)
        self._serving: anyio.CancelScope | None = None
        self._ended: anyio.Event | None = None
        self.connections = 0
        """How many connections are open now."""
        self.bytes_in = 0
        """Bytes carried from clients to the service so far."""
        self.bytes_out = 0
        """Bytes carried from the service to clients so far."""

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._listener.port

    async def serve(self) -> None:
        """Accept connections until cancelled or closed. One call at a time."""
        self._ended = anyio.Event()
        try:
            with anyio.CancelScope() as self._serving:
                async with anyio.create_task_group() as connections:
                    while True:
                        await self._slots.acquire()
                        try:
                            client = await self._listener.accept()
                        except BaseException:
                            self._slots.release()
                            raise
                        connections.start_soon(self._connection, client)
        finally:
            self._serving = None
            self._ended.set()

    async def aclose(self) -> None:
        """End all connections and close the listener: the port is free afterwards. May be called twice."""
        if self._serving is not None and self._ended is not None:
            self._serving.cancel()
            await self._ended.wait()
        self._listener.close()

    async def _connection(self, client: ByteStream) -> None:
        self.connections += 1

        async def work() -> None:
            await self._carry(client)

        try:
            await self._guard(work)
        finally:
            self.connections -= 1
            self._slots.release()
            await close_both(client)

    async def _carry(self, client: ByteStream) -> None:
        if not await self._welcome(client):
            return
        try:
            service = await self._dial_patiently()
        except (RemoteError, *BROKEN) as error:
            self._on_failed()
            if self._http:
                await _apologise(client, str(error))
            return
        await pump(client, service, self._count)

    async def _welcome(self, client: ByteStream) -> bool:
        if self._allow is None:
            return True
        attributes: Mapping[Any, Callable[[], Any]] = client.extra_attributes
        try:
            peer = Peer(
                local=_host_port(attributes[SocketAttribute.local_address]()),
                remote=_host_port(attributes[SocketAttribute.remote_address]()),
            )
        except (OSError, KeyError):  # it has gone already
            return False
        return await self._allow(peer)

    async def _dial_patiently(self) -> ByteStream:
        """Dial until it succeeds or the time is over; then the last reason passes through."""
        until = anyio.current_time() + self._hold_s
        pause = REDIAL_FIRST_S
        while True:
            try:
                return await self._dial()
            except (RemoteError, *BROKEN):
                if anyio.current_time() + pause > until:
                    raise
            await anyio.sleep(pause)
            pause = min(pause * 2, REDIAL_LAST_S)

    def _count(self, inward: int, outward: int) -> None:
        self.bytes_in += inward
        self.bytes_out += outward
        self._on_bytes(inward, outward)


def _host_port(raw: object) -> tuple[str, int]:
    match raw:
        case (str(host), int(port), *_):
            return host, port
        case _:
            raise OSError("no address")


async def _apologise(client: ByteStream, reason: str) -> None:
    """Answer with the waiting page.

    The request is read first and the client's end awaited: closing a socket with unread bytes resets the connection,
    and the client would lose the page.
    """
    body = _PAGE.format(reason=html.escape(reason)).encode()
    head = (
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/html; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nCache-Control: no-store\r\nRetry-After: 2\r\nConnection: close\r\n\r\n"
    )
    with anyio.move_on_after(FAREWELL_S):
        try:
            await _read_request(client)
            await client.send(head.encode() + body)
            await client.send_eof()
            for _ in range(_REQUEST_LIMIT):
                await client.receive()
        except (anyio.EndOfStream, *BROKEN):
            return


async def _read_request(client: ByteStream) -> None:
    """Read up to the end of the request's head, or as much as a head may be."""
    seen = b""
    while b"\r\n\r\n" not in seen and len(seen) < _REQUEST_LIMIT:
        seen += await client.receive()
