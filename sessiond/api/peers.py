"""Whose program is at the other end of a connection to one of our loopback ports: the kernel is asked once for each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from weakref import WeakKeyDictionary

from aiohttp import web

from sessiond.runtime.tunnel import Peer

Allow = Callable[[Peer], Awaitable[bool]]
"""Whether a connection may speak here at all."""


class Peers:
    """What ``allow`` said of each connection, for as long as the connection lasts."""

    def __init__(self, allow: Allow) -> None:
        self._allow = allow
        self._known: WeakKeyDictionary[asyncio.BaseTransport, bool] = WeakKeyDictionary()

    async def welcome(self, request: web.Request) -> bool:
        """Whether a request came over a connection that may speak here; not where its peer has gone."""
        transport = request.transport
        if transport is None:
            return False
        known = self._known.get(transport)
        if known is None:
            ends = _ends(transport)
            known = self._known[transport] = ends is not None and await self._allow(ends)
        return known


def port_of(request: web.Request) -> int:
    """The port of ours that a request came to; 0 where its connection is gone."""
    transport = request.transport
    local = None if transport is None else _end(transport, "sockname")
    return 0 if local is None else local[1]


def _ends(transport: asyncio.BaseTransport) -> Peer | None:
    local, remote = _end(transport, "sockname"), _end(transport, "peername")
    return None if local is None or remote is None else Peer(local=local, remote=remote)


def _end(transport: asyncio.BaseTransport, name: str) -> tuple[str, int] | None:
    """One end of a connection. asyncio has none where the peer went before it could ask."""
    match transport.get_extra_info(name):
        case (str(host), int(port), *_):
            return host, port
        case _:
            return None
