"""A session in words: what is going on, what happens next or what to do, and how much it matters. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sessiond.core.session import Outcome, Phase, Session, State
from sessiond.core.spec import Mode


class Severity(StrEnum):
    """How much a state asks for a person's attention."""

    OK = "ok"
    BUSY = "busy"
    ATTENTION = "attention"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """``phrase`` is the state in a few words, ``next`` what happens or what to do next (may be empty)."""

    phrase: str
    next: str
    severity: Severity


_OUTCOMES = {
    Outcome.COMPLETED: "completed",
    Outcome.CANCELLED: "stopped",
    Outcome.FAILED: "failed",
    Outcome.REJECTED: "rejected",
    Outcome.WALLTIME: "ended at its time limit",
    Outcome.NODE_FAILED: "ended: its node failed",
    Outcome.PREEMPTED: "ended: preempted",
    Outcome.OUT_OF_MEMORY: "ended: out of memory",
    Outcome.IDLE: "ended: idle",
    Outcome.LOST: "lost",
}

_FINE = frozenset({Outcome.COMPLETED, Outcome.CANCELLED, Outcome.WALLTIME, Outcome.IDLE})

_RETRIES = "it is tried again by itself"


def describe(session: Session, now: float) -> Status:
    """The session in words, at ``now`` (UTC seconds)."""
    if session.state is State.ENDED:
        return _ended(session)
    phrase, following, severity = _live(session, now)
    if session.problem is not None and session.state is not State.RUNNING:
        return Status(
            phrase=f"{phrase}: {session.problem.message}",
            next=session.problem.hint or following,
            severity=Severity.ATTENTION,
        )
    return Status(phrase=phrase, next=following, severity=severity)


def _ended(session: Session) -> Status:
    outcome = session.outcome or Outcome.LOST
    phrase = _OUTCOMES[outcome]
    if session.problem is not None and outcome not in _FINE:
        phrase = f"{phrase}: {session.problem.message}"
    if outcome in _FINE:
        return Status(phrase=phrase, next="", severity=Severity.OK)
    hint = session.problem.hint if session.problem is not None else ""
    return Status(phrase=phrase, next=hint or f"sessionctl why {session.name} tells the story", severity=Severity.ERROR)


def _live(session: Session, now: float) -> tuple[str, str, Severity]:
    name = session.name
    match session.state:
        case State.RENDER:
            return "preparing", "the service is installed if it has to be, then the session starts", Severity.BUSY
        case State.SUBMIT:
            return "submitting", _RETRIES if session.retries else "", Severity.BUSY
        case State.RECONCILE:
            return (
                "finding out whether the job was submitted",
                "nothing is submitted twice; " + _RETRIES,
                Severity.ATTENTION,
            )
        case State.ABANDON:
            return "stopping: finding out whether a job was submitted", _RETRIES, Severity.BUSY
        case State.WAIT_FOR_NODE:
            return _waiting(session)
        case State.START:
            return "starting", "the job runs; its service comes next", Severity.BUSY
        case State.TUNNEL:
            return _connecting(session, now)
        case State.RUNNING:
            if session.job is not None and session.job.phase is Phase.SUSPENDED:
                return "suspended by the scheduler", "it goes on when the scheduler resumes it", Severity.ATTENTION
            return "running", f"sessionctl open {name}", Severity.OK
        case State.VERIFY:
            return "the scheduler no longer lists the job; asking its history", _RETRIES, Severity.ATTENTION
        case _:
            return "stopping", f"sessionctl stop --now {name} does not wait for its kill script", Severity.BUSY


def _waiting(session: Session) -> tuple[str, str, Severity]:
    if session.spec.mode in (Mode.LOCAL, Mode.CONTROLLER):
        return "starting", "there is no queue here: it starts at once", Severity.BUSY
    job = session.job
    if job is not None and job.phase is Phase.HELD:
        return "held in the queue", "release it on the cluster, or ask its administrators", Severity.ATTENTION
    reason = f": {job.reason}" if job is not None and job.reason else ""
    return f"waiting for a node{reason}", "it starts when the scheduler finds room", Severity.BUSY


def _connecting(session: Session, now: float) -> tuple[str, str, Severity]:
    if session.ready_at is not None:
        return "reconnecting to the service", "the session goes on; the same URL works again soon", Severity.BUSY
    if now - session.since > session.spec.service.ready_within_s:
        return (
            "the service has not answered yet",
            f"sessionctl logs {session.name} shows its output; sessionctl stop {session.name} gives up",
            Severity.ATTENTION,
        )
    return "waiting for the service to answer", "it is asked until it does", Severity.BUSY
