"""The lanes when the daemon stops: what is let finish, what is withdrawn, and what stays in the journal."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from sessiond.core.errors import HostDown
from sessiond.core.events import StopRequested
from sessiond.core.session import State
from tests.runtime.conftest import Sleepy, VirtualClock
from tests.runtime.memory import Memory
from tests.runtime.scripted import world

pytestmark = pytest.mark.anyio


async def test_drain_lets_a_submission_finish_and_withdraws_the_rest(virtual: VirtualClock, tmp_path: Path) -> None:
    """Its answer is taken in; what was withdrawn stays open in the journal, and nothing new begins."""
    history = Memory()
    async with world(virtual, tmp_path, history=history) as here:
        sending = await here.begin(0, lambda known: here.cluster.script(known).wait.update(submit=8.0))
        staging = await here.begin(1, lambda known: here.cluster.script(known).wait.update(stage=8.0))
        await here.reaches(State.SUBMIT, [sending])
        await anyio.sleep(1)
        begun = virtual.now()
        await here.lanes.drain(20)
        assert 6 < virtual.now() - begun < 9
        await anyio.sleep(60)
        assert ["stage"] == here.cluster.cancelled
        assert State.RENDER is here.of(staging).state
        assert here.of(sending).job is not None
        assert ["Stage"] == list(history.open.values())
        assert 1 == here.cluster.ran["stage", staging]


async def test_drain_does_not_wait_for_ever(virtual: VirtualClock, tmp_path: Path) -> None:
    """A submission that hangs is left to the next daemon: started, and open."""
    history = Memory()
    async with world(virtual, tmp_path, history=history) as here:
        session = await here.begin(0, lambda known: here.cluster.script(known).wait.update(submit=1e6))
        await here.reaches(State.SUBMIT, [session])
        await anyio.sleep(1)
        begun = virtual.now()
        await here.lanes.drain(20)
        assert 19.9 < virtual.now() - begun < 20.1
        assert ["Submit"] == list(history.open.values())
        assert [] == here.cluster.cancelled


async def test_drain_of_idle_lanes_returns_at_once(virtual: VirtualClock, tmp_path: Path) -> None:
    """The usual case."""
    async with world(virtual, tmp_path) as here:
        session = await here.begin()
        await here.reaches(State.RUNNING, [session])
        begun = virtual.now()
        await here.lanes.drain(20)
        assert begun == virtual.now()


async def test_a_holiday_asleep_does_not_give_a_cleanup_up(virtual: VirtualClock, tmp_path: Path) -> None:
    """What was tried before it is tried after it."""
    clock = Sleepy()
    async with world(clock, tmp_path, history=Memory()) as here:
        session = await here.begin()
        failing = True

        def trouble(verb: str) -> None:
            if verb == "cleanup" and failing:
                raise HostDown("no route to host")

        here.cluster.script(session).trouble = trouble
        await here.reaches(State.RUNNING, [session])
        await here.engine.ask(session, StopRequested())
        await here.reaches(State.ENDED, [session])
        await anyio.sleep(600)
        before = here.cluster.ran["cleanup", session]
        clock.slept_s = 8 * 24 * 3600.0
        await anyio.sleep(1800)
        assert before > 3
        assert before + 3 < here.cluster.ran["cleanup", session]
        failing = False
        with anyio.fail_after(600):
            await here.lanes.settled(session)


async def test_a_cleanup_is_tried_until_it_succeeds(virtual: VirtualClock, tmp_path: Path) -> None:
    """Nothing answers it, so nobody else would try again; for a week, then it is given up."""
    history = Memory()

    def trouble(verb: str) -> None:
        if verb == "cleanup":
            raise RuntimeError("no")

    async with world(virtual, tmp_path, history=history) as here:
        session = await here.begin()
        here.cluster.script(session).trouble = trouble
        await here.reaches(State.RUNNING, [session])
        await here.engine.ask(session, StopRequested())
        await here.reaches(State.ENDED, [session])
        await anyio.sleep(24 * 3600)
        assert ["Cleanup"] == list(history.open.values())
        assert 200 < here.cluster.ran["cleanup", session] < 500
        await anyio.sleep(7 * 24 * 3600)
        assert {} == history.open
