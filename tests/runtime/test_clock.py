"""The clocks."""

from __future__ import annotations

import time

import anyio
import pytest

from sessiond.runtime.clock import Clock, SystemClock, sleep_unless

from .conftest import EPOCH, VirtualClock

pytestmark = pytest.mark.anyio


async def test_virtual_day_takes_no_time(virtual: VirtualClock) -> None:
    """A day on the virtual clock passes at once."""
    began = time.monotonic()
    await virtual.sleep(86400)
    assert EPOCH + 86400 == virtual.now()
    assert time.monotonic() - began < 60  # of which a busy machine may take some for other things


async def test_system_clock_sleeps_its_time() -> None:
    """The system clock tells UTC and sleeps no less than asked, or not at all."""
    system: Clock = SystemClock()
    before, now, after = time.time(), system.now(), time.time()
    assert before <= now <= after
    began = time.clock_gettime(time.CLOCK_BOOTTIME)
    await system.sleep(0.05)
    assert time.clock_gettime(time.CLOCK_BOOTTIME) - began >= 0.05
    await system.sleep(-1)


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
