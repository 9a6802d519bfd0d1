"""A transition in a sentence: what `why`, `watch` and the log say about it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sessiond.core.events import (
    CancelSent,
    Created,
    DeadlineExpired,
    EndpointPublished,
    Event,
    FindDelayed,
    HistoryDelayed,
    HistoryUnknown,
    IdleOver,
    IdleWarned,
    JobAbsent,
    JobEnded,
    JobFound,
    JobPending,
    JobRunning,
    JobVanished,
    Restored,
    RetryDue,
    Staged,
    StopRequested,
    Submitted,
    SubmitUnknown,
    TunnelUp,
)
from sessiond.core.ids import JobId
from sessiond.core.machine import TOO_LATE, Record
from sessiond.core.session import Outcome, Phase, Problem, State
from sessiond.core.status import about, in_full, is_usual


def job_name(job: JobId) -> str:
    """A job as people call it: of a process identity (``pid:start:boot``) only the pid says something to them."""
    pid, colon, _ = job.partition(":")
    return f"process {pid}" if colon else job


_LOOPBACK = "127.0.0.1"
_SAME_END_S = 60.0
"""A job's end that moves by less was not changed by anybody: schedulers round."""


def without_repetitions(records: Iterable[Record]) -> Iterator[Record]:
    """Records, but of what is no news to a reader: looks that see a job run where it ran and end when it was to end, or
    wait for what it waited; retries that came to nothing for the reason for which the one before did."""
    return _without_same_looks(_without_vain_retries(records))


def _without_vain_retries(records: Iterable[Record]) -> Iterator[Record]:
    trying: Record | None = None
    came_to = ""
    for record in records:
        event = record.event
        stays = record.before is record.after
        if isinstance(event, RetryDue):
            if trying is not None:
                yield trying
            trying = record
            continue
        vain = tell(event, record.before, record.after) if stays and problem_of(event) is not None else ""
        if vain and trying is not None and vain == came_to:
            trying = None
            continue
        if trying is not None:
            yield trying
            trying = None
        if vain or not stays:
            came_to = vain
        yield record
    if trying is not None:
        yield trying


def _without_same_looks(records: Iterable[Record]) -> Iterator[Record]:
    nodes: tuple[str, ...] | None = None
    ends_by: float | None = None
    waits = ""
    for record in records:
        event = record.event
        said, waits = waits, tell(event, record.before, record.after) if isinstance(event, JobPending) else ""
        if waits and said == waits:
            continue
        if isinstance(event, JobRunning) and event.phase is Phase.RUNNING:
            same_end = event.ends_by is None or (ends_by is not None and abs(event.ends_by - ends_by) < _SAME_END_S)
            is_news = record.before is not record.after or nodes != event.nodes or not same_end
            nodes, ends_by = event.nodes, event.ends_by or ends_by
            if not is_news:
                continue
        elif isinstance(event, JobRunning | JobPending):
            nodes = ends_by = None
        yield record


def problem_of(event: Event) -> Problem | None:
    """The problem an event brings, if it brings one."""
    found = getattr(event, "problem", None)
    return found if isinstance(found, Problem) else None


def tell(event: Event, before: State | None, after: State) -> str:
    """What happened, in one sentence without a full stop."""
    problem = problem_of(event)
    said = f": {problem.message}" if problem is not None else ""
    match event:
        case Created():
            return "the session was created; its files are being put in place"
        case Staged():
            return "its files are in place and its preparation has run"
        case Submitted(job=job):
            return f"the job was submitted as {job_name(job)}"
        case SubmitUnknown():
            return f"the answer to the submission was lost{said}; asking whether it happened before anything else"
        case JobFound(job=job):
            return f"the job was found: it had been submitted as {job_name(job)}"
        case JobAbsent():
            return "nothing had been submitted, and that attempt can no longer do so"
        case FindDelayed() | HistoryDelayed():
            return f"no answer yet{said}"
        case JobPending():
            return _pending(event, before)
        case JobRunning():
            return _running(event, before, after)
        case JobVanished():
            asked = "" if after is State.ENDED else "; its history is being asked"
            return f"the scheduler stopped listing the job{asked}"
        case JobEnded():
            return _end(event, before, said)
        case HistoryUnknown():
            return "nobody knows what became of the job"
        case EndpointPublished(endpoint=endpoint):
            moved = "moved to" if before in (State.RUNNING, State.TUNNEL) else "will answer at"
            where = f"port {endpoint.port}" if not endpoint.path else f"socket {endpoint.path}"
            # A socket of this machine has no host: that it is said to be at 127.0.0.1 puzzles people.
            host = f"{endpoint.host} " if not (endpoint.path and endpoint.host == _LOOPBACK) else ""
            return f"the service {moved} {host}{where}"
        case TunnelUp():
            return "the service answers"
        case Restored():
            return "sessiond was restarted; it looks for the session and its service"
        case StopRequested():
            return _stop(event, before, after)
        case IdleWarned(unused_s=unused_s, ends_in_s=left_s):
            return f"nobody has used it for {about(unused_s)}; it ends in {about(left_s)} unless somebody does"
        case IdleOver(used=True):
            return "it was used again, and is not ended for being idle"
        case IdleOver():
            return "whether it was used could not be seen for a while, so it is not ended for being idle"
        case CancelSent(forced=True):
            return "the job had not gone when it was told to: its scheduler was told to drop it by force"
        case CancelSent():
            return "the job was told to end"
        case RetryDue():
            return "trying again"
        case DeadlineExpired():
            return TOO_LATE[before][1] if before in TOO_LATE else "it took too long"
        case _:
            return problem.message if problem is not None else type(event).__name__


def _pending(event: JobPending, before: State | None) -> str:
    reason = f" ({event.reason})" if event.reason else ""
    if before not in (State.WAIT_FOR_NODE, State.SUBMIT, State.RECONCILE, State.KILL):
        waits = f": {event.reason}" if event.reason else ""
        why = "its node failed, another job went before it, or somebody ordered it"
        return f"the scheduler put the job back into the queue ({why}); it starts again by itself{waits}"
    held = event.phase is Phase.HELD
    if event.reason.startswith("waiting"):
        return f"the job is {event.reason}"
    return f"the job is {'held' if held else 'waiting'}{reason}"


def _running(event: JobRunning, before: State | None, after: State) -> str:
    where = f" on {', '.join(event.nodes)}" if event.nodes else ""
    if event.phase is Phase.SUSPENDED:
        return f"the scheduler suspended the job{where}"
    if before is State.VERIFY:
        return f"the job is listed again and runs{where}"
    if before is after and event.ends_by is not None:
        if event.started is None:
            return "the scheduler says when the job's time ends"
        return f"the scheduler says that the job may run for {_minutes(event.ends_by - event.started)}"
    return f"the job runs{where}"


def _minutes(seconds: float) -> str:
    """A walltime: schedulers count it in minutes, and tell of it in seconds that they have rounded."""
    return in_full(round(seconds / 60) * 60 if seconds >= 60 else seconds)


def _end(event: JobEnded, before: State | None, said: str) -> str:
    if before is State.KILL:
        said = ""  # how it died was our doing
    how = {
        Outcome.COMPLETED: "the session's script ended" + ("" if before is State.KILL else " by itself"),
        Outcome.WALLTIME: "the job reached its time limit",
        Outcome.NODE_FAILED: "the node failed",
        Outcome.OUT_OF_MEMORY: "the job used more memory than it had",
        Outcome.PREEMPTED: "the job was preempted by another",
        Outcome.CANCELLED: "the job was cancelled",
    }.get(event.outcome, "the job ended")
    problem = event.problem
    return how if problem is not None and is_usual(event.outcome, problem) else f"{how}{said}"


def _stop(event: StopRequested, before: State | None, after: State) -> str:
    asked = "it was idle for too long" if event.because is Outcome.IDLE else "you asked to stop it"
    if after is State.KILL and event.force:
        return f"{asked} at once; its kill script is not waited for"
    if before is State.KILL:
        return f"{asked} once more"
    if before is State.WAIT_FOR_NODE:
        return f"{asked}; the job is told to end"
    return {
        State.KILL: f"{asked}; its kill script runs, then the job ends",
        State.ABANDON: f"{asked}; making sure first that no job was or will be submitted",
    }.get(after, asked)
