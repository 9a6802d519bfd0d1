"""What can be said to a session. Each event names facts, never an exception."""

from __future__ import annotations

from dataclasses import dataclass

from sessiond.core.ids import JobId
from sessiond.core.session import Endpoint, Outcome, Phase, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base of all events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Created(Event):
    """The session exists. Written once, as its first record; never said to the machine."""


# Said by people and by time.


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRequested(Event):
    """The session is no longer wanted; with ``force`` its kill script is not waited for."""

    because: Outcome = Outcome.CANCELLED
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored(Event):
    """The daemon came back and found the session in its state file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryDue(Event):
    """The back-off is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineExpired(Event):
    """The state's deadline, in observed time, has passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleWarned(Event):
    """Nobody has used the session for ``unused_s`` seconds; it ends in ``ends_in_s`` unless somebody does."""

    unused_s: float = 0.0
    ends_in_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleOver(Event):
    """It does not end for that after all: it was ``used``, or nobody could have used it for a while."""

    used: bool = True


# Answers to Stage.


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged(Event):
    """The session's files lie on the execution host and its preparation has run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageDelayed(Event):
    """Staging did not succeed this time; trying again may help."""

    problem: Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class StageFailed(Event):
    """Staging cannot succeed."""

    problem: Problem


# Answers to Submit.


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted(Event):
    """The scheduler has the job."""

    job: JobId


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitDelayed(Event):
    """Proved: nothing was submitted; trying again may help."""

    problem: Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitUnknown(Event):
    """The submission may or may not have happened."""

    problem: Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitRejected(Event):
    """The scheduler said no."""

    problem: Problem


# Answers to FindJob.


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFound(Event):
    """The attempt did submit a job."""

    job: JobId


@dataclass(frozen=True, slots=True, kw_only=True)
class JobAbsent(Event):
    """The attempt submitted nothing and, by its fence, never will."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindDelayed(Event):
    """It could not be settled yet whether the attempt submitted a job."""

    problem: Problem


# Said by the poll.


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPending(Event):
    """The job waits (also: waits again, after a requeue). ``reason`` is the scheduler's, in plain words;
    ``expected_start`` its guess in UTC seconds, None where it has none."""

    phase: Phase = Phase.QUEUED
    reason: str = ""
    expected_start: float | None = None
    restarts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRunning(Event):
    """The job runs; ``started`` and ``ends_by`` are UTC seconds, None where unknown."""

    phase: Phase = Phase.RUNNING
    nodes: tuple[str, ...] = ()
    reason: str = ""
    started: float | None = None
    ends_by: float | None = None
    restarts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnded(Event):
    """Evidence that the job is over: its exit record, its scheduler's word, or its process gone."""

    outcome: Outcome
    problem: Problem | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobVanished(Event):
    """The scheduler has stopped listing the job: a question, not an end."""


# Said by the service's own script.


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointPublished(Event):
    """The service will listen, or listens, here."""

    endpoint: Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFailed(Event):
    """The session's script says that the service cannot run; the job may go on."""

    problem: Problem


# Said by the tunnel.


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelUp(Event):
    """The service answered its probe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelDown(Event):
    """The service stopped answering its probe."""

    problem: Problem


# Answers to CancelJob.


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelSent(Event):
    """The job was told to go. No proof that it has gone. ``forced``: it had been told before and did not go, so its
    scheduler was told to drop it, whatever became of its processes."""

    forced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelDelayed(Event):
    """The job could not be told to go this time."""

    problem: Problem


# Answers to FetchHistory, beside JobEnded.


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryUnknown(Event):
    """Everyone who could know was asked, and nobody does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryDelayed(Event):
    """The history could not be asked this time, or has nothing yet."""

    problem: Problem
