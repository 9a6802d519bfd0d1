"""What PBS's letters for a job's state mean, of OpenPBS, PBS Professional and Torque.

Sources: job.h of OpenPBS 23.06 and qstat(1) of Torque 6. A letter that is not here is no error and no end: nobody knows
what it means, so it changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from sessiond.core.session import Phase

PHASES: Final[Mapping[str, Phase]] = MappingProxyType(
    {
        "Q": Phase.QUEUED,
        "W": Phase.QUEUED,
        "T": Phase.QUEUED,
        "M": Phase.QUEUED,
        "H": Phase.HELD,
        "R": Phase.RUNNING,
        "B": Phase.RUNNING,
        "S": Phase.SUSPENDED,
        "U": Phase.SUSPENDED,
        "E": Phase.COMPLETING,
        "F": Phase.ENDED,
        "X": Phase.ENDED,
        "C": Phase.ENDED,
    }
)
"""M is a job that was moved to another server, which knows the rest; B an array that has begun, X a part of one that is
over; C is Torque's for over."""

PRERUN: Final = "41"
"""The substate of a running job that its node is being told of (job.h, JOB_SUBSTATE_PRERUN)."""


def phase_of(letter: str, substate: str = "") -> Phase | None:
    """The phase of a state's letter; None for one nobody knows."""
    phase = PHASES.get(letter)
    return Phase.CONFIGURING if phase is Phase.RUNNING and substate == PRERUN else phase
