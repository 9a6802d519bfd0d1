"""``sessionctl proxy``: standard input and output as a stream to a port of a session's node."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

import click

from sessiond.cli.launch import connect
from sessiond.cli.options import live_name_argument

if TYPE_CHECKING:
    import socket

_PIECE: Final = 65536


@click.command()
@live_name_argument
@click.argument("port", metavar="[PORT]", type=click.IntRange(1, 65535), default=22)
def command(name: str, port: int) -> int:
    """Carry standard input and output to PORT of a session's node (22 by default), for ssh's ProxyCommand."""
    sock, first = connect(start=False).proxy(name, port)
    with sock:
        return _carry(sock, first)


def _carry(sock: socket.socket, first: bytes) -> int:
    """Both ways until the other end has ended, or nobody reads what it sends.

    One direction has a thread of its own: standard streams may be files, which no poll can wait for.
    """
    import threading

    threading.Thread(target=_send, args=(sock,), daemon=True).start()
    out = sys.stdout.fileno()
    try:
        piece = first or sock.recv(_PIECE)
        while piece:
            _write(out, piece)
            piece = sock.recv(_PIECE)
    except BrokenPipeError:
        return 0
    except ConnectionError:
        return 1
    return 0


def _send(sock: socket.socket) -> None:
    import contextlib
    import socket

    # The stream is over: the other direction finds out by itself.
    with contextlib.suppress(OSError):
        while piece := os.read(sys.stdin.fileno(), _PIECE):
            sock.sendall(piece)
        sock.shutdown(socket.SHUT_WR)


def _write(out: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(out, view) :]
