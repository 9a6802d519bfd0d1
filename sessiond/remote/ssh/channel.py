"""One command over an SSH connection: its channel from the request to the last of its output."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
import asyncssh
from asyncssh.constants import EXTENDED_DATA_STDERR, OPEN_REQUEST_SESSION_FAILED
from asyncssh.packet import SSHPacket

OPEN_TIMEOUT_S = 15.0
"""How long the server may take to open a channel and to start the command."""
CLOSE_S = 2.0
"""How long a channel may take to close."""
LATE_OUTPUT_S = 1.0
"""How long output is still waited for after the command's end, from whoever else holds its pipes."""

_WINDOW = 2 * 1024 * 1024
_PACKET = 32768


class SlotRefused(Exception):
    """The server opened no channel: nothing ran."""


class ExecRefused(Exception):
    """The server opened a channel and would not start the command: nothing ran."""


class Unheard(Exception):
    """The connection ended, or nothing was heard, before the channel was open: nothing ran."""


class Exchange(asyncssh.SSHClientSession[bytes]):
    """What a command says. Its methods are for asyncssh alone."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.opened = False
        """Whether the command may have been started."""
        self.too_much = False
        """Whether one of the outputs grew beyond the limit."""
        self.exited = anyio.Event()
        """Set when the command has ended, wrote too much, or will never be heard of again."""
        self.received = 0

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        """The channel is open; the request for the command follows at once."""
        self.opened = True

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Output came."""
        into = self.stderr if datatype == EXTENDED_DATA_STDERR else self.stdout
        self.received += len(data)
        if len(into) + len(data) > self._limit:
            self.too_much = True
            self.exited.set()
        else:
            into += data

    def exit_status_received(self, status: int) -> None:
        """The command ended."""
        self.exited.set()

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        """The command was ended by a signal."""
        self.exited.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """The channel is closed."""
        self.exited.set()


class ExecChannel(asyncssh.SSHClientChannel[bytes]):
    """A session channel that closes itself where it is opened after nobody waits for it any more.

    A request to open a channel cannot be taken back, and one opened too late would hold a session slot for good.
    """

    def __init__(self, connection: asyncssh.SSHClientConnection) -> None:
        super().__init__(
            connection, asyncio.get_running_loop(), "replace", None, "strict", window=_WINDOW, max_pktsize=_PACKET
        )
        self._abandoned = False
        self.closed = anyio.Event()
        """Set when the server has closed it too: its session slot is free."""

    def process_open_confirmation(self, send_chan: int, send_window: int, send_pktsize: int, packet: SSHPacket) -> None:
        """Take the server's word that it is open."""
        super().process_open_confirmation(send_chan, send_window, send_pktsize, packet)
        if self._abandoned:
            self.abort()

    def _cleanup(self, exc: Exception | None = None) -> None:
        super()._cleanup(exc)
        self.closed.set()

    async def start(self, exchange: Exchange, line: str) -> None:
        """Have ``line`` run by the login shell. Raises SlotRefused, ExecRefused or Unheard where nothing ran."""
        try:
            with anyio.fail_after(OPEN_TIMEOUT_S):
                await self.create(
                    lambda: exchange, line, None, {}, False, None, None, {}, False, None, None, False, False
                )
        except asyncssh.ChannelOpenError as error:
            # asyncssh says "refused" of a request that was still unanswered when the connection died, too.
            if exchange.opened and self._answered_no(error):
                raise ExecRefused(error.reason) from error
            if not exchange.opened:
                raise SlotRefused(error.reason) from error
            exchange.exited.set()
        except (asyncssh.Error, OSError) as error:  # TimeoutError among them
            if not exchange.opened:
                raise Unheard(str(error)) from error
            exchange.exited.set()

    def _answered_no(self, error: asyncssh.ChannelOpenError) -> bool:
        connection = self.get_connection()
        return error.code == OPEN_REQUEST_SESSION_FAILED and connection is not None and not connection.is_closed()

    async def finish(self, exchange: Exchange) -> None:
        """Wait for the end of the command, and of its output."""
        await exchange.exited.wait()
        before = -1
        while not exchange.too_much and not self.closed.is_set() and before != exchange.received:
            before = exchange.received
            with anyio.move_on_after(LATE_OUTPUT_S):
                await self.closed.wait()

    async def end(self) -> bool:
        """End the command if it still runs, and close. False where the server did not close in `CLOSE_S`."""
        self._abandoned = True
        if self.closed.is_set():
            return True
        with suppress(OSError):  # it is not open (yet)
            self.kill()
        self.abort()
        with anyio.move_on_after(CLOSE_S, shield=True):
            await self.closed.wait()
        return self.closed.is_set()


@asynccontextmanager
async def opened(connection: asyncssh.SSHClientConnection, stuck: list[ExecChannel]) -> AsyncIterator[ExecChannel]:
    """A channel that is closed at the end, or else among the ``stuck``. Raises Unheard on a closed connection."""
    try:
        channel = ExecChannel(connection)
    except asyncssh.ChannelOpenError as error:
        raise Unheard(error.reason) from error
    try:
        yield channel
    finally:
        if not await channel.end():
            stuck.append(channel)
