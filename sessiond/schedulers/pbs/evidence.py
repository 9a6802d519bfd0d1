"""What a PBS server knows of a job, for people who look into its end."""

from __future__ import annotations

from dataclasses import replace

from sessiond.core.command import Completed
from sessiond.core.errors import Unreadable
from sessiond.core.report import Evidence, Words
from sessiond.core.session import Session
from sessiond.schedulers import common
from sessiond.schedulers.batch import evidence as batch
from sessiond.schedulers.batch import reply
from sessiond.schedulers.pbs.look import is_ours
from sessiond.schedulers.pbs.reply import listing

_PRIVATE = frozenset({"variable_list"})
"""The environment that the job was submitted from: nobody needs it to understand an end."""


def read_evidence(session: Session, done: Completed) -> Evidence:
    """The reply to `Pbs.evidence`. Raises Unreadable."""
    return batch.read(session, done, "qsub", lambda known, found: _read(session, known, found))


def _read(session: Session, known: Evidence, found: list[list[str]]) -> Evidence:
    job = session.job.id if session.job is not None else ""
    said = reply.take_answer(found, "jobs")
    if not found or found[0][0] != "unknown":
        raise Unreadable("the answer does not say which jobs are unknown")
    listed = listing(said, common.FIELD.join(found[0][1:]), [job]).jobs.get(job)
    if listed is None or not is_ours(session, listed):
        return replace(known, missing=(*known.missing, "qstat's words: it does not know the job any more"))
    lines = [f"{name} = {value}" for name, value in listed.attributes.items() if name not in _PRIVATE]
    return replace(
        known,
        words=(*known.words, Words(asked="qstat -f", said="\n".join(lines))),
        peak_memory=batch.amount(listed["resources_used.mem"]) or None,
    )
