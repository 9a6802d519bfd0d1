"""A viewer of VNC over a WebSocket, as noVNC is one: it sees the desktop's pixels and sends keys."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable

import aiohttp
import anyio
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes

PATIENCE_S = 60
NONE, VNC_AUTH = 1, 2
RETURN = 0xFF0D


class Viewer:
    """A connection to a desktop after its handshake."""

    def __init__(self, channel: aiohttp.ClientWebSocketResponse) -> None:
        self.channel = channel
        self.width = self.height = 0
        self.name = ""
        self.security: list[int] = []
        self._held = b""

    async def take(self, size: int) -> bytes:
        """The next ``size`` bytes, in whatever pieces they come."""
        with anyio.fail_after(PATIENCE_S):
            while len(self._held) < size:
                self._held += await self.channel.receive_bytes()
        taken, self._held = self._held[:size], self._held[size:]
        return taken

    async def shake_hands(self, password: str = "") -> bool:
        """Become a viewer (RFC 6143, section 7); whether the server lets this one in."""
        assert await self.take(12) == b"RFB 003.008\n"
        await self.channel.send_bytes(b"RFB 003.008\n")
        (count,) = await self.take(1)
        self.security = list(await self.take(count))
        if NONE in self.security:
            await self.channel.send_bytes(bytes([NONE]))
        else:
            await self.channel.send_bytes(bytes([VNC_AUTH]))
            await self.channel.send_bytes(_answer(await self.take(16), password))
        if struct.unpack(">I", await self.take(4)) != (0,):
            return False
        await self.channel.send_bytes(b"\x01")  # others may look on
        self.width, self.height = struct.unpack(">HH", await self.take(4))
        await self.take(16)
        (length,) = struct.unpack(">I", await self.take(4))
        self.name = (await self.take(length)).decode()
        # Pixels as four bytes: blue, green, red, nothing. Nothing but raw rectangles.
        await self.channel.send_bytes(
            struct.pack(">Bxxx4B3H3Bxxx", 0, 32, 24, 0, 1, 255, 255, 255, 16, 8, 0) + struct.pack(">BxHi", 2, 1, 0)
        )
        return True

    async def look(self) -> Counter[str]:
        """How many pixels of the desktop have each colour, as #rrggbb."""
        await self.channel.send_bytes(struct.pack(">BBHHHH", 3, 0, 0, 0, self.width, self.height))
        seen: Counter[int] = Counter()
        while sum(seen.values()) < self.width * self.height:
            (kind,) = await self.take(1)
            if kind == 0:
                (rectangles,) = struct.unpack(">xH", await self.take(3))
                for _ in range(rectangles):
                    _, _, width, height, encoding = struct.unpack(">HHHHi", await self.take(12))
                    assert encoding == 0
                    pixels = await self.take(width * height * 4)
                    seen.update(struct.unpack(f"<{width * height}I", pixels))
            elif kind == 3:
                (length,) = struct.unpack(">xxxI", await self.take(7))
                await self.take(length)
            else:
                assert kind == 2, kind  # a bell
        return Counter({f"#{pixel & 0xFFFFFF:06x}": count for pixel, count in seen.items()})

    async def until(self, colour: str, pixels: int) -> None:
        """Look until so many pixels have that colour."""
        with anyio.fail_after(PATIENCE_S):
            while (await self.look())[colour] < pixels:  # noqa: ASYNC110
                await anyio.sleep(0.05)

    async def press(self, keys: Iterable[int]) -> None:
        """Press and let go one key after the other; a character's key is its code."""
        for key in keys:
            for down in (1, 0):
                await self.channel.send_bytes(struct.pack(">BBxxI", 4, down, key))

    async def click(self, x: int, y: int) -> None:
        """A click of the first button."""
        for buttons in (0, 1, 0):
            await self.channel.send_bytes(struct.pack(">BBHH", 5, buttons, x, y))


def _answer(challenge: bytes, password: str) -> bytes:
    """The challenge under DES, whose key is the password, each byte's bits from the other end."""
    key = bytes(int(f"{byte:08b}"[::-1], 2) for byte in password.encode().ljust(8, b"\0")[:8])
    encryptor = Cipher(TripleDES(key * 3), modes.ECB()).encryptor()
    return encryptor.update(challenge) + encryptor.finalize()
