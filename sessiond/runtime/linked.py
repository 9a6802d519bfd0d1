"""A cluster behind a link, as a Transport."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import anyio
from anyio.abc import ByteStream

from sessiond.core.command import Command, Completed
from sessiond.core.link import Link, LinkState
from sessiond.core.session import Endpoint
from sessiond.remote.transport import Accepting, Connection
from sessiond.runtime.link import LinkKeeper

RUN_WAIT_S: Final = 20.0
CONNECT_WAIT_S: Final = 5.0


class Linked:
    """The cluster as a Transport, for as long as it is there: over whatever connection the keeper has."""

    def __init__(self, keeper: LinkKeeper) -> None:
        self._keeper = keeper

    async def run(self, command: Command) -> Completed:
        """As `Transport.run`; waits up to 20 s for an attempt that is under way. Raises the link's own problem."""
        async with self._lent(RUN_WAIT_S) as connection:
            return await connection.run(command)

    async def connect(self, endpoint: Endpoint) -> ByteStream:
        """As `Transport.connect`; waits up to 5 s for the link: a tunnel holds its clients itself."""
        async with self._lent(CONNECT_WAIT_S, patiently=True) as connection:
            return await connection.connect(endpoint)

    async def listen(self, at: Endpoint, port: int) -> Accepting:
        """As `Connection.listen`; waits as `connect` does. What it returns ends with the connection that there is."""
        async with self._lent(CONNECT_WAIT_S, patiently=True) as connection:
            return await connection.listen(at, port)

    async def read(self, path: str, offset: int, limit: int) -> bytes:
        """As `Transport.read`; waits as `run` does."""
        async with self._lent(RUN_WAIT_S) as connection:
            return await connection.read(path, offset, limit)

    async def size(self, path: str) -> int:
        """As `Transport.size`; waits as `run` does."""
        async with self._lent(RUN_WAIT_S) as connection:
            return await connection.size(path)

    @asynccontextmanager
    async def _lent(self, within_s: float, *, patiently: bool = False) -> AsyncIterator[Connection]:
        """The keeper's connection, for one piece of work, after at most ``within_s`` seconds. Raises LinkError.

        Only an attempt that is under way or due at once is waited for, ``patiently`` the next ones and a login, too.
        """
        keeper = self._keeper
        keeper.want()
        with anyio.move_on_after(within_s):
            while _may_come(keeper.link, patiently):
                await keeper.changed()
        held = keeper.held
        if held is None:
            raise keeper.error()
        held.commands += 1
        try:
            yield held.connection
        finally:
            held.commands -= 1
            keeper.want()


def _may_come(link: Link, patiently: bool) -> bool:
    match link.state:
        case LinkState.CONNECTING:
            return True
        case LinkState.BACKOFF:
            return patiently or link.failures == 0
        case LinkState.AUTHENTICATING:
            return patiently
        case _:
            return False
