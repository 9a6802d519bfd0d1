"""Ports of a host that lead to the workspace, through real SSH servers: opened on loopback alone, freed, taken back."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import anyio
import asyncssh
import pytest

from sessiond.core.errors import NotSent, PortTaken
from sessiond.core.session import Endpoint
from sessiond.remote.ssh.connector import SshConnector
from sessiond.remote.ssh.stale import Stale
from sessiond.remote.transport import Accepting
from tests.ports import free_port

from .conftest import connected
from .house import FrozenRelay, Sshd, User, settings, sshd
from .test_nodes import NODE, Cluster, cluster, login, node
from .tunnel_sshd import Sshd as NodeSshd

__all__ = ["cluster", "login", "node"]

pytestmark = pytest.mark.anyio

HERE = Endpoint(run="", host="127.0.0.1")


def listens(port: int, host: str = "127.0.0.1") -> bool:
    """Whether somebody listens there."""
    with suppress(ConnectionRefusedError), socket.create_connection((host, port), timeout=5):
        return True
    return False


async def until_free(port: int) -> None:
    """Wait until nobody listens on a port: a process that was told to end takes a moment."""
    with anyio.fail_after(10):
        while listens(port):  # noqa: ASYNC110
            await anyio.sleep(0.02)


async def asked(port: int, text: bytes) -> bytes:
    """What comes back from a port, until its end."""
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(text)
        await stream.send_eof()
        return b"".join([piece async for piece in stream])


async def answer(port: Accepting, text: bytes) -> None:
    """Answer every connection with ``text`` and what it said."""
    while True:
        stream = await port.accept()
        async with stream:
            heard = b"".join([piece async for piece in stream])
            await stream.send(text + heard)
            await stream.send_eof()


async def test_a_port_of_the_login_node_leads_here(server: Sshd, user: User, tmp_path: Path) -> None:
    """Connections come here, one after the other and many at once; afterwards the port is free."""
    number = free_port()
    async with connected(settings(server, user, tmp_path)) as connection:
        port = await connection.listen(HERE, number)
        assert number == port.port
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(answer, port, b"here: ")
            assert b"here: hello" == await asked(number, b"hello")
            said: list[bytes] = []

            async def one() -> None:
                said.append(await asked(number, b"x" * 100_000))

            async with anyio.create_task_group() as many:
                for _ in range(20):
                    many.start_soon(one)
            assert {b"here: " + b"x" * 100_000} == set(said)
            tasks.cancel_scope.cancel()
        with anyio.fail_after(5):
            while connection.streams:  # noqa: ASYNC110
                await anyio.sleep(0.01)
        assert not listens(number, "127.0.0.2")
        await port.aclose()
        await port.aclose()
        assert not listens(number)


async def test_what_nobody_accepts_is_closed_with_the_port(server: Sshd, user: User, tmp_path: Path) -> None:
    """Whoever waits learns of the end, and whoever comes too many is refused at once."""
    number = free_port()
    async with connected(settings(server, user, tmp_path)) as connection:
        port = await connection.listen(HERE, number)
        waiting = [await anyio.connect_tcp("127.0.0.1", number) for _ in range(64)]
        with anyio.fail_after(5):
            while connection.streams < 64:  # noqa: ASYNC110
                await anyio.sleep(0.01)
        assert b"" == await asked(number, b"")
        await port.aclose()
        for one in waiting:
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)), anyio.fail_after(5):
                await one.receive()
            await one.aclose()


async def test_it_ends_with_its_connection(server: Sshd, user: User, tmp_path: Path) -> None:
    """`lost` returns when the server's process is killed, and the port is free for the next."""
    number = free_port()
    one = settings(server, user, tmp_path)
    async with connected(one) as connection:
        port = await connection.listen(HERE, number)
        server.cut()
        with anyio.fail_after(10):
            assert "the SSH connection is closed" == await port.lost()
        await port.aclose()
        with pytest.raises(NotSent, match="the SSH connection is closed"):
            await connection.listen(HERE, number)
        async with connected(one) as again:
            await (await again.listen(HERE, number)).aclose()


async def test_a_port_that_somebody_has_is_left_alone(server: Sshd, user: User, tmp_path: Path) -> None:
    """It is said that it is taken; and what is no port, or no host, goes nowhere."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        number = other.getsockname()[1]
        async with connected(settings(server, user, tmp_path)) as connection:
            with pytest.raises(PortTaken, match=f"port {number} is taken: another program listens on it"):
                await connection.listen(HERE, number)
            with pytest.raises(NotSent, match="0: not a port"):
                await connection.listen(HERE, 0)
            with pytest.raises(NotSent, match="not the name of a node"):
                await connection.listen(Endpoint(run="", host="-oProxyCommand=x"), number)
            with pytest.raises(NotSent, match="its SSH server does not open port 99") as caught:
                await connection.listen(HERE, 99)
            assert caught.value.hint.startswith("Ports below 1024 are root's. ")


@pytest.fixture(params=["AllowTcpForwarding local", "PermitListen none"])
def forbids(request: pytest.FixtureRequest, tmp_path: Path, user: User) -> Iterator[Sshd]:
    """A server that opens no ports for anybody."""
    with sshd(tmp_path / "forbids", [user], request.param) as running:
        yield running


async def test_a_server_that_forbids_it_is_named(forbids: Sshd, user: User, tmp_path: Path) -> None:
    """What its administrator has to allow is in the hint."""
    number = free_port()
    async with connected(settings(forbids, user, tmp_path)) as connection:
        with pytest.raises(NotSent, match=f"its SSH server does not open port {number}") as caught:
            await connection.listen(HERE, number)
    assert not isinstance(caught.value, PortTaken)
    assert "AllowTcpForwarding" in caught.value.hint


async def test_a_server_that_would_open_it_to_all_is_refused(user: User, tmp_path: Path) -> None:
    """GatewayPorts yes: sshd listens on every address, whatever it was asked; so the port is closed again."""
    number = free_port()
    with sshd(tmp_path / "gateway", [user], "GatewayPorts yes") as open_to_all:
        async with connected(settings(open_to_all, user, tmp_path)) as connection:
            with pytest.raises(NotSent, match=f"opens port {number} to everybody on its network") as caught:
                await connection.listen(HERE, number)
            assert "GatewayPorts no" in caught.value.hint
            assert not listens(number)


async def test_what_a_dead_network_left_is_taken_back(server: Sshd, user: User, tmp_path: Path) -> None:
    """The server's process of a connection that fell silent still has the port, and is ended; one that lives is not."""
    number, other = free_port(), free_port()
    relay = FrozenRelay(server.port)
    remembered: list[str] = []
    stale = Stale(remember=remembered.append)
    near = settings(server, user, tmp_path)
    known = tmp_path / "known-relay"
    known.write_text(f"[127.0.0.1]:{relay.port} {server.public_key}\n")
    far = settings(server, user, tmp_path, port=relay.port, known_hosts=str(known))
    async with anyio.create_task_group() as tasks:
        await tasks.start(relay.serve)
        first = await SshConnector(far, stale=stale).open(None)
        await first.listen(HERE, number)
        relay.freeze()
        second = await SshConnector(near, stale=stale).open(None)
        with pytest.raises(PortTaken):  # for all that is known here, the first one lives
            await second.listen(HERE, number)
        await first.aclose()  # over there nobody hears of it
        assert listens(number)
        await (await second.listen(HERE, other)).aclose()
        assert listens(number)
        port = await second.listen(HERE, number)
        async with anyio.create_task_group() as answering:
            answering.start_soon(answer, port, b"again: ")
            assert b"again: x" == await asked(number, b"x")
            answering.cancel_scope.cancel()
        await port.aclose()
        await second.aclose()
        tasks.cancel_scope.cancel()
    await until_free(number)
    assert 1 == len(Stale(remembered[-1])._known)  # the second one's, which is left


async def test_a_daemon_that_was_killed_finds_what_it_left(server: Sshd, user: User, tmp_path: Path) -> None:
    """What was remembered is enough to end it; a process that is another one by now is never hit."""
    number = free_port()
    relay = FrozenRelay(server.port)
    remembered: list[str] = []
    known = tmp_path / "known-relay"
    known.write_text(f"[127.0.0.1]:{relay.port} {server.public_key}\n")
    far = settings(server, user, tmp_path, port=relay.port, known_hosts=str(known))
    async with anyio.create_task_group() as tasks:
        await tasks.start(relay.serve)
        first = await SshConnector(far, stale=Stale(remember=remembered.append)).open(None)
        await first.listen(HERE, number)
        relay.freeze()
        pid, start, boot = remembered[-1].strip('[]"').split()
        for wrong in (f"{pid} {int(start) + 1} {boot}", f"{pid} {start} {'0' * 8}{boot[8:]}"):
            one = await SshConnector(settings(server, user, tmp_path), stale=Stale(f'["{wrong}"]')).open(None)
            with pytest.raises(PortTaken):
                await one.listen(HERE, number)
            await one.aclose()
        one = await SshConnector(settings(server, user, tmp_path), stale=Stale(remembered[-1])).open(None)
        await (await one.listen(HERE, number)).aclose()
        await one.aclose()
        await first.aclose()
        tasks.cancel_scope.cancel()
    with anyio.fail_after(10):
        while await anyio.Path(f"/proc/{pid}").exists():  # noqa: ASYNC110
            await anyio.sleep(0.02)


@pytest.mark.parametrize("text", ["", "nonsense", "{}", '[1, "x", "1 2 3; rm -rf /"]', "[[]]"])
def test_what_is_no_memory_is_none(text: str) -> None:
    """Whatever lies where something was remembered, it hurts nobody."""
    assert [] == Stale(text)._known


# Nodes.


async def test_a_port_of_a_node(login: NodeSshd, cluster: Cluster) -> None:
    """It is opened through SSH to the node, whose connection stays for it however long nobody comes."""
    number = free_port()
    async with cluster.nodes(login, idle_s=0.05) as nodes:
        port = await nodes.listen(Endpoint(run="1.0", host=NODE), number)
        assert 0 == nodes.streams
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(answer, port, b"node: ")
            assert b"node: 1" == await asked(number, b"1")
            await anyio.sleep(0.3)
            assert b"node: 2" == await asked(number, b"2")
            tasks.cancel_scope.cancel()
        await port.aclose()
        with anyio.fail_after(5):
            assert "the SSH connection is closed" == await port.lost()  # nobody needs it any more
        assert not listens(number)
    assert [NODE] == cluster.asked


async def test_a_node_that_lets_nobody_in(login: NodeSshd, cluster: Cluster) -> None:
    """What ssh to it came to is said."""
    cluster.more = {"client_keys": [asyncssh.generate_private_key("ssh-ed25519")]}
    async with cluster.nodes(login) as nodes:
        with pytest.raises(NotSent, match=f"ssh to {NODE} failed: Permission denied") as caught:
            await nodes.listen(Endpoint(run="1.0", host=NODE), free_port())
        assert "authorized_keys" in caught.value.hint
        await nodes.aclose()
        with pytest.raises(NotSent, match="the SSH connection is closed"):
            await nodes.listen(Endpoint(run="1.0", host=NODE), free_port())


async def test_a_given_up_attempt_leaves_no_port(server: Sshd, user: User, tmp_path: Path) -> None:
    """Cancelled at any moment on the way, nobody listens afterwards."""
    async with connected(settings(server, user, tmp_path)) as connection:
        await (await connection.listen(HERE, free_port())).aclose()
        for step in range(12):
            number = free_port()
            with anyio.move_on_after(0.001 * step):
                await (await connection.listen(HERE, number)).aclose()
            await until_free(number)
