"""What arrives for an SSH connection, handed to asyncssh in pieces that suit it, or past it (`express`)."""

from __future__ import annotations

from typing import Any

import asyncssh

from sessiond.remote.ssh.express import Inward

PIECE = 32768 + 64
"""The most bytes handed to asyncssh at once: a usual packet with what encryption adds."""
ROOM = 8 * PIECE
"""The most bytes taken from the socket at once."""


class Feed:
    """What has arrived and is on its way to ``session``, an SSH connection."""

    def __init__(self, session: asyncssh.SSHTCPSession[bytes]) -> None:
        self.session = session
        self.express: Inward | None = None
        self._buffer = memoryview(bytearray(ROOM))
        self._held = 0

    @property
    def room(self) -> memoryview:
        """Where the next bytes go; it is never empty."""
        return self._buffer[self._held :]

    def arrived(self, count: int) -> None:
        """So many were put there."""
        start, end = 0, self._held + count
        while start < end:
            wanted = PIECE
            if self.express is not None:
                done, wanted = self.express.take(self._buffer[start:end])
                start += done
                if not wanted:
                    break
            piece = self._buffer[start : min(start + wanted, start + PIECE, end)]
            self.session.data_received(bytes(piece), None)
            start += len(piece)
        self._held = end - start
        if self._held:
            self._buffer[: self._held] = self._buffer[start:end]


class Nested(asyncssh.SSHTCPSession[bytes]):
    """An SSH connection that goes through a channel of another one."""

    def __init__(self, session: asyncssh.SSHTCPSession[bytes]) -> None:
        self.session = session
        self.feed = Feed(session)

    def connection_made(self, chan: Any) -> None:
        """The channel is open."""
        chan.set_extra_info(feed=self.feed)
        self.session.connection_made(chan)

    def session_started(self) -> None:
        """Bytes may come."""
        self.session.session_started()

    def data_received(self, data: bytes | memoryview, datatype: int | None) -> None:
        """Something came."""
        data = memoryview(data)
        while data:
            room = self.feed.room
            count = min(len(room), len(data))
            room[:count] = data[:count]
            self.feed.arrived(count)
            data = data[count:]

    def eof_received(self) -> bool:
        """Nothing more will come."""
        return bool(self.session.eof_received())

    def pause_writing(self) -> None:
        """The other side takes nothing more for now."""
        self.session.pause_writing()

    def resume_writing(self) -> None:
        """The other side takes more again."""
        self.session.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """The channel is closed."""
        self.session.connection_lost(exc)
