"""A machine with stand-ins for the commands of PBS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from sessiond.core.ids import JobId
from sessiond.core.session import Session
from sessiond.schedulers.pbs.dialect import Pbs

from .batch_site import BatchSite, Recorded, Recording, recorded

JOB = JobId("16.pbs")
QSUB = """#!/bin/sh
# A stand-in for qsub: counts its calls, and answers as the file `verdict` of the site says.
echo "$PWD $*" >>"$SITE/calls"
[ ! -f "$SITE/delay" ] || sleep "$(cat "$SITE/delay")"
if [ -f "$SITE/verdict" ]; then . "$SITE/verdict"; fi
id=$((100 + $$ % 10000)).pbs
echo "$id" >>"$SITE/jobs"
env | sort >"$SITE/environment"
echo "$id"
"""
QSTAT = """#!/bin/sh
# A stand-in for qstat: --version as OpenPBS, else the file `qstat.out`, exits with `qstat.rc`.
if [ "$*" = --version ]; then
  cat "$SITE/version" 2>/dev/null || echo "pbs_version = 23.06.06"
  exit "$(cat "$SITE/version.rc" 2>/dev/null || echo 0)"
fi
echo "$TZ $*" >>"$SITE/qstat.calls"
[ ! -f "$SITE/qstat.out" ] || cat "$SITE/qstat.out"
[ ! -f "$SITE/qstat.err" ] || cat "$SITE/qstat.err" >&2
exit "$(cat "$SITE/qstat.rc" 2>/dev/null || echo 0)"
"""
QSELECT = """#!/bin/sh
# A stand-in for qselect: prints the file `listing`, exits with `qselect.rc`.
echo "$*" >>"$SITE/qselect.calls"
[ ! -f "$SITE/listing" ] || cat "$SITE/listing"
[ ! -f "$SITE/qselect.err" ] || cat "$SITE/qselect.err" >&2
exit "$(cat "$SITE/qselect.rc" 2>/dev/null || echo 0)"
"""
QDEL = """#!/bin/sh
# A stand-in for qdel: notes its calls, and answers as the files `qdel.err` and `qdel.rc` say.
echo "$*" >>"$SITE/qdel.calls"
[ ! -f "$SITE/qdel.err" ] || cat "$SITE/qdel.err" >&2
exit "$(cat "$SITE/qdel.rc" 2>/dev/null || echo 0)"
"""
QALTER = """#!/bin/sh
# A stand-in for qalter: notes its calls, and answers as the files `qalter.err` and `qalter.rc` say.
echo "$*" >>"$SITE/qalter.calls"
[ ! -f "$SITE/qalter.err" ] || cat "$SITE/qalter.err" >&2
exit "$(cat "$SITE/qalter.rc" 2>/dev/null || echo 0)"
"""


def recording(name: str) -> Recording:
    """The recording of OpenPBS in ``name``.txt."""
    return recorded("openpbs", name)


def job_text(session: Session, state: str = "R", job: str = JOB) -> str:
    """What qstat -f says of a session's job."""
    return (
        f"Job Id: {job}\n    Job_Name = {session.tag}\n    job_state = {state}\n    exec_host = node1/0\n"
        "    Resource_List.walltime = 00:30:00\n    stime = Sun Nov 22 17:55:27 2026\n    session_id = 204\n"
        f"    Variable_List = PBS_O_HOME=/home/alice,SESSIOND_ID={session.id}\n    run_count = 1\n\n"
    )


class Site(BatchSite):
    """A machine with stand-ins for the commands of PBS first in its PATH."""

    dialect = Pbs()
    submitter, searcher, canceller = "qsub", "qselect", "qdel"
    refusal = Recorded("openpbs", "qsub_bad_queue", "Unknown queue")
    unreached = Recorded("openpbs", "down_qsub")
    unanswered = Recorded("openpbs", "frozen_qsub")
    empty = ""
    silences = (
        ("", recorded("openpbs", "down_qselect").err, 162),
        ("", "", 124),
        ("", "qselect: cannot connect to server pbs (errno=15010)", 0),
        ("", "qselect: Unauthorized Request", 159),
    )
    programs: ClassVar[Mapping[str, str]] = {
        "qsub": QSUB,
        "qstat": QSTAT,
        "qselect": QSELECT,
        "qdel": QDEL,
        "qalter": QALTER,
    }

    def called(self, session: Session) -> str:
        """How the submitter is called for a session."""
        return f"{session.spec.jobdir} job.sh"

    def lists(self, job: str, session: Session) -> None:
        """The queue has this job of the session's; what qselect lists has its name."""
        self.put("listing", f"{job}\n")

    def shows(self, name: str, *, rc: int | None = None) -> None:
        """Qstat answers as it was recorded in ``name``.txt."""
        answer = recording(name)
        self.put("qstat.out", answer.out)
        self.put("qstat.err", answer.err)
        self.put("qstat.rc", str(answer.rc if rc is None else rc))
