"""How many commands may be under way at once over one connection."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio

MOST = 4
"""Session slots free late: with MaxSessions 10, at 6, 8, 10 commands in flight 1, 23, 48 of 400 are refused (measured,
OpenSSH 9.2), and none at 4."""
FEWEST = 2
QUIET_S = 600.0
"""How long without a refusal until one more is tried again."""


class Slots:
    """The slots of one connection: as many as ``ceiling``, of which the last is kept for urgent commands.

    The ceiling begins at four, or below what the server's ``max_sessions`` allows, sinks with every refusal and rises
    again after ten quiet minutes.
    """

    def __init__(self, max_sessions: int, clock: Callable[[], float] = anyio.current_time) -> None:
        self._most = max(1, min(MOST, max_sessions - 1))
        self._ceiling = self._most
        self._clock = clock
        self._changed = 0.0
        self._busy = 0
        self._waiting: dict[bool, deque[anyio.Event]] = {True: deque(), False: deque()}

    @property
    def ceiling(self) -> int:
        """How many commands may be under way now."""
        while self._ceiling < self._most and self._clock() - self._changed >= QUIET_S:
            self._ceiling += 1
            self._changed += QUIET_S
        return self._ceiling

    @property
    def busy(self) -> int:
        """How many are."""
        return self._busy

    @asynccontextmanager
    async def take(self, *, urgent: bool) -> AsyncIterator[None]:
        """Hold a slot, once there is one; urgent commands go first."""
        await self._acquire(urgent)
        try:
            yield
        finally:
            self._busy -= 1
            self._admit()

    def refused(self) -> None:
        """The server had no slot for one of ours: it has fewer than believed."""
        self._ceiling = max(min(FEWEST, self._most), self.ceiling - 1)
        self._changed = self._clock()

    def _free(self, urgent: bool) -> bool:
        return self._busy < (self.ceiling if urgent else max(1, self.ceiling - 1))

    async def _acquire(self, urgent: bool) -> None:
        queue = self._waiting[urgent]
        if not queue and self._free(urgent):
            self._busy += 1
            return
        turn = anyio.Event()
        queue.append(turn)
        try:
            await turn.wait()
        except BaseException:
            if turn.is_set():
                self._busy -= 1
                self._admit()
            else:
                queue.remove(turn)
            raise

    def _admit(self) -> None:
        """Give the free slots to those who have waited longest."""
        for urgent, queue in self._waiting.items():
            while queue and self._free(urgent):
                self._busy += 1
                queue.popleft().set()
