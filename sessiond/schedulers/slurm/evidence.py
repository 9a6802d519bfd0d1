"""What Slurm's accounting and its controller know of a job, for people who look into its end."""

from __future__ import annotations

from dataclasses import replace

from sessiond.core.command import Completed
from sessiond.core.report import Evidence, Words
from sessiond.core.session import Session
from sessiond.schedulers.batch import evidence as batch
from sessiond.schedulers.slurm.look import OVER
from sessiond.schedulers.slurm.reply import controlled, take_answer
from sessiond.schedulers.slurm.states import state_word
from sessiond.schedulers.slurm.words import in_words, plain

_COLUMNS = ("JobID", "State", "ExitCode", "MaxRSS", "ReqMem", "Elapsed", "Timelimit", "NodeList", "Reason")


def read_evidence(session: Session, done: Completed) -> Evidence:
    """The reply to `Slurm.evidence`. Raises Unreadable."""
    found = batch.read(session, done, "sbatch", lambda known, found: _read(session, known, found))
    words = (replace(one, said=plain(one.said)) for one in found.words)
    return replace(found, words=tuple(one for one in words if one.said))


def _read(session: Session, known: Evidence, found: list[list[str]]) -> Evidence:
    job = session.job.id if session.job is not None else ""
    account = take_answer(found, "account")
    control = take_answer(found, "control")
    words, missing = [], []
    rows = [row for line in account.out.splitlines() if (row := _row(line, job)) is not None] if account.rc == 0 else []
    if rows:
        lines = (" ".join(f"{key}={value}" for key, value in row.items() if value) for row in rows)
        words.append(Words(asked="sacct", said="\n".join(lines)))
    else:
        missing.append(f"sacct's words: {in_words(account.err) or 'it does not know the job'}")
    if controlled(control, job, session.tag) is not None:
        words.append(Words(asked="scontrol show job", said=control.out.strip()))
    else:
        missing.append(f"scontrol's words: {in_words(control.err) or 'it does not know the job any more'}")
    peaks = [size for row in rows if (size := batch.amount(row["MaxRSS"]))]
    return replace(
        known,
        words=(*known.words, *words),
        missing=(*known.missing, *missing),
        peak_memory=max(peaks, default=None),
        # Accounting hears of an end later than the session does.
        lagging=bool(rows) and any(state_word(row["State"]) not in OVER for row in rows),
    )


def _row(line: str, job: str) -> dict[str, str] | None:
    """A line of sacct's about the job or one of its steps."""
    fields = line.split("|")
    if len(fields) < len(_COLUMNS) or fields[0].partition(".")[0] != job:
        return None
    return dict(zip(_COLUMNS, fields, strict=False))
