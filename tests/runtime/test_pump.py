"""The pump, between real sockets."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import pytest
from anyio.abc import ByteStream, SocketAttribute

from sessiond.runtime import pump as pump_module
from sessiond.runtime.pump import pump
from sessiond.runtime.sockets import AcceptedStream

from .conftest import EPOCH, VirtualClock

pytestmark = pytest.mark.anyio

MEGABYTE = 1 << 20


def connected(sndbuf: int = 0) -> tuple[AcceptedStream, AcceptedStream]:
    """Two ends of a TCP connection on loopback; ``sndbuf`` bounds what the kernel keeps between them."""
    with socket.socket() as listener:
        if sndbuf:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, sndbuf)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        one = socket.socket()
        if sndbuf:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sndbuf)
        one.connect(listener.getsockname())
        other, _ = listener.accept()
    return AcceptedStream(one), AcceptedStream(other)


@dataclass
class Pair:
    """A client and a service with a pump between them."""

    client: AcceptedStream
    service: AcceptedStream
    carried: list[int] = field(default_factory=lambda: [0, 0])
    over: anyio.Event = field(default_factory=anyio.Event)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)

    def count(self, inward: int, outward: int) -> None:
        """Add to what was carried."""
        self.carried[0] += inward
        self.carried[1] += outward

    async def run(self, near: ByteStream, far: ByteStream) -> None:
        """Pump until it ends."""
        try:
            with self.scope:
                await pump(near, far, self.count)
        finally:
            self.over.set()


@asynccontextmanager
async def pumped(sndbuf: int = 0) -> AsyncIterator[Pair]:
    """A client and a service joined by a pump, which must end by itself or by the test's cancelling it."""
    client, near = connected(sndbuf)
    far, service = connected(sndbuf)
    async with client, service, anyio.create_task_group() as tasks:
        pair = Pair(client, service)
        tasks.start_soon(pair.run, near, far)
        yield pair
        with anyio.fail_after(20):
            await pair.over.wait()


async def send_all(stream: AcceptedStream, megabytes: int) -> None:
    """Send so much, then the end."""
    block = bytes(MEGABYTE)
    for _ in range(megabytes):
        await stream.send(block)
    await stream.send_eof()


async def receive_all(stream: AcceptedStream, into: list[int]) -> None:
    """Count what comes until the end."""
    async for chunk in stream:
        into[0] += len(chunk)


async def test_a_hundred_megabytes_both_ways() -> None:
    """A hundred megabytes cross each way at once, are counted, and both ends see the end."""
    to_service, to_client = [0], [0]
    async with pumped() as pair, anyio.create_task_group() as tasks:
        tasks.start_soon(send_all, pair.client, 100)
        tasks.start_soon(send_all, pair.service, 100)
        tasks.start_soon(receive_all, pair.client, to_client)
        tasks.start_soon(receive_all, pair.service, to_service)
    assert [100 * MEGABYTE] == to_service == to_client
    assert [100 * MEGABYTE, 100 * MEGABYTE] == pair.carried


async def test_half_close() -> None:
    """A client that has ended its request still gets the whole answer."""
    async with pumped() as pair:
        await pair.client.send(b"question")
        await pair.client.send_eof()
        assert b"question" == await pair.service.receive()
        with pytest.raises(anyio.EndOfStream):
            await pair.service.receive()
        await pair.service.send(b"answer")
        assert b"answer" == await pair.client.receive()
        assert not pair.over.is_set()
        await pair.service.send(b" and more")
        await pair.service.send_eof()
        assert b" and more" == await pair.client.receive()
        with pytest.raises(anyio.EndOfStream):
            await pair.client.receive()
    assert [8, 15] == pair.carried


async def test_a_slow_reader_holds_the_sender() -> None:
    """Nothing piles up here: what a reader does not take stays with its sender."""
    async with pumped(sndbuf=65536) as pair:
        sent = 0
        with anyio.move_on_after(0.5):
            while True:
                await pair.client.send(bytes(65536))
                sent += 65536
        assert 0 < sent < 4 * MEGABYTE
        received = [0]
        await pair.client.aclose()
        await receive_all(pair.service, received)
        assert sent <= received[0] <= sent + 65536
        await pair.service.aclose()
        pair.scope.cancel()


async def test_a_reset_ends_the_other_side() -> None:
    """A client that resets its connection ends the service's too, and nothing is raised."""
    async with pumped() as pair:
        await pair.client.send(b"x")
        assert b"x" == await pair.service.receive()
        raw = pair.client.extra_attributes[SocketAttribute.raw_socket]()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await pair.client.aclose()
        with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)), anyio.fail_after(5):
            await pair.service.receive()


async def test_a_service_that_dies_ends_the_client() -> None:
    """A service that is gone for good is noticed when something is sent to it."""
    async with pumped() as pair:
        await pair.service.aclose()
        with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)), anyio.fail_after(5):
            await pair.client.receive()
        with anyio.fail_after(5):
            while not pair.over.is_set():
                try:
                    await pair.client.send(b"x")
                except anyio.BrokenResourceError:
                    await pair.over.wait()


async def test_cancellation_closes_both() -> None:
    """A cancelled pump leaves neither end open."""
    async with pumped() as pair:
        await pair.client.send(b"x")
        assert b"x" == await pair.service.receive()
        pair.scope.cancel()
        for end in (pair.client, pair.service):
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)), anyio.fail_after(5):
                await end.receive()


class Scripted(ByteStream):
    """A stream in memory that yields what it is given, each after a pause, and ends or stays silent."""

    def __init__(self, *pauses: float, ends: bool) -> None:
        self.pauses = list(pauses)
        self.ends = ends
        self.closed = False

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """A byte after the next pause."""
        if self.pauses:
            await anyio.sleep(self.pauses.pop(0))
            return b"x"
        if self.ends:
            raise anyio.EndOfStream
        await anyio.sleep_forever()
        raise AssertionError

    async def send(self, item: bytes) -> None:
        """Swallow it."""

    async def send_eof(self) -> None:
        """Swallow that too."""

    async def aclose(self) -> None:
        """Note it."""
        self.closed = True


async def test_a_half_closed_pair_does_not_stay_for_ever(virtual: VirtualClock) -> None:
    """When one direction has ended, the other may be slow but not silent for ever."""
    client = Scripted(ends=True)
    service = Scripted(3000, 3000, ends=False)
    await pump(client, service, lambda _sent, _received: None)
    assert EPOCH + 6000 + pump_module.HALF_CLOSED_S == virtual.now()
    assert client.closed
    assert service.closed


async def test_an_open_pair_may_be_silent_for_days(virtual: VirtualClock) -> None:
    """A quiet connection whose ends are both open is left alone."""
    service = Scripted(200000, ends=True)
    with anyio.move_on_after(300000):
        await pump(Scripted(400000, ends=False), service, lambda _sent, _received: None)
    assert EPOCH + 200000 + pump_module.HALF_CLOSED_S == virtual.now()
