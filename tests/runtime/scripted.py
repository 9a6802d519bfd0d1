"""A scripted cluster: an edge fake at the two places where the runtime meets the world, Transport and Dialect.

A `Command` carries in its argv what is asked of the cluster, a `Completed` in its stdout nothing: the cluster does
what was asked when the command is run, and the dialect's ``read_`` methods hand on what came of it. What a session is
like over there, and how its commands go wrong, is set by `Script`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import anyio
from anyio.abc import ByteStream
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from anyio.streams.stapled import StapledByteStream, StapledObjectStream

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
from sessiond.core.ids import ClusterName, JobId, SessionId
from sessiond.core.report import JobReport, Snapshot
from sessiond.core.session import Endpoint, Outcome, Phase, Problem, Session

LOST = Problem(code="test", message="the answer was lost")


@dataclass(slots=True)
class Script:
    """How one session fares. ``trouble`` is called with the verb of each of its commands before it is done, and may
    raise or wait; ``answers`` replaces what the dialect reads for a verb."""

    trouble: Callable[[str], None] | None = None
    wait: Mapping[str, float] = field(default_factory=dict)
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

    # Dialect.

    def stage(self, session: Session, bundle: Mapping[str, bytes]) -> Command:
        return _command("stage", session)

    def read_stage(self, session: Session, done: Completed) -> Staged:
        return self._said("stage", session, Staged())

    def submit(self, session: Session, attempt: int) -> Command:
        return _command("submit", session, attempt)

    def read_submit(self, session: Session, done: Completed) -> Submitted | SubmitUnknown:
        landed = session.id in self.jobs
        return self._said("submit", session, Submitted(job=_job(session)) if landed else SubmitUnknown(problem=LOST))

    def find(self, session: Session, attempt: int) -> Command:
        return _command("find", session, attempt)

    def read_find(self, session: Session, done: Completed) -> JobFound | JobAbsent | FindDelayed:
        known = session.id in self.jobs
        return self._said("find", session, JobFound(job=_job(session)) if known else JobAbsent())

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

    def cleanup(self, session: Session) -> Command:
        return _command("cleanup", session)

    def forget(self, session: Session) -> Command:
        return _command("forget", session)

    def _said(self, verb: str, session: Session, usual: object) -> object:
        return self.script(session.id).answers.get(verb, usual)


def _command(verb: str, session: Session, *words: int) -> Command:
    return Command(argv=(verb, session.id, *map(str, words)))


def _job(session: Session) -> JobId:
    return JobId(f"job-{session.id}")
