"""Knowing whether a session's service answers, for as long as the session lives."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import anyio

from sessiond.core.session import Problem
from sessiond.runtime.clock import Clock, sleep_unless
from sessiond.runtime.probe import Answer, Up


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often a service is asked, in seconds.

    Not up: ``first_s``, doubled with each failure to ``last_s``. Up: every ``steady_s``; poked, at once, but not
    within ``gap_s`` of the last answer. After a first failure ``doubt_s``; ``failures`` in a row mean down. What keeps
    a service that is not up from answering for ``patience_s`` is worth telling.
    """

    first_s: float = 0.2
    last_s: float = 2.0
    steady_s: float = 30.0
    gap_s: float = 1.0
    doubt_s: float = 5.0
    failures: int = 3
    patience_s: float = 10.0


class Prober:
    """The standing probe of one session.

    ``ask`` asks the service once. ``on_up`` and ``on_down`` are awaited when the verdict changes; the first verdict is
    "not up" and is not reported. While the service is not up, ``on_down`` is also awaited for a reason that lasts, once
    for each time that it is another one. An answer that arrives after `pause` is not counted.
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[Answer]],
        clock: Clock,
        on_up: Callable[[], Awaitable[None]],
        on_down: Callable[[Problem], Awaitable[None]],
        *,
        pace: Pace = Pace(),
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._on_up = on_up
        self._on_down = on_down
        self._pace = pace
        self._failures = 0
        self._poked = anyio.Event()
        self._resumed = anyio.Event()
        self._resumed.set()
        self._pauses = 0
        self.up = False
        """Whether the service answers, by the last verdict."""
        self.problem: Problem | None = None
        """What the last probe met, with its time; None where that was an answer."""
        self._met_since = 0.0
        self._told = ""

    def poke(self) -> None:
        """Something suggests that the service's condition has changed: ask soon."""
        self._poked.set()

    @property
    def paused(self) -> bool:
        """Whether asking is paused."""
        return not self._resumed.is_set()

    def pause(self) -> None:
        """Stop asking: a suspended job does not answer, and that means nothing."""
        if self._resumed.is_set():
            self._resumed = anyio.Event()
            self._pauses += 1
            self._poked.set()

    def resume(self) -> None:
        """Ask again, at once."""
        if not self._resumed.is_set():
            self._failures = 0
            self._met_since = anyio.current_time()
            self._poked = anyio.Event()
            self._resumed.set()

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await self._resumed.wait()
            pauses = self._pauses
            answer = await self._ask()
            if pauses == self._pauses:
                await self._count(answer)
                await self._rest()

    async def _count(self, answer: Answer) -> None:
        if isinstance(answer, Up):
            self._failures = 0
            self.problem = None
            self._told = ""
            if not self.up:
                self.up = True
                await self._on_up()
            return
        self._failures += 1
        before, self.problem = self.problem, replace(answer.problem, at=self._clock.now())
        if before is None or before.message != self.problem.message:
            self._met_since = anyio.current_time()
        if self.up and self._failures >= self._pace.failures:
            self.up = False
            self._failures = 0
            await self._tell(self.problem)
        elif not self.up and self._lasts(self.problem):
            await self._tell(self.problem)

    def _lasts(self, problem: Problem) -> bool:
        """Whether it is always the same that is met, for some time, and was not told yet."""
        return problem.message != self._told and anyio.current_time() - self._met_since >= self._pace.patience_s

    async def _tell(self, problem: Problem) -> None:
        self._told = problem.message
        await self._on_down(problem)

    async def _rest(self) -> None:
        """Wait until it is time to ask again, or a poke makes it so, or asking is paused."""
        pace = self._pace
        if not self.up:
            # A poke starts the pace afresh: the service may just have begun to listen.
            pause = min(pace.first_s * 2 ** min(max(self._failures - 1, 0), 16), pace.last_s)
            if await self._sleep(pause):
                self._failures = 0
        elif self._failures:
            # In doubt the count of failures must span some time, however often we are poked.
            await self._clock.sleep(pace.doubt_s)
        else:
            await self._clock.sleep(pace.gap_s)
            await self._sleep(pace.steady_s - pace.gap_s)

    async def _sleep(self, seconds: float) -> bool:
        """Sleep unless poked, now or since the last time; whether poked."""
        poked = await sleep_unless(self._clock, seconds, self._poked)
        if poked:
            self._poked = anyio.Event()
        return poked
