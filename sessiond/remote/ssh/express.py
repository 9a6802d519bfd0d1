"""A short way for what channels carry, between socket and session, past asyncssh's handling of packets.

asyncssh 2.24 copies each byte of a packet that comes eight times (into its buffer, off it, without the head, with the
code behind, decrypted, without the padding, as a string, and what follows it), one that goes six times, and makes some
thirty calls for each. sshd puts 32 KiB into one at most, so that was what bounded a tunnel (measured).

With AES-GCM a packet's length can be read before it is decrypted. So what comes is told apart here, where it lies:
packets that carry data for a channel of ours are decrypted side by side and handed on in one piece. All others go to
asyncssh as they came, and so does everything while it is not between two packets, has another cipher or compresses.
What goes is encrypted side by side in the same way, unless asyncssh has something to say first: new keys, or data that
wait for the other side's window.
"""

from __future__ import annotations

import os
import time
from typing import Final, cast

import asyncssh
from asyncssh.channel import SSHForwardChannel
from asyncssh.constants import MSG_CHANNEL_DATA
from asyncssh.crypto.cipher import GCMCipher
from asyncssh.encryption import GCMEncryption
from asyncssh.packet import SSHPacket
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_LENGTH: Final = 4
_DATA: Final = bytes([MSG_CHANNEL_DATA])
_CODE: Final = 16
"""What follows an encrypted packet: its authentication code."""
_HEAD: Final = 10
"""What precedes the data in a decrypted packet: the padding's length, the type, the channel, the data's length."""
_BLOCK: Final = 16
"""What the length of an encrypted packet is a multiple of."""
_LEAST_PADDING: Final = 4
_PIECE: Final = 32768
"""The most data put into one packet: what every SSH must take (RFC 4253, 6.1), and what sshd allows (9.2)."""
LARGEST: Final = 32768 + 1024
"""The longest packet that is handled here, in bytes. sshd's with data have 32 KiB and what encryption adds."""
_HEARD_EVERY_S: Final = 1.0
"""How often asyncssh is told that the other side lives, while data comes. Its question is fifteen seconds away."""


class ExpressChannel(SSHForwardChannel[bytes]):
    """A channel that also takes data which was decrypted elsewhere, in pieces of any size, and sends them likewise."""

    _outward: Outward | None = None

    def process_open_confirmation(self, send_chan: int, send_window: int, send_pktsize: int, packet: SSHPacket) -> None:
        """Take the server's word that it is open."""
        outward = self.get_extra_info("outward")
        # That of a connection below it is found where its own has none.
        if isinstance(outward, Outward) and outward.connection is self._conn:
            self._outward = outward
        super().process_open_confirmation(send_chan, send_window, send_pktsize, packet)

    def _flush_send_buf(self) -> None:
        """Send what waits and the other side's window has room for."""
        way, number = self._outward, self._send_chan
        while way is not None and number is not None and self._send_buf and self._send_window:
            data, datatype = self._send_buf[0]
            sent = 0 if datatype else way.send(number, data, self._send_window, self._send_pktsize)
            if not sent:
                break
            if sent < len(data):
                del data[:sent]
            else:
                del self._send_buf[0]
            self._send_window -= sent
            self._send_buf_len -= sent
        super()._flush_send_buf()  # what is left, and what follows it

    def is_owed(self, count: int) -> bool:
        """Whether ``count`` bytes are in order now: the other side has not ended, and may send so many."""
        return self._recv_state == "open" and count <= self._recv_window

    def take(self, data: memoryview) -> None:
        """Hand ``data`` to the session, or keep a copy where that reads nothing now."""
        self._accept_data(bytes(data) if self._recv_paused else data)  # type: ignore[arg-type] # ChannelStream takes both


class Inward:
    """The short way of what comes over one connection. ``size``: the most bytes that `take` is ever given."""

    def __init__(self, connection: asyncssh.SSHClientConnection, size: int) -> None:
        self._connection = connection
        self._plain = memoryview(bytearray(size + _HEAD))
        self._cipher: GCMCipher | None = None
        self._key = AESGCM(bytes(16))
        self._heard_at = -_HEARD_EVERY_S
        self.carried = 0
        """How many bytes of data went this way."""

    def take(self, data: memoryview) -> tuple[int, int]:
        """Hand on the data that packets at the beginning of ``data`` carry.

        Returns where the rest begins, and how many bytes of that asyncssh must have next; 0: more must come first.
        """
        if self._connection._transport is None:
            # asyncssh has given the connection up, because of a packet that was none: it would go on with the same one
            # at each further byte, and no other connection would get its turn.
            return len(data), 0
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
        now = time.monotonic()
        if now - self._heard_at >= _HEARD_EVERY_S:
            self._heard_at = now
            self._connection._reset_keepalive_timer()


class Outward:
    """The short way of what goes over ``connection``."""

    def __init__(self, connection: asyncssh.SSHClientConnection) -> None:
        self.connection = connection
        self._plain = memoryview(bytearray(_HEAD + _PIECE + _LEAST_PADDING + _BLOCK))
        self._cipher: GCMCipher | None = None
        self._key = AESGCM(bytes(16))
        self.carried = 0
        """How many bytes of data went this way."""

    def send(self, channel: int, data: bytearray, window: int, largest: int) -> int:
        """Send of ``data`` what the other side's ``window`` has room for, at most ``largest`` bytes a packet.

        ``channel`` is its number over there. Returns how many bytes that were; 0 where asyncssh must do it.
        """
        count = min(len(data), window)
        cipher = self._free_way(count)
        if cipher is None or not count:
            return 0
        most = min(largest, _PIECE)
        packets = -(-count // most)
        line = memoryview(bytearray(count + packets * (_LENGTH + _HEAD + _LEAST_PADDING + _BLOCK + _CODE)))
        last = 0
        with memoryview(data) as left:
            for start in range(0, count, most):
                last += self._put(cipher, channel, left[start : min(start + most, count)], line[last:])
        connection = self.connection
        connection._send_seq = (connection._send_seq + packets) & 0xFFFFFFFF
        connection._rekey_bytes_sent += last - packets * (_LENGTH + _CODE)
        self.carried += count
        connection._send(cast("bytes", line[:last]))  # a buffer of its own, which nobody writes to any more
        return count

    def _put(self, cipher: GCMCipher, channel: int, data: memoryview, line: memoryview) -> int:
        """Write one packet to the beginning of ``line``; returns its length there."""
        plain, count = self._plain, len(data)
        padding = -(_HEAD + count) % _BLOCK
        if padding < _LEAST_PADDING:
            padding += _BLOCK
        length = _HEAD + count + padding
        plain[:_HEAD] = b"".join(
            (padding.to_bytes(1, "big"), _DATA, channel.to_bytes(4, "big"), count.to_bytes(4, "big")),
        )
        plain[_HEAD : _HEAD + count] = data
        plain[_HEAD + count : length] = os.urandom(padding)
        line[:_LENGTH] = head = length.to_bytes(_LENGTH, "big")
        end = _LENGTH + length + _CODE
        self._key.encrypt_into(cipher._iv, plain[:length], head, line[_LENGTH:end])
        cipher._update_iv()
        return end

    def _free_way(self, count: int) -> GCMCipher | None:
        """The cipher, if nothing must be done before ``count`` bytes are sent, such as an exchange of keys."""
        connection = self.connection
        encryption = connection._send_encryption
        if (
            not connection._kex_complete
            or connection._compressor is not None
            or not isinstance(encryption, GCMEncryption)
            or connection._rekey_bytes_sent + count >= connection._rekey_bytes
            or (connection._rekey_seconds and time.monotonic() >= connection._rekey_time)
        ):
            return None
        cipher = encryption._cipher
        if cipher is not self._cipher:
            self._cipher, self._key = cipher, AESGCM(cipher._key)
        return cipher
