"""The ways through: streams to services, compute nodes, proxy commands, several methods in a row."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketStream

from sessiond.core.command import Command
from sessiond.core.errors import NeedsLogin, NotSent
from sessiond.core.session import Endpoint
from sessiond.remote.ssh.connector import SshConnector
from tests.ports import free_port

from .conftest import connected
from .house import Sshd, User, set_password, settings, sshd

pytestmark = pytest.mark.anyio

TRUE = Command(argv=("true",))


async def echo(stream: SocketStream) -> None:
    """Say back what is said."""
    async with stream:
        async for data in stream:
            await stream.send(data)


@pytest.mark.parametrize("host", ["127.0.0.1", "node1"])
async def test_a_stream_to_a_service(host: str, server: Sshd, user: User, tmp_path: Path) -> None:
    """A service on the login node is reached, and one on a node, with the user's own key and the node's own entry."""
    (tmp_path / "ssh_config").write_text(
        f"Host node1\n  HostName 127.0.0.1\n  Port {server.port}\n  HostKeyAlias node1\n"
    )
    known = tmp_path / "known"
    known.write_text(f"{server.known_line()}node1 {server.public_key}\n")
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, echo)
        chosen = settings(server, user, tmp_path, known_hosts=str(known), route="jump")
        async with connected(chosen) as connection:
            stream = await connection.connect(Endpoint(run="1", host=host, port=port, scheme="http"))
            assert 1 == connection.streams
            await stream.send(b"hello")
            assert b"hello" == await stream.receive()
            await stream.aclose()
            with pytest.raises(NotSent):
                await connection.connect(Endpoint(run="1", host=host, port=free_port(), scheme="http"))
            assert 0 == (await connection.run(TRUE)).rc
        tasks.cancel_scope.cancel()


async def test_streams_take_no_slots(user: User, tmp_path: Path) -> None:
    """Where two sessions are allowed, thirty streams are open at once, and commands run beside them."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    endpoint = Endpoint(
        run="1", host="127.0.0.1", port=listener.extra(anyio.abc.SocketAttribute.local_port), scheme="http"
    )
    with sshd(tmp_path / "server", [user], "MaxSessions 2") as server:
        chosen = settings(server, user, tmp_path, max_sessions=2)
        async with listener, connected(chosen) as connection, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, echo)
            streams = [await connection.connect(endpoint) for _ in range(30)]
            assert 30 == connection.streams
            assert [0, 0, 0] == [(await connection.run(TRUE)).rc for _ in range(3)]
            for number, stream in enumerate(streams):
                await stream.send(b"%d" % number)
            assert [b"%d" % number for number in range(30)] == [await stream.receive() for stream in streams]
            for stream in streams:
                await stream.aclose()
            tasks.cancel_scope.cancel()


async def test_a_proxy_command(server: Sshd, user: User, tmp_path: Path) -> None:
    """A ProxyCommand of the configuration leads to the host; its end is the connection's."""
    relay = tmp_path / "relay"
    relay.write_text(
        "import os, socket, sys, threading\n"
        "far = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "def up():\n"
        "    while data := os.read(0, 65536): far.sendall(data)\n"
        "    far.shutdown(socket.SHUT_WR)\n"
        "threading.Thread(target=up, daemon=True).start()\n"
        "while data := far.recv(65536): os.write(1, data)\n"
    )
    (tmp_path / "ssh_config").write_text(f"Host *\n  ProxyCommand python3 {relay} %h %p\n")
    async with connected(settings(server, user, tmp_path)) as connection:
        assert 0 == (await connection.run(TRUE)).rc
        server.cut()
        with anyio.fail_after(5):
            assert await connection.lost()


async def test_a_key_and_then_a_password(user: User, tmp_path: Path) -> None:
    """Where the key is but the first of two proofs, a person is needed for the second, and asked for nothing else."""
    set_password(user, "correct horse 7")
    options = ("PasswordAuthentication yes", "AuthenticationMethods publickey,password")
    with sshd(tmp_path / "server", [user], *options) as server:
        chosen = settings(server, user, tmp_path)
        with pytest.raises(NeedsLogin, match="needs your password"):
            await SshConnector(chosen).open(None)
        asked: list[str] = []

        async def person(prompt: object) -> list[str]:
            asked.extend(question.text for question in getattr(prompt, "questions", ()))
            return ["correct horse 7"]

        connection = await SshConnector(chosen).open(person)
        try:
            assert 0 == (await connection.run(TRUE)).rc
        finally:
            await connection.aclose()
        assert [f"Password for {user.name}@127.0.0.1: "] == asked


async def test_the_end_of_a_jump_host_is_the_end(server: Sshd, user: User, tmp_path: Path) -> None:
    """When the host in between goes, the connection is lost."""
    with sshd(tmp_path / "gate", [user]) as gate:
        known = tmp_path / "known"
        known.write_text(server.known_line() + gate.known_line())
        jump = f"{user.name}@127.0.0.1:{gate.port}"
        async with connected(settings(server, user, tmp_path, jump=jump, known_hosts=str(known))) as connection:
            assert 0 == (await connection.run(TRUE)).rc
            gate.cut()
            with anyio.fail_after(5):
                assert "a jump host: the connection was cut" == await connection.lost()


async def test_a_wrong_program_on_the_port(server: Sshd, user: User, tmp_path: Path) -> None:
    """What speaks another protocol is no SSH server, and is said to be none."""
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:

        async def greet(stream: SocketStream) -> None:
            async with stream:
                await stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 100)
                await stream.receive()

        tasks.start_soon(listener.serve, greet)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        with pytest.raises(NotSent) as caught:
            await SshConnector(settings(server, user, tmp_path, port=port, connect_s=5.0)).open(None)
        assert "host-refused" == caught.value.code, caught.value.message
        tasks.cancel_scope.cancel()
