"""One look a cluster a tick, politely, and only while somebody wants it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import anyio
import pytest

from sessiond.core.errors import AnswerLost, HostDown, Unreadable
from sessiond.core.pace import PollPolicy
from sessiond.core.session import Phase, State
from sessiond.runtime.poller import Poller
from tests.runtime.conftest import Sleepy, VirtualClock
from tests.runtime.connector import ScriptedConnector
from tests.runtime.memory import Memory
from tests.runtime.scripted import LOCAL, ScriptedCluster, world

pytestmark = pytest.mark.anyio

DAY = 24 * 3600.0


async def test_a_day_of_steady_sessions(virtual: VirtualClock, tmp_path: Path) -> None:
    """Three sessions cost one look a minute, no transition, and no log line."""
    history = Memory()
    async with world(virtual, tmp_path, history=history, policy=PollPolicy()) as here:
        sessions = [await here.begin(number) for number in range(3)]
        await here.reaches(State.RUNNING, sessions)
        await anyio.sleep(600)
        looks, steps = len(here.cluster.looks), len(history.steps)
        await anyio.sleep(DAY)
        assert 1300 < len(here.cluster.looks) - looks < 1620
        assert (steps, []) == (len(history.steps), here.logs)


async def test_a_job_that_is_ending_or_is_not_listed_is_looked_after(virtual: VirtualClock, tmp_path: Path) -> None:
    """Four looks a minute while a job is COMPLETING or missing, for a session that runs and needs one a minute."""
    async with world(virtual, tmp_path, policy=PollPolicy()) as here:
        session = await here.begin()
        await here.reaches(State.RUNNING, [session])
        here.cluster.jobs[session].phase = Phase.COMPLETING
        await anyio.sleep(600)
        before = len(here.cluster.looks)
        await anyio.sleep(600)
        assert 38 <= len(here.cluster.looks) - before <= 46
        assert State.RUNNING is here.of(session).state
        here.cluster.jobs[session].phase = Phase.ENDED
        await anyio.sleep(17)
        assert State.ENDED is here.of(session).state


async def test_never_under_the_floor(virtual: VirtualClock, tmp_path: Path) -> None:
    """However often it is poked, and however slow the answers are."""
    async with world(virtual, tmp_path, policy=PollPolicy(floor_s=7.0)) as here:
        here.cluster.look_takes_s = 2.0
        session = await here.begin()
        await here.reaches(State.RUNNING, [session])
        before = len(here.cluster.looks)
        for _ in range(1000):
            here.local.poller.poke()
            await anyio.sleep(0.1)
        assert min(b - a for a, b in pairwise(here.cluster.looks)) >= 8.99
        assert 8 <= len(here.cluster.looks) - before <= 12


async def test_pokes_become_one_look(virtual: VirtualClock, tmp_path: Path) -> None:
    """Soon, not at once a second time."""
    async with world(virtual, tmp_path, policy=PollPolicy()) as here:
        session = await here.begin()
        await here.reaches(State.RUNNING, [session])
        await anyio.sleep(600)
        here.local.poller.poke()
        await anyio.sleep(0.1)
        before = len(here.cluster.looks)
        for _ in range(50):
            here.local.poller.poke()
        await anyio.sleep(10)
        assert 1 >= len(here.cluster.looks) - before


async def test_nobody_interested_no_looks(virtual: VirtualClock, tmp_path: Path) -> None:
    """Before the first session, while it is being prepared, after the last."""
    async with world(virtual, tmp_path) as here:
        await anyio.sleep(DAY)
        session = await here.begin(0, lambda known: here.cluster.script(known).wait.update(stage=100.0))
        await anyio.sleep(50)
        assert [] == here.cluster.looks
        await here.reaches(State.RUNNING, [session])
        here.cluster.jobs[session].phase = Phase.ENDED
        await here.reaches(State.ENDED, [session])
        before = len(here.cluster.looks)
        await anyio.sleep(DAY)
        assert before == len(here.cluster.looks)


@pytest.mark.parametrize("error", [AnswerLost("gone"), Unreadable("half a list")], ids=lambda e: type(e).__name__)
async def test_failing_looks_change_nothing_and_are_told_twice(
    virtual: VirtualClock, tmp_path: Path, error: Exception
) -> None:
    """When they begin to fail and when they work again; in between, an hour of silence ends no session."""
    history = Memory()

    def trouble() -> None:
        raise error

    async with world(virtual, tmp_path, history=history, policy=PollPolicy()) as here:
        sessions = [await here.begin(number) for number in range(3)]
        await here.reaches(State.RUNNING, sessions)
        steps, seen = len(history.steps), here.local.poller.observed_at
        here.cluster.look_trouble = trouble
        await anyio.sleep(3600)
        assert (steps, seen) == (len(history.steps), here.local.poller.observed_at)
        here.cluster.look_trouble = None
        await anyio.sleep(300)
        expected = ["cannot see the jobs of a cluster", "the jobs of a cluster can be seen again"]
        assert expected == [line["event"] for line in here.logs]
        assert {State.RUNNING} == {here.of(session).state for session in sessions}


async def test_a_slow_cluster_is_asked_less(virtual: VirtualClock, tmp_path: Path) -> None:
    """A look that takes a minute is taken every ten."""
    async with world(virtual, tmp_path, policy=PollPolicy()) as here:
        session = await here.begin()
        await here.reaches(State.RUNNING, [session])
        here.cluster.look_takes_s = 60.0
        await anyio.sleep(3600)
        before = len(here.cluster.looks)
        await anyio.sleep(6600)
        assert 9 <= len(here.cluster.looks) - before <= 12


async def test_a_look_that_the_machine_slept_through_was_not_slow(virtual: VirtualClock, tmp_path: Path) -> None:
    """Eight hours passed while it was under way: the next is taken as after any other."""
    clock = Sleepy()
    async with world(clock, tmp_path, policy=PollPolicy()) as here:
        session = await here.begin()
        await here.reaches(State.RUNNING, [session])
        await anyio.sleep(600)

        def sleeps() -> None:
            clock.slept_s = 8 * 3600.0

        here.cluster.look_trouble = sleeps
        await anyio.sleep(120)
        here.cluster.look_trouble = None
        assert clock.slept_s
        here.cluster.jobs[session].phase = Phase.ENDED
        await here.reaches(State.ENDED, [session], 120)


async def test_nobody_looks_without_a_link(virtual: VirtualClock, tmp_path: Path) -> None:
    """No look and no word while it is down; one at once when it is back; and no session changed for it."""
    connector, history = ScriptedConnector(), Memory()
    async with world(virtual, tmp_path, history=history, policy=PollPolicy(floor_s=15.0), connector=connector) as here:
        connector.behind = here.cluster
        session = await here.begin()
        await here.reaches(State.RUNNING, [session])
        await anyio.sleep(600)
        connector.trouble = HostDown("no route to host")
        connector.made[-1].die()
        await anyio.sleep(1)
        looks = len(here.cluster.looks)
        await anyio.sleep(DAY)
        assert looks == len(here.cluster.looks)
        assert ["a cluster cannot be reached"] == [line["event"] for line in here.logs]
        connector.trouble = None
        here.keeper.network_changed()  # type: ignore[union-attr]  # there is one
        await anyio.sleep(1)
        assert looks + 1 == len(here.cluster.looks)


async def test_a_look_lost_with_a_connection_says_nothing_of_the_next(virtual: VirtualClock, tmp_path: Path) -> None:
    """Why jobs could not be seen is told while that connection lasts, not over another that has not looked yet."""
    connector = ScriptedConnector()

    def trouble() -> None:
        raise AnswerLost("gone")

    async with world(virtual, tmp_path, policy=PollPolicy(floor_s=15.0), connector=connector) as here:
        connector.behind = here.cluster
        session = await here.begin()
        await here.reaches(State.RUNNING, [session])
        here.cluster.look_trouble = trouble
        await anyio.sleep(120)
        found = here.local.trouble()
        assert found is not None
        assert ("gone", found) == (found.message, here.local.trouble(here.of(session)))
        here.cluster.look_trouble, here.cluster.look_takes_s = None, 30.0
        connector.made[-1].die()
        await anyio.sleep(10)
        assert here.local.reachable
        assert (None, None) == (here.local.trouble(), here.local.trouble(here.of(session)))


async def test_a_first_failure_is_followed_soon(virtual: VirtualClock, tmp_path: Path) -> None:
    """Once, at the floor; then at the usual pace."""

    def trouble() -> None:
        raise AnswerLost("gone")

    async with world(virtual, tmp_path, policy=PollPolicy(floor_s=15.0)) as here:
        session = await here.begin()
        await here.reaches(State.RUNNING, [session])
        await anyio.sleep(600)
        here.cluster.look_trouble = trouble
        before = len(here.cluster.looks)
        await anyio.sleep(300)
        gaps = [b - a for a, b in pairwise(here.cluster.looks[before:])]
        assert 15.0 == pytest.approx(gaps[0])
        assert all(50 < gap < 70 for gap in gaps[1:])


async def test_a_failing_poller_keeps_to_the_floor(virtual: VirtualClock, tmp_path: Path) -> None:
    """A defect that ends it, and the supervisor that starts it again, ask no faster."""

    def trouble() -> None:
        raise ZeroDivisionError

    broken = ScriptedCluster()
    broken.look_trouble = trouble
    async with world(virtual, tmp_path) as here:
        session = await here.begin()
        await here.reaches(State.RUNNING, [session])
        policy = PollPolicy(floor_s=15.0)
        poller = Poller(LOCAL, broken, broken, policy, virtual, here.engine.live, here.engine.tell)
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                await poller.run()
    assert 15.0 == pytest.approx(broken.looks[1] - broken.looks[0])


async def test_a_service_that_does_not_answer_is_looked_after(virtual: VirtualClock, tmp_path: Path) -> None:
    """Its job may be over: four looks a minute at first, not one; fewer when it goes on so, and never none."""
    async with world(virtual, tmp_path, policy=PollPolicy()) as here:
        session = await here.begin()
        await here.reaches(State.RUNNING, [session])
        await anyio.sleep(600)
        here.cluster.script(session).listens = False
        await here.reaches(State.TUNNEL, [session], 400)
        await anyio.sleep(60)
        before = len(here.cluster.looks)
        await anyio.sleep(480)
        early = len(here.cluster.looks) - before
        assert 28 <= early <= 36
        await anyio.sleep(600)
        before = len(here.cluster.looks)
        await anyio.sleep(3600)
        assert 72 <= len(here.cluster.looks) - before <= 90
