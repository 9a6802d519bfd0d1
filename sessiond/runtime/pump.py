"""Carrying bytes between two streams, both ways at once."""

from __future__ import annotations

import math
import socket
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import anyio
from anyio.abc import ByteStream, SocketAttribute

from sessiond.runtime.sockets import AcceptedStream

BUFFER = 65536
"""The most bytes taken at once each way; nothing more is read before they are passed on."""
HALF_CLOSED_S = 3600.0
"""How long the other direction may be silent after one has ended.

A peer that is gone altogether looks like one that only stopped sending until something is sent to it, so without an
end such a pair would stay for ever.
"""
CLOSE_WAIT_S = 5.0

OnBytes = Callable[[int, int], None]
"""Told of bytes carried: from near to far, from far to near."""

BROKEN = (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)
"""What a stream raises when its other end is gone."""


@runtime_checkable
class Splicing(Protocol):
    """A stream that knows a shorter way to a socket than through `pump`'s hands."""

    async def splice(self, near: socket.socket, on_bytes: OnBytes, half_closed_s: float) -> None:
        """Carry bytes between ``near``, which is taken over and closed, and this stream, as `pump` would."""


class _Pump:
    """One pair of streams and the two directions between them."""

    def __init__(self, near: ByteStream, far: ByteStream, on_bytes: OnBytes) -> None:
        self._near = near
        self._far = far
        self._on_bytes = on_bytes
        self._scope = anyio.CancelScope()
        self._half_closed = False

    async def run(self) -> None:
        with self._scope:
            async with anyio.create_task_group() as directions:
                directions.start_soon(self._carry, self._near, self._far, True)
                directions.start_soon(self._carry, self._far, self._near, False)

    async def _carry(self, source: ByteStream, sink: ByteStream, outward: bool) -> None:
        try:
            while True:
                try:
                    chunk = await source.receive(BUFFER)
                except anyio.EndOfStream:
                    await sink.send_eof()
                    break
                self._more_time()
                await sink.send(chunk)
                self._on_bytes(len(chunk) if outward else 0, 0 if outward else len(chunk))
        except BROKEN:
            # Nobody is left to take the rest, in either direction.
            self._scope.cancel()
            return
        self._half_closed = True
        self._more_time()

    def _more_time(self) -> None:
        self._scope.deadline = anyio.current_time() + HALF_CLOSED_S if self._half_closed else math.inf


async def pump(near: ByteStream, far: ByteStream, on_bytes: OnBytes) -> None:
    """Carry bytes between ``near`` and ``far`` until both have ended, then close both.

    The end of one direction is passed on as a half-close; a broken stream ends both directions. ``on_bytes`` is called
    after each chunk was taken by its receiver. Back-pressure is the streams' own. Cancellation closes both streams
    and passes through; nothing else is raised. A ``far`` that can be joined to a socket directly is.
    """
    try:
        if isinstance(near, AcceptedStream) and isinstance(far, Splicing):
            await far.splice(near.extra_attributes[SocketAttribute.raw_socket](), on_bytes, HALF_CLOSED_S)
        else:
            await _Pump(near, far, on_bytes).run()
    finally:
        await close_both(near, far)


async def close_both(*streams: ByteStream) -> None:
    """Close ``streams``, each within `CLOSE_WAIT_S` even under cancellation, whatever state they are in."""
    for stream in streams:
        with anyio.move_on_after(CLOSE_WAIT_S, shield=True):
            try:
                await stream.aclose()
            except BROKEN:
                continue
