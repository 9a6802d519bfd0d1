"""A real sshd on loopback, and small services behind it, for the tests of streams."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import asyncssh
import pytest
from asyncssh.constants import MSG_DISCONNECT

from sessiond.remote.ssh.opening import open_tcp
from sessiond.remote.ssh.stream import ChannelStream
from sessiond.runtime.sockets import AcceptedStream
from tests.ports import free_port

Serve = Callable[[AcceptedStream], Awaitable[None]]
MEGABYTE = 1 << 20
PATIENCE_S = 15.0
BLOCK = bytes(range(256)) * 4096


@dataclass(frozen=True, slots=True)
class Sshd:
    """A running server: where it listens, the folder with its keys, and its process."""

    host: str
    port: int
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def host_key(self) -> str:
        """Its key as ``TYPE BASE64``."""
        return " ".join((self.folder / "host.pub").read_text().split()[:2])

    def options(self, known_hosts: bytes | None = None, **more: object) -> asyncssh.SSHClientConnectionOptions:
        """What lets a client in that knows its key (or ``known_hosts``)."""
        known = f"[{self.host}]:{self.port} {self.host_key}\n".encode() if known_hosts is None else known_hosts
        values: dict[str, object] = {
            "port": self.port,
            "username": os.environ.get("USER", "root"),
            "client_keys": [str(self.folder / "id")],
            "agent_path": None,
            "known_hosts": known,
            "config": None,
        }
        return asyncssh.SSHClientConnectionOptions(**(values | more))

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncssh.SSHClientConnection]:
        """A connection that is let in."""
        async with asyncssh.connect(self.host, self.port, options=self.options()) as connection:
            yield connection


@contextmanager
def running_sshd(folder: Path, *, host: str = "127.0.0.1", more: str = "") -> Iterator[Sshd]:
    """An sshd of our own with the lines ``more`` in its configuration."""
    sshd = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if sshd is None or shutil.which("ssh-keygen") is None:
        pytest.skip("no OpenSSH server is installed")
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("host", "id"):
        if not (folder / name).exists():
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    port = free_port()
    (folder / "sshd_config").write_text(
        f"{more}\nPort {port}\nListenAddress {host}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/id.pub\n"
        "PidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with subprocess.Popen([sshd, "-D", "-e", "-q", "-f", folder / "sshd_config"], stdin=subprocess.DEVNULL) as process:
        try:
            _until_listening(host, port, process)
            yield Sshd(host, port, folder, process)
        finally:
            process.terminate()


def _until_listening(host: str, port: int, process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up and process.poll() is None:
        try:
            socket.create_connection((host, port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError("sshd does not listen")


@asynccontextmanager
async def service(serve: Serve, *, host: str = "127.0.0.1", path: str = "") -> AsyncIterator[int]:
    """Something that listens and does ``serve`` with each connection; its port (0 at a Unix socket)."""
    raw = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
    raw.bind(path or (host, 0))
    raw.listen()
    raw.setblocking(False)

    async def accept() -> None:
        async with anyio.create_task_group() as connections:
            while True:
                await anyio.wait_readable(raw)
                connections.start_soon(one, AcceptedStream(raw.accept()[0]))

    async def one(stream: AcceptedStream) -> None:
        async with stream:
            try:
                await serve(stream)
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return

    with raw:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(accept)
            yield 0 if path else int(raw.getsockname()[1])
            tasks.cancel_scope.cancel()


async def echo(stream: AcceptedStream) -> None:
    """Send back what comes, and its end."""
    async for chunk in stream:
        await stream.send(chunk)
    await stream.send_eof()


async def hold(stream: AcceptedStream) -> None:
    """Take nothing and say nothing."""
    await anyio.sleep_forever()


@asynccontextmanager
async def opened(sshd: Sshd, serve: Serve) -> AsyncIterator[ChannelStream]:
    """A stream to a service that does ``serve``."""
    async with (
        sshd.connection() as connection,
        service(serve) as port,
        await open_tcp(connection, "127.0.0.1", port) as found,
    ):
        yield found


async def taken(stream: anyio.abc.ByteReceiveStream) -> bytes:
    """All that comes until the end."""
    return b"".join([chunk async for chunk in stream])


def disconnects(connection: asyncssh.SSHClientConnection) -> list[int]:
    """Grows by one each time that a connection says from now on that it ends."""
    said: list[int] = []
    send_packet = connection.send_packet

    def noted(pkttype: int, *args: bytes, **more: Any) -> None:
        if pkttype == MSG_DISCONNECT:
            said.append(pkttype)
        send_packet(pkttype, *args, **more)

    connection.send_packet = noted  # type: ignore[method-assign]
    return said
