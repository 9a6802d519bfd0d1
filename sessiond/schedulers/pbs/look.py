"""What qstat lists and sessions' files say, as a `Snapshot`: phases, plain reasons, times by our own clock."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sessiond.core.errors import Unreadable
from sessiond.core.ids import JobId, SessionId, is_tag
from sessiond.core.report import JobReport, Snapshot
from sessiond.core.session import Endpoint, JobRef, Outcome, Phase, Problem, Session
from sessiond.render.pbs_directives import ID_VARIABLE
from sessiond.schedulers.batch.end import ended, own_end
from sessiond.schedulers.batch.look import Times, kept, unchanged, with_jobs
from sessiond.schedulers.batch.reply import Said
from sessiond.schedulers.pbs.end import verdict
from sessiond.schedulers.pbs.reasons import in_words
from sessiond.schedulers.pbs.reply import Listed, Listing, first_moment, number_of, seconds
from sessiond.schedulers.pbs.states import phase_of

STALE_S = 300
"""How far the end of the walltime by what was used of it may be off: a node tells that every few minutes only."""
_ENDED = ("history_timestamp", "comp_time", "obittime", "mtime")
_STARTED = ("stime", "start_time")
_STARTING = "its node is being prepared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """What a job's runner wrote when it began: its job, how many of that job's began before it, its process session."""

    job: str
    starts: int
    session: int

    @classmethod
    def read(cls, record: Sequence[str]) -> Begun | None:
        """From the record of `pbs_look.sh`; None where no runner has begun. Raises Unreadable for another record."""
        if len(record) != 4 or record[0] != "began":
            raise Unreadable("the look does not say which run a session's script took itself for")
        _, job, starts, session = record
        if not job or not all(re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) for text in (starts, session)):
            return None
        return cls(job=job, starts=int(starts), session=int(session))


def is_ours(session: Session, job: Listed) -> bool:
    """Whether a job is the session's, and not another one's that a server that was set up anew gave the same id."""
    marked = job.variable(ID_VARIABLE)
    if marked:
        return marked == session.id
    name = job["job_name"]
    return name == session.tag or not is_tag(name)


def restarts_of(job: Listed, ref: JobRef, begun: Begun | None) -> int:
    """Which run of the job this is, counted from 0: of one that waits, the next.

    Where the server does not count, the runs that have begun do, and those that were seen to be over.
    """
    runs = job.runs
    waits = phase_of(job.state) in {Phase.QUEUED, Phase.HELD}
    if runs is None:
        if begun is None or number_of(begun.job) != number_of(ref.id):
            return ref.restarts
        return max(ref.restarts, begun.starts + 1 if waits else begun.starts)
    return max(0, runs if waits else runs - 1)


def current(job: Listed, ref: JobRef, begun: Begun | None) -> str | None:
    """The run that the session's files must name to be of the job's present one, or its last.

    Runs whose script never began are counted by the server alone: then the process session tells. None: the script of
    this run has not begun yet.
    """
    if begun is None or number_of(begun.job) != number_of(ref.id):
        return None
    counted = begun.starts == restarts_of(job, ref, begun)
    if counted or job.number("session_id") == begun.session:
        return f"{begun.job}.{begun.starts}"
    return None


def snapshot(
    sessions: Sequence[Session],
    listed: Listing,
    marks: Sequence[Begun | None],
    words: Sequence[Said],
    times: Times,
) -> Snapshot:
    """The look; ``marks`` and ``words`` are those of the sessions with jobs, in their order."""
    reports: dict[JobId, JobReport] = {}
    endpoints: dict[SessionId, Endpoint] = {}
    failures: dict[SessionId, Problem] = {}
    for (session, ref), begun, said in zip(with_jobs(sessions), marks, words, strict=True):
        job = listed.jobs.get(ref.id)
        if job is None and ref.id not in listed.absent:
            # Neither there nor said to be unknown: nothing was learnt of it.
            reports[ref.id] = unchanged(ref, ref.restarts)
        if job is None or not is_ours(session, job):
            continue
        report = reports[ref.id] = report_of(job, ref, begun, said, times)
        run = current(job, ref, begun)
        if run is None or report.phase not in (Phase.RUNNING, Phase.SUSPENDED):
            continue
        if said.endpoint is not None and said.endpoint.run == run:
            endpoints[session.id] = replace(said.endpoint, run=f"{ref.id}.{report.restarts}")
        if said.failure and said.run == run:
            failures[session.id] = Problem(code="service", message=said.failure, at=times.answered)
    return Snapshot(
        cluster=sessions[0].spec.cluster,
        asked_at=times.asked,
        answered_at=times.answered,
        jobs=reports,
        endpoints=endpoints,
        failures=failures,
    )


def record_of(said: Said, ref: JobRef, run: str | None) -> Said | None:
    """The exit record a session left, if it is of ``run``; of any of the job's runs where that is None."""
    if run is not None:
        return said if said.status is not None and said.run == run else None
    job = said.run.rpartition(".")[0]
    return own_end(said, job, ref.restarts) if number_of(job) == number_of(ref.id) else None


def how(job: Listed | None, own: Said | None, said: Said, at: float) -> tuple[Outcome, Problem | None]:
    """How a job that is over ended, by PBS's word (where it has ``job``) and its session's ``own`` record."""
    word = verdict(job) if job is not None else None
    if word is None and own is None:
        return Outcome.LOST, Problem(code="lost", message="the job is over, and nobody says how it ended", at=at)
    return ended(word, own, said.failure if own is not None else "", at)


def report_of(job: Listed, ref: JobRef, begun: Begun | None, said: Said, times: Times) -> JobReport:
    """One job as a report."""
    phase = phase_of(job.state, job["substate"])
    restarts = restarts_of(job, ref, begun)
    match phase:
        case None:
            return unchanged(ref, restarts)
        case Phase.ENDED:
            run = current(job, ref, begun)
            own = record_of(said, ref, run) if run is not None else None
            at = times.ours(first_moment(job, _ENDED)) or times.answered
            outcome, problem = how(job, own, said, at)
            return JobReport(id=ref.id, phase=phase, restarts=restarts, outcome=outcome, problem=problem)
        case Phase.RUNNING | Phase.SUSPENDED | Phase.COMPLETING:
            return JobReport(
                id=ref.id,
                phase=phase,
                nodes=(job.node,) if job.node else ref.nodes,
                started=kept(ref.started, times.ours(first_moment(job, _STARTED))),
                ends_by=_ends_by(job, ref, times),
                restarts=restarts,
            )
    return JobReport(
        id=ref.id,
        phase=phase,
        reason=_STARTING if phase is Phase.CONFIGURING else in_words(job),
        expected_start=_expected(job, times),
        restarts=restarts,
    )


def _ends_by(job: Listed, ref: JobRef, times: Times) -> float | None:
    """When the walltime is over: counted from the start, unless what was used of it says that the job was suspended for
    a while."""
    limit = seconds(job["resource_list.walltime"])
    if limit is None:
        return None
    used, started = seconds(job["resources_used.walltime"]), first_moment(job, _STARTED)
    by_use = times.clock + limit - used if used is not None else None
    by_start = started + limit if started is not None else by_use
    if by_use is None or by_start is None or abs(by_use - by_start) <= STALE_S:
        return kept(ref.ends_by, times.ours(by_start))
    return kept(ref.ends_by, times.ours(by_use), within_s=STALE_S)


def _expected(job: Listed, times: Times) -> float | None:
    at = first_moment(job, ("estimated.start_time",))
    return times.ours(at) if at is not None and at >= times.clock else None
