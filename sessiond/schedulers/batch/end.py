"""How a job ended: its scheduler's verdict and what the session itself left, as an outcome and a sentence."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sessiond.core.session import Outcome, Problem
from sessiond.core.status import OWN_LIMIT, USUAL
from sessiond.schedulers import common
from sessiond.schedulers.batch.reply import Said

LOST_FOLDER_STATUS = 66
"""What job.sh ends with where the session's folder is not on the node."""
NOT_SHARED = "the node could not write to the session's folder: is workdir shared with the compute nodes?"
_SHARED_HINT = "Set the cluster's workdir to a folder on a file system that login and compute nodes share."
_SIGNALS = {1: "HUP", 2: "INT", 3: "QUIT", 4: "ILL", 6: "ABRT", 7: "BUS", 8: "FPE", 9: "KILL", 11: "SEGV", 13: "PIPE"}
_SIGNALS |= {10: "USR1", 12: "USR2", 14: "ALRM", 15: "TERM", 24: "XCPU", 25: "XFSZ"}

_CODES = {
    Outcome.WALLTIME: "walltime",
    Outcome.CANCELLED: "cancelled",
    Outcome.OUT_OF_MEMORY: "out-of-memory",
    Outcome.NODE_FAILED: "node-failed",
    Outcome.PREEMPTED: "preempted",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The scheduler's word for a job's end.

    ``code`` and ``signal`` are how its script ended, None where nobody said; ``words`` the scheduler's own where they
    say more than the outcome, ``not_shared`` that the node did not see the session's folder.
    """

    outcome: Outcome
    words: str = ""
    code: int | None = None
    signal: int | None = None
    not_shared: bool = False


def own_end(said: Said, job: str, restarts: int) -> Said | None:
    """The exit record a session left, if it is of this job's last run we know of, or a later one."""
    number, _, run = said.run.rpartition(".")
    if said.status is None or number != job or not re.fullmatch(r"[0-9]{1,9}", run, re.ASCII):
        return None
    return said if int(run) >= restarts else None


def ended(verdict: Verdict | None, said: Said | None, failure: str, at: float) -> tuple[Outcome, Problem | None]:
    """How it ended. ``said`` is its own exit record, ``failure`` its script's word.

    One of ``verdict`` and ``said`` is there.
    """
    if said is not None and said.reason in {"walltime", "stopped"}:
        if said.reason == "stopped":
            return Outcome.CANCELLED, None
        return Outcome.WALLTIME, Problem(code="walltime", message=OWN_LIMIT, at=at)
    if verdict is None:
        verdict = Verdict(outcome=Outcome.COMPLETED if said is not None and said.status == 0 else Outcome.FAILED)
    return verdict.outcome, _problem(verdict, said, failure, at)


def _problem(verdict: Verdict, said: Said | None, failure: str, at: float) -> Problem | None:
    if verdict.outcome is Outcome.COMPLETED:
        return None
    code = _CODES.get(verdict.outcome)
    if code is not None:
        return Problem(code=code, message=verdict.words or USUAL[verdict.outcome], at=at)
    if failure:
        return Problem(code="exit", message=failure, at=at)
    return _failed(verdict, said, at)


def _failed(verdict: Verdict, said: Said | None, at: float) -> Problem:
    """A failure, in words: the session's own record is more exact than what the scheduler made of it."""
    if said is None and (verdict.not_shared or verdict.code == LOST_FOLDER_STATUS):
        return Problem(code="not-shared", message=NOT_SHARED, hint=_SHARED_HINT, at=at)
    status = verdict.code
    if said is not None:
        name = said.reason.removeprefix("signal:") if said.reason.startswith("signal:") else ""
        status = said.status
    else:
        name = _SIGNALS.get(verdict.signal, str(verdict.signal)) if verdict.signal is not None else ""
    if name == "KILL":
        message = "the session's script was killed by signal KILL (out of memory?)"
    elif name:
        message = f"the session's script was ended by signal {common.printable(name)}"
    elif status:
        message = f"the session's script ended with status {status}"
    else:
        message = f"the job failed ({common.printable(verdict.words)})" if verdict.words else "the job failed"
    return Problem(code="exit", message=message, at=at)
