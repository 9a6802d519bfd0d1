"""Sessions and transitions as the API's JSON."""

from __future__ import annotations

from datetime import UTC, datetime

from sessiond.api import wire
from sessiond.core.machine import Record
from sessiond.core.session import Problem, Session
from sessiond.core.status import Status, describe_link
from sessiond.core.story import problem_of, tell
from sessiond.runtime.bus import LinkChanged


def rfc3339(seconds: float) -> str:
    """UTC seconds as ``2026-01-31T09:30:00.123Z``."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def maybe_rfc3339(seconds: float | None) -> str | None:
    """The same, for a time that may be unknown."""
    return None if seconds is None else rfc3339(seconds)


def problem_view(problem: Problem | None) -> wire.Problem | None:
    """A problem, or null."""
    if problem is None:
        return None
    return {"code": problem.code, "message": problem.message, "hint": problem.hint}


def session_view(
    session: Session,
    *,
    now: float,
    url: str | None,
    status: Status,
    link: wire.Link,
    observed_at: float | None,
    licence: wire.Licence | None,
) -> wire.Session:
    """Everything about a session that may be shown: no secrets but the one in its own URL."""
    job = session.job
    return {
        "id": session.id,
        "name": session.name,
        "number": session.number,
        "service": session.spec.service.name,
        "workflow": session.spec.workflow,
        "cluster": session.spec.cluster,
        "mode": session.spec.mode.value,
        "state": session.state.value,
        "outcome": session.outcome.value if session.outcome is not None else None,
        "phrase": status.phrase,
        "next": status.next,
        "severity": status.severity.value,
        "since": rfc3339(session.since),
        "url": url,
        "open_port": session.open_port,
        "service_port": session.endpoint.port or None if session.endpoint is not None else None,
        "service_path": session.endpoint.path or None if session.endpoint is not None else None,
        "node": ",".join(job.nodes) or None if job is not None else None,
        "job_id": job.id if job is not None else None,
        "job_phase": job.phase.value if job is not None else None,
        "queue_reason": job.reason or None if job is not None else None,
        "expected_start": maybe_rfc3339(job.expected_start if job is not None else None),
        "ends_by": maybe_rfc3339(job.ends_by if job is not None else None),
        "idle_ends_by": maybe_rfc3339(session.idle_ends_by),
        "attempt": session.attempt,
        "problem": problem_view(session.problem),
        "link": link,
        "licence": licence,
        "observed_age_s": None if observed_at is None else round(max(0.0, now - observed_at), 3),
        "folder": session.spec.jobdir,
        "created": rfc3339(session.created),
        "ended": maybe_rfc3339(session.ended_at),
    }


def event_view(seq: int, record: Record, *, name: str, cluster: str, job: str | None, node: str | None) -> wire.Event:
    """One transition, as history, watchers and log lines show it."""
    return {
        "seq": seq,
        "at": rfc3339(record.at),
        "event": type(record.event).__name__,
        "session": record.session,
        "name": name,
        "cluster": cluster,
        "from_state": record.before.value if record.before is not None else None,
        "to_state": record.after.value,
        "actions": [type(order.action).__name__ for order in record.actions],
        "job": job,
        "node": node,
        "problem": problem_view(problem_of(record.event)),
        "text": tell(record.event, record.before, record.after),
    }


def link_event(change: LinkChanged, *, seq: int) -> wire.Event:
    """A change of a cluster's link among the events; ``seq`` is the newest transition's."""
    problem = change.link.problem
    return {
        "seq": seq,
        "at": rfc3339(change.at),
        "event": "Link",
        "session": "",
        "name": "",
        "cluster": change.link.name,
        "from_state": change.before.value,
        "to_state": change.link.state.value,
        "actions": [],
        "job": None,
        "node": None,
        "problem": problem_view(problem),
        "text": describe_link(change.link, change.at).phrase,
    }


def story_line(record: Record) -> wire.StoryLine:
    """One transition in the story of a session."""
    return {
        "at": rfc3339(record.at),
        "text": tell(record.event, record.before, record.after),
        "state": record.after.value,
    }
