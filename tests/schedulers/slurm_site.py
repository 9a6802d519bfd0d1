"""What the tests of the Slurm dialect share: recorded output, replies, and stand-ins for a cluster's commands."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sessiond.core.command import Completed
from sessiond.core.events import Staged
from sessiond.core.ids import ClusterName, JobId
from sessiond.core.report import Snapshot
from sessiond.core.session import JobRef, Phase, Session, State
from sessiond.core.spec import LaunchSpec, Mode, Resources, ServiceSpec
from sessiond.schedulers.slurm import Slurm
from sessiond.schedulers.slurm_reply import COLUMNS

from .machine import Machine

RECORDED = Path(__file__).parent / "recorded" / "slurm"
ID = "k3f9q2m7x0ab"
JOB = JobId("4711")
CLUSTER = ClusterName("bed")
US, RS = "\x1f", "\x1e"
HEADER = US.join(("JOBID", "ARRAY_JOB_ID", "STATE", "REASON", "EXEC_HOST", "RESTART_COUNT"))
HEADER += US + US.join(("START_TIME", "END_TIME", "TIME_LIMIT", "EXIT_CODE", "NAME")) + US


@dataclass(frozen=True, slots=True)
class Recording:
    """What one real command answered."""

    rc: int
    out: str
    err: str


def recording(name: str) -> Recording:
    """The recording in ``name``.txt."""
    text = (RECORDED / f"{name}.txt").read_text()
    found = re.search(r"^### exit: (\d+).*?\n### stdout:\n(.*?)### stderr:\n(.*)\Z", text, re.DOTALL | re.MULTILINE)
    assert found is not None, name
    return Recording(int(found[1]), found[2], found[3])


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


class Site:
    """A machine with stand-ins for Slurm's commands first in its PATH."""

    def __init__(self, machine: Machine) -> None:
        """Put the stand-ins into ``machine``."""
        self.machine = machine
        self.root = machine.root / "site"
        self.root.mkdir()
        machine.environ["SITE"] = str(self.root)
        shutil.copy(shutil.which("env") or "", machine.bin / "env") if machine.shell != "busybox" else None
        for name, text in (("sbatch", SBATCH), ("squeue", SQUEUE), ("scancel", SCANCEL)):
            self.program(name, text)
        for name in ("sacct", "scontrol"):
            self.program(name, OTHER)

    def program(self, name: str, text: str) -> None:
        """Put a stand-in into the PATH."""
        path = self.machine.bin / name
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def put(self, name: str, text: str) -> None:
        """Write a file of the site."""
        (self.root / name).write_text(text)

    def lines(self, name: str) -> list[str]:
        """The lines of a file of the site."""
        path = self.root / name
        return path.read_text().splitlines() if path.exists() else []

    def staged(self) -> Session:
        """A session whose files are in place."""
        made = self.machine.session()
        dialect = Slurm()
        assert Staged() == dialect.read_stage(
            made, self.machine.run(dialect.stage(made, {"session.sh": b"true\n", "kill.sh": b"true\n"}))
        )
        return made
