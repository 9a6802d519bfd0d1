"""The dialect of machines without a scheduler: a session's job is a process, the runner of `sh/run.sh`.

A job id is ``<pid>:<start>:<boot id>``, start being field 22 of /proc/<pid>/stat (proc(5)): a pid that was given to
another process is never taken for ours. Attempts are fenced by link(2): see `sh/run.sh` and `sh/find.sh`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sessiond.core.command import Command, Completed
from sessiond.core.errors import Bug, Refused, Unreadable
from sessiond.core.events import (
    CancelDelayed,
    CancelSent,
    FindDelayed,
    HistoryDelayed,
    HistoryUnknown,
    JobAbsent,
    JobEnded,
    JobFound,
    Staged,
    StageDelayed,
    StageFailed,
    SubmitDelayed,
    SubmitRejected,
    Submitted,
    SubmitUnknown,
)
from sessiond.core.ids import JobId, SessionId
from sessiond.core.partitions import Partition
from sessiond.core.report import Evidence, JobReport, Snapshot
from sessiond.core.session import Endpoint, JobRef, Outcome, Phase, Problem, Session
from sessiond.core.status import OWN_LIMIT
from sessiond.schedulers import common
from sessiond.schedulers.batch.evidence import own_record

_IDENTITY = re.compile(r"([1-9][0-9]{0,9}):([0-9]{1,20}):([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.ASCII)
_ENDING = ("killscript.sh", "survivors.sh", "sweep.sh")
_KILLED = "ended without leaving an exit status: it was killed (out of memory?)"
_LINGER = "loginctl enable-linger keeps sessions when you log out; then start it again"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What one line of observe.sh's reply says about a session's job."""

    alive: bool
    folder: bool
    same_boot: bool
    same_host: bool
    claimed_on: str
    node: str
    started: float | None
    ended: _Exit | None
    failure: str
    endpoint: Endpoint | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Exit:
    """A session's exit record; ``at`` is UTC seconds."""

    status: int
    reason: str
    at: float


class Process:
    """Sessions as processes of one machine, or of one of several login nodes that share a file system."""

    name: str = "process"

    def __init__(
        self,
        *,
        kill_script_s: int = 300,
        one_host: bool = True,
        walltime_grace_s: int = 30,
        cancel_grace_s: int = 10,
    ) -> None:
        """Make the dialect of a machine.

        ``kill_script_s`` bounds a service's kill script. With ``one_host`` false, a job claimed on a host other than
        the one that answers is not reported at all unless it left an exit record. ``walltime_grace_s`` and
        ``cancel_grace_s`` lie between TERM and KILL at the walltime's end and at a cancellation.
        """
        self.kill_script_s = kill_script_s
        self.one_host = one_host
        self.walltime_grace_s = walltime_grace_s
        self.cancel_grace_s = cancel_grace_s

    def files(self, session: Session, bundle: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """``bundle`` and the runner."""
        return {**bundle, "run.sh": common.script("exit.sh", "leave.sh", "going.sh", "run.sh").encode()}

    def command(self, session: Session) -> str:
        """What starts the session's runner, as a person would type it in its folder."""
        walltime = session.spec.resources.walltime_s or 0
        return f"setsid sh run.sh 1 {walltime} {self.walltime_grace_s}"

    def stage(self, session: Session, bundle: Mapping[str, bytes]) -> Command:
        """Put ``bundle`` and the runner into the session's folder and run its preparation."""
        return common.stage(session, self.files(session, bundle))

    def read_stage(self, session: Session, done: Completed) -> Staged | StageDelayed | StageFailed:
        """What came of staging. Raises Unreadable."""
        return common.read_stage(done)

    def submit(self, session: Session, attempt: int) -> Command:
        """Start the session's runner, unless ``attempt`` did or was given up."""
        walltime = session.spec.resources.walltime_s or 0
        limits = (str(walltime), str(self.walltime_grace_s))
        args = (common.folder_of(session), str(attempt), session.tag, *limits)
        return common.shell(common.script("submit.sh"), *args, timeout_s=60)

    def read_submit(
        self, session: Session, done: Completed
    ) -> Submitted | SubmitDelayed | SubmitUnknown | SubmitRejected:
        """What came of the submission; anything not understood is SubmitUnknown."""
        try:
            what, text = common.answer(done)
        except Unreadable as error:
            return SubmitUnknown(problem=Problem(code="submit", message=error.message))
        problem = Problem(code="submit", message=common.printable(text))
        match done.rc, what:
            case 0, "found" if _IDENTITY.fullmatch(text):
                return Submitted(job=JobId(text))
            case 69, "bash":
                return SubmitRejected(
                    problem=Problem(code="submit", message=problem.message, hint="Install bash there.")
                )
            case 73, "folder":
                message = f"the session's folder cannot be used: {problem.message}"
                return SubmitDelayed(problem=Problem(code="submit", message=message))
            case 76, "fenced":
                return SubmitDelayed(
                    problem=Problem(code="fenced", message="this attempt was given up before it began")
                )
        return SubmitUnknown(problem=problem)

    def find(self, session: Session, attempt: int) -> Command:
        """Settle whether ``attempt`` started a runner, and if not, that it never will."""
        return common.shell(common.script("find.sh"), common.folder_of(session), str(attempt), timeout_s=30)

    def read_find(self, session: Session, done: Completed) -> JobFound | JobAbsent | FindDelayed:
        """What was settled. Raises Unreadable."""
        what, text = common.answer(done)
        match done.rc, what:
            case 0, "found" if _IDENTITY.fullmatch(text):
                return JobFound(job=JobId(text))
            case 76, "absent":
                return JobAbsent()
            case 75, "unsettled":
                message = f"it is not settled whether the session was started: {common.printable(text)}"
                return FindDelayed(problem=Problem(code="find", message=message))
        raise Unreadable(f"the search for the session's process ended with status {done.rc} and cannot be understood")

    def observe(self, sessions: Sequence[Session]) -> Command:
        """One look at the processes and endpoints of all ``sessions`` that have a job."""
        lines = [
            common.FIELD.join((common.folder_of(session), str(job.attempt), *_identity(job.id)))
            for session, job in _with_jobs(sessions)
        ]
        payload = "".join(f"{line}\n" for line in lines)
        return common.shell(
            common.script("files.sh", "observe.sh"), payload=payload, timeout_s=30 + 0.1 * len(lines), urgent=True
        )

    def read_observe(
        self, sessions: Sequence[Session], done: Completed, asked_at: float, answered_at: float
    ) -> Snapshot:
        """The look. ``sessions`` are those that were asked about, at least one. Raises Unreadable."""
        if not sessions:
            raise Bug("a look needs at least one session")
        looked = _with_jobs(sessions)
        jobs: dict[JobId, JobReport] = {}
        endpoints: dict[SessionId, Endpoint] = {}
        failures: dict[SessionId, Problem] = {}
        for (session, job), look in zip(looked, self._looks(looked, done), strict=True):
            if look.alive:
                jobs[job.id] = _running(session, job, look)
                if look.endpoint is not None:
                    endpoints[session.id] = look.endpoint
                if look.failure:
                    failures[session.id] = Problem(code="service", message=look.failure, at=answered_at)
            elif look.folder and self._is_over(look) is True:
                outcome, problem = _end(look, answered_at)
                jobs[job.id] = JobReport(id=job.id, phase=Phase.ENDED, outcome=outcome, problem=problem)
        return Snapshot(
            cluster=sessions[0].spec.cluster,
            asked_at=asked_at,
            answered_at=answered_at,
            jobs=jobs,
            endpoints=endpoints,
            failures=failures,
        )

    def _is_over(self, look: _Look) -> bool | None:
        """Whether a process that does not run here has ended; None where nobody can say."""
        if look.ended is not None or look.same_boot or self.one_host or look.same_host:
            return True
        return False if look.claimed_on else None

    def cancel(self, session: Session, *, force: bool) -> Command:
        """Run the session's kill script (bounded; not with ``force``), then end all its processes."""
        job = _job_of(session)
        bound, grace = (0, 0) if force else (self.kill_script_s, self.cancel_grace_s)
        attempt = "" if self.one_host else str(job.attempt)
        limits = (str(bound), str(grace))
        args = (common.folder_of(session), session.tag, *limits, *_identity(job.id), attempt)
        return common.shell(common.script(*_ENDING, "cancel.sh"), *args, timeout_s=bound + grace + 60, urgent=True)

    def read_cancel(self, session: Session, done: Completed) -> CancelSent | CancelDelayed:
        """Whether nothing of the session is left. Raises Unreadable."""
        what, text = common.answer(done)
        text = common.printable(text)
        match done.rc, what:
            case 0, "left":
                return CancelSent()
            case 1, "left":
                message = f"processes of the session did not end: {text}"
                return CancelDelayed(problem=Problem(code="survivors", message=message))
            case 2, "elsewhere":
                message = f"the session runs on another host, {text}"
                hint = f"Make {text} the cluster's host until it has ended."
                return CancelDelayed(problem=Problem(code="elsewhere", message=message, hint=hint))
        raise Unreadable(f"the cancellation ended with status {done.rc} and cannot be understood")

    def history(self, session: Session) -> Command:
        """Look at the session's process, its claim and its exit record."""
        _job_of(session)
        return self.observe([session])

    def read_history(self, session: Session, done: Completed) -> JobEnded | HistoryUnknown | HistoryDelayed:
        """How the job ended. Raises Unreadable."""
        (look,) = self._looks([(session, _job_of(session))], done)
        over = self._is_over(look)
        if look.alive:
            return common.still_there("the session's process still runs")
        if over is None:
            return HistoryUnknown()
        if not over:
            message = f"the session was started on another host, {look.claimed_on}, and left no exit status"
            return HistoryDelayed(problem=Problem(code="history", message=message))
        outcome, problem = _end(look, 0.0)
        return JobEnded(outcome=outcome, problem=problem)

    def evidence(self, session: Session) -> Command:
        """Look at what the session left in its folder."""
        return common.shell(common.script("files.sh", "evidence.sh"), common.folder_of(session), timeout_s=30)

    def read_evidence(self, session: Session, done: Completed) -> Evidence:
        """What it left. Raises Unreadable."""
        records = common.reply(done)
        if done.rc != 0 or len(records) != 1:
            raise Unreadable(f"the evidence of a session has {len(records)} records, exit status {done.rc}")
        return own_record(records[0])

    def cleanup(self, session: Session) -> Command:
        """Run the kill script if it has not run, end what is left, remove all but what tells the story.

        A session that was to end at once does not have its kill script run behind its back.
        Exit status 0: all is gone; otherwise the reply names the pids and files that are left.
        """
        identity = _identity(session.job.id) if session.job is not None else ("", "", "")
        bound_s = 0 if session.force else self.kill_script_s
        args = (common.folder_of(session), session.tag, str(bound_s), *identity)
        text = common.script(*_ENDING, "remove.sh", "leavings.sh", "cleanup.sh")
        return common.shell(text, *args, timeout_s=self.kill_script_s + 90)

    def partitions(self, setup: str) -> Command | None:
        """Nothing: there is no scheduler."""
        return None

    def read_partitions(self, done: Completed) -> tuple[Partition, ...]:
        """None."""
        return ()

    def walltime_s(self, text: str) -> int | None:
        """None: there are no directives."""
        return None

    def rehearse(self, session: Session) -> Command | None:
        """There is no scheduler to be asked."""
        return None

    def read_rehearse(self, session: Session, done: Completed) -> str:
        """Never called: there is nothing to read."""
        raise Bug("a machine without a scheduler was asked what it would say")

    def extend(self, session: Session, by_s: int) -> Command:
        """There is no scheduler to be asked."""
        raise Refused(
            f"{session.name} runs without a scheduler: there is nobody to ask for more time",
            hint="start it without --time to let it run until it is stopped",
        )

    def read_extend(self, session: Session, done: Completed) -> str:
        """Never called: there is nothing to read."""
        raise Bug("a machine without a scheduler was asked for more time")

    def forget(self, session: Session) -> Command:
        """Remove the session's folder."""
        return common.forget(session)

    def _looks(self, looked: Sequence[tuple[Session, JobRef]], done: Completed) -> list[_Look]:
        records = common.reply(done)
        if done.rc != 0 or len(records) != len(looked) + 1 or len(records[0]) != 2:
            raise Unreadable(f"the look at {len(looked)} sessions has {len(records)} records, exit status {done.rc}")
        boot, node = records[0]
        return [_look(job, fields, boot, node) for (_, job), fields in zip(looked, records[1:], strict=True)]


def _look(job: JobRef, fields: list[str], boot: str, node: str) -> _Look:
    """One session's record of observe.sh. What another run wrote, or nobody could have meant, is left out."""
    if len(fields) < 13:
        raise Unreadable(f"the look at {job.id} has {len(fields)} fields")
    alive, folder, claimed_on, claimed_at, status, at, run, reason, failure, published_run, *where = fields
    if {alive, folder} - {"0", "1"}:
        raise Unreadable(f"the look at {job.id} does not say whether it runs")
    own_run = f"{job.id}.0"
    ended = None
    if run == own_run and re.fullmatch(r"[0-9]{1,3}", status, re.ASCII) and int(status) < 256:
        ended = _Exit(status=int(status), reason=reason, at=common.seconds(at) or 0.0)
    return _Look(
        alive=alive == "1",
        folder=folder == "1",
        same_boot=_identity(job.id)[2] == boot,
        same_host=bool(claimed_on) and claimed_on == node,
        claimed_on=common.printable(claimed_on),
        node=common.printable(node),
        started=common.seconds(claimed_at),
        ended=ended,
        failure=common.printable(failure),
        endpoint=common.endpoint(published_run, *where) if published_run == own_run else None,
    )


def _running(session: Session, job: JobRef, look: _Look) -> JobReport:
    walltime = session.spec.resources.walltime_s
    ends_by = look.started + walltime if look.started is not None and walltime else None
    return JobReport(id=job.id, phase=Phase.RUNNING, nodes=(look.node,), started=look.started, ends_by=ends_by)


def _end(look: _Look, now: float) -> tuple[Outcome, Problem | None]:
    """How a job that is over ended, from its exit record if it left one."""
    if look.ended is None:
        if not look.same_boot:
            message = "the machine was restarted while the session ran"
            return Outcome.NODE_FAILED, Problem(code="restarted", message=message, at=now)
        message = look.failure or (_KILLED if look.folder else "ended, and its folder is gone with its exit status")
        return Outcome.FAILED, Problem(code="killed", message=message, at=now)
    at = look.ended.at or now
    if look.ended.reason == "walltime":
        return Outcome.WALLTIME, Problem(code="walltime", message=OWN_LIMIT, at=at)
    if look.ended.reason == "shutdown":
        message = "the machine was shut down while the session ran"
        return Outcome.NODE_FAILED, Problem(code="restarted", message=message, at=at)
    if look.ended.reason == "logout":
        message = "systemd ended everything that it ran for you, as after your last logout"
        return Outcome.FAILED, Problem(code="logout", message=message, hint=_LINGER, at=at)
    if look.ended.status == 0:
        return Outcome.COMPLETED, None
    signal = look.ended.reason.removeprefix("signal:")
    if signal == "KILL":
        message = "the session's script was killed by signal KILL (out of memory?)"
    elif signal != look.ended.reason:
        message = f"the session's script was ended by signal {common.printable(signal)}"
    else:
        message = f"the session's script ended with status {look.ended.status}"
    return Outcome.FAILED, Problem(code="exit", message=look.failure or message, at=at)


def _with_jobs(sessions: Sequence[Session]) -> list[tuple[Session, JobRef]]:
    return [(session, session.job) for session in sessions if session.job is not None]


def _job_of(session: Session) -> JobRef:
    if session.job is None:
        raise Bug(f"session {session.id} has no job to be asked about")
    return session.job


def _identity(job: JobId) -> tuple[str, str, str]:
    match = _IDENTITY.fullmatch(job)
    if match is None:
        raise Bug(f"{common.printable(job)!r} is not the identity of a process")
    return match[1], match[2], match[3]
