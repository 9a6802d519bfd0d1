"""An accepted connection as a stream that takes nothing before it is asked to.

anyio 4.16 on asyncio lets the transport of an accepted socket read from its first moment, and never stops it again if
data came before the first `receive`: whatever a client sends while nobody takes it piles up in memory. This stream
reads from the socket in `receive` alone, so that the kernel's buffers and the client's patience are the only queue.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import anyio
from anyio.abc import ByteStream, SocketAttribute
from anyio.lowlevel import checkpoint


class AcceptedStream(ByteStream):
    """A connected TCP socket, which it owns."""

    def __init__(self, raw: socket.socket) -> None:
        raw.setblocking(False)
        with suppress(OSError):  # the other end has gone already
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._raw = raw

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """`SocketAttribute.local_address` and ``remote_address``; each raises OSError once the other end is gone."""
        return {
            SocketAttribute.local_address: self._raw.getsockname,
            SocketAttribute.remote_address: self._raw.getpeername,
            SocketAttribute.raw_socket: lambda: self._raw,
        }

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """Up to ``max_bytes``. Raises EndOfStream, BrokenResourceError, ClosedResourceError."""
        await checkpoint()
        while True:
            try:
                chunk = self._open().recv(max_bytes)
            except BlockingIOError:
                await anyio.wait_readable(self._raw)
            except OSError as error:
                raise anyio.BrokenResourceError from error
            else:
                if not chunk:
                    raise anyio.EndOfStream
                return chunk

    async def send(self, item: bytes) -> None:
        """Hand all of ``item`` to the kernel. Raises BrokenResourceError, ClosedResourceError."""
        await checkpoint()
        left = memoryview(item)
        while left:
            try:
                left = left[self._open().send(left) :]
            except BlockingIOError:
                await anyio.wait_writable(self._raw)
            except OSError as error:
                raise anyio.BrokenResourceError from error

    async def send_eof(self) -> None:
        """Say that nothing more will be sent. An other end that is gone already is no error."""
        with suppress(OSError):
            self._open().shutdown(socket.SHUT_WR)

    async def aclose(self) -> None:
        """Close the socket; what the kernel has taken is still delivered. May be called twice."""
        if self._raw.fileno() >= 0:
            anyio.notify_closing(self._raw)
            self._raw.close()
        await checkpoint()

    def _open(self) -> socket.socket:
        if self._raw.fileno() < 0:
            raise anyio.ClosedResourceError
        return self._raw
