"""When something is due: deadlines in observed time, retries by the clock."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from sessiond.core.errors import AnswerLost, HostDown
from sessiond.core.session import Outcome, State
from sessiond.runtime.timers import LONGEST_STEP_S, Deadlines
from tests.core.builders import NOW, a_session
from tests.runtime.conftest import Sleepy, VirtualClock
from tests.runtime.connector import ScriptedConnector
from tests.runtime.scripted import world

pytestmark = pytest.mark.anyio


def test_a_deadline_comes_after_its_time_in_the_state() -> None:
    """Counted from the first time it is looked at, and again from there."""
    deadlines, session = Deadlines(), a_session(State.RENDER)
    found = [deadlines.advance([session], 300.0) for _ in range(8)]
    assert [[], [], [], [session.id], [], [], [session.id], []] == found


def test_another_state_begins_anew() -> None:
    """The same one entered again, too; a session that is gone is forgotten."""
    deadlines, session = Deadlines(), a_session(State.RENDER)
    again = replace(session, since=NOW + 1)
    assert [] == deadlines.advance([session], 0) + deadlines.advance([session], 899)
    assert [] == deadlines.advance([again], 800) + deadlines.advance([again], 800)
    assert 100.0 == deadlines.next_s([again])
    assert [] == deadlines.advance([], 1) + deadlines.advance([again], 800)
    assert 900.0 == deadlines.next_s([again])


def test_what_has_no_deadline_is_never_due() -> None:
    """A job that works is the user's."""
    deadlines, session = Deadlines(), a_session(State.RUNNING)
    assert [] == [due for _ in range(10) for due in deadlines.advance([session], 1e9)]
    assert float("inf") == deadlines.next_s([session])


async def test_a_deadline_ends_what_hangs(virtual: VirtualClock, tmp_path: Path) -> None:
    """A preparation that never comes back fails after a quarter of an hour."""
    async with world(virtual, tmp_path) as here:
        session = await here.begin(0, lambda known: here.cluster.script(known).wait.update(stage=1e9))
        begun = virtual.now()
        await here.reaches(State.ENDED, [session])
        assert 900 <= virtual.now() - begun < 905
        assert Outcome.FAILED is here.of(session).outcome


async def test_eight_hours_of_sleep_are_not_eight_hours_of_waiting(virtual: VirtualClock, tmp_path: Path) -> None:
    """A suspended laptop counts for a minute at most."""
    clock = Sleepy()
    async with world(clock, tmp_path) as here:
        session = await here.begin(0, lambda known: here.cluster.script(known).wait.update(stage=1e9))
        await anyio.sleep(600)
        clock.slept_s = 8 * 3600.0
        await anyio.sleep(900 - 600 - LONGEST_STEP_S - 35)
        assert State.RENDER is here.of(session).state
        await anyio.sleep(LONGEST_STEP_S + 40)
        assert State.ENDED is here.of(session).state


async def test_a_retry_is_not_put_off_by_a_clock_that_was_set_back(virtual: VirtualClock, tmp_path: Path) -> None:
    """An hour ahead when it was armed: no back-off is that long."""
    clock = Sleepy()
    clock.slept_s = 3600.0
    async with world(clock, tmp_path) as here:

        def trouble(_verb: str) -> None:
            raise AnswerLost("not now")

        session = await here.begin(0, lambda known: setattr(here.cluster.script(known), "trouble", trouble))
        await anyio.sleep(10)
        assert here.of(session).retries > 1
        here.cluster.script(session).trouble = None
        clock.slept_s = 0.0
        await here.reaches(State.RUNNING, [session], 40)


async def test_retries_come_when_they_are_due(virtual: VirtualClock, tmp_path: Path) -> None:
    """Doubling pauses; a minute and a half sees about seven tries, and one success ends it."""
    async with world(virtual, tmp_path) as here:

        def trouble(_verb: str) -> None:
            raise AnswerLost("not now")

        session = await here.begin(0, lambda known: setattr(here.cluster.script(known), "trouble", trouble))
        await anyio.sleep(90)
        assert 6 <= here.cluster.ran["stage", session] <= 8
        here.cluster.script(session).trouble = None
        await here.reaches(State.RUNNING, [session], 80)
        assert (None, None) == (here.of(session).retry_at, here.of(session).problem)


def test_what_cannot_be_observed_does_not_wait() -> None:
    """Nothing counts, and nothing comes nearer, while the session's cluster is out of sight."""
    seen = True
    deadlines, session = Deadlines(lambda _session: seen), a_session(State.RENDER)
    assert [] == deadlines.advance([session], 0) + deadlines.advance([session], 800)
    seen = False
    assert [] == [due for _ in range(100) for due in deadlines.advance([session], 60)]
    assert float("inf") == deadlines.next_s([session])
    seen = True
    assert 100.0 == deadlines.next_s([session])
    assert [session.id] == deadlines.advance([session], 100)


async def test_a_day_without_a_link_ends_no_session(virtual: VirtualClock, tmp_path: Path) -> None:
    """A session that is being prepared waits, is tried as soon as the way is found, and comes up."""
    connector = ScriptedConnector(trouble=HostDown("no route to host"))
    async with world(virtual, tmp_path, connector=connector) as here:
        connector.behind = here.cluster
        session = await here.begin()
        await anyio.sleep(24 * 3600.0)
        assert State.RENDER is here.of(session).state
        connector.trouble = None
        here.keeper.network_changed()  # type: ignore[union-attr]  # there is one
        await here.reaches(State.RUNNING, [session], 5)
        assert ["a cluster cannot be reached", "a cluster can be reached again"] == [x["event"] for x in here.logs]
