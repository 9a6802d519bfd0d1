"""The connection under an SSH connection, in better pieces."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio
import asyncssh
import pytest

from sessiond.remote.ssh import feed, wire
from sessiond.remote.ssh.opening import open_tcp
from sessiond.remote.ssh.packets import quicken
from sessiond.remote.ssh.stream import PIECE
from sessiond.remote.ssh.wire import Wire
from sessiond.runtime.sockets import AcceptedStream
from tests.ports import free_port

from .tunnel_sshd import Sshd, echo, hold, running_sshd, service

pytestmark = pytest.mark.anyio

MEGABYTE = 1 << 20
BLOCK = bytes(range(256)) * 4096


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """One server for all of them."""
    with running_sshd(tmp_path_factory.mktemp("sshd")) as found:
        yield found


@asynccontextmanager
async def connected(sshd: Sshd, **more: Any) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """A connection over a wire of ours."""
    async with asyncssh.connect(sshd.host, sshd.port, tunnel=Wire(), options=sshd.options(**more)) as connection:
        quicken(connection)
        yield connection


@pytest.mark.parametrize("cipher", ["aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes128-ctr"])
async def test_there_and_back(sshd: Sshd, cipher: str) -> None:
    """Twenty megabytes go to an echo and back unharmed with every kind of cipher, through new keys now and then."""
    came = hashlib.sha256()
    async with (
        connected(sshd, encryption_algs=[cipher], rekey_bytes=3 << 20) as connection,
        service(echo) as port,
        await open_tcp(connection, "127.0.0.1", port) as stream,
        anyio.create_task_group() as tasks,
    ):

        async def send() -> None:
            for _ in range(20):
                await stream.send(BLOCK)
            await stream.send_eof()

        tasks.start_soon(send)
        async for chunk in stream:
            came.update(chunk)
    assert hashlib.sha256(BLOCK * 20).digest() == came.digest()


async def test_commands_run_over_it(sshd: Sshd) -> None:
    """What else goes over the connection goes on as before, and it knows its addresses."""
    async with connected(sshd) as connection:
        done = await connection.run("echo hello")
        assert "hello\n" == done.stdout
        assert (sshd.host, sshd.port) == connection.get_extra_info("peername")


async def test_nobody_listens(sshd: Sshd) -> None:
    """A closed port raises what it would without a wire."""
    with pytest.raises(ConnectionRefusedError):
        await asyncssh.connect("127.0.0.1", free_port(), tunnel=Wire(), options=sshd.options())


async def test_a_server_that_dies(sshd: Sshd) -> None:
    """The end of the connection is noticed at both levels."""
    async with connected(sshd) as connection, service(hold) as port:
        stream = await open_tcp(connection, "127.0.0.1", port)
        await connection.run("kill -9 $PPID")
        with anyio.fail_after(5):
            await connection.wait_closed()
            with pytest.raises(anyio.BrokenResourceError):
                await stream.receive()


@asynccontextmanager
async def relay(sshd: Sshd) -> AsyncIterator[tuple[int, anyio.Event]]:
    """A way to the server that takes nothing more from the client once there are streams, until it is told to go on."""
    go_on = anyio.Event()

    async def carry(client: AcceptedStream) -> None:
        async with await anyio.connect_tcp(sshd.host, sshd.port) as server, anyio.create_task_group() as tasks:

            async def back() -> None:
                async for chunk in server:
                    await client.send(chunk)

            tasks.start_soon(back)
            came = 0
            async for chunk in client:
                await server.send(chunk)
                came += len(chunk)
                if came > MEGABYTE:
                    await go_on.wait()
            tasks.cancel_scope.cancel()

    async with service(carry) as port:
        yield port, go_on


async def test_a_crowded_line_holds_all_streams(sshd: Sshd) -> None:
    """When the network takes nothing, what all streams have queued is bounded by the line, not by each one's window."""
    whole = 4 * MEGABYTE
    arrived = [0]

    async def listen(stream: AcceptedStream) -> None:
        async for chunk in stream:
            arrived[0] += len(chunk)
        await stream.send(b"!")

    async with relay(sshd) as (way, go_on), service(listen) as port, connected_by(sshd, way) as connection:

        async def upload() -> None:
            async with await open_tcp(connection, "127.0.0.1", port) as stream:
                for _ in range(whole // MEGABYTE):
                    await stream.send(BLOCK)
                await stream.send_eof()
                assert b"!" == await stream.receive()

        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(upload)
            line = connection.get_extra_info("wire")
            changed = anyio.Event()

            def change(_: bool) -> None:
                changed.set()

            line.watch(change)
            with anyio.fail_after(30):
                # crowded, and so for a while: before the network takes nothing at all, it is now and then
                still = False
                while not (line.crowded and still):
                    changed = anyio.Event()
                    with anyio.move_on_after(0.5) as quiet:
                        await changed.wait()
                    still = quiet.cancelled_caught
            assert line._transport.get_write_buffer_size() < 2 * wire.CROWDED + 8 * PIECE
            go_on.set()
    assert 8 * whole == arrived[0]


@asynccontextmanager
async def connected_by(sshd: Sshd, port: int) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """A connection over a wire of ours to another port than the server's own."""
    options = sshd.options(f"[{sshd.host}]:{port} {sshd.host_key}\n".encode(), port=port)
    async with asyncssh.connect(sshd.host, port, tunnel=Wire(), options=options) as connection:
        yield connection


class Recorder:
    """The transport below, and the session above, noting what they are told."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.came: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Something is sent."""
        self.written.append(data)

    def set_write_buffer_limits(self, high: int) -> None:
        """It has limits."""

    def abort(self) -> None:
        """It is closed."""
        self.written.append(b"abort")

    def connection_made(self, transport: object) -> None:
        """The line is there."""

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Something came."""
        self.came.append(data)


def recorded() -> tuple[wire._Line, Recorder]:
    """A line between two recorders."""
    recorder = Recorder()
    line = wire._Line(cast("asyncssh.SSHTCPSession[bytes]", recorder))
    line.connection_made(cast(asyncio.Transport, recorder))
    return line, recorder


async def test_what_is_written_goes_at_once() -> None:
    """Nothing waits for what may follow it: a key that is pressed is alone."""
    line, recorder = recorded()
    line.write(b"s" * 36)
    line.write(b"l" * 1000)
    line.abort()
    assert [b"s" * 36, b"l" * 1000, b"abort"] == recorder.written


async def test_what_is_held_goes_in_one_piece() -> None:
    """What is sent in one turn is one call of the system; the next turn begins anew."""
    line, recorder = recorded()
    line.hold()
    line.write(b"a")
    line.write(b"b")
    assert [] == recorder.written
    line.release()
    line.write(b"c")
    line.hold()
    line.release()
    assert [b"ab", b"c"] == recorder.written


async def test_what_comes_is_handed_on_in_pieces() -> None:
    """A full buffer becomes pieces of a packet's size, in order and complete."""
    line, recorder = recorded()
    count = 2 * feed.PIECE + 5
    content = (BLOCK * 2)[:count]
    line.get_buffer(-1)[:count] = content
    line.buffer_updated(count)
    assert [feed.PIECE, feed.PIECE, 5] == [len(piece) for piece in recorder.came]
    assert content == b"".join(recorder.came)
