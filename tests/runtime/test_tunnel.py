"""A session's door: real clients, real services, on loopback."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import ByteStream

from sessiond.core.errors import NotSent
from sessiond.runtime.listener import bind
from sessiond.runtime.tunnel import Peer, Tunnel
from tests.ports import neighbours

pytestmark = pytest.mark.anyio


class Service:
    """An echo service that greets, and the way to it, which can be down."""

    def __init__(self) -> None:
        self.down: str = ""
        self.dials = 0
        self.dialled = anyio.Event()
        self.port = 0

    async def handle(self, stream: ByteStream) -> None:
        """Echo until the end."""
        async with stream:
            try:
                async for chunk in stream:
                    await stream.send(chunk)
                await stream.send_eof()
            except (anyio.BrokenResourceError, OSError):
                return

    async def dial(self) -> ByteStream:
        """A stream to it."""
        self.dials += 1
        self.dialled.set()
        if self.down:
            raise NotSent(self.down)
        return await anyio.connect_tcp("127.0.0.1", self.port)


async def everybody(_: Peer) -> bool:
    """Whoever asks may come in."""
    return True


@asynccontextmanager
async def door(allow: Callable[[Peer], bool] = lambda _: True, **options: Any) -> AsyncIterator[tuple[Tunnel, Service]]:
    """A tunnel at work in front of a service."""
    service = Service()
    carried = [0, 0]

    def count(inward: int, outward: int) -> None:
        carried[0] += inward
        carried[1] += outward

    listener = await bind(neighbours(1).start)

    async def allowed(peer: Peer) -> bool:
        return allow(peer)

    tunnel = Tunnel(listener, service.dial, allowed, count, **options)
    server = await anyio.create_tcp_listener(local_host="127.0.0.1")
    service.port = server.extra(anyio.abc.SocketAttribute.local_port)
    async with server, anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve, service.handle)
        tasks.start_soon(tunnel.serve)
        yield tunnel, service
        assert carried == [tunnel.bytes_in, tunnel.bytes_out]
        with anyio.fail_after(10):
            await tunnel.aclose()
            await tunnel.aclose()
        assert 0 == tunnel.connections
        tasks.cancel_scope.cancel()


async def exchange(port: int, question: bytes) -> bytes:
    """What comes back for ``question``, to the end."""
    answer = b""
    with anyio.fail_after(10):
        async with await anyio.connect_tcp("127.0.0.1", port) as client:
            await client.send(question)
            await client.send_eof()
            try:
                async for chunk in client:
                    answer += chunk
            except anyio.BrokenResourceError:
                pass
    return answer


async def settled(tunnel: Tunnel, connections: int) -> None:
    """Wait until so many connections are open."""
    with anyio.fail_after(10):
        while tunnel.connections != connections:  # noqa: ASYNC110  (a figure is no event)
            await anyio.sleep(0.005)


async def test_connections_are_carried_and_counted() -> None:
    """Many clients at once are each answered over a stream of their own."""
    async with door() as (tunnel, service):
        answers: dict[int, bytes] = {}

        async def ask(number: int) -> None:
            answers[number] = await exchange(tunnel.port, b"%d" % number * 1000)

        async with anyio.create_task_group() as tasks:
            for number in range(10, 50):
                tasks.start_soon(ask, number)
        await settled(tunnel, 0)
        assert {number: b"%d" % number * 1000 for number in range(10, 50)} == answers
        assert (40, 80_000, 80_000) == (service.dials, tunnel.bytes_in, tunnel.bytes_out)


async def test_a_client_waits_for_a_link_that_comes_back() -> None:
    """A connection made while nothing can be dialled is held, and served when something can."""
    async with door(hold_s=10) as (tunnel, service):
        service.down = "the link is down"
        answers = []

        async def ask() -> None:
            answers.append(await exchange(tunnel.port, b"hello"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await service.dialled.wait()
            service.down = ""
        assert [b"hello"] == answers


async def test_a_browser_is_told_to_come_back() -> None:
    """Where nothing can be dialled an HTTP client gets a page that says why and refreshes itself, safely; once for
    each it is told that the service could not be reached."""
    failed: list[bool] = []
    async with door(hold_s=0.2, on_failed=lambda: failed.append(True)) as (tunnel, service):
        service.down = "<script>connection refused"
        head, _, body = (await exchange(tunnel.port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"Content-Length: %d" % len(body) in head
        assert b'http-equiv="refresh"' in body
        assert b"&lt;script&gt;connection refused" in body
        assert service.dials > 1
        service.down = ""
        assert b"hello" == await exchange(tunnel.port, b"hello")
    assert [True] == failed


async def test_others_are_closed() -> None:
    """Where nothing can be dialled a client of something else than HTTP just sees the end."""
    async with door(hold_s=0.2, http=False) as (tunnel, service):
        service.down = "connection refused"
        assert b"" == await exchange(tunnel.port, b"hello")


async def test_a_client_that_sends_while_it_is_held_fills_no_memory() -> None:
    """While nothing can be dialled what a client sends stays in the kernel and with the client."""
    async with door(hold_s=30) as (tunnel, service):
        service.down = "the link is down"
        sent = 0
        async with await anyio.connect_tcp("127.0.0.1", tunnel.port) as client:
            with anyio.move_on_after(0.5):
                while True:
                    await client.send(bytes(65536))
                    sent += 65536
        assert 0 < sent < 32 << 20


async def test_strangers_are_refused() -> None:
    """A peer that is not allowed is closed before anything is dialled; the check sees both ends of its connection."""
    seen: list[Peer] = []

    def nobody(peer: Peer) -> bool:
        seen.append(peer)
        return False

    async with door(nobody) as (tunnel, service):
        async with await anyio.connect_tcp("127.0.0.1", tunnel.port) as client:
            own = client.extra_attributes[anyio.abc.SocketAttribute.local_address]()
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)), anyio.fail_after(5):
                await client.receive()
        assert [Peer(local=("127.0.0.1", tunnel.port), remote=own)] == seen
        assert 0 == service.dials


async def test_one_that_resets_hurts_nobody() -> None:
    """Clients that vanish at every moment leave the others and the door alone."""
    async with door(hold_s=0.2) as (tunnel, service):
        async with await anyio.connect_tcp("127.0.0.1", tunnel.port) as steady:
            await steady.send(b"a")
            assert b"a" == await steady.receive()
            for down in ("", "the link is down"):
                service.down = down
                for _ in range(20):
                    with socket.create_connection(("127.0.0.1", tunnel.port)) as rude:
                        rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                        rude.sendall(b"GET / HTTP/1.1\r\n")
                    await anyio.lowlevel.checkpoint()
            service.down = ""
            await settled(tunnel, 1)
            await steady.send(b"b")
            assert b"b" == await steady.receive()
        await settled(tunnel, 0)
        assert b"fine" == await exchange(tunnel.port, b"fine")


async def test_an_unforeseen_error_is_the_guards() -> None:
    """What a connection raises unforeseen goes to the guard and to nobody else."""
    caught: list[BaseException] = []

    async def guard(work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except ZeroDivisionError as error:
            caught.append(error)

    def bad(_peer: Peer) -> bool:
        if not caught:
            raise ZeroDivisionError
        return True

    async with door(bad, guard=guard) as (tunnel, _service):
        assert b"" == await exchange(tunnel.port, b"one")
        assert b"two" == await exchange(tunnel.port, b"two")
    assert 1 == len(caught)


async def test_the_connections_are_limited() -> None:
    """More clients than the limit wait their turn instead of being refused."""
    async with door(limit=2) as (tunnel, _service):
        first = await anyio.connect_tcp("127.0.0.1", tunnel.port)
        second = await anyio.connect_tcp("127.0.0.1", tunnel.port)
        async with first, second, await anyio.connect_tcp("127.0.0.1", tunnel.port) as third:
            await third.send(b"x")
            await settled(tunnel, 2)
            with anyio.move_on_after(0.1) as scope:
                await third.receive()
            assert scope.cancelled_caught
            await first.aclose()
            with anyio.fail_after(5):
                assert b"x" == await third.receive()


async def test_the_listener_outlives_the_serving() -> None:
    """A serve that was cancelled can be begun again at the same port, and closing frees it."""
    listener = await bind(neighbours(1).start)
    service = Service()
    service.down = "nothing there"
    tunnel = Tunnel(listener, service.dial, everybody, lambda _in, _out: None, hold_s=0)
    for _ in range(2):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tunnel.serve)
            assert (await exchange(tunnel.port, b"GET / HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 503 ")
            tasks.cancel_scope.cancel()
    await tunnel.aclose()
    with pytest.raises(OSError, match="All connection attempts failed"):
        await anyio.connect_tcp("127.0.0.1", tunnel.port)


def open_fds() -> int:
    """How many file descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_nothing_is_left_behind() -> None:
    """Fifty connections cut off in the middle leave no file descriptor and no task."""
    async with door() as (tunnel, _service):
        await exchange(tunnel.port, b"warm")
        await settled(tunnel, 0)
    before = open_fds(), len(anyio.get_running_tasks())
    async with door() as (tunnel, _service):
        clients = [await anyio.connect_tcp("127.0.0.1", tunnel.port) for _ in range(50)]
        await settled(tunnel, 50)
    for client in clients:
        await client.aclose()
    await anyio.wait_all_tasks_blocked()
    assert before == (open_fds(), len(anyio.get_running_tasks()))
