"""Reading what Slurm's commands print: the queue's listing, accounting's lines, a job's record.

Nothing here decides what an answer means; it raises Unreadable for one that does not prove to be whole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from sessiond.core.errors import Unreadable
from sessiond.core.ids import is_tag
from sessiond.schedulers import common
from sessiond.schedulers.batch import reply
from sessiond.schedulers.batch.reply import Answer
from sessiond.schedulers.slurm.words import hint_for, plain

COLUMNS = (
    "JobID",
    "ArrayJobID",
    "State",
    "Reason",
    "BatchHost",
    "RestartCnt",
    "StartTime",
    "EndTime",
    "TimeLimit",
    "exit_code",
    "Name",
)
FORMAT = ",".join(f"{column}:{common.FIELD}" for column in COLUMNS)
"""For ``squeue -O``: with a separator of its own a column is not cut at 20 characters (measured, Slurm 22.05).

A column a version does not know is left out with a word on stderr and exit status 0 (measured), which the header shows.
"""

TROUBLE = re.compile(r"error|unable|cannot|fail|invalid|timed out|refused|denied|unrecognized|usage:", re.IGNORECASE)
_DIGITS = re.compile(r"[0-9]{1,18}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One job of squeue's listing. Times are UTC seconds by the cluster's clock; ``status`` is as wait(2) has it."""

    id: str
    array: str
    state: str
    reason: str
    host: str
    restarts: int
    start: float | None
    end: float | None
    unlimited: bool
    status: int
    name: str


def take_answer(found: list[list[str]], what: str) -> Answer:
    """What one command said, from the first two records, which are taken away. Raises Unreadable."""
    answer = reply.take_answer(found, what)
    return replace(answer, err=plain(answer.err))


@dataclass(frozen=True, slots=True)
class Listing:
    """The jobs that squeue lists; ``trouble``, if any, is why a job that is not listed may be there all the same."""

    jobs: tuple[Listed, ...]
    trouble: str = ""


def listing(answer: Answer) -> Listing:
    """The jobs of a listing that proves to be whole: exit status 0, a header, a last line's end.

    Words of trouble do not take anything away from what is listed: squeue complains of much, and answers. Lines that
    are no job's (a cluster's name, a greeting, the rest of a job name with a line break) are left out.
    """
    if answer.rc != 0:
        raise unanswered(common.printable(answer.err) or f"exit status {answer.rc}", answer.err)
    lines = answer.out.split("\n")
    trouble = common.printable(answer.err) if TROUBLE.search(answer.err) else ""
    if lines.pop() or not any(_is_header(line) for line in lines):
        if trouble:
            raise unanswered(trouble, answer.err)
        said = common.printable(answer.err or answer.out) or "nothing"
        raise Unreadable(f"squeue's answer is not a whole listing: {said}")
    return Listing(jobs=tuple(job for line in lines if (job := _listed(line)) is not None), trouble=trouble)


def unanswered(why: str, words: str) -> Unreadable:
    """squeue's silence, or what it says instead of an answer; ``words`` are all it said."""
    return Unreadable(f"squeue does not answer: {why}", hint=hint_for(words))


def _is_header(line: str) -> bool:
    fields = line.split(common.FIELD)
    return len(fields) == len(COLUMNS) + 1 and fields[0].strip().upper() == "JOBID"


def _listed(line: str) -> Listed | None:
    fields = [field.strip() for field in line.split(common.FIELD)]
    if len(fields) == 1 or not _DIGITS.fullmatch(fields[0]):
        return None
    # A name may hold anything, a separator and a line break too: it is the last, and only its beginning counts.
    if len(fields) < len(COLUMNS):
        raise Unreadable(f"squeue's line about job {fields[0]} is not whole")
    number, array, state, reason, host, restarts, start, end, limit, status, name = fields[: len(COLUMNS)]
    return Listed(
        id=number,
        array=array,
        state=state,
        reason=reason,
        host="" if host.lower() in {"n/a", "(null)", "none"} else common.printable(host),
        restarts=int(restarts) if _DIGITS.fullmatch(restarts) else 0,
        start=common.seconds(start),
        end=common.seconds(end),
        unlimited=limit.upper() in {"UNLIMITED", "NOT_SET", "INFINITE"},
        status=int(status) if _DIGITS.fullmatch(status) else 0,
        name=name,
    )


def accounted(answer: Answer, job: str) -> Mapping[str, str] | None:
    """The last line sacct has of ``job``: State, ExitCode, End, Reason. None: it does not know it, or does not work."""
    found = None
    for line in answer.out.splitlines():
        fields = line.split("|")
        if answer.rc == 0 and len(fields) >= 5 and fields[0] == job:
            found = {"State": fields[1], "ExitCode": fields[2], "End": fields[3], "Reason": fields[4]}
    return found


def controlled(answer: Answer, job: str, name: str) -> Mapping[str, str] | None:
    """The controller's record of ``job`` in `scontrol -o show job`; None where it has none, or where the number is now
    that of another session's job than ``name``."""
    for line in answer.out.splitlines():
        pairs = dict(word.split("=", 1) for word in line.split() if "=" in word)
        if answer.rc == 0 and job in {pairs.get("JobId"), pairs.get("ArrayJobId")}:
            called = pairs.get("JobName", name)
            return pairs if called == name or not is_tag(called) else None
    return None
