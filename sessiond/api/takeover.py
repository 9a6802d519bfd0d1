"""A request's connection taken over: after ``101 Switching Protocols`` it carries bytes both ways, half-close and all.

aiohttp (3.14) closes a connection as soon as its client has ended its own half, so what follows the answer's head is
not left to it: the socket is duplicated and carried by us, while aiohttp's own end of it neither reads nor writes.
"""

from __future__ import annotations

import contextlib
import select
import socket

import anyio
from aiohttp import web
from anyio.abc import ByteStream

from sessiond.runtime.pump import OnBytes, close_both, pump
from sessiond.runtime.sockets import AcceptedStream

LOOK_EVERY_S = 1.0
"""How soon it is noticed that a client which had ended its own half has gone altogether."""


class _Caller(ByteStream):
    """The client's socket. ``ended`` is set once it has ended its half."""

    def __init__(self, raw: socket.socket) -> None:
        self._raw = raw
        self._stream = AcceptedStream(raw)
        self.ended = anyio.Event()

    async def receive(self, max_bytes: int = 65536) -> bytes:
        try:
            return await self._stream.receive(max_bytes)
        except anyio.EndOfStream:
            self.ended.set()
            raise

    async def send(self, item: bytes) -> None:
        await self._stream.send(item)

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def gone(self) -> None:
        """Wait until nobody has the other end open: unlike TCP, a Unix socket tells that (poll(2), POLLHUP)."""
        await self.ended.wait()
        while self._raw.fileno() >= 0:
            look = select.poll()
            look.register(self._raw.fileno(), 0)
            if any(events & select.POLLHUP for _, events in look.poll(0)):
                return
            await anyio.sleep(LOOK_EVERY_S)


async def take_over(request: web.Request, far: ByteStream, on_bytes: OnBytes) -> web.StreamResponse:
    """Grant the client its stream and carry it to and from ``far`` until both have ended, or the client has gone.

    ``far`` is closed in any case; so is the client's connection. What a client sends before it has the answer is lost:
    aiohttp's parser takes it for another request.
    """
    response = web.StreamResponse(status=101, headers={"Connection": "Upgrade", "Upgrade": "tcp"})
    try:
        caller = await _caller(request, response)
        if caller is not None:
            await _carry(caller, far, on_bytes)
    finally:
        await close_both(far)
        response.force_close()
    return response


async def _caller(request: web.Request, response: web.StreamResponse) -> _Caller | None:
    """The client's end, the answer's head sent; None where it has gone meanwhile."""
    transport = request.transport
    if transport is None or transport.is_closing():
        return None
    transport.pause_reading()  # from here on nothing comes through aiohttp
    with contextlib.suppress(ConnectionError):
        await response.prepare(request)
    if transport.is_closing():
        return None
    return _Caller(transport.get_extra_info("socket").dup())


async def _carry(caller: _Caller, far: ByteStream, on_bytes: OnBytes) -> None:
    async with anyio.create_task_group() as tasks:

        async def leave() -> None:
            await caller.gone()
            tasks.cancel_scope.cancel()

        tasks.start_soon(leave)
        await pump(caller, far, on_bytes)
        tasks.cancel_scope.cancel()
