"""The clocks."""

from __future__ import annotations

import time

import anyio
import pytest

from sessiond.runtime import clock as clock_module
from sessiond.runtime.clock import Clock, SystemClock, sleep_unless

from .conftest import EPOCH, VirtualClock

pytestmark = pytest.mark.anyio


class JumpingClock(SystemClock):
    """A system clock whose wall time is what the test says."""

    def __init__(self, *times: float) -> None:
        self.times = list(times)

    def now(self) -> float:
        """The next of the given times; the last one stays."""
        return self.times.pop(0) if len(self.times) > 1 else self.times[0]


async def test_virtual_day_takes_no_time(virtual: VirtualClock) -> None:
    """A day on the virtual clock passes at once."""
    began = time.monotonic()
    await virtual.sleep(86400)
    assert EPOCH + 86400 == virtual.now()
    await virtual.sleep_until(EPOCH + 2 * 86400)
    assert EPOCH + 2 * 86400 == virtual.now()
    assert time.monotonic() - began < 1


async def test_system_clock_sleeps_its_time() -> None:
    """The system clock tells UTC and sleeps no less than asked, or not at all."""
    system: Clock = SystemClock()
    assert abs(system.now() - time.time()) < 1
    began = time.clock_gettime(time.CLOCK_BOOTTIME)
    await system.sleep(0.05)
    assert time.clock_gettime(time.CLOCK_BOOTTIME) - began >= 0.05
    await system.sleep(-1)
    await system.sleep_until(0)


async def test_sleep_until_notices_a_jump(virtual: VirtualClock) -> None:
    """A wall clock set forward by hours is noticed within the longest nap, not hours later."""
    jumping = JumpingClock(0.0, 20000.0)
    began = virtual.now()
    await jumping.sleep_until(10000.0)
    assert clock_module.LONGEST_NAP_S == virtual.now() - began


async def test_sleep_until_survives_a_clock_set_back(virtual: VirtualClock) -> None:
    """A wall clock set back while sleeping makes the sleep longer, and it ends at the right time."""
    jumping = JumpingClock(100.0, 90.0, 100.5, 110.0)
    began = virtual.now()
    await jumping.sleep_until(110.0)
    assert pytest.approx(10.0 + 20.0 + 9.5) == virtual.now() - began


async def test_sleep_unless(virtual: VirtualClock) -> None:
    """A sleep ends by its time or by its event, and says which."""
    event = anyio.Event()
    assert await sleep_unless(virtual, 5, event) is False
    assert EPOCH + 5 == virtual.now()

    async def later() -> None:
        await virtual.sleep(7)
        event.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(later)
        assert await sleep_unless(virtual, 100, event) is True
    assert EPOCH + 12 == virtual.now()
    assert await sleep_unless(virtual, 100, event) is True
    assert EPOCH + 12 == virtual.now()
