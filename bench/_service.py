"""The two ends of the gateway's measurements, each a process of its own: `_service.py service` and
`_service.py gateway UPSTREAM_PORT`. Both print their port and serve until their standard input is closed.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from aiohttp import web

from sessiond.api.doorkeeper import Doorkeeper
from sessiond.api.gateway import Door, make_gateway, serve_gateway
from sessiond.core.spec import Prefix, Scheme
from sessiond.remote.peer import owner_of_peer
from sessiond.runtime.tunnel import Peer

PORT = 50000
KEEPER = Doorkeeper(b"bench")
COOKIE = f"sessiond_{PORT}={KEEPER.cookie('bench')}"
PIECE = bytes(256 * 1024)


class OneDoor:
    """A single session, always ready."""

    def __init__(self, upstream: int) -> None:
        self.door = Door(
            open_port=PORT,
            session_id="bench",
            name="bench",
            ready=True,
            phrase="running",
            next="",
            severity="ok",
            ended=False,
            prefix=Prefix.STRIP,
            scheme=Scheme.HTTP,
            upstream=("127.0.0.1", upstream),
        )
        self.bytes = 0

    def at(self, open_port: int) -> Door | None:
        """The door, at its port."""
        return self.door if open_port == PORT else None

    def named(self, name: str) -> Door | None:
        """The door, at its name."""
        return self.door if name == self.door.name else None

    def carried(self, open_port: int, sent: int, received: int) -> None:
        """Count, as a daemon would."""
        self.bytes += sent + received

    def failed(self, open_port: int) -> None:
        """End: a measurement through a failing service is worth nothing."""
        sys.exit(f"the service behind {open_port} failed")


async def _give(request: web.Request) -> web.StreamResponse:
    size = int(request.query["size"])
    response = web.StreamResponse()
    response.content_length = size
    await response.prepare(request)
    for _ in range(size // len(PIECE)):
        await response.write(PIECE)
    return response


async def _take(request: web.Request) -> web.Response:
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
    return web.Response(text=str(size))


async def _hello(_: web.Request) -> web.Response:
    return web.Response(text="hello")


async def _echo(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse(compress=False, max_msg_size=0)
    await ws.prepare(request)
    async for message in ws:
        await ws.send_bytes(message.data)
    return ws


@asynccontextmanager
async def _service(sock: socket.socket) -> AsyncIterator[None]:
    app = web.Application()
    app.router.add_get("/give", _give)
    app.router.add_put("/take", _take)
    app.router.add_get("/hello", _hello)
    app.router.add_post("/hello", _hello)
    app.router.add_get("/echo", _echo)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.SockSite(runner, sock).start()
    try:
        yield
    finally:
        await runner.cleanup()


async def _is_own(peer: Peer) -> bool:
    return await owner_of_peer(peer.local, peer.remote) == os.geteuid()


async def _serve(role: str, upstream: int) -> None:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    running: AbstractAsyncContextManager[None] = (
        _service(sock) if role == "service" else serve_gateway(make_gateway(OneDoor(upstream), KEEPER, _is_own), sock)
    )
    async with running:
        print(sock.getsockname()[1], flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0))
