"""The standing probe, on a virtual clock."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import pytest

from sessiond.core.session import Problem
from sessiond.runtime.probe import Answer, Down, Up
from sessiond.runtime.prober import Prober

from .conftest import EPOCH, VirtualClock

pytestmark = pytest.mark.anyio

REFUSED = Down(Problem(code="not-sent", message="connection refused"))


class Service:
    """A service that answers by the clock, and the notes of its prober."""

    def __init__(self, clock: VirtualClock, answer: Callable[[float], Answer], takes_s: float = 0.0) -> None:
        self.clock = clock
        self.answer = answer
        self.takes_s = takes_s
        self.asked: list[float] = []
        self.said: list[tuple[float, str]] = []
        self.prober = Prober(self.ask, clock, self.on_up, self.on_down)

    def time(self) -> float:
        """Seconds since the test began."""
        return round(self.clock.now() - EPOCH, 3)

    async def ask(self) -> Answer:
        """Answer, after the time it takes."""
        self.asked.append(self.time())
        await self.clock.sleep(self.takes_s)
        return self.answer(self.time())

    async def on_up(self) -> None:
        """Note it."""
        self.said.append((self.time(), "up"))

    async def on_down(self, problem: Problem) -> None:
        """Note it."""
        self.said.append((self.time(), problem.message))

    @asynccontextmanager
    async def probed(self) -> AsyncIterator[Prober]:
        """The prober at work."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.prober.run)
            yield self.prober
            tasks.cancel_scope.cancel()


def up_between(begin: float, end: float) -> Callable[[float], Answer]:
    """A service that is up from ``begin`` to ``end``."""
    return lambda now: Up() if begin <= now < end else REFUSED


async def test_a_starting_service_is_asked_ever_more_rarely(virtual: VirtualClock) -> None:
    """Before the service is up the pauses grow from 0.2 s to 2 s, and up is said once."""
    service = Service(virtual, up_between(8, 1e9))
    async with service.probed() as prober:
        await virtual.sleep(7)
        assert [] == service.said
        assert Problem(code="not-sent", message="connection refused", at=EPOCH + 5) == prober.problem
        await virtual.sleep(100)
    assert [0, 0.2, 0.6, 1.4, 3.0, 5.0, 7.0, 9.0, 39.0, 69.0, 99.0] == service.asked
    assert [(9.0, "up")] == service.said
    assert prober.up
    assert prober.problem is None


async def test_what_keeps_a_starting_service_from_answering_is_told_when_it_lasts(virtual: VirtualClock) -> None:
    """The same reason for ten seconds is told once, another that lasts, too; one that always changes is not."""
    other = Down(Problem(code="not-sent", message="prohibited"))
    service = Service(virtual, lambda now: REFUSED if now < 40 else other)
    fickle = Service(virtual, lambda now: REFUSED if int(now / 2) % 2 else other)
    async with service.probed(), fickle.probed():
        await virtual.sleep(9)
        assert [] == service.said
        await virtual.sleep(300)
    assert [(11.0, "connection refused"), (51.0, "prohibited")] == service.said
    assert [] == fickle.said


async def test_a_day_in_a_second(virtual: VirtualClock) -> None:
    """A day of probing a service that is up is a question each 30 s, and one report."""
    service = Service(virtual, up_between(0, 1e9))
    began = time.process_time()
    async with service.probed():
        await virtual.sleep(86400 - 1)
    assert 86400 / 30 == len(service.asked)
    assert [(0, "up")] == service.said
    assert time.process_time() - began < 5


async def test_three_failures_are_down_two_are_not(virtual: VirtualClock) -> None:
    """A service that fails twice stays up; one that fails three times, 5 s apart, is down, once."""
    twice = Service(virtual, lambda now: REFUSED if 25 < now < 36 else Up())
    thrice = Service(virtual, lambda now: REFUSED if 25 < now < 41 else Up())
    async with twice.probed(), thrice.probed():
        await virtual.sleep(60)
    assert [0, 30, 35, 40] == twice.asked
    assert [(0, "up")] == twice.said
    assert [0, 30, 35, 40, 40.2, 40.4, 40.8, 41.6] == thrice.asked
    assert [(0, "up"), (40, "connection refused"), (41.6, "up")] == thrice.said


async def test_a_poke_asks_at_once(virtual: VirtualClock) -> None:
    """A poke ends the long pause; many pokes are one; in doubt the failures still span ten seconds."""
    service = Service(virtual, up_between(0, 10))
    async with service.probed() as prober:
        await virtual.sleep(10)
        for _ in range(5):
            prober.poke()
        await virtual.sleep(0.5)
        assert [0, 10] == service.asked
        for _ in range(15):
            prober.poke()
            await virtual.sleep(0.5)
        assert [0, 10, 15] == service.asked
        await virtual.sleep(2.1)
    assert [0, 10, 15, 20] == service.asked[:4]
    assert [(0, "up"), (20, "connection refused")] == service.said


async def test_pokes_do_not_make_a_storm(virtual: VirtualClock) -> None:
    """A service that answers is asked at most once a second, however often it is poked."""
    service = Service(virtual, up_between(0, 1e9))
    async with service.probed() as prober:
        for _ in range(38):
            prober.poke()
            await virtual.sleep(0.25)
    assert list(range(10)) == service.asked


async def test_a_poke_starts_the_pace_afresh(virtual: VirtualClock) -> None:
    """A service that is not up and whose endpoint has just appeared is asked at once and often again."""
    service = Service(virtual, up_between(1e9, 2e9))
    async with service.probed() as prober:
        await virtual.sleep(7.5)
        prober.poke()
        await virtual.sleep(1)
    assert [7.0, 7.5, 7.7, 8.1] == service.asked[-4:]


async def test_a_paused_service_is_not_asked(virtual: VirtualClock) -> None:
    """While paused nothing is asked or said; resuming asks at once, and failures begin at none."""
    service = Service(virtual, up_between(0, 100))
    async with service.probed() as prober:
        await virtual.sleep(107)
        assert [120 - 30] == service.asked[-1:]
        await virtual.sleep(15)
        assert [90, 120] == service.asked[-2:]
        prober.pause()
        prober.pause()
        prober.poke()
        await virtual.sleep(3600)
        assert [90, 120] == service.asked[-2:]
        assert [(0, "up")] == service.said
        prober.resume()
        prober.resume()
        await virtual.sleep(9)
        assert [120, 3722, 3727] == service.asked[-3:]
        assert [(0, "up")] == service.said
        await virtual.sleep(1.5)
    assert [(0, "up"), (3732, "connection refused")] == service.said


async def test_an_answer_from_before_the_pause_does_not_count(virtual: VirtualClock) -> None:
    """A question under way when the service is suspended is asked again after it."""
    service = Service(virtual, up_between(0, 1e9), takes_s=4)
    async with service.probed() as prober:
        await virtual.sleep(2)
        prober.pause()
        await virtual.sleep(10)
        assert [] == service.said
        prober.resume()
        await virtual.sleep(10)
    assert [0, 12] == service.asked
    assert [(16, "up")] == service.said
