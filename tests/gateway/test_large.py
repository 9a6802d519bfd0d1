"""A quarter of a gibibyte each way, while the memory of everything involved stays where it was."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import anyio
import pytest
from aiohttp import web

from .house import PORT, door, house, service

pytestmark = pytest.mark.anyio

PIECE = bytes(range(256)) * 1024
PIECES = 1024
ALLOWED_GROWTH = 48 << 20


class Memory:
    """How far the memory of this process, service and client included, rose since it was first looked at."""

    def __init__(self) -> None:
        self.start = self.now()
        self.growth = 0

    def now(self) -> int:
        """Resident bytes, as the kernel counts them."""
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))

    def look(self) -> None:
        """Note the growth at this moment."""
        self.growth = max(self.growth, self.now() - self.start)


def store(memory: Memory) -> web.Application:
    """A service that takes large bodies, telling their digest, and gives them."""

    async def take(request: web.Request) -> web.Response:
        digest, count = hashlib.sha256(), 0
        async for chunk in request.content.iter_any():
            digest.update(chunk)
            count += 1
            if count % 64 == 0:
                memory.look()
        return web.Response(text=digest.hexdigest())

    async def give(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if "length" in request.query:
            response.content_length = len(PIECE) * PIECES
        await response.prepare(request)
        for _ in range(PIECES):
            await response.write(PIECE)
        return response

    app = web.Application()
    app.router.add_put("/", take)
    app.router.add_get("/", give)
    return app


def whole() -> str:
    """The digest of all pieces."""
    digest = hashlib.sha256()
    for _ in range(PIECES):
        digest.update(PIECE)
    return digest.hexdigest()


@pytest.mark.parametrize("length", [True, False])
async def test_uploads_and_downloads_stream_at_constant_memory(length: bool) -> None:
    """With a length or in chunks: every byte arrives, and none are heaped up on the way."""
    memory = Memory()

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(PIECES):
            yield PIECE

    async with service(store(memory)) as upstream, house(door(upstream)) as at, aiohttp.ClientSession() as client:
        with anyio.fail_after(100):
            headers = {"Cookie": at.cookie}
            sized = {"Content-Length": str(len(PIECE) * PIECES)} if length else {}
            async with client.put(at.url(), data=pieces(), headers=headers | sized) as got:
                assert (got.status, await got.text()) == (200, whole())
            digest, count = hashlib.sha256(), 0
            async with client.get(at.url("/?length" if length else "/"), headers=headers) as got:
                assert length == ("Content-Length" in got.headers)
                async for chunk in got.content.iter_any():
                    digest.update(chunk)
                    count += 1
                    if count % 64 == 0:
                        memory.look()
            assert digest.hexdigest() == whole()
    assert memory.growth < ALLOWED_GROWTH
    assert at.book.doors[PORT].ready
    assert min(at.book.sent, at.book.received) > len(PIECE) * PIECES


async def test_a_slow_reader_of_a_download_holds_the_service_back() -> None:
    """A paused download leaves the rest with the service."""
    memory = Memory()
    written = 0
    stuck = anyio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            with anyio.move_on_after(0.5) as patience:
                await response.write(PIECE)
            if patience.cancelled_caught:
                stuck.set()
                return response
            written += len(PIECE)

    app = web.Application()
    app.router.add_get("/", endless)
    async with service(app) as upstream, house(door(upstream)) as at, aiohttp.ClientSession() as client:
        with anyio.fail_after(60):
            async with client.get(at.url(), headers={"Cookie": at.cookie}) as got:
                assert got.status == 200
                await stuck.wait()
                memory.look()
                got.close()
    assert written < 64 << 20
    assert memory.growth < ALLOWED_GROWTH
