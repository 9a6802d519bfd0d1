"""The contract every scheduler's dialect fulfils.

A dialect builds a `Command` and reads its `Completed`; it performs nothing. Each pair answers one action of the
session machine, so a ``read_`` method returns exactly the events that may answer that action
(`sessiond.core.table.ANSWERS`). Answers that cannot be read raise `Unreadable`; whoever performs the command turns
that into the action's *delayed* or *unknown* event, never into an end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from sessiond.core.command import Command, Completed
from sessiond.core.events import (
    CancelDelayed,
    CancelSent,
    FindDelayed,
    HistoryDelayed,
    HistoryUnknown,
    JobAbsent,
    JobEnded,
    JobFound,
    Staged,
    StageDelayed,
    StageFailed,
    SubmitDelayed,
    SubmitRejected,
    Submitted,
    SubmitUnknown,
)
from sessiond.core.partitions import Partition
from sessiond.core.report import Evidence, Snapshot
from sessiond.core.session import Session


class Dialect(Protocol):
    """How one kind of scheduler is spoken to."""

    name: str

    def files(self, session: Session, bundle: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """``bundle`` (relative path -> content) and what the scheduler needs beside it. Raises SpecError."""

    def command(self, session: Session) -> str:
        """What starts the session's job, as a person would type it in its folder."""

    def stage(self, session: Session, bundle: Mapping[str, bytes]) -> Command:
        """Put the `files` into the session's folder and run its preparation. Raises SpecError."""

    def read_stage(self, session: Session, done: Completed) -> Staged | StageDelayed | StageFailed:
        """What came of staging."""

    def submit(self, session: Session, attempt: int) -> Command:
        """Submit the session's job, fenced so that one attempt submits at most once."""

    def read_submit(
        self, session: Session, done: Completed
    ) -> Submitted | SubmitDelayed | SubmitUnknown | SubmitRejected:
        """What came of the submission; anything not understood is SubmitUnknown."""

    def find(self, session: Session, attempt: int) -> Command:
        """Settle whether ``attempt`` submitted a job, and if not, that it never will."""

    def read_find(self, session: Session, done: Completed) -> JobFound | JobAbsent | FindDelayed:
        """What was settled."""

    def observe(self, sessions: Sequence[Session]) -> Command:
        """One look at the cluster for all ``sessions``: their jobs and their endpoints."""

    def read_observe(
        self, sessions: Sequence[Session], done: Completed, asked_at: float, answered_at: float
    ) -> Snapshot:
        """The look, or Unreadable."""

    def cancel(self, session: Session, *, force: bool) -> Command:
        """Run the session's kill script (bounded; not with ``force``), then end the job and all it began."""

    def read_cancel(self, session: Session, done: Completed) -> CancelSent | CancelDelayed:
        """Whether the job was told to go."""

    def history(self, session: Session) -> Command:
        """Ask everyone who may know how the session's job ended."""

    def read_history(self, session: Session, done: Completed) -> JobEnded | HistoryUnknown | HistoryDelayed:
        """What they know."""

    def evidence(self, session: Session) -> Command:
        """Ask everyone for all that may tell why the session's job ended, or what it does; changes nothing."""

    def read_evidence(self, session: Session, done: Completed) -> Evidence:
        """What they said; of what they could not say, that. Raises Unreadable where nothing was understood."""

    def cleanup(self, session: Session) -> Command:
        """Remove processes, secrets and temporary files the session left; keep its log."""

    def rehearse(self, session: Session) -> Command | None:
        """Ask the scheduler what it would say to the session's submission, submitting nothing; None: nobody to ask."""

    def read_rehearse(self, session: Session, done: Completed) -> str:
        """Its answer in a sentence. Raises Refused where it would refuse, Unreadable."""

    def extend(self, session: Session, by_s: int) -> Command:
        """Ask for ``by_s`` seconds more of walltime. Raises Refused where there is nobody to ask."""

    def read_extend(self, session: Session, done: Completed) -> str:
        """What was granted, in a sentence. Raises Refused with the scheduler's own words, Unreadable."""

    def partitions(self, setup: str) -> Command | None:
        """Ask which partitions or queues there are; None: there are none. ``setup`` are the cluster's shell lines."""

    def read_partitions(self, done: Completed) -> tuple[Partition, ...]:
        """Those that there are. Raises Unreadable."""

    def walltime_s(self, text: str) -> int | None:
        """Seconds of a walltime as the scheduler's own directives have it; None for what is none."""

    def forget(self, session: Session) -> Command:
        """Remove the session's folder on the execution host."""
