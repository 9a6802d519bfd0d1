"""The TCP connection under an SSH connection, with what asyncssh does to it put into fewer and better pieces.

asyncssh 2.24 keeps what arrives in one bytes object and cuts each packet off its front, copying the rest: with the
256 KiB that asyncio reads at once every byte is copied nine times over (measured). Here what channels carry goes past
it (`express`), and it is given the rest a packet at a time (`feed`).

It also takes no notice when the socket takes nothing more: each stream could then queue a whole window in front of the
next command or keep-alive. Here streams can `watch` the line and stop writing while it is crowded.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Protocol, cast

import asyncssh

from sessiond.remote.ssh.feed import Feed

CROWDED = 262144
"""How many bytes may wait for the socket before the line counts as crowded."""

Watcher = Callable[[bool], None]
"""Told when the line becomes crowded, and when it no longer is."""


class Line(Protocol):
    """What a connection over a `Wire` gives for the extra information "wire"."""

    @property
    def crowded(self) -> bool:
        """Whether more waits to be sent than should."""

    def hold(self) -> None:
        """Keep what is sent from now on, so that `release` can send all of it in one go."""

    def release(self) -> None:
        """Send what was kept."""

    def watch(self, watcher: Watcher) -> None:
        """Tell ``watcher`` of changes."""

    def unwatch(self, watcher: Watcher) -> None:
        """Tell it no more. One that was never told of any is no error."""


class Wire:
    """What `asyncssh.connect` takes as its ``tunnel`` in order to connect straight to the host, as it would itself.

    ``family`` and ``local_addr`` are those of its options.
    """

    def __init__(self, *, family: int = socket.AF_UNSPEC, local_addr: tuple[str, int] | None = None) -> None:
        self._family = family
        self._local_addr = local_addr

    async def create_connection(
        self, session_factory: Callable[[], asyncssh.SSHTCPSession[bytes]], remote_host: str, remote_port: int
    ) -> tuple[asyncssh.SSHTCPChannel[bytes], asyncssh.SSHTCPSession[bytes]]:
        """Connect to the host. Raises OSError."""
        loop = asyncio.get_running_loop()
        _, line = await loop.create_connection(
            lambda: _Line(session_factory()), remote_host, remote_port, family=self._family, local_addr=self._local_addr
        )
        return cast("asyncssh.SSHTCPChannel[bytes]", line), line.session

    def close(self) -> None:
        """Nothing: the connection closes its socket itself."""

    async def wait_closed(self) -> None:
        """Nothing."""


class _Line(asyncio.BufferedProtocol):
    """The socket's protocol, and asyncssh's transport."""

    def __init__(self, session: asyncssh.SSHTCPSession[bytes]) -> None:
        self.session = session
        self.feed = Feed(session)
        self._transport: asyncio.Transport | None = None
        self._watchers: dict[Watcher, None] = {}
        self._kept: list[bytes] | None = None
        self.crowded = False

    # What streams call.

    def hold(self) -> None:
        """Keep what is sent from now on, so that `release` can send all of it in one go."""
        if self._kept is None:
            self._kept = []

    def release(self) -> None:
        """Send what was kept."""
        kept, self._kept = self._kept, None
        if kept:
            self.write(kept[0] if len(kept) == 1 else b"".join(kept))

    def watch(self, watcher: Watcher) -> None:
        """Tell ``watcher`` when the line becomes crowded, and when it no longer is."""
        self._watchers[watcher] = None

    def unwatch(self, watcher: Watcher) -> None:
        """Tell it no more."""
        self._watchers.pop(watcher, None)

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is connected."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=CROWDED)
        self.session.connection_made(cast("asyncssh.SSHTCPChannel[bytes]", self))

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        return self.feed.room

    def buffer_updated(self, nbytes: int) -> None:
        """So many came."""
        self.feed.arrived(nbytes)

    def pause_writing(self) -> None:
        """The socket takes nothing more for now."""
        self._tell(True)

    def resume_writing(self) -> None:
        """The socket takes more again."""
        self._tell(False)

    def eof_received(self) -> bool | None:
        """The other side sends nothing more."""
        return self.session.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        self._transport = None
        self.session.connection_lost(exc)

    # What asyncssh calls.

    def write(self, data: bytes) -> None:
        """Send ``data``."""
        if self._kept is not None:
            self._kept.append(data)
        elif self._transport is not None:
            self._transport.write(data)

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Close when everything is sent."""
        if self._transport is not None:
            self._transport.close()

    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""
        return self._transport is None or self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What is known of the socket; as "wire", this line itself (`Line`), as "feed" what brings its bytes."""
        if name in ("wire", "feed"):
            return self if name == "wire" else self.feed
        return default if self._transport is None else self._transport.get_extra_info(name, default)

    def _tell(self, crowded: bool) -> None:
        self.crowded = crowded
        for watcher in tuple(self._watchers):
            watcher(crowded)
