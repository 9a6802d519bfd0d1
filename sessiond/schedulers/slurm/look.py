"""What squeue lists and sessions' files say, as a `Snapshot`: phases, plain reasons, times by our own clock."""

from __future__ import annotations

from collections.abc import Sequence

from sessiond.core.ids import JobId, SessionId, is_tag
from sessiond.core.report import JobReport, Snapshot
from sessiond.core.session import Endpoint, JobRef, Phase, Problem, Session
from sessiond.schedulers.batch.end import ended, own_end
from sessiond.schedulers.batch.look import Times, kept, unchanged, with_jobs
from sessiond.schedulers.batch.reply import Said
from sessiond.schedulers.slurm.end import of_wait
from sessiond.schedulers.slurm.reasons import in_words
from sessiond.schedulers.slurm.reply import Listed, Listing, unanswered
from sessiond.schedulers.slurm.states import OUTCOMES, phase_of, state_word

OVER = frozenset(OUTCOMES)
COMES_BACK_S = 60.0
"""How long a preempted job may take until it waits again, where preemption means that."""

_RANK = (Phase.RUNNING, Phase.SUSPENDED, Phase.CONFIGURING, Phase.COMPLETING, Phase.QUEUED, Phase.HELD)
_ELSEWHERE = "another cluster of the federation took it over"
_STARTING = "its node is being prepared"


def snapshot(sessions: Sequence[Session], listing: Listing, words: Sequence[Said], times: Times) -> Snapshot:
    """The look; ``words`` are those of the sessions with jobs, in their order.

    Raises Unreadable where the listing complains and has none of their jobs. Where it has some, nothing is learnt of
    the others.
    """
    by_id: dict[str, list[Listed]] = {}
    for job in listing.jobs:
        for number in {job.id, job.array}:
            by_id.setdefault(number, []).append(job)
    reports: dict[JobId, JobReport] = {}
    endpoints: dict[SessionId, Endpoint] = {}
    failures: dict[SessionId, Problem] = {}
    for (session, ref), said in zip(with_jobs(sessions), words, strict=True):
        # A controller that lost its last seconds gives a number again (measured): a job with another session's mark is
        # not ours.
        listed = [job for job in by_id.get(ref.id, ()) if job.name == session.tag or not is_tag(job.name)]
        if not listed:
            continue
        report = reports[ref.id] = _report(ref, min(listed, key=_rank), said, times)
        run = f"{ref.id}.{report.restarts}"
        if report.phase not in (Phase.RUNNING, Phase.SUSPENDED):
            continue
        if said.endpoint is not None and said.endpoint.run == run:
            endpoints[session.id] = said.endpoint
        # What an earlier run gave up with lies there until the next one has begun.
        if said.failure and said.run == run:
            failures[session.id] = Problem(code="service", message=said.failure, at=times.answered)
    if listing.trouble and not reports:
        raise unanswered(listing.trouble, listing.trouble)
    return Snapshot(
        whole=not listing.trouble,
        cluster=sessions[0].spec.cluster,
        asked_at=times.asked,
        answered_at=times.answered,
        jobs=reports,
        endpoints=endpoints,
        failures=failures,
    )


def _rank(job: Listed) -> int:
    """Of several lines about one job (siblings in a federation, an array's tasks) the liveliest counts."""
    phase = phase_of(state_word(job.state), job.reason)
    if phase is Phase.ENDED:
        return len(_RANK) + 2
    if phase is None or state_word(job.state) in {"REVOKED", "RV"}:
        return len(_RANK) + 1
    return _RANK.index(phase)


def _report(ref: JobRef, job: Listed, said: Said, times: Times) -> JobReport:
    state = state_word(job.state)
    phase = phase_of(state, job.reason)
    match phase:
        case None:
            return unchanged(ref, job.restarts)
        case Phase.ENDED:
            if state in {"PREEMPTED", "PR"} and job.end is not None and times.clock - job.end < COMES_BACK_S:
                return JobReport(id=ref.id, phase=Phase.COMPLETING, restarts=job.restarts)
            own = own_end(said, ref.id, job.restarts)
            at = times.ours(job.end) or times.answered
            verdict = of_wait(job.state, job.reason, job.status)
            outcome, problem = ended(verdict, own, said.failure if own is not None else "", at)
            return JobReport(id=ref.id, phase=phase, restarts=job.restarts, outcome=outcome, problem=problem)
        case Phase.RUNNING | Phase.SUSPENDED | Phase.COMPLETING:
            return JobReport(
                id=ref.id,
                phase=phase,
                nodes=(job.host,) if job.host else ref.nodes,
                started=kept(ref.started, times.ours(job.start)),
                ends_by=None if job.unlimited else kept(ref.ends_by, times.ours(job.end)),
                restarts=job.restarts,
            )
    reason = _STARTING if phase is Phase.CONFIGURING else in_words(job.reason)
    start = job.start if job.start is not None and job.start >= times.clock else None
    return JobReport(
        id=ref.id,
        phase=phase,
        reason=_ELSEWHERE if state in {"REVOKED", "RV"} else reason,
        expected_start=times.ours(start),
        restarts=job.restarts,
    )
