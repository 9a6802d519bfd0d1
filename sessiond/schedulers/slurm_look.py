"""What squeue lists and sessions' files say, as a `Snapshot`: phases, plain reasons, times by our own clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sessiond.core.ids import JobId, SessionId, is_tag
from sessiond.core.report import JobReport, Snapshot
from sessiond.core.session import Endpoint, JobRef, Phase, Problem, Session
from sessiond.schedulers.slurm_end import Verdict, ended, own_end
from sessiond.schedulers.slurm_reasons import in_words
from sessiond.schedulers.slurm_reply import Listed, Said
from sessiond.schedulers.slurm_states import OUTCOMES, phase_of, state_word

OVER = frozenset(OUTCOMES)
COMES_BACK_S = 60.0
"""How long a preempted job may take until it waits again, where preemption means that."""
SAME_CLOCK_S = 5.0
"""Clocks that differ by less are taken for one: `date` counts whole seconds, and the answer was on its way."""
SAME_TIME_S = 10.0
"""Two looks that say nearly the same time mean the same: what is known stays, so that nothing seems to change."""

_RANK = (Phase.RUNNING, Phase.SUSPENDED, Phase.CONFIGURING, Phase.COMPLETING, Phase.QUEUED, Phase.HELD)
_ELSEWHERE = "another cluster of the federation took it over"
_STARTING = "its node is being prepared"


@dataclass(frozen=True, slots=True)
class Times:
    """When a look was taken: the cluster's clock, and ours before and after, all UTC seconds."""

    clock: float
    asked: float
    answered: float

    @property
    def skew_s(self) -> float:
        """How far the cluster's clock is at least ahead of ours, negative behind it; whole seconds, read on the way."""
        return max(0.0, self.clock - self.answered) + min(0.0, self.clock + 1.0 - self.asked)

    def ours(self, theirs: float | None) -> float | None:
        """A time of theirs by our clock."""
        if theirs is None or abs(self.skew_s) < SAME_CLOCK_S:
            return theirs
        return theirs - self.skew_s


def with_jobs(sessions: Iterable[Session]) -> list[tuple[Session, JobRef]]:
    """The sessions that have a job, with it."""
    return [(session, session.job) for session in sessions if session.job is not None]


def snapshot(sessions: Sequence[Session], jobs: Sequence[Listed], words: Sequence[Said], times: Times) -> Snapshot:
    """The look; ``words`` are those of the sessions with jobs, in their order."""
    by_id: dict[str, list[Listed]] = {}
    for job in jobs:
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
    return Snapshot(
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
            # A word nobody knows changes nothing.
            return JobReport(
                id=ref.id,
                phase=ref.phase,
                nodes=ref.nodes,
                reason=ref.reason,
                started=ref.started,
                ends_by=ref.ends_by,
                expected_start=ref.expected_start,
                restarts=max(ref.restarts, job.restarts),
            )
        case Phase.ENDED:
            if state in {"PREEMPTED", "PR"} and job.end is not None and times.clock - job.end < COMES_BACK_S:
                return JobReport(id=ref.id, phase=Phase.COMPLETING, restarts=job.restarts)
            own = own_end(said, ref.id, job.restarts)
            at = times.ours(job.end) or times.answered
            verdict = Verdict.of_wait(job.state, job.reason, job.status)
            outcome, problem = ended(verdict, own, said.failure if own is not None else "", at)
            return JobReport(id=ref.id, phase=phase, restarts=job.restarts, outcome=outcome, problem=problem)
        case Phase.RUNNING | Phase.SUSPENDED | Phase.COMPLETING:
            return JobReport(
                id=ref.id,
                phase=phase,
                nodes=(job.host,) if job.host else ref.nodes,
                started=_kept(ref.started, times.ours(job.start)),
                ends_by=None if job.unlimited else _kept(ref.ends_by, times.ours(job.end)),
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


def _kept(known: float | None, seen: float | None) -> float | None:
    """``known``, unless what was ``seen`` is another time."""
    return known if known is not None and seen is not None and abs(known - seen) < SAME_TIME_S else seen
