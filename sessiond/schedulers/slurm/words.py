"""What sbatch's exit status and words prove: that a job may exist, that none does just now, or that none ever will.

Recorded with Slurm 22.05; the texts are those of its slurm_errno.c, older and newer ones differ in few words.
"""

from __future__ import annotations

import re
from typing import Final

from sessiond.schedulers import common
from sessiond.schedulers.batch.words import Lexicon

DOUBT: Final = (
    "imed out|[Tt]imeout|send/recv|Zero Bytes|onnection reset|roken pipe|nexpected message|ommunication failure"
    "|(send|receive|shutdown) failure"
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

_MUNGE: Final = "The authentication service (munge) of the login node is down: its administrators can start it."

_ASIDE: Final = re.compile(
    r'^.*\berror: (?:Ignoring \w+ since \w+ is set\.|The option "\w+" is defunct.*)\n?', re.MULTILINE
)
_PREFIX: Final = re.compile(r"^(?:Batch job submission failed|allocation failure): ")
_HINTS: Final = (
    (r"account", "Choose one with --set account=; `sacctmgr show associations user=$USER` on the cluster lists yours."),
    (r"partition", "Choose one with --set partition=; `sessionctl partitions CLUSTER` lists them."),
    (r"qos", "Choose one with --set qos=; `sacctmgr show qos` on the cluster lists them."),
    (r"gres|generic resource", "The cluster has no such GPUs under that name: `sinfo -o '%P %G'` there lists them."),
    (r"time", "Ask for less time; `sessionctl partitions CLUSTER` shows each one's limit."),
    (r"node|processor|cpu|memory", "Ask for fewer or smaller nodes; `sinfo -N -l` on the cluster shows what there is."),
    (r"violates|limit", "You or your account have as much in the queue as is allowed: wait, or ask for less."),
    (r"option|specification", "Look at the directives you gave; `man sbatch` on the cluster knows them."),
)


def plain(err: str) -> str:
    """What they printed on stderr, without their complaints about lines of slurm.conf that they leave aside: those come
    at every call, whatever is asked and answered (measured, Slurm 22.05)."""
    return _ASIDE.sub("", err)


def in_words(err: str) -> str:
    """What Slurm's commands printed on stderr, without their prefixes, in one line."""
    lines = [re.sub(r"^(?:[a-z]+: )?(?:error: |fatal: )?", "", line.strip()) for line in plain(err).splitlines()]
    lines = [_PREFIX.sub("", line) for line in lines if not line.startswith("Try ")]
    return common.printable("; ".join(line for line in lines if line))


def _when_down(err: str) -> str:
    return _MUNGE if "unge" in err else ""


def hint_for(err: str, *, then: str = ", and it is asked again") -> str:
    """What to do about a scheduler that does not answer, and what comes ``then``; empty where only waiting helps."""
    if "munge" in err.lower() or "authentication" in err.lower():
        return _MUNGE
    if "Unable to contact" in err or "timed out" in err:
        return f"The scheduler's controller does not answer just now; sessions go on{then}."
    return ""


LEXICON: Final = Lexicon(
    doubt=DOUBT,
    busy=BUSY,
    refused=REFUSED,
    hints=_HINTS,
    in_words=in_words,
    when_down=_when_down,
    missing_hint="If it takes a module to have Slurm's commands, put its `module load` into the cluster's setup.",
)
