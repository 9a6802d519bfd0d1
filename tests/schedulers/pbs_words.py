"""What the tests of the PBS dialect share: recorded output, what qstat prints of a job, and the look at it."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sessiond.core.command import Completed
from sessiond.core.ids import JobId
from sessiond.core.report import JobReport, Snapshot
from sessiond.core.session import Phase, Session
from sessiond.core.spec import Mode
from sessiond.schedulers.pbs.dialect import Pbs

from . import slurm_site
from .batch_site import Recording, recorded
from .slurm_site import ID, said, word

JOB = JobId("4711.pbs01")
TAG = f"sd-{ID}"
RUN = 204
"""The process session of the job's script."""
NOBODY = ["began", "", "", ""]
"""No runner has begun."""


def recording(name: str) -> Recording:
    """The recording in ``name``.txt, of OpenPBS; ``torque/name`` is of Torque's form."""
    system, _, name = name.rpartition("/")
    return recorded(system or "openpbs", name)


def session(job: str | None = JOB, *, restarts: int = 0, phase: Phase = Phase.QUEUED, **resources: object) -> Session:
    """A session on a cluster under PBS, with a job."""
    made = slurm_site.session(job, restarts=restarts, phase=phase, **resources)
    return replace(made, spec=replace(made.spec, mode=Mode.PBS))


def known(of: Session, **facts: object) -> Session:
    """``of``, of whose job these facts are known."""
    assert of.job is not None
    return replace(of, job=replace(of.job, **facts))  # type: ignore[arg-type]


def when(seconds: float) -> str:
    """A time as qstat prints it for a caller in UTC."""
    return time.strftime("%a %b %e %H:%M:%S %Y", time.gmtime(seconds))


RUNNING: dict[str, str] = {
    "Job_Name": TAG,
    "Job_Owner": "alice@login1",
    "resources_used.walltime": "00:16:40",
    "job_state": "R",
    "queue": "workq",
    "exec_host": "n1/0*4",
    "exec_vnode": "(n1:ncpus=4)",
    "Hold_Types": "n",
    "mtime": when(1000),
    "Resource_List.walltime": "01:00:00",
    "stime": when(1000),
    "session_id": str(RUN),
    "substate": "42",
    "Variable_List": f"PBS_O_HOME=/home/alice,SESSIOND_ID={ID}",
    "comment": "Job run at Thu Jan 01 at 00:16 on (n1:ncpus=4)",
    "run_count": "1",
}
"""A job that runs since 1000 for an hour, in the order of OpenPBS."""
WAITS: dict[str, str] = {"job_state": "Q", "substate": "10"} | dict.fromkeys(
    ("resources_used.walltime", "exec_host", "exec_vnode", "stime", "session_id", "comment", "run_count"), ""
)
"""What is other of one that waits for its first run."""
OVER: dict[str, str] = {"job_state": "F", "substate": "92", "Exit_status": "0", "history_timestamp": "1500"}
"""What is other of one that is over."""


def block(job: str = JOB, *changes: Mapping[str, str], indent: str = "    ", head: str = "Job Id: ") -> str:
    """What ``qstat -f`` prints of a job: RUNNING but for ``changes``; what is empty there is left out."""
    merged = dict(RUNNING)
    for change in changes:
        merged |= change
    lines = "".join(f"{indent}{name} = {value}\n" for name, value in merged.items() if value)
    return f"{head}{job}\n{lines}\n"


def began(starts: int = 0, run: int = RUN, job: str = JOB) -> list[str]:
    """What a job's runner wrote down when it began, as the look has it."""
    return ["began", job, str(starts), str(run)]


def unknown_in(err: str) -> str:
    """The ids, a line each, that qstat's words say are unknown or over: what pbs_look.sh finds in them."""
    found = []
    for line in err.splitlines():
        match = re.search(r"Unknown Job Id[^0-9]*([0-9]\S*)", line) or re.match(
            r"[a-z]*: ([0-9]\S*) Job has finished", line
        )
        found += [f"{match[1]}\n"] if match is not None else []
    return "".join(found)


def listing(*texts: str, rc: int = 0, err: str = "", clock: float = 2000) -> list[list[str]]:
    """The records of a look, but those of the sessions."""
    return [
        ["clock", str(int(clock))],
        ["jobs", "".join(texts)],
        ["said", str(rc), err],
        ["unknown", unknown_in(err)],
    ]


def look(
    *texts: str,
    of: Session | Sequence[Session] | None = None,
    marks: Sequence[list[str]] | None = None,
    words: Sequence[list[str]] | None = None,
    rc: int = 0,
    err: str = "",
    at: float = 2000,
    clock: float | None = None,
) -> Snapshot:
    """A look at sessions (one, unless others are given), whose scripts began their first run, or as ``marks`` say."""
    sessions = [of or session()] if of is None or isinstance(of, Session) else list(of)
    marks = marks or [began(job=one.job.id if one.job else "") for one in sessions]
    words = words or [word() for _ in sessions]
    folders = [record for pair in zip(marks, words, strict=True) for record in pair]
    done = said(*listing(*texts, rc=rc, err=err, clock=at if clock is None else clock), *folders)
    return Pbs().read_observe(sessions, done, at, at + 0.5)


def report(*texts: str, **given: object) -> JobReport:
    """What a look at the one session says of its job."""
    return look(*texts, **given).jobs[JOB]  # type: ignore[arg-type]


def here(run: str, host: str = "n1", port: int = 8888) -> list[str]:
    """The word of a folder in which ``run`` published where its service listens."""
    return word(endpoint=(run, host, str(port), "http", ""))


def answered(real: Recording) -> Completed:
    """The reply of a question."""
    return said(["answer", real.out], ["said", str(real.rc), real.err])
