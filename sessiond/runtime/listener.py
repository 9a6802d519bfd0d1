"""Listening sockets on loopback: taking a free port of a range, or one certain port."""

from __future__ import annotations

import errno
import socket
from collections.abc import Container

import anyio
from anyio.lowlevel import checkpoint

from sessiond.core.errors import NotSent, PortTaken, TooMany
from sessiond.runtime.sockets import AcceptedStream

HOST = "127.0.0.1"
BACKLOG = 128
SHORTAGE_PAUSE_S = 0.2
"""How long accepting rests when the process has no file descriptors left."""

_TAKEN = frozenset({errno.EADDRINUSE, errno.EACCES})
_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Listener:
    """A listening socket on `HOST` (`sessiond.remote.transport.Accepting`). Created by `reserve` and `bind`."""

    def __init__(self, raw: socket.socket) -> None:
        self._raw = raw
        self.port: int = raw.getsockname()[1]
        """The port it listens on."""

    async def accept(self) -> AcceptedStream:
        """The next connection. One that was given up before it was accepted, or that finds no resources, is no error.

        Raises OSError or ClosedResourceError where the listener is closed. Not to be called twice at a time.
        """
        while True:
            if self._raw.fileno() < 0:
                raise OSError(errno.EBADF, "the listener is closed")
            await anyio.wait_readable(self._raw)
            try:
                client, _ = self._raw.accept()
            except (BlockingIOError, ConnectionError):
                continue
            except OSError as error:
                if error.errno not in _SHORTAGES:
                    raise
                await anyio.sleep(SHORTAGE_PAUSE_S)
                continue
            return AcceptedStream(client)

    async def lost(self) -> str:
        """Never: it ends when it is closed."""
        await anyio.sleep_forever()
        raise AssertionError

    async def aclose(self) -> None:
        """As `close`."""
        self.close()
        await checkpoint()

    def close(self) -> None:
        """Free the port. May be called twice, and while somebody is accepting."""
        if self._raw.fileno() >= 0:
            anyio.notify_closing(self._raw)
            self._raw.close()


async def reserve(first: int, last: int, taken: Container[int], start_hint: int) -> Listener:
    """Listen on the first free port from ``first`` to ``last``, both included, that is not in ``taken``.

    The search begins at ``start_hint`` where that lies in the range and goes once round. Raises TooMany where no port
    is free, or no socket can be made.
    """
    count = last - first + 1
    offset = start_hint - first if first <= start_hint <= last else 0
    for step in range(count):
        port = first + (offset + step) % count
        if port in taken:
            continue
        try:
            return Listener(_listen(port))
        except OSError as error:
            if error.errno not in _TAKEN:
                raise TooMany(
                    f"no port can be opened: {error.strerror or error}",
                    hint="The daemon has reached a limit of the machine; end a session and try again.",
                ) from error
    raise TooMany(
        f"none of the {count} ports from {first} to {last} is free" if count > 1 else f"port {first} is not free",
        hint='End or remove a session, or widen "ports" in the [daemon] table of the configuration.',
    )


async def bind(port: int) -> Listener:
    """Listen on ``port``, that of a session from before, or if it is 0 on any that is free.

    Raises PortTaken or NotSent where it cannot be had now; try again later.
    """
    try:
        return Listener(_listen(port))
    except OSError as error:
        if error.errno in _TAKEN:
            raise PortTaken(
                f"port {port} is held by another program",
                hint=f"The session's address comes back by itself when that program lets go of port {port}.",
            ) from error
        raise NotSent(f"port {port} cannot be opened: {error.strerror or error}") from error


def _listen(port: int) -> socket.socket:
    raw = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        raw.setblocking(False)
        # On Linux this allows a port whose old connections are in TIME_WAIT, never one that is listened on.
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        raw.bind((HOST, port))
        raw.listen(BACKLOG)
    except OSError:
        raw.close()
        raise
    return raw
