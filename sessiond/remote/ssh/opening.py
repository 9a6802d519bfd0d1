"""Opening a stream over an SSH connection, within a bounded time, and saying precisely why it cannot be opened."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import cast

import anyio
import asyncssh
from asyncssh.packet import SSHPacket

from sessiond.core.errors import NotSent, printable
from sessiond.remote.ssh.express import ExpressChannel
from sessiond.remote.ssh.feed import Nested
from sessiond.remote.ssh.stream import CUT, ChannelStream

OPEN_TIMEOUT_S = 10.0
NEAR_WINDOW = 2 * 1024 * 1024
FAR_WINDOW = 32 * 1024 * 1024
RATE = 400e6
"""The bytes a second that a stream's window must not be what bounds; see `window_for`."""
PACKET = 32768
"""The largest packet taken, in bytes. OpenSSH sends none that is larger, however many it may (measured, 9.2)."""

_PROHIBITED = 1
_MIN_RTT_AT = 148
_TCP_INFO_SIZE = 152
_FORWARDING_HINT = (
    "The server's administrator has forbidden it (AllowTcpForwarding, AllowStreamLocalForwarding or PermitOpen in its "
    "sshd_config); ask for it to be allowed for you."
)

_SOCKET_HINT = (
    "Either there is no such socket (the service is not listening yet), or the server's administrator has forbidden "
    "forwarding to it (AllowStreamLocalForwarding in its sshd_config): OpenSSH does not say which."
)


class Why(Enum):
    """Why a stream could not be opened."""

    REFUSED = "connection refused"
    NO_ROUTE = "no route to host"
    UNKNOWN_NAME = "name or service not known"
    PROHIBITED = "administratively prohibited"
    NO_ANSWER = "no answer"
    LOST = "the SSH connection is closed"
    OTHER = "open failed"


class CannotOpen(NotSent):
    """A stream could not be opened; ``why`` says why in a word, and the message where."""

    def __init__(self, message: str, why: Why, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.why = why


_WORDS = (
    ("connection refused", Why.REFUSED),
    ("no route to host", Why.NO_ROUTE),
    ("network is unreachable", Why.NO_ROUTE),
    ("host is down", Why.NO_ROUTE),
    ("name or service not known", Why.UNKNOWN_NAME),
    ("name resolution", Why.UNKNOWN_NAME),
    ("nodename nor servname", Why.UNKNOWN_NAME),
    ("no address associated", Why.UNKNOWN_NAME),
    ("timed out", Why.NO_ANSWER),
    ("prohibited", Why.PROHIBITED),
    ("ssh connection closed", Why.LOST),
)


def why_not(error: asyncssh.ChannelOpenError) -> Why:
    """What a refusal to open a channel means.

    The code alone does not tell: OpenSSH says "connect failed" (2) for everything it tried, with the resolver's or
    the kernel's words as the reason (measured, OpenSSH 9.2); asyncssh says the same of a connection that is closed.
    """
    if error.code == _PROHIBITED:
        return Why.PROHIBITED
    said = error.reason.lower()
    return next((why for words, why in _WORDS if words in said), Why.OTHER)


class _Abandonable(ExpressChannel):
    """A channel that closes itself where it is opened after nobody waits for it any more.

    A request to open a channel cannot be taken back; asyncssh would leave a channel open for good whose opening was
    cancelled, with a connection to the service at its other end.
    """

    _abandoned = False

    def abandon(self) -> None:
        """Close now, or as soon as the server has opened it."""
        self._abandoned = True
        self.abort()

    def process_open_confirmation(self, send_chan: int, send_window: int, send_pktsize: int, packet: SSHPacket) -> None:
        """Take the server's word that it is open."""
        super().process_open_confirmation(send_chan, send_window, send_pktsize, packet)
        if self._abandoned:
            self.abort()

    def process_connection_close(self, exc: Exception | None) -> None:
        """The connection below is gone: for the stream that is no end of its data."""
        self.set_extra_info(**{CUT: True})
        super().process_connection_close(exc)


class _TcpChannel(_Abandonable, asyncssh.SSHTCPChannel[bytes]):
    """To a port."""


class _UnixChannel(_Abandonable, asyncssh.SSHUNIXChannel[bytes]):
    """To a Unix socket."""


def window_for(connection: asyncssh.SSHClientConnection) -> int:
    """How much the other side may send on one stream before we take it, in bytes.

    A stream carries at most one window a round trip, and in fact less: with 20 ms, 2 MiB (the usual size) gave 39 MB/s
    and 8 MiB 148 MB/s (measured). What is right there is wrong nearby: on loopback 2 MiB gave 703 MB/s and 16 MiB 444,
    because so much no longer fits into the CPU's caches. So it follows the shortest round trip that the kernel has seen
    on this connection. It is a promise, not a buffer: memory is used only where a reader is slower than the line.
    """
    held = connection.get_extra_info("socket")
    try:
        info = held.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
    except (AttributeError, OSError):  # no socket, or none of TCP
        return NEAR_WINDOW
    if len(info) < _TCP_INFO_SIZE:
        return NEAR_WINDOW
    round_trip_s = int.from_bytes(info[_MIN_RTT_AT:_TCP_INFO_SIZE], sys.byteorder) / 1e6
    return int(min(max(NEAR_WINDOW, RATE * round_trip_s), FAR_WINDOW))


async def open_tcp(
    connection: asyncssh.SSHClientConnection,
    host: str,
    port: int,
    *,
    on_closed: Callable[[], None] = lambda: None,
    window: int | None = None,
    packet: int = PACKET,
) -> ChannelStream:
    """A stream to ``host``:``port`` as the server at the other end of ``connection`` reaches it.

    ``window`` and ``packet`` are in bytes. Raises CannotOpen where nothing accepts it within `OPEN_TIMEOUT_S`.
    """
    stream = ChannelStream(connection, on_closed)
    window = window or window_for(connection)
    with _explained(f"{host}:{port}"):
        channel = _TcpChannel(
            connection, asyncio.get_running_loop(), None, "strict", window or window_for(connection), packet
        )
        with _abandoned_unless_open(channel), anyio.fail_after(OPEN_TIMEOUT_S):
            await channel.connect(lambda: stream, host, port, "127.0.0.1", 0)
    return stream


async def open_unix(
    connection: asyncssh.SSHClientConnection,
    path: str,
    *,
    on_closed: Callable[[], None] = lambda: None,
    window: int | None = None,
    packet: int = PACKET,
) -> ChannelStream:
    """A stream to the Unix socket at ``path`` on the server at the other end of ``connection``.

    ``window`` and ``packet`` are in bytes. Raises CannotOpen where nothing accepts it within `OPEN_TIMEOUT_S`.
    """
    stream = ChannelStream(connection, on_closed)
    window = window or window_for(connection)
    with _explained(path, _SOCKET_HINT):
        channel = _UnixChannel(
            connection, asyncio.get_running_loop(), None, "strict", window or window_for(connection), packet
        )
        with _abandoned_unless_open(channel), anyio.fail_after(OPEN_TIMEOUT_S):
            await channel.connect(lambda: stream, path)
    return stream


@contextmanager
def _abandoned_unless_open(channel: _Abandonable) -> Iterator[None]:
    opened = False
    try:
        yield
        opened = True
    finally:
        if not opened:
            channel.abandon()


@contextmanager
def _explained(where: str, other_hint: str = "") -> Iterator[None]:
    """Turn what asyncssh raises into CannotOpen."""
    try:
        yield
    except asyncssh.ChannelOpenError as error:
        why = why_not(error)
        said = f" ({printable(error.reason)})" if why is Why.OTHER and error.reason not in ("", why.value) else ""
        hint = {Why.PROHIBITED: _FORWARDING_HINT, Why.OTHER: other_hint}.get(why, "")
        raise CannotOpen(f"{where}: {why.value}{said}", why, hint=hint) from error
    except TimeoutError:
        raise CannotOpen(f"{where}: no answer within {OPEN_TIMEOUT_S:g} s", Why.NO_ANSWER) from None
    except (asyncssh.Error, OSError) as error:
        raise CannotOpen(f"{where}: {Why.LOST.value}", Why.LOST) from error


class Through:
    """What `asyncssh.connect` takes as its ``tunnel``: a way through ``connection`` that cancellation does not leak."""

    def __init__(self, connection: asyncssh.SSHClientConnection) -> None:
        self._connection = connection

    async def create_connection(
        self, session_factory: Callable[[], asyncssh.SSHTCPSession[bytes]], remote_host: str, remote_port: int
    ) -> tuple[asyncssh.SSHTCPChannel[bytes], asyncssh.SSHTCPSession[bytes]]:
        """Open a channel to an SSH server. Raises CannotOpen."""
        window = min(4 * window_for(self._connection), FAR_WINDOW)  # all streams to that server share it
        with _explained(f"{remote_host}:{remote_port}"):
            channel = _TcpChannel(self._connection, asyncio.get_running_loop(), None, "strict", window, PACKET)
            with _abandoned_unless_open(channel), anyio.fail_after(OPEN_TIMEOUT_S):
                nested = await channel.connect(
                    lambda: Nested(session_factory()), remote_host, remote_port, "127.0.0.1", 0
                )
        return channel, cast("Nested", nested).session

    def close(self) -> None:
        """Nothing: the connection is not ours."""

    async def wait_closed(self) -> None:
        """Nothing."""
