"""What Slurm's words for a job's state mean, long and compact, of all versions from 2013 to 2024.

Sources: the man page squeue(1), JOB STATE CODES, and src/common/slurm_protocol_defs.c of several versions. A word that
is not here is no error and no end: nobody knows what it means, so it changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from sessiond.core.session import Outcome, Phase

_WAITING: Final = ("PENDING", "PD", "REQUEUED", "RQ", "REQUEUE_FED", "RF", "EXPEDITING", "REVOKED", "RV")
_HELD: Final = ("REQUEUE_HOLD", "RH", "RESV_DEL_HOLD", "RD", "SPECIAL_EXIT", "SE")
_STARTING: Final = ("CONFIGURING", "CF", "POWER_UP_NODE", "PO")
_RUNNING: Final = ("RUNNING", "R", "RESIZING", "RS", "SIGNALING", "SI")
_STOPPED: Final = ("SUSPENDED", "S", "STOPPED", "ST")
_ENDING: Final = ("COMPLETING", "CG", "STAGE_OUT", "SO")

PHASES: Final[Mapping[str, Phase]] = MappingProxyType(
    {
        **dict.fromkeys(_WAITING, Phase.QUEUED),
        **dict.fromkeys(_HELD, Phase.HELD),
        **dict.fromkeys(_STARTING, Phase.CONFIGURING),
        **dict.fromkeys(_RUNNING, Phase.RUNNING),
        **dict.fromkeys(_STOPPED, Phase.SUSPENDED),
        **dict.fromkeys(_ENDING, Phase.COMPLETING),
    }
)
"""Jobs that are not over. A revoked job is one that another cluster of the federation took over."""

OUTCOMES: Final[Mapping[str, Outcome]] = MappingProxyType(
    {
        **dict.fromkeys(("COMPLETED", "CD"), Outcome.COMPLETED),
        **dict.fromkeys(("CANCELLED", "CA"), Outcome.CANCELLED),
        **dict.fromkeys(("FAILED", "F"), Outcome.FAILED),
        **dict.fromkeys(("TIMEOUT", "TO", "DEADLINE", "DL"), Outcome.WALLTIME),
        **dict.fromkeys(("OUT_OF_MEMORY", "OOM"), Outcome.OUT_OF_MEMORY),
        **dict.fromkeys(("NODE_FAIL", "NF", "BOOT_FAIL", "BF"), Outcome.NODE_FAILED),
        **dict.fromkeys(("PREEMPTED", "PR"), Outcome.PREEMPTED),
    }
)
"""Jobs that are over. A preempted one may come back: see `sessiond.schedulers.slurm.look`."""

_HOLDS: Final = (
    "jobheld",
    "requeuedheld",
    "requeuedinheldstate",
    "requeue_hold",
    "specialexit",
    "maxrequeue",
    "reservationdeleted",
)
"""In a waiting job's reason, in lower case and without blanks: somebody must release it."""


def state_word(text: str) -> str:
    """The state in sacct's or squeue's column: ``CANCELLED by 1001`` and ``CANCELLED+`` are both CANCELLED."""
    found = re.match(r"\s*([A-Z_]+)", text.upper(), re.ASCII)
    return found[1] if found else ""


def cancelled_by(text: str) -> str:
    """The uid in ``CANCELLED by 1001``, or nothing."""
    found = re.search(r"\bby ([0-9]{1,10})\b", text, re.ASCII)
    return found[1] if found else ""


def phase_of(state: str, reason: str) -> Phase | None:
    """The phase of a state's word; None for a word nobody knows. A waiting job that somebody must release is held."""
    if state in OUTCOMES:
        return Phase.ENDED
    phase = PHASES.get(state)
    if phase is Phase.QUEUED and any(hold in reason.lower().replace(" ", "") for hold in _HOLDS):
        return Phase.HELD
    return phase
