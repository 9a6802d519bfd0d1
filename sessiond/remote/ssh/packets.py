"""Sending no packets that say nothing.

asyncssh 2.24 puts an empty SSH_MSG_IGNORE before each packet that it sends, whatever the cipher. That is the defence of
RFC 4251, 9.3.1, for ciphers whose next initialization vector an attacker knows (CBC). The authenticated ciphers have no
such weakness, OpenSSH sends none with them, and each costs as much Python as a packet with 32 KiB in it: uploads over
one stream are bound by it (measured).
"""

from __future__ import annotations

import asyncssh
from asyncssh.constants import MSG_IGNORE
from asyncssh.packet import SSHPacketLogger, String

_AUTHENTICATED = frozenset({"aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"})
_EMPTY = (String(b""),)


def send_no_empty_ones(connection: asyncssh.SSHClientConnection) -> None:
    """Have ``connection`` leave out the empty packets, if its cipher is one that needs none."""
    if connection.get_extra_info("send_cipher") not in _AUTHENTICATED:
        return
    send_packet = connection.send_packet

    def send(pkttype: int, *args: bytes, handler: SSHPacketLogger | None = None) -> None:
        if pkttype != MSG_IGNORE or args != _EMPTY:
            send_packet(pkttype, *args, handler=handler)

    connection.send_packet = send  # type: ignore[method-assign]
