"""Who is told what, how often, and what a bad command does: nothing to anything else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import pytest

from sessiond.core.command import Completed
from sessiond.core.errors import AnswerLost
from sessiond.core.events import StopRequested
from sessiond.core.ids import SessionId
from sessiond.core.report import Snapshot
from sessiond.core.session import Outcome, Phase, Problem, Session, State
from sessiond.runtime.herald import Herald
from sessiond.runtime.idle import IdlePolicy
from sessiond.store.store import Store
from tests.runtime.conftest import VirtualClock
from tests.runtime.herald_house import COMMAND, Here, refuse
from tests.runtime.scripted import ScriptedCluster, World, world

pytestmark = pytest.mark.anyio


@dataclass
class Daemon:
    """A world with a herald in it."""

    world: World
    herald: Herald
    here: Here

    async def up(self, count: int = 1) -> list[SessionId]:
        """So many sessions that run."""
        known = len(self.world.engine.sessions)
        found = [await self.world.begin(known + n) for n in range(count)]
        await self.world.reaches(State.RUNNING, found)
        return found

    async def fails(self, *sessions: SessionId) -> None:
        """Their jobs end badly, all at once."""
        for session in sessions:
            self.world.cluster.jobs[session].phase = Phase.ENDED
        await self.world.reaches(State.ENDED, sessions)


LEAK = Problem(code="x", message="no way in with s3cret")


class Failing(ScriptedCluster):
    """Its jobs end as failures."""

    def read_observe(
        self, sessions: Sequence[Session], done: Completed, asked_at: float, answered_at: float
    ) -> Snapshot:
        found = super().read_observe(sessions, done, asked_at, answered_at)
        ended = {
            key: replace(job, outcome=Outcome.FAILED, problem=LEAK) if job.phase is Phase.ENDED else job
            for key, job in found.jobs.items()
        }
        return replace(found, jobs=ended)


@asynccontextmanager
async def daemon(
    virtual: VirtualClock,
    folder: Path,
    store: Store,
    cluster: ScriptedCluster | None = None,
    command: tuple[str, ...] = COMMAND,
    here: Here | None = None,
) -> AsyncIterator[Daemon]:
    """A runtime with a herald on a state database, ended as by kill -9."""
    loaded = store.load()
    async with world(virtual, folder, cluster=cluster or Failing(), history=store) as made:
        machine = here or Here()
        herald = Herald(virtual, store, machine, lambda: made.engine.sessions)
        made.bus.listen(herald.hear)
        made.bus.listen_to_links(herald.hear_link)
        herald.follow(command)
        made.group.start_soon(herald.run)
        made.restore(loaded)
        yield Daemon(made, herald, machine)


async def test_a_life_is_told_in_two_notices(virtual: VirtualClock, tmp_path: Path, store: Store) -> None:
    """That it runs, and that it failed; not that it was restarted, nor what lies between."""
    async with daemon(virtual, tmp_path, store) as one:
        (session,) = await one.up()
        await anyio.sleep(300)
        assert [("say", "tiny-0: running", "tiny on local; sessionctl open tiny-0")] == one.here.said
        await one.fails(session)
        await anyio.sleep(300)
        assert ["tiny-0: running", "tiny-0: failed"] == one.here.titles


async def test_what_the_person_did_is_not_told(virtual: VirtualClock, tmp_path: Path, store: Store) -> None:
    """They stopped it."""
    async with daemon(virtual, tmp_path, store) as one:
        (session,) = await one.up()
        await anyio.sleep(60)
        await one.world.engine.ask(session, StopRequested())
        await one.world.reaches(State.ENDED, [session])
        await anyio.sleep(60)
        assert ["tiny-0: running"] == one.here.titles


async def test_forty_ends_are_one_notice(virtual: VirtualClock, tmp_path: Path, store: Store) -> None:
    """And what happens one after the other is told one after the other."""
    async with daemon(virtual, tmp_path, store) as one:
        sessions = await one.up(40)
        await anyio.sleep(60)
        before = len(one.here.said)
        await one.fails(*sessions)
        await anyio.sleep(60)
        (told,) = one.here.said[before:]
        assert "40 sessions ended" == told[1]


async def test_the_next_daemon_repeats_nothing_and_loses_nothing(
    virtual: VirtualClock, tmp_path: Path, store: Store
) -> None:
    """One dies after it told, and another before it could."""
    cluster = Failing()
    async with daemon(virtual, tmp_path, store, cluster) as one:
        first, second = await one.up(2)
        await anyio.sleep(60)
        assert ["tiny-0: running", "tiny-1: running"] == sorted(one.here.titles)
        await one.fails(first)
        await anyio.sleep(60)
        assert "tiny-0: failed" == one.here.titles[-1]
        await one.fails(second)  # and dies in the same second
    async with daemon(virtual, tmp_path, store, cluster) as other:
        await anyio.sleep(60)
        assert ["tiny-1: failed"] == other.here.titles
    async with daemon(virtual, tmp_path, store, cluster) as last:
        await anyio.sleep(600)
        assert [] == last.here.said


async def test_one_that_dies_while_it_tells_three_goes_on_with_the_third(
    virtual: VirtualClock, tmp_path: Path, store: Store
) -> None:
    """What was written down as told just before its command began is not told again."""
    cluster = Failing()
    async with daemon(virtual, tmp_path, store, cluster, here=Here(takes_s=5.0)) as one:
        await one.up(3)
        while len(one.here.said) < 2:  # noqa: ASYNC110
            await anyio.sleep(0.5)
    async with daemon(virtual, tmp_path, store, cluster) as other:
        await anyio.sleep(60)
        assert (2, 1) == (len(one.here.said), len(other.here.said))
        assert ["tiny-0: running", "tiny-1: running", "tiny-2: running"] == sorted(one.here.titles + other.here.titles)


async def test_what_happened_without_a_command_is_not_told_later(
    virtual: VirtualClock, tmp_path: Path, store: Store
) -> None:
    """Neither by a reload nor by a restart that brings one."""
    cluster = Failing()
    async with daemon(virtual, tmp_path, store, cluster) as one:
        await one.up()
        await anyio.sleep(60)
    async with daemon(virtual, tmp_path, store, cluster, command=()) as silent:
        (session,) = await silent.up()
        await silent.fails(session)
        await anyio.sleep(60)
        silent.herald.follow(COMMAND)
        await anyio.sleep(60)
        silent.herald.follow(())
        (session,) = await silent.up()
        await anyio.sleep(60)
        assert [] == silent.here.said
    async with daemon(virtual, tmp_path, store, cluster) as other:
        await anyio.sleep(60)
        assert [] == other.here.said


@pytest.mark.parametrize(
    ("here", "problem"),
    [
        (Here(rc=1), "notify.command: say ended with status 1: cannot open display"),
        (Here(does=lambda: refuse(AnswerLost("say did not finish within 10 s and was ended"))), "say did not finish"),
    ],
    ids=["status", "deadline"],
)
async def test_a_command_that_fails_harms_nobody(
    virtual: VirtualClock, tmp_path: Path, store: Store, here: Here, problem: str
) -> None:
    """It is said in the log and in `status`, until it works; nothing is told twice for it."""
    async with daemon(virtual, tmp_path, store, here=here) as one:
        await one.up()
        await anyio.sleep(60)
        assert problem in str(one.herald.problem)
        assert ["a notification could not be given"] == [x["event"] for x in one.world.logs if "why" in x]
        here.rc, here.does = 0, lambda: None
        await one.up()
        await anyio.sleep(60)
        assert (None, ["tiny-0: running", "tiny-1: running"]) == (one.herald.problem, here.titles)


async def test_a_slow_command_tells_only_what_still_holds(virtual: VirtualClock, tmp_path: Path, store: Store) -> None:
    """What was stopped meanwhile is not said to run."""
    async with daemon(virtual, tmp_path, store, here=Here(takes_s=9.0)) as one:
        await one.up()
        await anyio.sleep(2)
        (other,) = await one.up()
        await one.world.engine.ask(other, StopRequested())
        await anyio.sleep(60)
        assert ["tiny-0: running"] == one.here.titles


async def test_another_command_goes_on_where_the_one_before_was(
    virtual: VirtualClock, tmp_path: Path, store: Store
) -> None:
    """What it was about to tell is told by the other, once."""
    async with daemon(virtual, tmp_path, store) as one:
        await one.up()
        one.herald.follow(("shout", "{title}"))
        await anyio.sleep(60)
        assert [("shout", "tiny-0: running")] == one.here.said


async def test_a_secret_is_not_on_the_command_line(virtual: VirtualClock, tmp_path: Path, store: Store) -> None:
    """Whatever a service says when it fails."""
    async with daemon(virtual, tmp_path, store) as one:
        (session,) = await one.up()
        await one.fails(session)
        await anyio.sleep(60)
        assert "tiny on local; no way in with ***; sessionctl why tiny-0 tells the story" == one.here.said[-1][2]


async def test_idleness_is_announced(virtual: VirtualClock, tmp_path: Path, store: Store) -> None:
    """With the time at which it ends; and then its end."""
    async with daemon(virtual, tmp_path, store) as one:
        one.world.engine.idleness.policy = IdlePolicy(after_s=3600.0, warn_s=900.0)
        await one.up()
        await anyio.sleep(3600 - 600)
        assert [True, True] == [title.startswith(("tiny-0: running", "tiny-0: ends at ")) for title in one.here.titles]
        assert one.here.titles[-1].endswith(" unless it is used")
        await anyio.sleep(900)
        assert "tiny-0: ended: idle" == one.here.titles[-1]
        assert 3 == len(one.here.said)
