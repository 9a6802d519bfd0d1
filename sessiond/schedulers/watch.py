"""Waiting on a cluster until a session's service says where it listens; the same for every scheduler."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sessiond.core.command import Command, Completed
from sessiond.core.errors import Bug, Unreadable
from sessiond.core.ids import JobId, SessionId
from sessiond.core.report import JobReport, Snapshot
from sessiond.core.session import Endpoint, JobRef, Phase, Session
from sessiond.schedulers import common

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def watch(sessions: Sequence[Session], seconds: int) -> Command:
    """Wait up to ``seconds`` for news of any of ``sessions``, all of which have a job."""
    lines = [
        common.FIELD.join((common.folder_of(session), _job(session).id, str(_job(session).restarts)))
        for session in sessions
    ]
    payload = "".join(f"{line}\n" for line in lines)
    return common.shell(common.script("watch.sh"), str(seconds), payload=payload, timeout_s=seconds + 30)


def read_watch(sessions: Sequence[Session], done: Completed, asked_at: float, answered_at: float) -> Snapshot:
    """What was published, as a look at those sessions alone that did: their jobs run. Raises Unreadable."""
    jobs: dict[JobId, JobReport] = {}
    endpoints: dict[SessionId, Endpoint] = {}
    for number, *lines in common.reply(done):
        if not number.isascii() or not number.isdigit() or int(number) >= len(sessions):
            raise Unreadable("the news is about nobody who was asked about")
        session = sessions[int(number)]
        job = _job(session)
        published = _published(lines)
        if published is None:
            continue
        _, _, again = published.run.rpartition(".")
        jobs[job.id] = _running(job, published, int(again))
        endpoints[session.id] = published
    return Snapshot(
        cluster=sessions[0].spec.cluster, asked_at=asked_at, answered_at=answered_at, jobs=jobs, endpoints=endpoints
    )


def _published(lines: Sequence[str]) -> Endpoint | None:
    """The endpoint that a session's script wrote down, a line KEY=VALUE for each of its facts."""
    pairs = [(key, value) for key, _, value in (line.partition("=") for line in lines)]
    facts = dict(pairs)
    host_keys = [value for key, value in pairs if key == "hostkey"]
    first = (facts.get(key, "") for key in ("run", "host", "port", "scheme", "path"))
    return common.endpoint(*first, *host_keys)


def _running(job: JobRef, endpoint: Endpoint, restarts: int) -> JobReport:
    """A job that runs, with what is known of it; its scheduler says the rest at the next look."""
    known = job
    if job.phase is not Phase.RUNNING or job.restarts != restarts:
        # A login node's own name is its scheduler's to say: the endpoint has its loopback address only.
        known = replace(job, nodes=() if endpoint.host in _LOOPBACK else (endpoint.host,))
    return JobReport(
        id=job.id,
        phase=Phase.RUNNING,
        nodes=known.nodes,
        started=known.started,
        ends_by=known.ends_by,
        restarts=restarts,
    )


def _job(session: Session) -> JobRef:
    if session.job is None:
        raise Bug(f"session {session.id} has no job to be waited for")
    return session.job
