"""Who is told what, how often, and what a bad command does: nothing to anything else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
import pytest
from structlog.testing import capture_logs

from sessiond.core.command import Command, Completed
from sessiond.core.errors import AnswerLost, StateFull
from sessiond.core.events import StopRequested
from sessiond.core.ids import ClusterName, SessionId, session_id
from sessiond.core.link import Link, LinkState
from sessiond.core.report import Snapshot
from sessiond.core.session import JobRef, Outcome, Phase, Problem, Session, State
from sessiond.runtime.bus import LinkChanged
from sessiond.runtime.herald import LOOK_EVERY_S, Herald
from sessiond.runtime.idle import IdlePolicy
from sessiond.store.store import Store
from tests.core.builders import JOB, a_session
from tests.runtime.conftest import VirtualClock
from tests.runtime.scripted import ScriptedCluster, World, world

pytestmark = pytest.mark.anyio

COMMAND = ("say", "{title}", "{text}")


@dataclass
class Here(ScriptedCluster):
    """This machine, where the command runs; ``does`` is called with each notice and may raise."""

    said: list[tuple[str, ...]] = field(default_factory=list)
    does: Callable[[], None] = lambda: None
    takes_s: float = 0.0
    rc: int = 0

    async def run(self, command: Command) -> Completed:
        assert 10.0 == command.timeout_s
        self.said.append(command.argv)
        self.does()
        await anyio.sleep(self.takes_s)
        return Completed(rc=self.rc, stdout=b"", stderr=b"cannot open\n display")

    @property
    def titles(self) -> list[str]:
        """The notices' titles so far."""
        return [argv[1] for argv in self.said]


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


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A state database."""
    with closing(Store.open(tmp_path / "state")) as made:
        yield made


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
        assert ["tiny-0: running", "tiny-1: running"] == one.here.titles
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
        assert ["tiny-2: running"] == other.here.titles


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
        (Here(does=lambda: _raise(AnswerLost("say did not finish within 10 s and was ended"))), "say did not finish"),
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


def _raise(error: Exception) -> None:
    raise error


async def test_a_slow_command_tells_only_what_still_holds(virtual: VirtualClock, tmp_path: Path, store: Store) -> None:
    """What was stopped meanwhile is not said to run."""
    async with daemon(virtual, tmp_path, store, here=Here(takes_s=9.0)) as one:
        await one.up()
        await anyio.sleep(2)
        (other,) = await one.up()
        await one.world.engine.ask(other, StopRequested())
        await anyio.sleep(60)
        assert ["tiny-0: running"] == one.here.titles


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


# Alone: what follows from time and from links.


@dataclass
class Alone:
    """A herald whose sessions and links are what a test says."""

    herald: Herald
    here: Here
    sessions: dict[SessionId, Session]

    def link(self, before: LinkState, state: LinkState, problem: Problem | None = None) -> None:
        """The link of frontier goes from one state to another."""
        link = Link(name=ClusterName("frontier"), state=state, since=0.0, problem=problem)
        self.herald.hear_link(LinkChanged(at=0.0, before=before, link=link))


@asynccontextmanager
async def alone(virtual: VirtualClock, store: Store, *sessions: Session) -> AsyncIterator[Alone]:
    """A herald at work."""
    one = {session.id: session for session in sessions}
    here = Here()
    herald = Herald(virtual, store, here, lambda: one)
    herald.follow(COMMAND)
    async with anyio.create_task_group() as group:
        group.start_soon(herald.run)
        yield Alone(herald, here, one)
        group.cancel_scope.cancel()


def with_walltime(virtual: VirtualClock, left_s: float, number: int = 1) -> Session:
    """A running session whose time is over in ``left_s``."""
    job = JobRef(id=JOB, cluster=ClusterName("frontier"), attempt=1, phase=Phase.RUNNING)
    job = replace(job, started=virtual.now() - 7200, ends_by=virtual.now() + left_s)
    return a_session(State.RUNNING, id=session_id(1e9, number), name=f"md{number}", job=job)


async def test_the_end_of_the_walltime_is_told_twice(virtual: VirtualClock, store: Store) -> None:
    """At fifteen minutes and at five; a restart in between repeats neither."""
    session = with_walltime(virtual, 3600.0)
    async with alone(virtual, store, session) as one:
        await anyio.sleep(3600 - 900 - 40)
        assert [] == one.here.said
        await anyio.sleep(2 * LOOK_EVERY_S + 20)
        assert 1 == len(one.here.said)
        await anyio.sleep(60)
    async with alone(virtual, store, session) as other:
        await anyio.sleep(900 - 300 - 120)
        assert [] == other.here.said
        await anyio.sleep(2 * LOOK_EVERY_S + 20)
        assert ["md1 ends at"] == [title.replace(":", "", 1)[:11] for title in other.here.titles]
        assert "ends in 4 min" in other.here.said[0][2]
        await anyio.sleep(600)
        assert 1 == len(other.here.said)


async def test_more_time_is_another_end(virtual: VirtualClock, store: Store) -> None:
    """An end that moves by a second with each look is the same one; one that was put off an hour is not."""
    session = with_walltime(virtual, 800.0)
    async with alone(virtual, store, session) as one:
        for _ in range(10):
            await anyio.sleep(40)
            job = one.sessions[session.id].job
            assert job is not None and job.ends_by is not None  # noqa: PT018
            one.sessions[session.id] = replace(session, job=replace(job, ends_by=job.ends_by + 1))
        assert 1 == len(one.here.said)
        assert session.job is not None
        one.sessions[session.id] = replace(session, job=replace(session.job, ends_by=virtual.now() + 3600))
        await anyio.sleep(2000)
        assert 1 == len(one.here.said)
        await anyio.sleep(800)
        assert 2 == len(one.here.said)


async def test_a_cluster_is_told_once_whatever_waits_for_it(virtual: VirtualClock, store: Store) -> None:
    """Ten sessions, one notice, whatever is tried; another after it has been up; a restart does not repeat it."""
    sessions = [with_walltime(virtual, 1e6, n) for n in range(10)]
    sessions = [replace(s, spec=replace(s.spec, cluster=ClusterName("frontier"))) for s in sessions]
    async with alone(virtual, store, *sessions) as one:
        one.link(LinkState.CONNECTING, LinkState.NEEDS_LOGIN)
        await anyio.sleep(60)
        ((_, title, text),) = one.here.said
        assert "frontier needs a login" == title
        assert "of its sessions md0, md1, md2, md3, md4, md5 and 4 more; sessionctl login frontier" == text
        one.link(LinkState.CONNECTING, LinkState.NEEDS_LOGIN)
        await anyio.sleep(60)
    async with alone(virtual, store, *sessions) as other:
        other.link(LinkState.CONNECTING, LinkState.NEEDS_LOGIN)
        await anyio.sleep(60)
        assert [] == other.here.said
        other.link(LinkState.CONNECTING, LinkState.UP)
    async with alone(virtual, store, *sessions) as last:
        last.link(LinkState.CONNECTING, LinkState.BLOCKED)
        await anyio.sleep(60)
        assert ["frontier needs you"] == last.here.titles


async def test_a_person_at_the_keyboard_is_not_told(virtual: VirtualClock, store: Store) -> None:
    """They log in, mistype, or logged out themselves."""
    async with alone(virtual, store) as one:
        one.link(LinkState.AUTHENTICATING, LinkState.NEEDS_LOGIN)
        for code in ("logged-out", "login-abandoned"):
            one.link(LinkState.UP, LinkState.NEEDS_LOGIN, Problem(code=code, message="you did"))
        await anyio.sleep(60)
        assert [] == one.here.said


async def test_a_full_disk_does_not_silence_it(
    virtual: VirtualClock, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told all the same, and not twice by this daemon."""
    async with alone(virtual, store, with_walltime(virtual, 200.0)) as one:
        monkeypatch.setattr(store, "set_fact", lambda *_: _raise(StateFull("the disk is full")))
        with capture_logs() as logs:
            await anyio.sleep(100)
        assert 1 == len(one.here.said)
        assert "what was told could not be written down" in [x["event"] for x in logs]


@pytest.mark.parametrize("text", ["", "nonsense", "[]", '{"upto": 1}', '{"upto": {}, "beyond": 3}'])
async def test_what_cannot_be_read_begins_anew(virtual: VirtualClock, store: Store, text: str) -> None:
    """With what comes."""
    store.set_fact("notify", text)
    async with alone(virtual, store) as one:
        await anyio.sleep(60)
        assert [] == one.here.said
