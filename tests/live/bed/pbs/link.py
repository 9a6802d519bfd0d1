"""The server's line to the mom of a node: made again whenever it breaks, and what it means when it stays broken."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable
from itertools import count

from .mom import PORT
from .wire import Message

# So often something is sent, and so long it may stay without an acknowledgement of the node's kernel: a mom that is
# stopped is silent, but its kernel is not; a node without power is both.
_BEAT_S, _SILENT_MS = 0.2, 600


class Gone(Exception):
    """The node cannot be reached."""


class Link:
    """One node's mom. ``hear`` is given what it says; ``broken`` is called whenever the line is lost."""

    def __init__(self, node: str, hear: Callable[[str, Message], None], broken: Callable[[str], None]) -> None:
        self.node = node
        self._hear = hear
        self._broken = broken
        self._line: asyncio.StreamWriter | None = None
        self._asked: dict[int, asyncio.Future[None]] = {}
        self._numbers = count()

    async def keep(self) -> None:
        """Hold the line, for ever."""
        while True:
            try:
                opening = asyncio.open_connection(self.node, PORT, limit=1 << 26)
                reader, line = await asyncio.wait_for(opening, timeout=1)
            except (OSError, TimeoutError):
                await asyncio.sleep(0.1)
                continue
            handle: socket.socket = line.get_extra_info("socket")
            handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENT_MS)
            beat = asyncio.create_task(self._beat(line))
            self._line = line
            with contextlib.suppress(OSError):
                while text := await reader.readline():
                    self._hear(self.node, json.loads(text))
            beat.cancel()
            self._line = None
            line.close()
            for future in self._asked.values():
                future.set_exception(Gone())
            self._asked.clear()
            self._broken(self.node)

    def tell(self, order: Message) -> None:
        """Give an order, if there is a line."""
        if self._line is not None:
            self._line.write(json.dumps(order).encode() + b"\n")

    async def order(self, order: Message) -> None:
        """Give an order and wait until it is obeyed. Raises Gone."""
        if self._line is None:
            raise Gone
        number = next(self._numbers)
        future = self._asked[number] = asyncio.get_running_loop().create_future()
        self.tell({**order, "number": number})
        await future

    def obeyed(self, number: int) -> None:
        """The mom has done what it was told."""
        future = self._asked.pop(number, None)
        if future is not None and not future.done():
            future.set_result(None)

    @staticmethod
    async def _beat(line: asyncio.StreamWriter) -> None:
        while True:
            line.write(b"{}\n")
            await asyncio.sleep(_BEAT_S)
