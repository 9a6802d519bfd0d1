"""A client's socket joined to a stream over a real sshd: both directions, their ends, and who holds whom."""

from __future__ import annotations

import hashlib
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import anyio
import pytest

from sessiond.remote.ssh.opening import open_tcp
from sessiond.runtime.pump import pump
from sessiond.runtime.sockets import AcceptedStream

from .tunnel_sshd import BLOCK, MEGABYTE, Serve, Sshd, echo, hold, opened, running_sshd, service, taken

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """One server for all of them."""
    with running_sshd(tmp_path_factory.mktemp("sshd")) as found:
        yield found


@asynccontextmanager
async def joined(sshd: Sshd, serve: Serve, counted: list[int]) -> AsyncIterator[AcceptedStream]:
    """A client whose accepted connection is pumped to a stream to a service that does ``serve``."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        near = AcceptedStream(listener.accept()[0])

    def count(inward: int, outward: int) -> None:
        counted[0] += inward
        counted[1] += outward

    over = anyio.Event()
    async with sshd.connection() as connection, service(serve) as port, anyio.create_task_group() as tasks:
        far = await open_tcp(connection, "127.0.0.1", port)

        async def carry() -> None:
            await pump(near, far, count)
            over.set()

        tasks.start_soon(carry)
        async with AcceptedStream(one) as client:
            yield client
        with anyio.fail_after(10):
            await over.wait()


async def test_a_splice_carries_everything(sshd: Sshd) -> None:
    """Forty megabytes go through a pump to an echo and back, and are counted; the end is passed on both ways."""
    counted, came = [0, 0], hashlib.sha256()
    async with joined(sshd, echo, counted) as client, anyio.create_task_group() as tasks:

        async def send() -> None:
            for _ in range(40):
                await client.send(BLOCK)
            await client.send_eof()

        tasks.start_soon(send)
        async for chunk in client:
            came.update(chunk)
    assert hashlib.sha256(BLOCK * 40).digest() == came.digest()
    assert [40 * MEGABYTE, 40 * MEGABYTE] == counted


async def test_a_splice_passes_on_a_half_close(sshd: Sshd) -> None:
    """A client that has ended its request still gets the whole answer, however late."""

    async def answer(stream: AcceptedStream) -> None:
        question = await taken(stream)
        await anyio.sleep(0.1)
        await stream.send(question.upper())
        await stream.send(b"!" * MEGABYTE)

    counted = [0, 0]
    async with joined(sshd, answer, counted) as client:
        await client.send(b"question")
        await client.send_eof()
        assert b"QUESTION" + b"!" * MEGABYTE == await taken(client)
    assert [8, 8 + MEGABYTE] == counted


async def test_a_splice_holds_both_senders(sshd: Sshd) -> None:
    """Neither a client nor a service can send more than windows and buffers hold while the other does not read."""
    sent = [0, 0]

    async def talk(stream: AcceptedStream) -> None:
        while True:
            await stream.send(BLOCK)
            sent[1] += len(BLOCK)

    async with joined(sshd, talk, [0, 0]) as client:
        with anyio.move_on_after(1):
            while True:
                await client.send(BLOCK)
                sent[0] += len(BLOCK)
        assert max(sent) < 32 * MEGABYTE


async def test_a_client_that_resets_ends_the_service(sshd: Sshd) -> None:
    """A reset of the client closes the connection to the service."""
    over = anyio.Event()

    async def listen(stream: AcceptedStream) -> None:
        try:
            await taken(stream)
        finally:
            over.set()

    async with joined(sshd, listen, [0, 0]) as client:
        await client.send(b"x")
        client._raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await client.aclose()
        with anyio.fail_after(5):
            await over.wait()


async def test_a_service_that_dies_ends_the_client(sshd: Sshd) -> None:
    """When the service is gone, its client reads the end, and what it sends goes nowhere."""

    async def die(stream: AcceptedStream) -> None:
        await stream.send(b"bye")

    async with joined(sshd, die, [0, 0]) as client:
        with anyio.fail_after(5):
            assert b"bye" == await taken(client)


async def test_a_lost_connection_ends_a_splice(sshd: Sshd) -> None:
    """When the SSH connection breaks, so does the client's."""
    near_raw, client_raw = socket.socketpair()
    async with sshd.connection() as connection, service(hold) as port, anyio.create_task_group() as tasks:
        far = await open_tcp(connection, "127.0.0.1", port)
        tasks.start_soon(far.splice, near_raw, lambda _in, _out: None, 10.0)
        await anyio.wait_all_tasks_blocked()
        connection.abort()
        with anyio.fail_after(5), pytest.raises(anyio.EndOfStream):
            await AcceptedStream(client_raw).receive()
    client_raw.close()


async def test_a_cancelled_splice_closes_its_socket(sshd: Sshd) -> None:
    """Cancellation closes the socket at once and passes through."""
    near_raw, client_raw = socket.socketpair()
    async with opened(sshd, hold) as far:
        with anyio.move_on_after(0.1) as scope:
            await far.splice(near_raw, lambda _in, _out: None, 10.0)
        assert scope.cancelled_caught
        assert -1 == near_raw.fileno()
    client_raw.close()


async def test_a_half_closed_splice_does_not_stay_for_ever(sshd: Sshd) -> None:
    """When one direction has ended, the other may not be silent for longer than it is given."""
    near_raw, client_raw = socket.socketpair()
    async with opened(sshd, hold) as far:
        client_raw.shutdown(socket.SHUT_WR)
        with anyio.fail_after(5):
            await far.splice(near_raw, lambda _in, _out: None, 0.2)
        assert -1 == near_raw.fileno()
    client_raw.close()
