"""What is told that follows from time and from links, which have no history."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import anyio
import pytest
from structlog.testing import capture_logs

from sessiond.core.errors import StateFull
from sessiond.core.events import JobRunning
from sessiond.core.ids import ClusterName, SessionId, session_id
from sessiond.core.link import Link, LinkState
from sessiond.core.machine import Record
from sessiond.core.session import JobRef, Phase, Problem, Session, State
from sessiond.runtime.bus import LinkChanged, Published
from sessiond.runtime.herald import LOOK_EVERY_S, Herald
from sessiond.store.store import Store
from tests.core.builders import JOB, a_session
from tests.runtime.conftest import VirtualClock
from tests.runtime.herald_house import COMMAND, Here, refuse

pytestmark = pytest.mark.anyio


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


async def test_a_walltime_that_is_cut_is_told_at_once(virtual: VirtualClock, store: Store) -> None:
    """By the site, though it never had an hour before: with the transition that brings it, and each end once."""
    session = with_walltime(virtual, 3600.0)
    assert session.job is not None
    async with alone(virtual, store, session) as one:
        for left_s, told in ((700.0, 1), (690.0, 1), (200.0, 2), (199.0, 2)):
            job = replace(session.job, started=virtual.now() - 10, ends_by=virtual.now() + left_s, allowed_s=3610.0)
            one.sessions[session.id] = cut = replace(session, job=job)
            record = Record(
                session=session.id,
                version=2,
                at=virtual.now(),
                event=JobRunning(started=job.started, ends_by=job.ends_by),
                before=State.RUNNING,
                after=State.RUNNING,
            )
            one.herald.hear(Published(seq=1, record=record, session=cut))
            await anyio.sleep(2)
            assert told == len(one.here.said)
    assert ["tiny on local ends in 11 min", "tiny on local ends in 3 min"] == [
        argv[2].split(";")[0] for argv in one.here.said
    ]


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


@pytest.mark.parametrize("state", [LinkState.UP, LinkState.AUTHENTICATING, LinkState.CONNECTING])
async def test_a_login_that_is_quicker_than_the_notice(virtual: VirtualClock, store: Store, state: LinkState) -> None:
    """What no longer holds when its turn comes is not told, and the next time it is."""
    async with alone(virtual, store) as one:
        one.link(LinkState.CONNECTING, LinkState.NEEDS_LOGIN)
        await anyio.sleep(0.5)
        one.link(LinkState.NEEDS_LOGIN, state)
        await anyio.sleep(60)
        assert [] == one.here.said
        one.link(LinkState.CONNECTING, LinkState.NEEDS_LOGIN)
        await anyio.sleep(60)
        assert ["frontier needs a login"] == one.here.titles


async def test_a_full_disk_does_not_silence_it(
    virtual: VirtualClock, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told all the same, and not twice by this daemon."""
    async with alone(virtual, store, with_walltime(virtual, 200.0)) as one:
        monkeypatch.setattr(store, "set_fact", lambda *_: refuse(StateFull("the disk is full")))
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
