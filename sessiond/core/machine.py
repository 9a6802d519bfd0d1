"""``step(session, event, now)``: the one function that changes a session. Pure: same arguments, same answer.

`sessiond.core.table` says where to go and what to order; this module copies what an event brings into the session.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from sessiond.core import pace
from sessiond.core.actions import Action, CancelJob, Cleanup, FetchHistory, FindJob, Stage, Submit
from sessiond.core.errors import Bug
from sessiond.core.events import (
    Created,
    DeadlineExpired,
    EndpointPublished,
    Event,
    IdleOver,
    IdleWarned,
    JobEnded,
    JobFound,
    JobPending,
    JobRunning,
    StopRequested,
    Submitted,
    TunnelUp,
)
from sessiond.core.ids import JobId, SessionId, action_id
from sessiond.core.lane import Ordered
from sessiond.core.session import JobRef, Outcome, Phase, Problem, Session, State
from sessiond.core.table import DEADLINES, IGNORED, MAX_WAIT, PAUSED_BY, READY_WITHIN, TABLE, Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One transition, as history, log lines and watchers get it. ``before`` is None for a session's first."""

    session: SessionId
    version: int
    at: float
    event: Event
    before: State | None
    after: State
    actions: tuple[Ordered, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The session after an event, and the record of it; no record means that nothing changed."""

    after: Session
    record: Record | None = None


class ImpossibleEvent(Bug):
    """An event met a state in which it cannot happen: somebody broke the protocol."""

    def __init__(self, session: Session, event: Event) -> None:
        super().__init__(
            f"{type(event).__name__} cannot happen in {session.state}",
            hint="this is a defect of sessiond; the session was left as it was",
        )


def create(session: Session) -> Step:
    """The first step of a new session in RENDER: it exists, and its files are to be staged."""
    order = Ordered(action_id(session.id, session.version), Stage())
    record = Record(
        session=session.id,
        version=session.version,
        at=session.created,
        event=Created(),
        before=None,
        after=session.state,
        actions=(order,),
    )
    return Step(after=session, record=record)


def step(session: Session, event: Event, now: float) -> Step:
    """What ``event``, told at ``now`` (UTC seconds), makes of ``session``.

    Raises ImpossibleEvent where the table has no place for the event.
    """
    kind = type(event)
    rule = TABLE[session.state].get(kind)
    if rule is None:
        if kind in IGNORED[session.state]:
            return Step(after=session)
        raise ImpossibleEvent(session, event)
    after = _applied(session, event, rule, now)
    action = _ordered(rule.do, after, event)
    if isinstance(action, Submit):
        after = replace(after, attempt=action.attempt)
    if action is None and after == session:
        return Step(after=session)
    after = replace(after, version=session.version + 1)
    orders = () if action is None else (Ordered(action_id(after.id, after.version), action),)
    record = Record(
        session=after.id,
        version=after.version,
        at=now,
        event=event,
        before=session.state,
        after=after.state,
        actions=orders,
    )
    return Step(after=after, record=record)


def deadline_s(session: Session) -> float | None:
    """How many seconds of observed time the session's state may last; None where it may last for ever."""
    if session.problem is not None and session.problem.code == PAUSED_BY.get(session.state):
        return None
    seconds = DEADLINES.get(session.state)
    if seconds == READY_WITHIN:
        if session.job is not None and session.job.phase is Phase.SUSPENDED:
            return None  # its scheduler has stopped it: nothing can become ready meanwhile
        return session.spec.service.ready_within_s
    if seconds == MAX_WAIT:
        # What was put back into the queue has worked before: to end it then might lose that. One whose node is being
        # prepared has got one.
        job = session.job
        if job is None or job.restarts or job.phase is Phase.CONFIGURING or session.ready_at is not None:
            return None
        return session.spec.max_wait_s
    return seconds


def _ordered(kind: type[Action] | None, after: Session, event: Event) -> Action | None:
    """The action of a rule, with what it needs to know."""
    if kind is None:
        return None
    if kind is Submit:
        return Submit(attempt=after.attempt + 1)
    if kind is FindJob:
        return FindJob(attempt=after.attempt)
    if kind is CancelJob:
        # A deadline means that the first order did not do: harder this time.
        return CancelJob(force=after.force or isinstance(event, DeadlineExpired))
    if kind is Stage:
        return Stage()
    if kind is FetchHistory:
        return FetchHistory()
    return Cleanup()


def _applied(session: Session, event: Event, rule: Rule, now: float) -> Session:
    """The session with the event's facts and the rule's state, before its version grows."""
    moved = rule.to is not session.state
    after = replace(session, state=rule.to, since=now if moved else session.since)
    if moved:
        after = replace(after, idle_ends_by=None)  # only what runs can be idle
    after = _with_facts(after, session, event, now)
    if rule.because is not None:
        after = replace(after, ending=event.because if isinstance(event, StopRequested) else rule.because)
    after = _with_retry(after, rule, now, moved=moved)
    after = _with_problem(after, session, event, now, moved=moved)
    if rule.to is State.ENDED:
        told = event.outcome if isinstance(event, JobEnded) else None
        outcome = after.ending or told or Outcome.LOST
        kept = None if outcome is Outcome.COMPLETED else after.problem
        after = replace(after, outcome=outcome, problem=kept, ended_at=now)
    return after


def _with_facts(after: Session, before: Session, event: Event, now: float) -> Session:
    """What the event itself brings."""
    match event:
        case Submitted(job=job) | JobFound(job=job):
            return replace(after, job=_new_job(after, job, now), endpoint=None)
        case JobPending() if after.job is not None:
            job_ref = replace(
                after.job,
                phase=event.phase,
                reason=event.reason,
                expected_start=event.expected_start,
                restarts=event.restarts,
                nodes=(),
                started=None,
                ends_by=None,
                allowed_s=0.0,
            )
            return replace(after, job=job_ref, endpoint=None if after.state is not State.KILL else after.endpoint)
        case JobRunning() if after.job is not None:
            allowed_s = 0.0 if event.started is None or event.ends_by is None else event.ends_by - event.started
            job_ref = replace(
                after.job,
                phase=event.phase,
                nodes=event.nodes,
                reason=event.reason,
                started=event.started,
                ends_by=event.ends_by,
                expected_start=None,
                restarts=event.restarts,
                allowed_s=max(after.job.allowed_s if after.job.restarts == event.restarts else 0.0, allowed_s),
            )
            kept = after.endpoint if after.state is not State.START else None
            return replace(after, job=job_ref, endpoint=kept)
        case JobEnded() if after.job is not None:
            return replace(after, job=replace(after.job, phase=Phase.ENDED))
        case EndpointPublished(endpoint=endpoint):
            return replace(after, endpoint=endpoint)
        case TunnelUp():
            return replace(after, ready_at=before.ready_at or now)
        case IdleWarned(ends_in_s=ends_in_s):
            return replace(after, idle_ends_by=now + ends_in_s)
        case IdleOver():
            return replace(after, idle_ends_by=None)
        case StopRequested(force=force):
            # Asking twice is not asking for harm: only who says so goes without the kill script.
            return replace(after, force=force or before.force)
        case _:
            return after


def _new_job(session: Session, job: JobId, now: float) -> JobRef:
    return JobRef(id=job, cluster=session.spec.cluster, attempt=session.attempt, phase=Phase.QUEUED, submitted=now)


def _with_retry(after: Session, rule: Rule, now: float, *, moved: bool) -> Session:
    """Arm, keep or disarm the back-off: it is kept only by what stays in the state and orders nothing."""
    if rule.later:
        # Attempts count too: a submission that is lost, searched and lost again must not turn round at full speed.
        retries = max(after.retries + 1, after.attempt)
        return replace(after, retries=retries, retry_at=now + pace.backoff_s(retries, after.id))
    if moved:
        return replace(after, retries=0, retry_at=None)
    if rule.do is not None:
        return replace(after, retry_at=None)
    return after


_WORRIED = frozenset({State.RECONCILE, State.ABANDON, State.VERIFY, State.KILL, State.ENDED})
"""States that are entered because of a problem or that end it all: they keep the last one; progress clears it."""

_ORDERED_HERE = frozenset({Outcome.CANCELLED, Outcome.IDLE})
"""Ends that were wanted: what went wrong on the way to them is over with them."""

QUEUE_TIMEOUT: Final = "queue-timeout"
"""The code of a job's problem that it had no node for longer than the person had said."""

TOO_LATE: Final = {
    State.RENDER: ("prepare-timeout", "the session's files could not be put in place in time"),
    State.SUBMIT: ("submit-timeout", "the job could not be submitted in time"),
    State.RECONCILE: ("reconcile-timeout", "it could not be found out in time whether the job was submitted"),
    State.WAIT_FOR_NODE: (QUEUE_TIMEOUT, "the job had no node within the longest wait that was allowed (--max-wait)"),
    State.START: ("start-timeout", "the session's script did not come to the start of its service in time"),
    State.VERIFY: ("history-timeout", "nobody could say what became of the job"),
    State.KILL: ("kill-timeout", "the job did not go when it was told to; it is told again, harder"),
}
"""What is said of a state that lasted too long: a code and a sentence."""


def _with_problem(after: Session, before: Session, event: Event, now: float, *, moved: bool) -> Session:
    problem: Problem | None = getattr(event, "problem", None)
    if before.ending is Outcome.FAILED and before.problem is not None:
        # Why it is ended stays, whatever is in the way of that: it is what people ask afterwards.
        return after
    if isinstance(event, DeadlineExpired):
        code, message = TOO_LATE[before.state]
        problem = Problem(code=code, message=message)
    if problem is not None and not (isinstance(event, JobEnded) and after.ending is not None):
        # The end of a job that we are ending has no news in it: why we end it stays.
        return replace(after, problem=replace(problem, at=now))
    if moved and (after.state not in _WORRIED or after.ending in _ORDERED_HERE):
        return replace(after, problem=None)
    return after
