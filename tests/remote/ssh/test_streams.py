"""Streams over SSH channels, through a real sshd to real services."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import asyncssh
import pytest
from anyio.streams.memory import MemoryObjectReceiveStream

from sessiond.remote.ssh import opening
from sessiond.remote.ssh import stream as stream_module
from sessiond.remote.ssh.opening import CannotOpen, Why, open_tcp, open_unix, window_for
from sessiond.runtime.sockets import AcceptedStream
from tests.ports import free_port

from .tunnel_sshd import BLOCK, MEGABYTE, Sshd, echo, hold, opened, running_sshd, service, taken

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """One server for all of them."""
    with running_sshd(tmp_path_factory.mktemp("sshd")) as found:
        yield found


async def test_there_and_back(sshd: Sshd) -> None:
    """Forty megabytes go to an echo and come back unharmed, both ways at once, and the end is passed on both ways."""
    sent, came = hashlib.sha256(), hashlib.sha256()
    async with opened(sshd, echo) as found, anyio.create_task_group() as tasks:

        async def send() -> None:
            for _ in range(40):
                await found.send(BLOCK)
                sent.update(BLOCK)
            await found.send_eof()

        tasks.start_soon(send)
        async for chunk in found:
            assert len(chunk) <= 65536
            came.update(chunk)
    assert sent.digest() == came.digest()


async def test_a_unix_socket(sshd: Sshd, tmp_path: Path) -> None:
    """A service on a Unix socket is reached at its path."""
    path = str(tmp_path / "socket")
    async with (
        sshd.connection() as connection,
        service(echo, path=path),
        await open_unix(connection, path) as found,
    ):
        await found.send(b"hello")
        await found.send_eof()
        assert b"hello" == await taken(found)


async def test_an_end_that_comes_while_nobody_reads(sshd: Sshd) -> None:
    """A service that says more than is read ahead, and closes at once, is heard to its end."""

    async def talk(stream: AcceptedStream) -> None:
        for _ in range(8):
            await stream.send(BLOCK)

    async with opened(sshd, talk) as found:
        first = await found.receive(10)
        assert BLOCK[:10] == first
        await found.send_eof()
        await anyio.wait_all_tasks_blocked()
        rest = await taken(found)
    assert hashlib.sha256(BLOCK * 8).digest() == hashlib.sha256(first + rest).digest()


async def test_a_slow_reader_holds_the_service(sshd: Sshd) -> None:
    """What nobody takes stays with its sender, but for one window and what the kernel keeps."""
    sent = 0

    async def talk(stream: AcceptedStream) -> None:
        nonlocal sent
        while True:
            await stream.send(BLOCK)
            sent += len(BLOCK)

    async with opened(sshd, talk) as found:
        await found.receive(1)
        before = -1
        while before != sent:
            before = sent
            await anyio.sleep(0.3)
        assert sent < 32 * MEGABYTE
        for _ in range(1000):
            await found.receive()
        assert sent > before


async def test_a_service_that_does_not_read_holds_the_sender(sshd: Sshd) -> None:
    """A sender waits, can be cancelled, and closing does not hang on what nobody takes."""
    sent = 0
    async with opened(sshd, hold) as found:
        with anyio.move_on_after(1) as scope:
            while True:
                await found.send(BLOCK)
                sent += len(BLOCK)
        assert scope.cancelled_caught
        assert sent < 32 * MEGABYTE
        with anyio.fail_after(stream_module.DRAIN_S + 2):
            await found.aclose()
        with pytest.raises(anyio.ClosedResourceError):
            await found.send(b"x")
        with pytest.raises(anyio.ClosedResourceError):
            await found.receive()


async def test_what_was_sent_before_closing_arrives(sshd: Sshd) -> None:
    """Closing right after sending loses nothing."""
    came = anyio.Event()
    whole = b""

    async def listen(stream: AcceptedStream) -> None:
        nonlocal whole
        whole = await taken(stream)
        came.set()

    async with opened(sshd, listen) as found:
        await found.send(BLOCK * 4)
        await found.aclose()
        with anyio.fail_after(10):
            await came.wait()
    assert hashlib.sha256(BLOCK * 4).digest() == hashlib.sha256(whole).digest()


async def test_a_lost_connection_is_no_end(sshd: Sshd) -> None:
    """A stream whose SSH connection breaks is broken: half an answer never reads as a whole one."""
    for close in (asyncssh.SSHClientConnection.abort, asyncssh.SSHClientConnection.close):
        async with sshd.connection() as connection, service(hold) as port, anyio.create_task_group() as tasks:
            found = await open_tcp(connection, "127.0.0.1", port)

            async def broken(found: stream_module.ChannelStream = found) -> None:
                with pytest.raises(anyio.BrokenResourceError):
                    await found.receive()

            tasks.start_soon(broken)
            await anyio.wait_all_tasks_blocked()
            close(connection)
        with pytest.raises(anyio.BrokenResourceError):
            await found.send(b"x")
        with anyio.fail_after(1):
            await found.aclose()


async def test_nothing_listens(sshd: Sshd) -> None:
    """A closed port is refused, by name."""
    async with sshd.connection() as connection:
        port = free_port()
        with pytest.raises(CannotOpen, match=rf"^127\.0\.0\.1:{port}: connection refused$") as caught:
            await open_tcp(connection, "127.0.0.1", port)
        assert Why.REFUSED is caught.value.why
        with pytest.raises(CannotOpen, match=r"^/nowhere: open failed$") as caught:
            await open_unix(connection, "/nowhere")
        assert Why.OTHER is caught.value.why


async def test_no_such_name(sshd: Sshd) -> None:
    """A name that the server does not know is said to be one."""
    async with sshd.connection() as connection:
        with pytest.raises(CannotOpen) as caught:
            await open_tcp(connection, "nowhere.invalid", 80)
        assert Why.UNKNOWN_NAME is caught.value.why


async def test_forwarding_forbidden(tmp_path: Path) -> None:
    """Where the administrator forbids it, the message says so and the hint what to ask for."""
    with running_sshd(tmp_path, more="AllowTcpForwarding no\nAllowStreamLocalForwarding no") as strict:
        async with strict.connection() as connection:
            with pytest.raises(CannotOpen, match=r"^127\.0\.0\.1:1: administratively prohibited$") as caught:
                await open_tcp(connection, "127.0.0.1", 1)
            assert "AllowTcpForwarding" in caught.value.hint
            with pytest.raises(CannotOpen, match=r"^/nowhere: open failed$") as caught:
                await open_unix(connection, "/nowhere")
            assert "AllowStreamLocalForwarding" in caught.value.hint


async def test_a_closed_connection_opens_nothing(sshd: Sshd) -> None:
    """An attempt over a connection that is gone says that, and not that the service refused."""
    async with sshd.connection() as connection:
        connection.abort()
        await connection.wait_closed()
        with pytest.raises(CannotOpen) as caught:
            await open_tcp(connection, "127.0.0.1", 80)
    assert Why.LOST is caught.value.why


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (2, "No route to host", Why.NO_ROUTE),
        (2, "Network is unreachable", Why.NO_ROUTE),
        (2, "Connection timed out", Why.NO_ANSWER),
        (2, "Temporary failure in name resolution", Why.UNKNOWN_NAME),
        (2, "Name or service not known", Why.UNKNOWN_NAME),
        (1, "open failed", Why.PROHIBITED),
        (2, "open failed", Why.OTHER),
        (2, "SSH connection closed", Why.LOST),
    ],
)
def test_the_reasons(code: int, reason: str, expected: Why) -> None:
    """The code and the words together tell what a refusal means."""
    assert expected is opening.why_not(asyncssh.ChannelOpenError(code, reason))


@asynccontextmanager
async def silent_server(answer: asyncio.Event) -> AsyncIterator[tuple[int, MemoryObjectReceiveStream[str]]]:
    """An SSH server that answers a request for a channel only once it is told to; what became of its channels."""
    say, told = anyio.create_memory_object_stream[str](10)

    class Session(asyncssh.SSHTCPSession[bytes]):
        def connection_made(self, chan: asyncssh.SSHTCPChannel[bytes]) -> None:
            say.send_nowait("open")

        def connection_lost(self, exc: Exception | None) -> None:
            say.send_nowait("closed")

    class Server(asyncssh.SSHServer):
        def begin_auth(self, username: str) -> bool:
            return False

        def connection_requested(
            self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
        ) -> Awaitable[asyncssh.SSHTCPSession[bytes]]:
            async def later() -> asyncssh.SSHTCPSession[bytes]:
                await answer.wait()
                return Session()

            return later()

    key = asyncssh.generate_private_key("ssh-ed25519")
    server = await asyncssh.listen("127.0.0.1", 0, server_factory=Server, server_host_keys=[key], config=None)
    async with server:
        with say, told:
            yield server.get_port(), told


async def test_an_abandoned_opening_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A channel that the server opens after nobody waits for it any more is closed at once."""
    monkeypatch.setattr(opening, "OPEN_TIMEOUT_S", 0.2)
    answer = asyncio.Event()
    async with silent_server(answer) as (port, told):
        connecting = asyncssh.connect("127.0.0.1", port, known_hosts=None, config=None, client_keys=None)
        async with connecting as connection:
            with pytest.raises(CannotOpen, match="no answer within") as caught:
                await open_tcp(connection, "127.0.0.1", 80)
            assert Why.NO_ANSWER is caught.value.why
            with anyio.move_on_after(0.1) as scope:
                await open_tcp(connection, "127.0.0.1", 80)
            assert scope.cancelled_caught
            assert 0 == told.statistics().current_buffer_used
            answer.set()
            with anyio.fail_after(5):
                for _ in range(4):
                    await told.receive()


async def test_the_window_follows_the_round_trip(sshd: Sshd) -> None:
    """On loopback the window is the usual one; a connection without a TCP socket gets it too."""
    async with sshd.connection() as connection:
        assert opening.NEAR_WINDOW <= window_for(connection) <= opening.FAR_WINDOW
    assert opening.NEAR_WINDOW == window_for(connection)


# The short way, from a socket.
