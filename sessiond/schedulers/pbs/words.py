"""What the commands of PBS print when they fail, and what that proves about a submission.

Recorded with OpenPBS 23.06; the other texts are those of its svr_messages.c and of Torque 6. The exit status of a
command is the server's error number modulo 256 (pbs_error.h: 15001, unknown job, is 153).
"""

from __future__ import annotations

import re
from typing import Final

from sessiond.schedulers import common
from sessiond.schedulers.batch.words import Lexicon

DOUBT: Final = (
    "imed out|[Tt]imeout|[Pp]rotocol|[Pp]remature|[Ee]nd of [Ff]ile|onnection reset|roken pipe|ommunication failure|"
    "nternal server error|[Ss]ystem error|send/recv|nexpected message"
)
"""The request may have arrived. A server that was frozen runs it once it goes on (measured)."""

BUSY: Final = (
    "cannot connect to server|Connection refused|[Nn]o free connections|connection table full|shutting down|"
    "[Ss]erver shutdown|[Tt]ry again|[Tt]emporarily|failed to save job|License server is down|"
    "No space left|quota exceeded|Unable to contact|connect failure|command not found|Unknown Host|pbs_iff|"
    "[Nn]o server to connect"
)
"""Nothing was submitted, and another time it may be."""

REFUSED: Final = (
    "qsub: |usage: qsub|Usage:|[Ii]nvalid|Unable to open|No such file|[Rr]ejected|There was an error running"
)
"""qsub or its server said no: what the server says of a request, qsub prints after its own name."""

_HINTS: Final = (
    (r"queue is not enabled", "The queue takes no jobs now: choose another with --set queue=, or wait."),
    (
        r"unknown queue|queue access|invalid partition",
        "Choose one with --set queue=; `sessionctl partitions CLUSTER` lists them.",
    ),
    (r"unauthorized|permission|access|ACL", "You may not use that queue or account: `qstat -Qf` shows who may."),
    (
        r"limit of|per-user|per-group|per-project|maximum number|would exceed",
        "You have as much in the queue as is allowed: wait, or stop something.",
    ),
    (r"violates|exceeds", "Ask for less, or for another queue: `qstat -Qf` on the cluster shows each one's limits."),
    (r"account|project", "Choose one with --set account=; the cluster's administrators know yours."),
    (
        r"walltime|time",
        "Ask for a walltime such as --time 02:00:00; `sessionctl partitions CLUSTER` shows each queue's limit.",
    ),
    (
        r"resource|select|nodect|ncpus",
        "The cluster does not know that resource, or not on a node: look at the directives you gave.",
    ),
    (r"usage|option|illegal", "Look at the directives you gave; `man qsub` on the cluster knows them."),
)
_PREFIX: Final = re.compile(r"^(?:q[a-z]+|pbs_[a-z]+): (?:error: )?")
_USAGE: Final = re.compile(r"^usage:", re.IGNORECASE)


def in_words(err: str) -> str:
    """What the commands printed on stderr, without their prefixes and their list of options, in one line."""
    lines: list[str] = []
    for line in err.splitlines():
        if _USAGE.match(line.strip()):
            break
        lines.append(_PREFIX.sub("", line.strip()))
    # Of several jobs a server that is down says the same once for each.
    return common.printable("; ".join(dict.fromkeys(line for line in lines if line)))


def hint_for(err: str, *, then: str = ", and it is asked again") -> str:
    """What to do about a server that does not answer, and what comes ``then``; empty where only waiting helps."""
    if "cannot connect" in err or "Connection refused" in err or not err.strip():
        return f"The PBS server does not answer just now; sessions go on{then}."
    return ""


LEXICON: Final = Lexicon(
    doubt=DOUBT,
    busy=BUSY,
    refused=REFUSED,
    hints=_HINTS,
    in_words=in_words,
    when_down=lambda err: "",
    missing_hint="If it takes a module to have PBS's commands, put its `module load` into the cluster's setup.",
)
