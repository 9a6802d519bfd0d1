"""A short way for what channels carry, from the socket to the session, past asyncssh's reader of packets.

asyncssh 2.24 copies each byte of a packet eight times (into its buffer, off it, without the head, with the code behind,
decrypted, without the padding, as a string, and what follows it) and makes some thirty calls for each packet. sshd puts
32 KiB into one at most, so that was what bounded a download (measured). With AES-GCM a packet's length can be read
before it is decrypted. So packets are told apart here, where they lie: those that carry data for a channel of ours are
decrypted side by side and handed on in one piece. All others go to asyncssh as they came, and so does everything while
it is not between two packets, has another cipher or compresses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import asyncssh
from asyncssh.channel import SSHForwardChannel
from asyncssh.constants import MSG_CHANNEL_DATA
from asyncssh.crypto.cipher import GCMCipher
from asyncssh.encryption import GCMEncryption
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_LENGTH: Final = 4
_CODE: Final = 16
"""What follows an encrypted packet: its authentication code."""
_HEAD: Final = 10
"""What precedes the data in a decrypted packet: the padding's length, the type, the channel, the data's length."""
LARGEST: Final = 32768 + 1024
"""The longest packet that is handled here, in bytes. sshd's with data have 32 KiB and what encryption adds."""
_HEARD_EVERY_S: Final = 1.0
"""How often asyncssh is told that the other side lives, while data comes. Its question is fifteen seconds away."""


class ExpressChannel(SSHForwardChannel[bytes]):
    """A channel that also takes data which was decrypted elsewhere, in pieces of any size."""

    def is_owed(self, count: int) -> bool:
        """Whether ``count`` bytes are in order now: the other side has not ended, and may send so many."""
        return self._recv_state == "open" and count <= self._recv_window

    def take(self, data: memoryview) -> None:
        """Hand ``data`` to the session, or keep a copy where that reads nothing now."""
        self._accept_data(bytes(data) if self._recv_paused else data)  # type: ignore[arg-type] # ChannelStream takes both


class Express:
    """The short way of one connection. ``size``: the most bytes that `take` is ever given."""

    def __init__(self, connection: asyncssh.SSHClientConnection, size: int, clock: Callable[[], float]) -> None:
        self._connection = connection
        self._plain = memoryview(bytearray(size + _HEAD))
        self._cipher: GCMCipher | None = None
        self._key = AESGCM(bytes(16))
        self._clock = clock
        self._heard_at = -_HEARD_EVERY_S
        self.carried = 0
        """How many bytes of data went this way."""

    def take(self, data: memoryview) -> tuple[int, int]:
        """Hand on the data that packets at the beginning of ``data`` carry.

        Returns where the rest begins, and how many bytes of that asyncssh must have next; 0: more must come first.
        """
        cipher = self._between_packets()
        if cipher is None:
            return 0, self._to_the_next_packet(len(data))
        self._hear()
        plain, channels = self._plain, self._connection._channels
        # In `plain`: what is for `channel` and not handed on yet.
        channel: ExpressChannel | None = None
        first = last = _HEAD
        start, rest = 0, 0
        while (left := len(data) - start) > _LENGTH:
            length = int.from_bytes(data[start : start + _LENGTH], "big")
            size = _LENGTH + length + _CODE
            if not _HEAD < length <= LARGEST:
                rest = size
                break
            if left < size:
                break
            head = self._decrypted(cipher, data[start : start + size], last)
            count = int.from_bytes(head[6:], "big")
            target = channels.get(int.from_bytes(head[2:6], "big"))
            if (
                head[1] != MSG_CHANNEL_DATA
                or not isinstance(target, ExpressChannel)
                or count != length - _HEAD - head[0]
            ):
                rest = size
                break
            if channel is not None and not (channel is target and target.is_owed(last - first + count)):
                channel.take(plain[first:last])
                first = last
            if not target.is_owed(count):
                channel, rest = None, size
                break
            channel = target
            cipher._update_iv()
            self._connection._recv_seq = (self._connection._recv_seq + 1) & 0xFFFFFFFF
            last += count
            start += size
        if channel is not None and last > first:
            channel.take(plain[first:last])
        self.carried += last - _HEAD
        return start, rest

    def _decrypted(self, cipher: GCMCipher, packet: memoryview, last: int) -> bytes:
        """Decrypt ``packet`` so that its data come to lie at ``last``, behind those of the packets before it.

        Returns its head, which lies over the end of those for a moment only; zeros where the packet is not genuine.
        """
        place = self._plain[last - _HEAD : last + len(packet) - _LENGTH - _CODE - _HEAD]
        behind = place[:_HEAD]
        kept = bytes(behind)
        try:
            self._key.decrypt_into(cipher._iv, packet[_LENGTH:], packet[:_LENGTH], place)
        except InvalidTag:
            return bytes(_HEAD)  # asyncssh finds that out once more, and ends the connection
        else:
            return bytes(behind)
        finally:
            behind[:] = kept

    def _between_packets(self) -> GCMCipher | None:
        """The cipher, if the short way is open: asyncssh has nothing in hand, and will have the next packet whole."""
        connection = self._connection
        encryption = connection._recv_encryption
        if (
            connection._inpbuf
            or connection._recv_handler != connection._recv_pkthdr
            or connection._decompressor is not None
            or not isinstance(encryption, GCMEncryption)
        ):
            return None
        cipher = encryption._cipher
        if cipher is not self._cipher:
            self._cipher, self._key = cipher, AESGCM(cipher._key)
        return cipher

    def _to_the_next_packet(self, at_hand: int) -> int:
        """How much of what is at hand asyncssh must have until it is between two packets; all, where nobody knows."""
        connection = self._connection
        wanted = at_hand
        if isinstance(connection._recv_encryption, GCMEncryption):
            if connection._recv_handler == connection._recv_packet:
                size = _LENGTH + connection._pktlen + connection._recv_macsize
                wanted = size - connection._recv_blocksize - len(connection._inpbuf)
            elif connection._recv_handler == connection._recv_pkthdr and connection._inpbuf:
                wanted = connection._recv_blocksize - len(connection._inpbuf)
        return min(max(wanted, 1), at_hand)

    def _hear(self) -> None:
        """Let asyncssh know that it need not ask whether the other side lives."""
        now = self._clock()
        if now - self._heard_at >= _HEARD_EVERY_S:
            self._heard_at = now
            self._connection._reset_keepalive_timer()
