"""A scripted cluster: an edge fake at the two places where the runtime meets the world, Transport and Dialect.

A `Command` carries in its argv what is asked of the cluster, a `Completed` in its stdout nothing: the cluster does
what was asked when the command is run, and the dialect's ``read_`` methods hand on what came of it. What a session is
like over there, and how its commands go wrong, is set by `Script`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, cast

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream, TaskGroup
from structlog.testing import capture_logs
from structlog.typing import EventDict

from sessiond.core.command import Command, Completed
from sessiond.core.errors import NotSent
from sessiond.core.events import (
    CancelSent,
    FindDelayed,
    HistoryDelayed,
    HistoryUnknown,
    JobAbsent,
    JobEnded,
    JobFound,
    Staged,
    Submitted,
    SubmitUnknown,
)
from sessiond.core.ids import ClusterName, JobId, SessionId, session_id
from sessiond.core.lane import Ordered
from sessiond.core.pace import LOCAL_PACE, PollPolicy
from sessiond.core.partitions import Partition
from sessiond.core.report import Evidence, JobReport, Snapshot
from sessiond.core.session import Endpoint, Outcome, Phase, Problem, Session, State
from sessiond.core.spec import LaunchSpec, Mode, Probe, ServiceFile, ServiceSpec
from sessiond.remote.transport import Connector
from sessiond.runtime import cluster as clusters
from sessiond.runtime.bus import Bus, Published
from sessiond.runtime.clock import Clock
from sessiond.runtime.engine import Engine
from sessiond.runtime.folders import Folders
from sessiond.runtime.lanes import Lanes
from sessiond.runtime.link import LinkKeeper
from sessiond.runtime.linked import Linked
from sessiond.runtime.listener import reserve
from sessiond.runtime.standing import StandingWork
from sessiond.runtime.timers import Timers
from sessiond.store.store import ActionPhase, Loaded, Store
from tests.ports import OWN
from tests.runtime.memory import Memory

E = TypeVar("E")
LOCAL = ClusterName("local")
LOST = Problem(code="test", message="the answer was lost")


async def everybody(_peer: object) -> bool:
    """Whoever connects to a session's port may."""
    return True


@dataclass(slots=True)
class Script:
    """How one session fares. ``trouble`` is called with the verb of each of its commands before it is done, and may
    raise or wait; ``answers`` replaces what the dialect reads for a verb."""

    trouble: Callable[[str], None] | None = None
    wait: dict[str, float] = field(default_factory=dict)
    lands: bool = True
    answers: dict[str, object] = field(default_factory=dict)
    listens: bool = True
    endpoint: Endpoint | None = None
    dial: Callable[[], ByteStream] | None = None


@dataclass(slots=True)
class Job:
    """A job over there."""

    phase: Phase = Phase.RUNNING
    restarts: int = 0


class Http(ByteStream):
    """A service that answers whatever it is sent with 200."""

    def __init__(self, answer: bytes = b"HTTP/1.1 200 OK\r\n\r\n") -> None:
        self._left = answer

    async def receive(self, max_bytes: int = 65536) -> bytes:
        await anyio.lowlevel.checkpoint()
        if not self._left:
            raise anyio.EndOfStream
        chunk, self._left = self._left[:max_bytes], self._left[max_bytes:]
        return chunk

    async def send(self, item: bytes) -> None:
        await anyio.lowlevel.checkpoint()

    async def send_eof(self) -> None:
        await anyio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        await anyio.lowlevel.checkpoint()


class ScriptedCluster:
    """Both ends: what the runtime runs commands on (`Transport`) and how it speaks (`Dialect`)."""

    name = "scripted"

    def __init__(self) -> None:
        self.scripts: dict[SessionId, Script] = {}
        self.jobs: dict[SessionId, Job] = {}
        self.fences: set[tuple[SessionId, int]] = set()
        self.ran: Counter[tuple[str, SessionId]] = Counter()
        self.submitted: Counter[SessionId] = Counter()
        self.looks: list[float] = []
        self.look_trouble: Callable[[], None] | None = None
        self.look_takes_s = 0.0
        self.dials = 0
        self.cancelled: list[str] = []
        self.begun: list[str] = []

    def script(self, session: SessionId) -> Script:
        """The session's script; all goes well by default."""
        return self.scripts.setdefault(session, Script())

    # Transport.

    async def run(self, command: Command) -> Completed:
        """Do what the command says."""
        verb, *words = command.argv
        await anyio.lowlevel.checkpoint()
        if verb == "observe":
            self.looks.append(anyio.current_time())
            await anyio.sleep(self.look_takes_s)
            if self.look_trouble is not None:
                self.look_trouble()
            return Completed(rc=0, stdout=b"", stderr=b"")
        session = SessionId(words[0])
        script = self.script(session)
        self.ran[verb, session] += 1
        self.begun.append(verb)
        try:
            if script.trouble is not None:
                script.trouble(verb)
            await anyio.sleep(script.wait.get(verb, 0.0))
        except anyio.get_cancelled_exc_class():
            self.cancelled.append(verb)
            raise
        self._do(verb, session, script, int(words[1]) if len(words) > 1 else 0)
        return Completed(rc=0, stdout=b"", stderr=b"")

    def _do(self, verb: str, session: SessionId, script: Script, attempt: int) -> None:
        if verb == "submit" and script.lands and (session, attempt) not in self.fences:
            self.fences.add((session, attempt))
            self.submitted[session] += 1
            self.jobs[session] = Job()
        elif verb == "find":
            self.fences.add((session, attempt))
        elif verb == "cancel" and session in self.jobs:
            self.jobs[session].phase = Phase.ENDED

    async def connect(self, endpoint: Endpoint) -> ByteStream:
        """Open a stream to the service of the session whose id is the endpoint's host."""
        await anyio.lowlevel.checkpoint()
        self.dials += 1
        if endpoint.host not in self.jobs:
            raise ValueError(f"{endpoint.host!r} is no host")
        script = self.script(SessionId(endpoint.host))
        if script.dial is not None:
            return script.dial()
        if not script.listens:
            raise NotSent("connection refused")
        return Http()

    async def read(self, path: str, offset: int, limit: int) -> bytes:
        """There is no log."""
        await anyio.lowlevel.checkpoint()
        return b""

    async def size(self, path: str) -> int:
        """There is no log."""
        await anyio.lowlevel.checkpoint()
        return 0

    # Dialect.

    def stage(self, session: Session, bundle: Mapping[str, bytes]) -> Command:
        return _command("stage", session)

    def read_stage(self, session: Session, done: Completed) -> Staged:
        return self._said("stage", session, Staged())

    def submit(self, session: Session, attempt: int) -> Command:
        return _command("submit", session, attempt)

    def read_submit(self, session: Session, done: Completed) -> Submitted | SubmitUnknown:
        landed = session.id in self.jobs
        said: Submitted | SubmitUnknown = Submitted(job=_job(session)) if landed else SubmitUnknown(problem=LOST)
        return self._said("submit", session, said)

    def find(self, session: Session, attempt: int) -> Command:
        return _command("find", session, attempt)

    def read_find(self, session: Session, done: Completed) -> JobFound | JobAbsent | FindDelayed:
        said: JobFound | JobAbsent = JobFound(job=_job(session)) if session.id in self.jobs else JobAbsent()
        return self._said("find", session, said)

    def observe(self, sessions: Sequence[Session]) -> Command:
        return Command(argv=("observe", *(s.id for s in sessions)))

    def read_observe(
        self, sessions: Sequence[Session], done: Completed, asked_at: float, answered_at: float
    ) -> Snapshot:
        jobs = {}
        endpoints = {}
        for session in sessions:
            job = self.jobs.get(session.id)
            if job is None:
                continue
            over = job.phase is Phase.ENDED
            outcome = Outcome.COMPLETED if over else None
            jobs[_job(session)] = JobReport(
                id=_job(session), phase=job.phase, nodes=("n1",), restarts=job.restarts, outcome=outcome
            )
            own = Endpoint(run=f"{_job(session)}.{job.restarts}", host=session.id, port=6001)
            endpoints[session.id] = self.script(session.id).endpoint or own
        return Snapshot(
            cluster=ClusterName("local"), asked_at=asked_at, answered_at=answered_at, jobs=jobs, endpoints=endpoints
        )

    def cancel(self, session: Session, *, force: bool) -> Command:
        return _command("cancel", session)

    def read_cancel(self, session: Session, done: Completed) -> CancelSent:
        return self._said("cancel", session, CancelSent())

    def history(self, session: Session) -> Command:
        return _command("history", session)

    def read_history(self, session: Session, done: Completed) -> JobEnded | HistoryUnknown | HistoryDelayed:
        return self._said("history", session, HistoryUnknown())

    def evidence(self, session: Session) -> Command:
        return _command("evidence", session)

    def read_evidence(self, session: Session, done: Completed) -> Evidence:
        return self._said("evidence", session, Evidence(status=7))

    def cleanup(self, session: Session) -> Command:
        return _command("cleanup", session)

    def forget(self, session: Session) -> Command:
        return _command("forget", session)

    def command(self, session: Session) -> str:
        return "submit"

    def files(self, session: Session, bundle: Mapping[str, bytes]) -> Mapping[str, bytes]:
        return bundle

    def rehearse(self, session: Session) -> Command | None:
        return None

    def read_rehearse(self, session: Session, done: Completed) -> str:
        return ""

    def extend(self, session: Session, by_s: int) -> Command:
        return _command("extend", session)

    def read_extend(self, session: Session, done: Completed) -> str:
        return "granted"

    def partitions(self, setup: str) -> Command | None:
        return None

    def read_partitions(self, done: Completed) -> tuple[Partition, ...]:
        return ()

    def walltime_s(self, text: str) -> int | None:
        return None

    def _said(self, verb: str, session: Session, usual: E) -> E:
        return cast(E, self.script(session.id).answers.get(verb, usual))


def _command(verb: str, session: Session, *words: int) -> Command:
    return Command(argv=(verb, session.id, *map(str, words)))


def _job(session: Session) -> JobId:
    return JobId(f"job-{session.id}")


class World:
    """A daemon's runtime on a scripted cluster."""

    def __init__(
        self,
        group: TaskGroup,
        clock: Clock,
        folder: Path,
        cluster: ScriptedCluster,
        history: Memory | Store,
        policy: PollPolicy,
        *,
        strict: bool,
        connector: Connector | None,
    ) -> None:
        self.group = group
        self.clock = clock
        self.cluster = cluster
        self.bus = Bus()
        self.heard: list[Published] = []
        self.logs: list[EventDict] = []
        self.engine = Engine(
            clock,
            history,
            self.bus,
            watching=lambda session: parts.watching(session),
            strict=strict,
        )
        self.keeper = (
            None if connector is None else LinkKeeper(LOCAL, connector, clock, lambda: bool(self.engine.live()))
        )
        self.local = clusters.build(
            LOCAL,
            scheduler="none",
            host="here",
            dialects={Mode.LOCAL: cluster},
            transport=cluster if self.keeper is None else Linked(self.keeper),
            policies={Mode.LOCAL: policy},
            engine=self.engine,
            clock=clock,
            folders=Folders(folder),
            lib={"notify.sh": b""},
            keeper=self.keeper,
        )
        parts = clusters.Clusters({LOCAL: self.local})
        self.standing = StandingWork(
            group, clock, parts.dial, everybody, parts.poke, self.engine.session, self.engine.tell, parts.watching
        )
        self.lanes = Lanes(group, clock, history, parts.perform, self.engine.session, self.engine.tell)
        self.engine.attach(self.lanes, self.standing)
        self.timers = Timers(clock, self.engine.live, self.engine.deadlines, self.engine.tell, self.engine.idleness)
        if self.keeper is not None:
            self.keeper.listen(lambda _link: self.timers.poke())
            self.keeper.listen(lambda _link: self.standing.revisit(LOCAL))
        self.bus.listen(self.heard.append)
        self.bus.listen(lambda _published: self.timers.poke())

    def restore(self, loaded: Loaded) -> None:
        """Go on from what a store remembers."""
        actions = {
            session: [(Ordered(a.id, a.action), a.phase is ActionPhase.STARTED) for a in found]
            for session, found in loaded.actions.items()
        }
        self.engine.restore(loaded.sessions, actions)

    async def begin(self, number: int = 0, prepare: Callable[[SessionId], None] | None = None) -> SessionId:
        """A new session, with a port of its own; ``prepare`` is told its id before anybody acts on it."""
        listener = await reserve(OWN.start, OWN.stop - 1, {s.open_port for s in self.engine.live()}, OWN.start)
        session = a_session(self.clock.now(), number, listener.port)
        if prepare is not None:
            prepare(session.id)
        self.standing.hand_over(listener)
        try:
            return (await self.engine.create(session)).id
        except BaseException:
            self.standing.take_back(listener)
            raise

    def of(self, session: SessionId) -> Session:
        """The session as it is now."""
        return self.engine.session(session)

    async def reaches(self, state: State, sessions: Iterable[SessionId], within_s: float = 3600.0) -> None:
        """Wait until all ``sessions`` are in ``state``."""
        wanted = list(sessions)
        with anyio.fail_after(within_s):
            while any(self.of(session).state is not state for session in wanted):  # noqa: ASYNC110
                await anyio.sleep(0.05)


@asynccontextmanager
async def world(
    clock: Clock,
    folder: Path,
    *,
    cluster: ScriptedCluster | None = None,
    history: Memory | Store | None = None,
    policy: PollPolicy = LOCAL_PACE,
    strict: bool = True,
    loaded: Loaded | None = None,
    connector: Connector | None = None,
) -> AsyncIterator[World]:
    """A runtime at work; taken down at once, as by kill -9, at the end. With ``connector`` it reaches its cluster
    over a link."""
    with capture_logs() as logs:
        async with anyio.create_task_group() as group:
            here = World(
                group,
                clock,
                folder,
                cluster or ScriptedCluster(),
                history or Memory(),
                policy,
                strict=strict,
                connector=connector,
            )
            here.logs = logs
            try:
                group.start_soon(here.engine.run)
                group.start_soon(here.timers.run)
                group.start_soon(here.local.poller.run)
                if here.keeper is not None:
                    group.start_soon(here.keeper.run)
                if loaded is not None:
                    here.restore(loaded)
                yield here
            finally:
                group.cancel_scope.cancel()
                here.engine._send.close()
                here.engine._receive.close()


def a_session(now: float, number: int, open_port: int) -> Session:
    """A session as a person's request makes it."""
    identity = session_id(now, number)
    spec = ServiceSpec(
        name="tiny",
        title="Tiny",
        files=(ServiceFile(path="start-template.sh", content=b"true"),),
        probe=Probe(path="api"),
    )
    return Session(
        id=identity,
        name=f"tiny-{number}",
        number=number,
        spec=LaunchSpec(
            service=spec,
            workflow="tiny",
            cluster=LOCAL,
            mode=Mode.LOCAL,
            user="alice",
            jobdir=f"/home/alice/sessiond/{identity}",
            params={},
            secrets={"service_token": "s3cret"},
        ),
        open_port=open_port,
        created=now,
        state=State.RENDER,
        since=now,
    )
