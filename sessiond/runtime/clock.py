"""The time, and waiting for it: the one place where the runtime looks at a clock."""

from __future__ import annotations

import time
from typing import Protocol

import anyio

LONGEST_NAP_S = 30.0
"""How late a sleeper may notice that the clock was set or that the machine was suspended."""


class Clock(Protocol):
    """A clock that can be waited on. Tests have one that jumps."""

    def now(self) -> float:
        """UTC seconds since 1970."""

    async def sleep(self, seconds: float) -> None:
        """Wait for ``seconds``; not at all where that is not positive."""


class SystemClock:
    """The machine's clock.

    An event loop's timers stand still while the machine is suspended and do not see its clock being set, so nobody
    sleeps for longer than `LONGEST_NAP_S` without looking again.
    """

    def now(self) -> float:
        """UTC seconds since 1970, of the wall clock: it can jump."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait for ``seconds``, those in suspension included (CLOCK_BOOTTIME), whatever the wall clock is set to."""
        end = time.clock_gettime(time.CLOCK_BOOTTIME) + seconds
        while True:
            left = end - time.clock_gettime(time.CLOCK_BOOTTIME)
            if left <= 0:
                return
            await anyio.sleep(min(left, LONGEST_NAP_S))


async def sleep_unless(clock: Clock, seconds: float, event: anyio.Event) -> bool:
    """Wait for ``seconds`` or for ``event``, whichever is first; whether ``event`` is set."""
    async with anyio.create_task_group() as tasks:

        async def awaken() -> None:
            await event.wait()
            tasks.cancel_scope.cancel()

        tasks.start_soon(awaken)
        await clock.sleep(seconds)
        tasks.cancel_scope.cancel()
    return event.is_set()
