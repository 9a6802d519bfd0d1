"""A byte stream over an SSH channel: to a TCP port or a Unix socket, as the server at the other side reaches it.

It works with asyncssh's callbacks: its reader and writer objects cost a task switch and a copy a packet. What arrives
while nobody waits for it is kept here up to `READ_AHEAD`; then the channel is told to pause.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

import anyio
import asyncssh
from anyio.abc import ByteStream
from anyio.lowlevel import checkpoint

from sessiond.remote.ssh.splice import Taker
from sessiond.remote.ssh.wire import Line

READ_AHEAD = 262144
"""How many bytes may wait here for a reader before the channel is told to pause."""
WRITE_BEHIND = 262144
"""How many bytes may wait here for the other side's window before a writer has to wait."""
PIECE = 65536
"""The most bytes handed to the channel at once."""
CUT = "cut"
"""The extra information that a channel has once its connection is gone, however it went."""
DRAIN_S = 3.0
"""How long closing waits for the other side to take what was sent."""


class ChannelStream(asyncssh.SSHTCPSession[bytes], asyncssh.SSHUNIXSession[bytes], ByteStream):
    """An open channel as a stream. Made by `open_tcp` and `open_unix`.

    The methods in asyncssh's words (``data_received`` and so on) are for asyncssh alone. ``on_closed`` is called once,
    when the channel is gone or given up.
    """

    def __init__(self, connection: asyncssh.SSHClientConnection, on_closed: Callable[[], None]) -> None:
        self._connection = connection
        self._on_closed: Callable[[], None] | None = on_closed
        self._channel: asyncssh.SSHTCPChannel[bytes] | asyncssh.SSHUNIXChannel[bytes] | None = None
        self._taker: Taker | None = None
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._paused = False
        self._full = False
        self._crowded = False
        self._line: Line | None = None
        self._ended = False
        self._lost = False
        self._eof_sent = False
        self._closed = False
        self._readable = anyio.Event()
        self._writable = anyio.Event()
        self._writable.set()

    # What asyncssh calls.

    def connection_made(self, chan: Any) -> None:
        """The channel is open."""
        self._channel = chan
        chan.set_write_buffer_limits(high=WRITE_BEHIND, low=WRITE_BEHIND // 4)
        self._line = self._connection.get_extra_info("wire")
        if self._line is not None:
            self._line.watch(self._crowd)
            self._crowd(self._line.crowded)

    def data_received(self, data: bytes | memoryview, datatype: int | None) -> None:
        """Something came. What ``data`` shows of somebody's memory may change afterwards."""
        if self._taker is not None:
            self._taker.take(data)
            return
        self._waiting.append(bytes(data))
        self._waiting_bytes += len(data)
        self._readable.set()
        if self._waiting_bytes > READ_AHEAD:
            self.pause_reading()

    def eof_received(self) -> bool:
        """Nothing more will come; the other direction stays open."""
        self._ended = True
        self._readable.set()
        if self._taker is not None:
            self._taker.far_ended()
        return True

    def pause_writing(self) -> None:
        """The other side takes nothing more for now."""
        self._full = True
        self._hold_writers()

    def resume_writing(self) -> None:
        """The other side takes more again."""
        self._full = False
        self._hold_writers()

    def connection_lost(self, exc: Exception | None) -> None:
        """The channel is closed, by either side, or the connection under it is gone."""
        # asyncssh forgets to tell of an end that came while reading was paused and a close followed.
        if exc is None and self._channel is not None and not self._channel.get_extra_info(CUT):
            self._ended = True
        self._lost = True
        self._readable.set()
        self._writable.set()
        self._gone()
        if self._taker is not None:
            self._taker.far_lost()

    # What everybody else calls.

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """Up to ``max_bytes``. Raises EndOfStream, BrokenResourceError, ClosedResourceError."""
        await checkpoint()
        while not self._waiting:
            if self._closed:
                raise anyio.ClosedResourceError
            if self._ended:
                raise anyio.EndOfStream
            if self._lost:
                raise anyio.BrokenResourceError
            self._readable = anyio.Event()
            await self._readable.wait()
        chunk = self._waiting.popleft()
        if len(chunk) > max_bytes:
            self._waiting.appendleft(chunk[max_bytes:])
            chunk = chunk[:max_bytes]
        self._waiting_bytes -= len(chunk)
        if self._paused and self._waiting_bytes <= READ_AHEAD // 4:
            self.resume_reading()
        return chunk

    async def send(self, item: bytes) -> None:
        """Hand all of ``item`` to the channel. Raises BrokenResourceError, ClosedResourceError."""
        await checkpoint()
        left = memoryview(item)
        while left:
            await self._writable.wait()
            self.write(left[:PIECE])
            left = left[PIECE:]

    async def send_eof(self) -> None:
        """Say that nothing more will be sent. An other end that is gone already is no error."""
        await checkpoint()
        self.write_eof()

    async def aclose(self) -> None:
        """Close the channel. What was sent is still delivered, if the other side takes it within `DRAIN_S`.

        Cancellation gives up what was not taken, and passes through. May be called twice.
        """
        if self._closed or self._channel is None:
            await checkpoint()
            return
        self._closed = True
        self._readable.set()
        self._waiting.clear()
        channel = self._channel
        try:
            if channel.get_write_buffer_size():
                channel.resume_reading()  # the other side may have to be rid of its own words before it listens
                channel.set_write_buffer_limits(high=0)
                with anyio.move_on_after(DRAIN_S):
                    await self._writable.wait()
            else:
                await checkpoint()
        finally:
            if channel.get_write_buffer_size():
                channel.abort()
            else:
                channel.close()
            self._writable.set()  # whoever still waits to send learns that it is closed
            self._gone()

    async def splice(self, near: socket.socket, on_bytes: Callable[[int, int], None], half_closed_s: float) -> None:
        """Carry bytes between ``near``, a connected socket that is taken over, and this stream until both have ended.

        ``on_bytes`` is told of bytes carried (from ``near``, to ``near``). The end of one direction is passed on as a
        half-close, after which the other may be silent for ``half_closed_s`` at most; a broken side ends both. At
        its end, or when it is cancelled, ``near`` is closed; this stream remains to be closed.
        """
        taker = Taker(near, self, on_bytes)
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.connect_accepted_socket(lambda: taker, near)
        except OSError:
            return  # the other end of it has gone already
        try:
            self._hand_over(taker)
            await taker.run(half_closed_s)
        finally:
            self._taker = None
            if not taker.over.is_set():
                transport.abort()
                with anyio.move_on_after(DRAIN_S, shield=True):
                    await taker.over.wait()

    def _hand_over(self, taker: Taker) -> None:
        self._taker = taker
        if not self._writable.is_set():
            taker.hold(True)
        while self._waiting:
            taker.take(self._waiting.popleft())
        self._waiting_bytes = 0
        if self._paused:
            self.resume_reading()
        if self._lost:
            taker.far_lost()
        elif self._ended:
            taker.far_ended()

    # What a taker calls too.

    def write(self, data: bytes | memoryview) -> None:
        """Hand ``data`` to the channel at once, whatever waits. Raises BrokenResourceError, ClosedResourceError."""
        if self._closed or self._eof_sent:
            raise anyio.ClosedResourceError
        if self._lost or self._channel is None:
            raise anyio.BrokenResourceError
        line = self._line
        if line is not None:
            line.hold()  # a packet has 32 KiB at most: eight of them are sent as one
        try:
            self._channel.write(data)
        except OSError as error:
            raise anyio.BrokenResourceError from error
        finally:
            if line is not None:
                line.release()

    def write_eof(self) -> None:
        """Say that nothing more will be written."""
        self._eof_sent = True
        if self._channel is not None and not self._lost and not self._closed:
            self._channel.write_eof()

    def pause_reading(self) -> None:
        """Let nothing more come for now."""
        if not self._paused and self._channel is not None:
            self._paused = True
            self._channel.pause_reading()

    def resume_reading(self) -> None:
        """Let more come again."""
        if self._paused and self._channel is not None:
            self._paused = False
            self._channel.resume_reading()

    def _crowd(self, crowded: bool) -> None:
        self._crowded = crowded
        self._hold_writers()

    def _hold_writers(self) -> None:
        """Let writers wait while the other side's window or the line below is full."""
        held = self._full or self._crowded
        if held != self._writable.is_set():
            return
        if held:
            self._writable = anyio.Event()
        else:
            self._writable.set()
        if self._taker is not None:
            self._taker.hold(held)

    def _gone(self) -> None:
        if self._line is not None:
            self._line.unwatch(self._crowd)
            self._line = None
        if self._on_closed is not None:
            self._on_closed()
            self._on_closed = None
