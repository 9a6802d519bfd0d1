"""What a look at a cluster means for its sessions: a `Snapshot` against what we believe, as events. Pure.

Absence is not an end. A job that a successful look did not list is counted; only three such looks in a row, spread
over at least thirty seconds and all asked after the job was submitted, make a JobVanished, and that is a question
to the scheduler's history, not an outcome.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sessiond.core.events import (
    EndpointPublished,
    Event,
    JobEnded,
    JobPending,
    JobRunning,
    JobVanished,
    ServiceFailed,
)
from sessiond.core.ids import SessionId
from sessiond.core.report import JobReport, Snapshot
from sessiond.core.session import JobRef, Outcome, Phase, Session, State
from sessiond.core.table import WANTS, Want

ABSENT_LOOKS = 3
ABSENT_SECONDS = 30.0
EXPECTED_MOVED_S = 60.0
LONGEST_LOOK_S = 600.0
"""No look takes so long. What happened that much after one was asked happened before our clock was set back."""


@dataclass(frozen=True, slots=True)
class Absence:
    """How often in a row, and since when (UTC seconds), a session's job was not listed."""

    looks: int
    since: float


def compare(
    snapshot: Snapshot, sessions: Iterable[Session], absences: Mapping[SessionId, Absence]
) -> tuple[list[tuple[SessionId, Event]], dict[SessionId, Absence]]:
    """The events a snapshot means for ``sessions`` (those of its cluster that want a poll), in the order to tell them.

    Returns them with the absences to pass in next time. What we know already makes no event.
    """
    events: list[tuple[SessionId, Event]] = []
    still_absent: dict[SessionId, Absence] = {}
    for session in sessions:
        job = session.job
        if job is None or Want.POLL not in WANTS[session.state] or _is_before(snapshot, job.submitted or 0.0):
            continue
        report = snapshot.jobs.get(job.id)
        if report is None:
            before = absences.get(session.id)
            if before is not None and _says_nothing_now(before, session, snapshot):
                before = None
            if not snapshot.whole:
                if before is not None:
                    still_absent[session.id] = before
                continue
            absence = _counted(before, snapshot)
            still_absent[session.id] = absence
            if absence.looks >= ABSENT_LOOKS and snapshot.asked_at - absence.since >= ABSENT_SECONDS:
                events.append((session.id, JobVanished()))
            continue
        events.extend((session.id, event) for event in _news(session, job, report, snapshot))
    return events, still_absent


def _is_before(snapshot: Snapshot, then: float) -> bool:
    """Whether a look was asked before something happened."""
    return 0.0 < then - snapshot.asked_at <= LONGEST_LOOK_S


def _says_nothing_now(absence: Absence, session: Session, snapshot: Snapshot) -> bool:
    """Whether a count must begin anew: it began at a time that is still to come, since our clock was set back, or
    before the job was told to go, and such looks do not prove that it went."""
    if absence.since > snapshot.asked_at:
        return True
    set_back = session.since - snapshot.asked_at > LONGEST_LOOK_S
    return session.state is State.KILL and absence.since < session.since and not set_back


def _counted(absence: Absence | None, snapshot: Snapshot) -> Absence:
    if absence is None:
        return Absence(1, snapshot.asked_at)
    return Absence(absence.looks + 1, absence.since)


def _news(session: Session, job: JobRef, report: JobReport, snapshot: Snapshot) -> Iterable[Event]:
    match report.phase:
        case Phase.ENDED:
            yield JobEnded(outcome=report.outcome or Outcome.LOST, problem=report.problem)
            return
        case Phase.COMPLETING:
            return  # not over: a requeued job passes through it too (measured, Slurm 22.05)
        case Phase.RUNNING | Phase.SUSPENDED:
            if session.state in (State.WAIT_FOR_NODE, State.VERIFY) or _differs(job, report):
                yield JobRunning(
                    phase=report.phase,
                    nodes=report.nodes,
                    reason=report.reason,
                    started=report.started,
                    ends_by=report.ends_by,
                    restarts=report.restarts,
                )
        case _:
            waiting = session.state in (State.WAIT_FOR_NODE, State.KILL)
            if not waiting or _waits_otherwise(job, report):
                yield JobPending(
                    phase=report.phase,
                    reason=report.reason,
                    expected_start=report.expected_start,
                    restarts=report.restarts,
                )
            return
    yield from _said_by_script(session, report, snapshot)


def _waits_otherwise(job: JobRef, report: JobReport) -> bool:
    """Whether a waiting job's report has news. A scheduler's guess when it starts moves with every look; it is news
    when it moved by a minute."""
    if (job.phase, job.reason, job.restarts) != (report.phase, report.reason, report.restarts):
        return True
    before, now = job.expected_start, report.expected_start
    if before is None or now is None:
        return before is not now
    return abs(before - now) >= EXPECTED_MOVED_S


def _differs(job: JobRef, report: JobReport) -> bool:
    return (job.phase, job.nodes, job.reason, job.started, job.ends_by, job.restarts) != (
        report.phase,
        report.nodes,
        report.reason,
        report.started,
        report.ends_by,
        report.restarts,
    )


def _said_by_script(session: Session, report: JobReport, snapshot: Snapshot) -> Iterable[Event]:
    """What the session's own script published, where the state (after this look) wants to hear it."""
    if session.state in (State.KILL, State.VERIFY):
        return
    failure = snapshot.failures.get(session.id)
    if failure is not None:
        yield ServiceFailed(problem=failure)
        return
    endpoint = snapshot.endpoints.get(session.id)
    if endpoint is None or endpoint.run != f"{report.id}.{report.restarts}":
        return
    if session.state in (State.WAIT_FOR_NODE, State.START) or endpoint != session.endpoint:
        yield EndpointPublished(endpoint=endpoint)
