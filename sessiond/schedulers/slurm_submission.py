"""What sbatch's exit status and words prove: that a job may exist, that none does just now, or that none ever will.

The patterns are extended regular expressions that grep -E and Python read alike: `sh/slurm_find.sh` uses them too.
Recorded with Slurm 22.05; the texts are those of its slurm_errno.c, older and newer ones differ in few words.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final

from sessiond.core.session import Problem
from sessiond.schedulers import common

DOUBT: Final = (
    "imed out|[Tt]imeout|send/recv|Zero Bytes|onnection reset|roken pipe|nexpected message|ommunication failure"
    "|shutdown failure"
)
"""The request may have arrived: a controller that was frozen runs it once it goes on (measured)."""

BUSY: Final = (
    "connect failure|Munge encode failed|auth_g_create: REQUEST_SUBMIT|temporarily|standby mode|try again|"
    "Unable to resolve|No space left|quota exceeded|command not found"
)
"""Nothing was submitted, and another time it may be."""

REFUSED: Final = (
    "[Ii]nvalid|nrecognized option|requires an argument|ot available|ot permitted|ermission denied|violates|"
    "Access denied|DOS line breaks|does not contain|nable to open|Node count specification|More processors|more than|"
    "[Ee]xceed|Limit|disabled|specification|must (be )?specif|nknown option|ambiguous|[Jj]ob (can|will) never|"
    "expired|not allowed|denied|[Rr]ejected|No partition|batch script|is empty"
)
"""sbatch or its controller said no."""

UNSENT: Final = f"{BUSY}|{REFUSED}"
"""For slurm_find.sh, where DOUBT does not match: no job came of it."""

_PREFIX: Final = re.compile(r"^(?:Batch job submission failed|allocation failure): ")
_HINTS: Final = (
    (r"account", "Choose one with --set account=; `sacctmgr show associations user=$USER` on the cluster lists yours."),
    (r"partition", "Choose one with --set partition=; `sinfo` on the cluster lists them."),
    (r"qos", "Choose one with --set qos=; `sacctmgr show qos` on the cluster lists them."),
    (r"gres|generic resource", "The cluster has no such GPUs under that name: `sinfo -o '%P %G'` there lists them."),
    (r"time", "Ask for less time; `sinfo` on the cluster shows each partition's limit."),
    (r"node|processor|cpu|memory", "Ask for fewer or smaller nodes; `sinfo -N -l` on the cluster shows what there is."),
    (r"violates|limit", "You or your account have as much in the queue as is allowed: wait, or ask for less."),
    (r"option|specification", "Look at the directives you gave; `man sbatch` on the cluster knows them."),
)


class Proof(Enum):
    """What is proved about a submission."""

    NONE = auto()
    LATER = auto()
    REFUSED = auto()


def proof(rc: int, err: str) -> Proof:
    """What a failed sbatch proves; ``rc`` 124 and 137 are those of an sbatch that was ended for taking too long."""
    if rc in {124, 137} or re.search(DOUBT, err):
        return Proof.NONE
    if re.search(BUSY, err):
        return Proof.LATER
    return Proof.REFUSED if re.search(REFUSED, err) else Proof.NONE


def problem(rc: int, err: str) -> Problem:
    """The scheduler's own words, and what a person can do."""
    words = in_words(err) or f"exit status {rc}, and no word why"
    hint = common.room_hint(err)
    if not hint and proof(rc, err) is Proof.REFUSED:
        hint = next((hint for pattern, hint in _HINTS if re.search(pattern, err, re.IGNORECASE)), "")
    elif not hint and "unge" in err:
        hint = "The authentication service (munge) of the login node is down: its administrators can start it."
    return Problem(code="submit", message=f"the scheduler says: {words}", hint=hint)


def in_words(err: str) -> str:
    """What Slurm's commands printed on stderr, without their prefixes, in one line."""
    lines = [re.sub(r"^(?:[a-z]+: )?(?:error: |fatal: )?", "", line.strip()) for line in err.splitlines()]
    lines = [_PREFIX.sub("", line) for line in lines if not line.startswith("Try ")]
    return common.printable("; ".join(line for line in lines if line))
