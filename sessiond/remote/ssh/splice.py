"""A socket joined to a stream by callbacks alone, without a task or a queue between them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, cast

import anyio

NEAR_BUFFER = 262144
"""The most bytes taken from the socket at once."""
NEAR_BEHIND = 262144
"""How many bytes may wait here for the socket's other end before the far side is told to pause."""


class Far(Protocol):
    """What a socket is joined to."""

    def write(self, data: bytes | memoryview) -> None:
        """Hand ``data`` on at once, whatever waits. Raises BrokenResourceError, ClosedResourceError."""

    def write_eof(self) -> None:
        """Say that nothing more will be written."""

    def pause_reading(self) -> None:
        """Let nothing more come for now."""

    def resume_reading(self) -> None:
        """Let more come again."""


class Taker(asyncio.BufferedProtocol):
    """The near side of a splice: a socket whose events go straight to a channel, and the channel's to it.

    No task, no queue and no copy of our own lies between them: where one side takes nothing, the other is not read.
    """

    def __init__(self, near: socket.socket, far: Far, on_bytes: Callable[[int, int], None]) -> None:
        self._near = near
        self._far = far
        self._on_bytes = on_bytes
        self._buffer = memoryview(bytearray(NEAR_BUFFER))
        self._transport: asyncio.Transport | None = None
        self._near_ended = False
        self._far_ended = False
        self._half_closed = anyio.Event()
        self._moved = False
        self.over = anyio.Event()
        """Set when the socket is closed."""

    async def run(self, half_closed_s: float) -> None:
        """Wait until both directions have ended, or one is silent for ``half_closed_s`` after the other has ended."""
        await self._half_closed.wait()
        while not self.over.is_set():
            self._moved = False
            with anyio.move_on_after(half_closed_s):
                await self.over.wait()
            if not self._moved:
                return

    # The channel's side.

    def take(self, data: bytes | memoryview) -> None:
        """Hand what came over the channel to the socket; ``data`` is not kept."""
        if self._transport is None:
            return
        sent = 0
        if not self._transport.get_write_buffer_size() and not self._transport.is_closing():
            # As the transport would itself, but for the copy; what is wrong with the socket is for it to find out.
            with suppress(OSError):
                sent = self._near.send(data)
        if sent < len(data):
            self._transport.write(bytes(data[sent:]))
        self._moved = True
        self._on_bytes(0, len(data))

    def far_ended(self) -> None:
        """The channel carries nothing more this way."""
        self._far_ended = True
        self._half_closed.set()
        if self._transport is None:
            return
        if self._near_ended:
            self._transport.close()
            return
        # Not the transport's own way: where the socket was reset meanwhile, asyncio 3.11 raises into the event loop.
        self._transport.set_write_buffer_limits(high=0)
        if not self._transport.get_write_buffer_size():
            self._shut_down()

    def far_lost(self) -> None:
        """The channel is gone: what the socket was given is still delivered."""
        self._half_closed.set()
        if self._transport is not None:
            self._transport.close()

    def hold(self, held: bool) -> None:
        """Take nothing from the socket while the channel can take nothing."""
        if self._transport is None or self._near_ended or self._transport.is_closing():
            return
        if held:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    # The socket's side, called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is ours."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are of no common class
        self._transport.set_write_buffer_limits(high=NEAR_BEHIND)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes of the socket go."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """So many came from the socket."""
        try:
            self._far.write(self._buffer[:nbytes])
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            self._near_ended = True
            self.far_lost()
            return
        self._moved = True
        self._on_bytes(nbytes, 0)

    def eof_received(self) -> bool:
        """The socket's other end sends nothing more."""
        self._near_ended = True
        self._half_closed.set()
        self._far.write_eof()
        return not self._far_ended

    def pause_writing(self) -> None:
        """The socket's other end takes nothing for now."""
        self._far.pause_reading()

    def resume_writing(self) -> None:
        """The socket's other end takes more again; it has all that was there where nothing more will come."""
        if self._far_ended:
            self._shut_down()
        else:
            self._far.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        self._transport = None
        self._half_closed.set()
        self.over.set()

    def _shut_down(self) -> None:
        with suppress(OSError):
            self._near.shutdown(socket.SHUT_WR)
