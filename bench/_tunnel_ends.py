"""The ends of `tunnel.py`: a service that sends at full speed or answers each byte, and the daemon's way to it."""

from __future__ import annotations

import os
import socket
import sys
import threading
from functools import partial
from pathlib import Path

import anyio
import asyncssh
from anyio.abc import ByteStream

from sessiond.remote.ssh.opening import open_tcp
from sessiond.remote.ssh.packets import quicken
from sessiond.remote.ssh.wire import Wire
from sessiond.runtime.listener import reserve
from sessiond.runtime.tunnel import Peer, Tunnel

BLOCK = bytes(1 << 20)


def service() -> None:
    """Serve: ``gN`` is answered with N MiB, ``pN`` takes N MiB and answers a byte, ``e`` echoes."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    print(listener.getsockname()[1], flush=True)
    threading.Thread(target=_until_told, daemon=True).start()
    while True:
        peer, _ = listener.accept()
        threading.Thread(target=_serve, args=(peer,), daemon=True).start()


def _until_told() -> None:
    sys.stdin.read()
    os._exit(0)


def _serve(peer: socket.socket) -> None:
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with peer:
        try:
            order = peer.recv(8, socket.MSG_WAITALL)
            kind, count = order[:1], int(order[1:].strip() or b"0")
            if kind == b"g":
                for _ in range(count):
                    peer.sendall(BLOCK)
            elif kind == b"p":
                left, into = count << 20, bytearray(1 << 18)
                while left and (got := peer.recv_into(into)):
                    left -= got
                peer.sendall(b"!")
            else:
                while said := peer.recv(16):
                    peer.sendall(said)
        except OSError:
            return


async def tunnel(sshd: int, folder: Path, cipher: str, target: int) -> None:
    """Carry connections to ``target`` through the SSH server at ``sshd`` as the daemon does."""
    ciphers = [cipher] if cipher else ()
    async with asyncssh.connect(
        "127.0.0.1",
        sshd,
        tunnel=Wire(),
        known_hosts=str(folder / "known_hosts"),
        client_keys=[str(folder / "id")],
        encryption_algs=ciphers,
        compression_algs=["none"],
        config=None,
    ) as connection:
        quicken(connection)

        async def dial() -> ByteStream:
            return await open_tcp(connection, "127.0.0.1", target)

        async def anyone(_: Peer) -> bool:
            return True

        listener = await reserve(40000, 49999, (), 40000)
        print(listener.port, flush=True)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Tunnel(listener, dial, anyone, lambda _in, _out: None).serve)
            await anyio.to_thread.run_sync(partial(sys.stdin.read), abandon_on_cancel=True)
            tasks.cancel_scope.cancel()


if __name__ == "__main__":
    if sys.argv[1] == "service":
        service()
    else:
        loop, sshd, folder, cipher, target = sys.argv[2:]
        work = partial(tunnel, int(sshd), Path(folder), cipher, int(target))
        anyio.run(work, backend_options={"use_uvloop": loop == "uvloop"})
