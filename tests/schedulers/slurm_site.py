"""What the tests of the Slurm dialect share: recorded output, replies, and stand-ins for a cluster's commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from sessiond.core.command import Completed
from sessiond.core.ids import ClusterName, JobId
from sessiond.core.report import Snapshot
from sessiond.core.session import JobRef, Phase, Session, State
from sessiond.core.spec import LaunchSpec, Mode, Resources, ServiceSpec
from sessiond.schedulers.slurm.dialect import Slurm
from sessiond.schedulers.slurm.reply import COLUMNS

from .batch_site import BatchSite, Recorded, Recording, recorded
from .machine import folder

ID = "k3f9q2m7x0ab"
JOB = JobId("4711")
CLUSTER = ClusterName("bed")
US, RS = "\x1f", "\x1e"
HEADER = US.join(("JOBID", "ARRAY_JOB_ID", "STATE", "REASON", "EXEC_HOST", "RESTART_COUNT"))
HEADER += US + US.join(("START_TIME", "END_TIME", "TIME_LIMIT", "EXIT_CODE", "NAME")) + US


def recording(name: str) -> Recording:
    """The recording of Slurm in ``name``.txt."""
    return recorded("slurm", name)


def session(job: str | None = JOB, *, restarts: int = 0, phase: Phase = Phase.QUEUED, **resources: object) -> Session:
    """A session on a cluster, with a job."""
    spec = LaunchSpec(
        service=ServiceSpec(name="stand-in", title="Stand-in", files=()),
        workflow="stand-in",
        cluster=CLUSTER,
        mode=Mode.SLURM,
        user="alice",
        jobdir=f"/home/alice/sessiond/{ID}",
        params={},
        secrets={},
        resources=replace(Resources(walltime_s=3600), **resources),  # type: ignore[arg-type]
    )
    made = Session(
        id=ID,  # type: ignore[arg-type]
        name="s",
        number=1,
        spec=spec,
        open_port=50000,
        created=0.0,
        state=State.WAIT_FOR_NODE,
        since=0.0,
    )
    return made if job is None else with_job(made, JobId(job), restarts=restarts, phase=phase)


def with_job(made: Session, job: JobId, *, restarts: int = 0, phase: Phase = Phase.QUEUED) -> Session:
    """``made`` with a job."""
    return replace(made, job=JobRef(id=job, cluster=CLUSTER, attempt=1, phase=phase, restarts=restarts))


def line(job: str = JOB, state: str = "RUNNING", **fields: str) -> str:
    """One job of a listing; ``fields`` by the names of COLUMNS in lower case."""
    values = {
        "jobid": job,
        "arrayjobid": job,
        "state": state,
        "reason": "None",
        "batchhost": "node1",
        "restartcnt": "0",
        "starttime": "1000",
        "endtime": "4600",
        "timelimit": "1:00:00",
        "exit_code": "0",
        "name": f"sd-{ID}",
    } | fields
    assert len(COLUMNS) == len(values)
    return US.join(values[column.lower()] for column in COLUMNS) + US


def said(*records: Sequence[str], rc: int = 0) -> Completed:
    """A script's reply."""
    body = "".join(RS + US.join(record) for record in records)
    return Completed(rc=rc, stdout=f"{RS}sessiond{body}{RS}end\n".encode(), stderr=b"")


def word(
    *, status: str = "", run: str = "", reason: str = "", failure: str = "", endpoint: Sequence[str] = ("",) * 5
) -> list[str]:
    """What a session's folder says."""
    return ["1", status, "2000" if status else "", run, reason, failure, *endpoint]


def listing(*lines: str, rc: int = 0, err: str = "", header: str = HEADER, clock: str = "2000") -> list[list[str]]:
    """The records of a look, but those of the sessions."""
    text = "".join(f"{one}\n" for one in ((header,) if header else ()) + lines)
    return [["clock", clock], ["jobs", text], ["said", str(rc), err]]


def look(
    *lines: str, words: Sequence[list[str]] | None = None, of: Session | None = None, at: float = 2000
) -> Snapshot:
    """A look at one session, at a time at which the clocks agree."""
    done = said(*listing(*lines, clock=str(int(at))), *(words or [word()]))
    return Slurm().read_observe([of or session()], done, at, at + 0.5)


LISTING = f"JOBID{US}NAME{US}COMMENT{US}\n"
SBATCH = """#!/bin/sh
# A stand-in for sbatch: counts its calls, and answers as the file `verdict` of the site says.
echo "$*" >>"$SITE/calls"
[ ! -f "$SITE/delay" ] || sleep "$(cat "$SITE/delay")"
if [ -f "$SITE/verdict" ]; then . "$SITE/verdict"; fi
id=$((100 + $$ % 10000))
echo "$id" >>"$SITE/jobs"
env | sort >"$SITE/environment"
echo "$id"
"""
ASIDE = "squeue: error: Ignoring ControlMachine since SlurmctldHost is set."
"""What each of Slurm's commands says at every call where slurm.conf has both (measured, 22.05)."""

SQUEUE = """#!/bin/sh
# A stand-in for squeue: prints the file `listing`, exits with `squeue.rc`.
echo "$*" >>"$SITE/squeue.calls"
[ ! -f "$SITE/listing" ] || cat "$SITE/listing"
[ ! -f "$SITE/squeue.err" ] || cat "$SITE/squeue.err" >&2
exit "$(cat "$SITE/squeue.rc" 2>/dev/null || echo 0)"
"""
SCANCEL = """#!/bin/sh
# A stand-in for scancel: notes its calls, and answers as the file `scancel.err` says.
echo "$*" >>"$SITE/scancel.calls"
[ ! -f "$SITE/scancel.err" ] || { cat "$SITE/scancel.err" >&2; exit 1; }
"""
OTHER = """#!/bin/sh
# A stand-in that knows nothing.
exit 1
"""


class Site(BatchSite):
    """A machine with stand-ins for Slurm's commands first in its PATH."""

    dialect = Slurm()
    submitter, searcher, canceller = "sbatch", "squeue", "scancel"
    refusal = Recorded("slurm", "sbatch_bad_partition", "invalid partition specified: nosuch")
    unreached = Recorded("slurm", "down_sbatch")
    unanswered = Recorded("slurm", "frozen_sbatch")
    empty = LISTING
    silences = (
        ("", "", 0),
        ("", "slurm_load_jobs error: Socket timed out on send/recv operation", 0),
        (LISTING, "squeue: error: Invalid user: nosuchuser", 0),
        (LISTING, "", 1),
        ("nonsense\n", "", 0),
    )
    programs: ClassVar[Mapping[str, str]] = {
        "sbatch": SBATCH,
        "squeue": SQUEUE,
        "scancel": SCANCEL,
        "sacct": OTHER,
        "scontrol": OTHER,
    }

    def called(self, session: Session) -> str:
        """How the submitter is called for a session."""
        return f"--parsable --chdir={folder(session)} job.sh"

    def lists(self, job: str, session: Session) -> None:
        """The queue has this job of the session's, beside another."""
        self.put("listing", f"{LISTING}7{US}x{US}y{US}\n{job}{US}{session.tag}{US}(null){US}\n")
