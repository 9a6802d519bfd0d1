"""What looks of all batch schedulers share: sessions with jobs, and two clocks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sessiond.core.report import JobReport
from sessiond.core.session import JobRef, Session

SAME_CLOCK_S = 5.0
"""Clocks that differ by less are taken for one: `date` counts whole seconds, and the answer was on its way."""
SAME_TIME_S = 10.0
"""Two looks that say nearly the same time mean the same: what is known stays, so that nothing seems to change."""


@dataclass(frozen=True, slots=True)
class Times:
    """When a look was taken: the cluster's clock, and ours before and after, all UTC seconds."""

    clock: float
    asked: float
    answered: float

    @property
    def skew_s(self) -> float:
        """How far the cluster's clock is at least ahead of ours, negative behind it; whole seconds, read on the way."""
        return max(0.0, self.clock - self.answered) + min(0.0, self.clock + 1.0 - self.asked)

    def ours(self, theirs: float | None) -> float | None:
        """A time of theirs by our clock."""
        if theirs is None or abs(self.skew_s) < SAME_CLOCK_S:
            return theirs
        return theirs - self.skew_s


def with_jobs(sessions: Iterable[Session]) -> list[tuple[Session, JobRef]]:
    """The sessions that have a job, with it."""
    return [(session, session.job) for session in sessions if session.job is not None]


def kept(known: float | None, seen: float | None, *, within_s: float = SAME_TIME_S) -> float | None:
    """``known``, unless what was ``seen`` is another time."""
    return known if known is not None and seen is not None and abs(known - seen) < within_s else seen


def unchanged(ref: JobRef, restarts: int) -> JobReport:
    """The report of a job of which nothing was learnt: a word nobody knows changes nothing."""
    return JobReport(
        id=ref.id,
        phase=ref.phase,
        nodes=ref.nodes,
        reason=ref.reason,
        started=ref.started,
        ends_by=ref.ends_by,
        expected_start=ref.expected_start,
        restarts=max(ref.restarts, restarts),
    )
