"""PBS's words for a job's end as a `Verdict`: its Exit_status, and the comment that says by whom or by what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from sessiond.core.session import Outcome
from sessiond.schedulers import common
from sessiond.schedulers.batch.end import Verdict
from sessiond.schedulers.pbs.reply import Listed

SIGNALLED: Final = 256
"""An Exit_status from here on is this and the signal that ended the job's shell (recorded: 271 after qdel, 256+15)."""
_BY_SHELL: Final = 128
"""What a shell adds to the signal that ended a command of its own (recorded: 139, SEGV)."""
_TERM: Final = 15

_NO_START = "the job could not be started on its node"

PRO: Final[Mapping[int, tuple[Outcome, str]]] = MappingProxyType(
    {
        -1: (Outcome.FAILED, _NO_START),
        -2: (Outcome.FAILED, f"{_NO_START}: its files could not be put in place"),
        -3: (Outcome.FAILED, f"{_NO_START}, and was not to be tried again"),
        -4: (Outcome.NODE_FAILED, "the job's node was restarted"),
        -5: (Outcome.NODE_FAILED, "the job's node was restarted"),
        -6: (Outcome.NODE_FAILED, "the job's node was restarted"),
        -7: (Outcome.FAILED, "the job could not be restarted from its checkpoint"),
        -10: (Outcome.FAILED, f"{_NO_START}: your account is not known there"),
        -11: (Outcome.NODE_FAILED, "the job was to be run again, and was not"),
        -13: (Outcome.FAILED, f"{_NO_START}: your account is not known there"),
        -17: (Outcome.FAILED, "the site's rules (a hook) deleted the job before it started"),
        -19: (Outcome.FAILED, "the site's rules (a hook) deleted the job"),
        -20: (Outcome.NODE_FAILED, "the job's node failed, and it is not to be run again"),
        -21: (Outcome.FAILED, f"{_NO_START}: the node refused it for reasons of security"),
        -22: (Outcome.FAILED, f"{_NO_START}: the site's rules (a hook) failed there"),
        -23: (Outcome.FAILED, f"{_NO_START}: there was no Kerberos ticket for it"),
        -24: (Outcome.FAILED, "the job used more processors than it had asked for"),
        -25: (Outcome.FAILED, "the job used more processors than it had asked for"),
        -26: (Outcome.OUT_OF_MEMORY, "the job used more virtual memory than it had asked for"),
        -27: (Outcome.OUT_OF_MEMORY, "the job used more memory than it had asked for"),
        -28: (Outcome.FAILED, "the job used more processor time than it had asked for"),
        -29: (Outcome.WALLTIME, ""),
        -30: (Outcome.NODE_FAILED, "one of the job's nodes did not take part in its start"),
    }
)
"""The negative codes of OpenPBS and PBS Professional (job.h of OpenPBS 23.06; -20 and -29 recorded)."""

TORQUE: Final[Mapping[int, tuple[Outcome, str]]] = MappingProxyType(
    {
        **{code: PRO[code] for code in (-1, -2, -3, -4, -5, -6, -7)},
        -8: (Outcome.FAILED, f"{_NO_START}: its shell could not be run"),
        -9: (Outcome.FAILED, f"{_NO_START}: its output could not be opened"),
        -10: (Outcome.OUT_OF_MEMORY, ""),
        -11: (Outcome.WALLTIME, ""),
        -12: (Outcome.FAILED, "the job used more processor time than it had asked for"),
    }
)
"""The negative codes of Torque 6 (its administrators' guide, job exit status), which differ from -8 on."""

_COMMENTS: Final = (
    (re.compile(r"exceeded resource walltime|walltime \d+ exceeded limit"), Outcome.WALLTIME),
    (re.compile(r"exceeded resource v?mem|v?mem \S+ exceeded limit"), Outcome.OUT_OF_MEMORY),
    (re.compile(r"preempt", re.IGNORECASE), Outcome.PREEMPTED),
)
_PLACES: Final = re.compile(r"\([^()]*\)")
_EXCEEDED: Final = re.compile(r"exceeded resource (\w+)")
_TERMINATED: Final = re.compile(r"and terminated(?: by (\S+))?")


def verdict(job: Listed) -> Verdict | None:
    """How a job that is over ended; None where PBS does not say."""
    # Without the nodes it ran on, which may be called anything.
    comment = _PLACES.sub("", " ".join(job["comment"].split()))
    for pattern, outcome in _COMMENTS:
        if pattern.search(comment):
            return Verdict(outcome=outcome)
    status = job.exit_status
    if status is not None and status < 0:
        outcome, words = (TORQUE if job.state == "C" else PRO).get(status, (Outcome.FAILED, f"{_NO_START} ({status})"))
        return Verdict(outcome=outcome, words=words)
    exceeded = _EXCEEDED.search(comment)
    if exceeded is not None:
        words = f"the job used more {common.printable(exceeded[1])} than it had asked for"
        return Verdict(outcome=Outcome.FAILED, words=words)
    by = _TERMINATED.search(comment)
    if by is not None or status == SIGNALLED + _TERM or (status is None and not job.node):
        # A job that never ran and is over was removed from its queue.
        who = f" by {common.printable(by[1])}" if by is not None and by[1] else ""
        return Verdict(outcome=Outcome.CANCELLED, words=f"cancelled on the cluster{who}")
    if status is None:
        return None
    if status == 0:
        return Verdict(outcome=Outcome.COMPLETED, code=0)
    for base in (SIGNALLED, _BY_SHELL):
        if base < status < base + _BY_SHELL:
            return Verdict(outcome=Outcome.FAILED, signal=status - base)
    return Verdict(outcome=Outcome.FAILED, code=status)
