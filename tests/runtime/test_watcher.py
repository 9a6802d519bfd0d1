"""One command waits on a cluster for all sessions that await their services, and nobody is forgotten in it."""

from __future__ import annotations

import anyio
import pytest

from sessiond.core.command import Command, Completed
from sessiond.core.ids import ClusterName, JobId, SessionId, session_id
from sessiond.core.session import JobRef, Phase, Session, State
from sessiond.core.spec import LaunchSpec, Mode, ServiceSpec
from sessiond.remote.transport import Transport
from sessiond.runtime.letters import Letter, Observed
from sessiond.runtime.watcher import FRESH_S, LONG_S, SHORT_S, Watcher
from tests.runtime.conftest import EPOCH, VirtualClock

pytestmark = pytest.mark.anyio

CLUSTER = ClusterName("frontier")


class Login:
    """A login node where `watch.sh` ends with news of ``published``, or without when its time is over."""

    def __init__(self) -> None:
        self.published: set[SessionId] = set()
        self.watched: list[tuple[float, list[SessionId]]] = []
        """When each wait began, in seconds of the clock, and for whom."""

    async def run(self, command: Command) -> Completed:
        """Wait as the script does, twice a second."""
        lines = [line for line in command.stdin.decode().splitlines() if "\x1f" in line and "/sessiond/" in line]
        asked = [SessionId(line.split("\x1f")[0].rpartition("/")[2]) for line in lines]
        self.watched.append((anyio.current_time(), asked))
        until = anyio.current_time() + float(command.argv[-1])
        while not (news := [n for n, session in enumerate(asked) if session in self.published]):
            if anyio.current_time() >= until:
                break
            await anyio.sleep(0.5)
        said = "".join(f"\x1e{n}\x1frun={4711}.0\x1fhost=n1\x1fport=8888\x1fscheme=http" for n in news)
        return Completed(rc=0, stdout=f"\x1esessiond{said}\x1eend\n".encode(), stderr=b"")


def waiting(number: int, since: float) -> Session:
    """A session whose job has waited since then."""
    identity = session_id(EPOCH, number)
    spec = LaunchSpec(
        service=ServiceSpec(name="tiny", title="", files=()),
        workflow="tiny",
        cluster=CLUSTER,
        mode=Mode.SLURM,
        user="alice",
        jobdir=f"/work/sessiond/{identity}",
        params={},
        secrets={},
    )
    return Session(
        id=identity,
        name=f"s{number}",
        number=number,
        spec=spec,
        open_port=50000 + number,
        created=since,
        state=State.WAIT_FOR_NODE,
        since=since,
        job=JobRef(id=JobId("4711"), cluster=CLUSTER, attempt=1, phase=Phase.QUEUED),
    )


class Watched:
    """A watcher at work, what it waits for and what it tells."""

    def __init__(self, clock: VirtualClock) -> None:
        self.login = Login()
        self.awaited: list[Session] = []
        self.told: list[tuple[float, frozenset[SessionId]]] = []
        transport: Transport = self.login  # type: ignore[assignment] # of a transport it only runs commands
        self.watcher = Watcher(CLUSTER, transport, clock, lambda: self.awaited, lambda: True, self._tell)

    async def _tell(self, letter: Letter) -> None:
        assert isinstance(letter, Observed)
        self.told.append((anyio.current_time(), letter.asked))
        self.awaited = [session for session in self.awaited if session.id not in letter.asked]

    def begin(self, session: Session) -> None:
        """A session comes to be awaited."""
        self.awaited = [*self.awaited, session]
        self.watcher.poke()


async def test_a_session_begun_beside_one_that_waits_for_long(virtual: VirtualClock) -> None:
    """It is found as soon as it listens, although a longer wait that does not know it has just begun."""
    here = Watched(virtual)
    old = waiting(1, EPOCH - FRESH_S - 1)
    async with anyio.create_task_group() as group:
        group.start_soon(here.watcher.run)
        here.begin(old)
        await anyio.sleep(1.2)
        new = waiting(2, virtual.now())
        here.begin(new)
        await anyio.sleep(0.9)  # between two looks of the script
        here.login.published.add(new.id)
        await anyio.sleep(1)
        group.cancel_scope.cancel()
    assert [(0.0, [old.id]), (1.2, [old.id, new.id])] == here.login.watched[:2]
    assert [(2.2, frozenset({new.id}))] == [(round(at, 3), asked) for at, asked in here.told]


async def test_a_longer_wait_goes_on_for_whom_it_knows(virtual: VirtualClock) -> None:
    """A poke that brings nobody new does not break it off: no command more than its length asks for."""
    here = Watched(virtual)
    async with anyio.create_task_group() as group:
        group.start_soon(here.watcher.run)
        here.begin(waiting(1, EPOCH - FRESH_S - 1))
        for _ in range(40):
            await anyio.sleep(1)
            here.watcher.poke()
        group.cancel_scope.cancel()
    assert [0.0, 15.0, 30.0] == [at for at, _ in here.login.watched]
    assert 15 == LONG_S


async def test_a_hundred_begun_together_do_not_break_each_other_off(virtual: VirtualClock) -> None:
    """Only a longer wait is broken off: while sessions are fresh, whoever comes late waits for the next short one."""
    here = Watched(virtual)
    async with anyio.create_task_group() as group:
        group.start_soon(here.watcher.run)
        here.begin(waiting(0, EPOCH - FRESH_S - 1))
        await anyio.sleep(1)
        for number in range(1, 101):
            here.begin(waiting(number, virtual.now()))
            await anyio.sleep(0.1)
        group.cancel_scope.cancel()
    assert 3 == SHORT_S
    assert 5 == len(here.login.watched)
