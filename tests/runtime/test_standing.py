"""Standing work follows from the state: doors, probes, pokes; and it ends with its session."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from sessiond.core.errors import HostDown, NotSent
from sessiond.core.events import StopRequested
from sessiond.core.session import Phase, State
from sessiond.runtime.listener import bind
from tests.ports import neighbours
from tests.runtime.conftest import VirtualClock
from tests.runtime.connector import ScriptedConnector
from tests.runtime.scripted import ScriptedCluster, a_session, world

pytestmark = pytest.mark.anyio


async def test_a_service_that_goes_and_comes_back(virtual: VirtualClock, tmp_path: Path) -> None:
    """TUNNEL while it does not answer, for a day if need be; the session never ends for it."""
    async with world(virtual, tmp_path) as here:
        session = await here.begin()
        await here.reaches(State.RUNNING, [session])
        here.cluster.script(session).listens = False
        await here.reaches(State.TUNNEL, [session], 60)
        problem = here.of(session).problem
        assert problem is not None
        assert "connection refused" == problem.message
        await anyio.sleep(3600)
        assert State.TUNNEL is here.of(session).state
        here.cluster.script(session).listens = True
        await here.reaches(State.RUNNING, [session], 60)
        assert None is here.of(session).problem


async def test_a_suspended_job_is_not_probed(virtual: VirtualClock, tmp_path: Path) -> None:
    """Its silence means nothing."""
    async with world(virtual, tmp_path) as here:
        session = await here.begin()
        await here.reaches(State.RUNNING, [session])
        here.cluster.jobs[session].phase = Phase.SUSPENDED
        await anyio.sleep(10)
        here.cluster.script(session).listens = False
        await anyio.sleep(3600)
        assert State.RUNNING is here.of(session).state
        here.cluster.script(session).listens = True
        here.cluster.jobs[session].phase = Phase.RUNNING
        await anyio.sleep(120)
        assert State.RUNNING is here.of(session).state


async def test_while_the_link_is_down_nobody_is_asked(virtual: VirtualClock, tmp_path: Path) -> None:
    """No answer would say nothing: the session stays as it was for a day, and is asked when the link is back."""
    cluster = ScriptedCluster()
    connector = ScriptedConnector(behind=cluster)
    async with world(virtual, tmp_path, cluster=cluster, connector=connector) as here:
        session = await here.begin()
        await here.reaches(State.RUNNING, [session])
        transitions = len(here.heard)
        asked = here.cluster.dials
        connector.trouble = HostDown("no answer")
        connector.made[-1].die()
        await anyio.sleep(24 * 3600)
        assert (State.RUNNING, transitions) == (here.of(session).state, len(here.heard))
        assert asked == here.cluster.dials
        here.cluster.script(session).listens = False
        connector.trouble = None
        await here.reaches(State.TUNNEL, [session], 400)
        here.cluster.script(session).listens = True
        await here.reaches(State.RUNNING, [session], 60)


async def test_a_requeue_keeps_the_door_and_finds_the_new_endpoint(virtual: VirtualClock, tmp_path: Path) -> None:
    """Same port in the workspace, another run over there."""
    async with world(virtual, tmp_path) as here:
        session = await here.begin()
        await here.reaches(State.RUNNING, [session])
        port, first = here.of(session).open_port, here.of(session).endpoint
        here.cluster.jobs[session].phase = Phase.QUEUED
        here.cluster.jobs[session].restarts = 1
        await here.reaches(State.WAIT_FOR_NODE, [session], 60)
        with pytest.raises(NotSent):
            await bind(port)
        here.cluster.jobs[session].phase = Phase.RUNNING
        await here.reaches(State.RUNNING, [session], 60)
        assert first != here.of(session).endpoint
        assert port == here.of(session).open_port


async def test_a_port_that_somebody_has_is_waited_for(virtual: VirtualClock, tmp_path: Path) -> None:
    """After a restart, say: it is told once, the session is not called running, and it is as soon as it has it."""
    squatter = await bind(neighbours(1).start)
    try:
        async with world(virtual, tmp_path) as here:
            session = (await here.engine.create(a_session(virtual.now(), 1, squatter.port))).id
            await here.reaches(State.TUNNEL, [session])
            await anyio.sleep(60)
            assert State.TUNNEL is here.of(session).state
            squatter.close()
            await here.reaches(State.RUNNING, [session], 60)
            with pytest.raises(NotSent):
                await bind(squatter.port)
            assert ["a session's port is not free"] == [line["event"] for line in here.logs]
    finally:
        squatter.close()


async def test_a_door_that_was_never_needed_is_taken_back(virtual: VirtualClock, tmp_path: Path) -> None:
    """A session that was refused leaves its port free."""
    async with world(virtual, tmp_path) as here:
        listener = await bind(neighbours(1).start)
        here.standing.hand_over(listener)
        here.standing.take_back(listener)
        here.standing.take_back(listener)
        (await bind(listener.port)).close()


async def test_a_stop_while_the_door_is_waited_for_ends_the_waiting(virtual: VirtualClock, tmp_path: Path) -> None:
    """Nobody goes on trying for a session that is over."""
    async with world(virtual, tmp_path) as here:
        squatter = await bind(neighbours(1).start)
        session = (await here.engine.create(a_session(virtual.now(), 1, squatter.port))).id
        await here.engine.ask(session, StopRequested())
        await here.reaches(State.ENDED, [session])
        await here.standing.closed(session)
        squatter.close()
        await anyio.sleep(60)
        (await bind(squatter.port)).close()
