"""How a Slurm job ended: the scheduler's word for it and what the session itself left, as an outcome and a sentence."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sessiond.core.session import Outcome, Problem
from sessiond.schedulers import common
from sessiond.schedulers.slurm_reply import Said
from sessiond.schedulers.slurm_states import OUTCOMES, cancelled_by, state_word

NOT_SHARED = "the node could not write to the session's folder: is workdir shared with the compute nodes?"
_SHARED_HINT = "Set the cluster's workdir to a folder on a file system that login and compute nodes share."
_LOST_FOLDER_STATUS = 66
_NO_OUTPUT_SIGNAL = 53
"""What Slurm 22.05 gives as the signal of a job whose output could not be opened (measured: 0:53)."""
_SIGNALS = {1: "HUP", 2: "INT", 3: "QUIT", 4: "ILL", 6: "ABRT", 7: "BUS", 8: "FPE", 9: "KILL", 11: "SEGV", 13: "PIPE"}
_SIGNALS |= {10: "USR1", 12: "USR2", 14: "ALRM", 15: "TERM", 24: "XCPU", 25: "XFSZ"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The scheduler's word for a job's end. ``code`` and ``signal`` are None where it gave none."""

    state: str
    reason: str = ""
    code: int | None = None
    signal: int | None = None

    @classmethod
    def of_wait(cls, state: str, reason: str, status: int) -> Verdict:
        """From a status as wait(2) has it, which is what squeue's exit_code is (measured: 7 is 1792, 0:53 is 4021)."""
        signal = status & 0x7F
        return cls(state=state, reason=reason, code=None if signal else status >> 8 & 0xFF, signal=signal or None)

    @classmethod
    def of_pair(cls, state: str, reason: str, pair: str) -> Verdict:
        """From ``code:signal``, as sacct and scontrol write it."""
        found = re.fullmatch(r"([0-9]{1,3}):([0-9]{1,3})", pair, re.ASCII)
        if found is None:
            return cls(state=state, reason=reason)
        return cls(state=state, reason=reason, code=int(found[1]), signal=int(found[2]) or None)


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
        return Outcome.WALLTIME, Problem(code="walltime", message="the session's walltime was over", at=at)
    outcome = OUTCOMES.get(state_word(verdict.state), Outcome.FAILED) if verdict is not None else Outcome.FAILED
    if verdict is None:
        verdict = Verdict(state="")
        outcome = Outcome.COMPLETED if said is not None and said.status == 0 else Outcome.FAILED
    return outcome, _problem(outcome, verdict, said, failure, at)


def _problem(outcome: Outcome, verdict: Verdict, said: Said | None, failure: str, at: float) -> Problem | None:
    match outcome:
        case Outcome.COMPLETED:
            return None
        case Outcome.WALLTIME:
            deadline = state_word(verdict.state) in {"DEADLINE", "DL"}
            message = "the job's deadline passed" if deadline else "the job's walltime was over"
            return Problem(code="walltime", message=message, at=at)
        case Outcome.CANCELLED:
            uid = cancelled_by(verdict.state)
            by = f" by uid {uid}" if uid else ""
            return Problem(code="cancelled", message=f"cancelled on the cluster{by}", at=at)
        case Outcome.OUT_OF_MEMORY:
            message = "the job used more memory than it had asked for"
            return Problem(code="out-of-memory", message=message, hint="Ask for more with --set memory=.", at=at)
        case Outcome.NODE_FAILED:
            return Problem(code="node-failed", message="the job's node failed or did not start", at=at)
        case Outcome.PREEMPTED:
            message = "the job had to make room for one of higher priority"
            return Problem(code="preempted", message=message, at=at)
    if failure:
        return Problem(code="exit", message=failure, at=at)
    return _failed(verdict, said, at)


def _failed(verdict: Verdict, said: Said | None, at: float) -> Problem:
    """A failure, in words: the session's own record is more exact than what Slurm made of it."""
    launch = "joblaunchfailure" in verdict.reason.lower()
    if said is None and (
        verdict.code == _LOST_FOLDER_STATUS
        or verdict.signal == _NO_OUTPUT_SIGNAL
        or (launch and verdict.signal is None)
    ):
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
        message = f"the job failed ({common.printable(verdict.reason)})" if verdict.reason else "the job failed"
    return Problem(code="exit", message=message, at=at)
