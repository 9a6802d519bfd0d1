"""The short way for what channels carry: taken where it can be, complete and in order, and nothing else is changed."""

from __future__ import annotations

import hashlib
import itertools
import random
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import anyio
import asyncssh
import pytest

from sessiond.remote.ssh.express import Inward, Outward
from sessiond.remote.ssh.opening import Through, open_tcp
from sessiond.remote.ssh.packets import quicken
from sessiond.remote.ssh.stream import ChannelStream
from sessiond.remote.ssh.wire import Wire
from sessiond.runtime.sockets import AcceptedStream

from .tunnel_sshd import Sshd, disconnects, hold, running_sshd, service

pytestmark = pytest.mark.anyio

AES = "aes128-gcm@openssh.com"
MEGABYTE = 1 << 20
BLOCK = random.Random(7).randbytes(MEGABYTE)
WHOLE = 6 * MEGABYTE
DIGEST = hashlib.sha256(BLOCK * 6).digest()


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A server that changes the keys after each three megabytes it has sent."""
    with running_sshd(tmp_path_factory.mktemp("sshd"), more="RekeyLimit 3M\nCompression yes") as found:
        yield found


@asynccontextmanager
async def connected(sshd: Sshd, port: int = 0, **more: Any) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """A connection as the daemon makes it, to the server or to ``port`` in front of it."""
    port = port or sshd.port
    options = sshd.options(f"[{sshd.host}]:{port} {sshd.host_key}\n".encode(), port=port, **more)
    async with asyncssh.connect(sshd.host, port, tunnel=Wire(), options=options) as connection:
        quicken(connection)
        yield connection


def way(connection: asyncssh.SSHClientConnection) -> Inward:
    """The short way of a connection."""
    return cast("Inward", connection.get_extra_info("feed").express)


def way_out(connection: asyncssh.SSHClientConnection) -> Outward:
    """The short way of what goes over a connection."""
    return cast("Outward", connection.get_extra_info("outward"))


async def give(stream: AcceptedStream) -> None:
    """Send six megabytes."""
    for _ in range(6):
        await stream.send(BLOCK)
    await stream.send_eof()


async def taken(connection: asyncssh.SSHClientConnection, port: int, pause_s: float = 0.0) -> bytes:
    """The digest of all that a service gives."""
    came = hashlib.sha256()
    async with await open_tcp(connection, "127.0.0.1", port) as stream:
        async for chunk in stream:
            came.update(chunk)
            if pause_s:
                await anyio.sleep(pause_s)
    return came.digest()


async def until_broken(stream: ChannelStream) -> bytes:
    """All that comes until the stream breaks."""
    came = bytearray()
    with anyio.fail_after(10):
        try:
            while True:
                came += await stream.receive()
        except anyio.BrokenResourceError:
            return bytes(came)


@pytest.mark.parametrize(
    ("options", "short"),
    [
        ({"encryption_algs": [AES]}, True),
        ({"encryption_algs": ["aes256-gcm@openssh.com"]}, True),
        ({"encryption_algs": ["chacha20-poly1305@openssh.com"]}, False),
        ({"encryption_algs": ["aes128-ctr"]}, False),
        ({"encryption_algs": [AES], "compression_algs": ["zlib@openssh.com"]}, False),
    ],
    ids=["aes128-gcm", "aes256-gcm", "chacha20", "aes-ctr", "compressed"],
)
async def test_three_at_once(sshd: Sshd, options: dict[str, Any], short: bool) -> None:
    """Three downloads beside each other and commands between them, while keys change on both sides."""
    digests = []
    async with connected(sshd, rekey_bytes=1 << 16, **options) as connection, service(give) as port:

        async def download() -> None:
            digests.append(await taken(connection, port))

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(download)
            for number in range(5):
                assert f"{number}\n" == (await connection.run(f"echo {number}")).stdout
        carried = way(connection).carried
    assert [DIGEST] * 3 == digests
    # what is under way while keys change goes to asyncssh: a little of it, and never all from then on
    assert (carried > 2.5 * WHOLE) if short else (carried == 0)


async def digest(stream: AcceptedStream) -> None:
    """Say the digest of all that comes."""
    came = hashlib.sha256()
    async for chunk in stream:
        came.update(chunk)
    await stream.send(came.digest())


@pytest.mark.parametrize(
    ("options", "short"),
    [
        ({"encryption_algs": [AES]}, True),
        ({"encryption_algs": ["aes256-gcm@openssh.com"]}, True),
        ({"encryption_algs": ["chacha20-poly1305@openssh.com"]}, False),
        ({"encryption_algs": [AES], "compression_algs": ["zlib@openssh.com"]}, False),
    ],
    ids=["aes128-gcm", "aes256-gcm", "chacha20", "compressed"],
)
async def test_three_go_at_once(sshd: Sshd, options: dict[str, Any], short: bool) -> None:
    """Three uploads in pieces of any size, commands between them, while keys change on both sides."""
    chance = random.Random(5)
    said = []
    async with connected(sshd, rekey_bytes=8 << 20, **options) as connection, service(digest) as port:

        async def upload() -> None:
            async with await open_tcp(connection, "127.0.0.1", port) as stream:
                left = memoryview(BLOCK * 6)
                while left:
                    size = chance.choice((1, 2, 15, 16, 17, 1000, 32767, 32768, 32769, 300_000))
                    await stream.send(left[:size])  # type: ignore[arg-type] # any buffer will do
                    left = left[size:]
                await stream.send_eof()
                said.append(await stream.receive())

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(upload)
            for number in range(5):
                assert f"{number}\n" == (await connection.run(f"echo {number}")).stdout
        carried = way_out(connection).carried
    assert [DIGEST] * 3 == said
    # the rest waited for the window, for keys, or brought keys about
    assert (carried > WHOLE) if short else (carried == 0)


async def test_a_reader_that_is_slow(sshd: Sshd) -> None:
    """What comes while the session reads nothing is kept as it was, whatever comes after it."""
    async with connected(sshd, encryption_algs=[AES]) as connection, service(give) as port:
        assert DIGEST == await taken(connection, port, pause_s=0.001)
        assert way(connection).carried == WHOLE


@asynccontextmanager
async def torn(sshd: Sshd, cuts: Callable[[int], int], spoil_at: int = -1) -> AsyncIterator[int]:
    """A way to the server that hands on what the server says in pieces of the sizes that ``cuts`` gives.

    The byte at ``spoil_at`` is changed.
    """

    async def carry(client: AcceptedStream) -> None:
        client.extra(anyio.abc.SocketAttribute.raw_socket).setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        async with await anyio.connect_tcp(sshd.host, sshd.port) as server, anyio.create_task_group() as tasks:

            async def there() -> None:
                async for chunk in client:
                    await server.send(chunk)
                tasks.cancel_scope.cancel()

            tasks.start_soon(there)
            done = 0
            async for chunk in server:
                if done <= spoil_at < done + len(chunk):
                    place = spoil_at - done
                    chunk = chunk[:place] + bytes([chunk[place] ^ 1]) + chunk[place + 1 :]
                start = 0
                while start < len(chunk):
                    size = cuts(done + start)
                    await client.send(chunk[start : start + size])
                    start += size
                done += len(chunk)

    async with service(carry) as port:
        yield port


@pytest.mark.parametrize("size", [1, 3, 4, 5, 19, 21, 255, 32768, 33000])
async def test_torn_in_pieces(sshd: Sshd, size: int) -> None:
    """Wherever the bytes are torn apart, the data are what was sent, and go the short way."""
    give_up = 200_000 if size < 255 else MEGABYTE

    async def some(stream: AcceptedStream) -> None:
        await stream.send(BLOCK[:give_up])
        await stream.send_eof()

    async with torn(sshd, lambda _: size) as port, connected(sshd, port, encryption_algs=[AES]) as connection:
        async with service(some) as target:
            assert hashlib.sha256(BLOCK[:give_up]).digest() == await taken(connection, target)
        assert give_up == way(connection).carried


async def test_torn_at_random(sshd: Sshd) -> None:
    """The same with pieces of any size, while keys change."""
    chance = random.Random(11)
    async with (
        torn(sshd, lambda _: chance.choice((1, 2, 7, 40, 4000, 40_000, 300_000))) as port,
        connected(sshd, port, encryption_algs=[AES], rekey_bytes=1 << 16) as connection,
        service(give) as target,
    ):
        assert DIGEST == await taken(connection, target)
        assert way(connection).carried > WHOLE // 2


async def test_a_spoilt_packet(sshd: Sshd) -> None:
    """One bit that is not the server's ends the connection, and nothing of its packet is handed on."""
    async with (
        torn(sshd, lambda _: 1 << 20, spoil_at=500_000) as port,
        connected(sshd, port, encryption_algs=[AES]) as connection,
        service(give) as target,
    ):
        said = disconnects(connection)
        came = await until_broken(await open_tcp(connection, "127.0.0.1", target))
        with anyio.fail_after(10):
            await connection.wait_closed()
        assert 1 == len(said)
    assert 400_000 < len(came) < 500_000
    assert BLOCK[: len(came)] == came


async def test_through_another_connection(sshd: Sshd) -> None:
    """A connection inside another one has a short way of its own, and the outer one serves it."""
    async with connected(sshd, encryption_algs=[AES]) as outer, service(give) as port:
        options = sshd.options(encryption_algs=[AES])
        async with asyncssh.connect(sshd.host, sshd.port, tunnel=Through(outer), options=options) as inner:
            quicken(inner)
            assert DIGEST == await taken(inner, port)
            assert way(inner).carried > WHOLE // 2
            assert way(outer) is not way(inner)
            assert way(outer).carried > WHOLE // 2
            async with service(digest) as sink, await open_tcp(inner, "127.0.0.1", sink) as stream:
                await stream.send(BLOCK)
                await stream.send_eof()
                assert hashlib.sha256(BLOCK).digest() == await stream.receive()
            assert way_out(inner).carried > MEGABYTE // 2
            assert way_out(outer).carried > MEGABYTE // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """Both ends of a stream, and what has arrived at the server's."""

    connection: asyncssh.SSHClientConnection
    stream: ChannelStream
    far: asyncssh.SSHTCPChannel[bytes]
    arrived: bytearray


@asynccontextmanager
async def both_ends(largest: int = 32768) -> AsyncIterator[Ends]:
    """A connection to a server in this process that takes packets of ``largest`` bytes, with a stream over it."""
    arrived = bytearray()
    key = asyncssh.generate_private_key("ssh-ed25519")
    lines: list[asyncssh.SSHTCPChannel[bytes]] = []

    class Open(asyncssh.SSHServer):
        def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
            self.conn = conn

        def begin_auth(self, username: str) -> bool:
            return False

        def connection_requested(self, *_: Any) -> Any:
            return self.conn.create_tcp_channel(max_pktsize=largest), End()

    class End(asyncssh.SSHTCPSession[bytes]):
        def connection_made(self, chan: asyncssh.SSHTCPChannel[bytes]) -> None:
            lines.append(chan)

        def data_received(self, data: bytes, datatype: int | None) -> None:
            arrived.extend(data)

    async with asyncssh.listen("127.0.0.1", 0, server_factory=Open, server_host_keys=[key]) as server:
        port = server.get_port()
        known = f"[127.0.0.1]:{port} {key.export_public_key().decode()}".encode()
        options = asyncssh.SSHClientConnectionOptions(
            known_hosts=known, username="any", client_keys=None, config=None, encryption_algs=[AES]
        )
        async with asyncssh.connect("127.0.0.1", port, tunnel=Wire(), options=options) as connection:
            quicken(connection)
            stream = await open_tcp(connection, "127.0.0.1", 9)
            yield Ends(connection=connection, stream=stream, far=lines[0], arrived=arrived)


async def all_before_has_arrived(connection: asyncssh.SSHClientConnection) -> None:
    """A server that answers a question has heard what was said before it."""
    with pytest.raises(asyncssh.ChannelOpenError):
        await connection.run("true")


async def test_more_than_was_allowed() -> None:
    """A server that sends more than the window has room for is cut off, as asyncssh does it, and heard no further."""
    async with both_ends() as ends:
        express, said = way(ends.connection), disconnects(ends.connection)
        ends.far._send_window = 1 << 30
        ends.far.write(BLOCK * 6)  # nobody reads, so two megabytes of it are allowed
        with anyio.fail_after(10):
            await ends.connection.wait_closed()
        assert 0 < len(await until_broken(ends.stream)) <= 2 * MEGABYTE
        assert 0 < express.carried <= 2 * MEGABYTE
        assert 1 == len(said)


@pytest.mark.parametrize("largest", [1, 7, 32768])
async def test_a_server_of_small_packets(largest: int) -> None:
    """It gets what it says it takes."""
    async with both_ends(largest) as ends:
        await ends.stream.send(BLOCK[:100])
        await all_before_has_arrived(ends.connection)
        assert BLOCK[:100] == ends.arrived
        assert 100 == way_out(ends.connection).carried


async def test_packets_are_counted() -> None:
    """Both ends agree on how many packets there were: an answer to one of them names it by its number."""
    async with both_ends() as ends:
        ends.far.write(BLOCK)
        came = 0
        while came < MEGABYTE:
            came += len(await ends.stream.receive())
        assert MEGABYTE == way(ends.connection).carried
        there = ends.far.get_connection()
        assert there._send_seq == ends.connection._recv_seq
        for _ in range(5):
            await ends.stream.send(BLOCK[:100_000])
        await all_before_has_arrived(ends.connection)
        assert 500_000 == len(ends.arrived) == way_out(ends.connection).carried
        assert ends.connection._send_seq == there._recv_seq


async def test_the_other_side_is_heard(sshd: Sshd) -> None:
    """While data come nobody asks whether the other side lives; when none come, it is asked again."""
    asked = itertools.count()

    async def drip(stream: AcceptedStream) -> None:
        for _ in range(35):
            await stream.send(b"drop")
            await anyio.sleep(0.1)
        await hold(stream)

    async with (
        connected(sshd, encryption_algs=[AES], keepalive_interval=3) as connection,
        service(drip) as port,
        await open_tcp(connection, "127.0.0.1", port) as stream,
    ):
        request = connection._make_keepalive_request
        came = 0
        rung = anyio.Event()

        async def counted() -> None:
            next(asked)
            rung.set()
            await request()

        connection._make_keepalive_request = counted  # type: ignore[method-assign]
        while came < 140:
            came += len(await stream.receive())
        assert not rung.is_set()
        assert way(connection).carried == 140
        with anyio.fail_after(30):
            await rung.wait()
