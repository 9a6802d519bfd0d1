"""What the dialects of batch schedulers share: a job's folder, its runner, its fence, and how it is told to go.

A scheduler gives its scripts (``sh/<name>*.sh`` hold what the ``batch_*.sh`` call), its `Lexicon`, the form of its job
ids, and reads its own listings.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from sessiond.core.command import Command, Completed
from sessiond.core.errors import Bug, Unreadable
from sessiond.core.events import (
    CancelDelayed,
    CancelSent,
    FindDelayed,
    JobAbsent,
    JobFound,
    Staged,
    StageDelayed,
    StageFailed,
    SubmitDelayed,
    SubmitRejected,
    Submitted,
    SubmitUnknown,
)
from sessiond.core.ids import JobId, SessionId
from sessiond.core.partitions import Partition
from sessiond.core.session import JobRef, Problem, Session
from sessiond.render.directives import lead_s
from sessiond.schedulers import common
from sessiond.schedulers.batch.look import with_jobs
from sessiond.schedulers.batch.words import ENDED_BY_US, Lexicon

SETTLED_S = 125
"""An attempt older than this, by the cluster's clock, has no submitter under way: its 65 s are over, and one minute."""
PAUSE_S = 10
"""Between the two searches for a job before it counts as absent."""
TOLD_S = 30
"""How long, beyond its kill script, the runner may take to end what it began."""

_RUNNER = ("killscript.sh", "survivors.sh", "sweep.sh", "remove.sh", "leavings.sh", "exit.sh", "limits.sh")


class Batch(ABC):
    """Sessions as jobs of a batch scheduler."""

    name: str
    lexicon: ClassVar[Lexicon]
    job_form: ClassVar[re.Pattern[str]]
    """What a job's id looks like."""
    cancel_command: ClassVar[str]
    runner_parts: ClassVar[tuple[str, ...]]
    """The scripts that its runner has beside what all have."""
    evidence_parts: ClassVar[tuple[str, ...]]
    """The scripts that ask what it knows of a job."""

    def __init__(self, *, kill_script_s: int = 300) -> None:
        """Make the dialect. ``kill_script_s`` bounds a service's kill script, which runs on the job's node."""
        self.kill_script_s = kill_script_s

    @abstractmethod
    def scripts(self, session: Session, runner: Sequence[str]) -> Mapping[str, bytes]:
        """The job's scripts by name, which become ``runner``, a command's words. Raises SpecError for resources that
        cannot be directives."""

    @abstractmethod
    def command(self, session: Session) -> str:
        """What submits the session's job, as a person would type it in its folder."""

    # Files.

    def files(self, session: Session, bundle: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """``bundle``, the job's scripts and the runner. Raises SpecError for resources that cannot be directives."""
        runner = common.script(*_RUNNER, *self.runner_parts, "batch_run.sh").encode()
        return {**bundle, **self.job_scripts(session), f"{self.name}_run.sh": runner}

    def job_scripts(self, session: Session) -> Mapping[str, bytes]:
        """The job's scripts by name, as they are staged. Raises SpecError as `files`."""
        resources = session.spec.resources
        limits = (self.kill_script_s, lead_s(resources), resources.walltime_s or 0)
        return self.scripts(session, ("bash", f"{self.name}_run.sh", session.tag, *map(str, limits)))

    def stage(self, session: Session, bundle: Mapping[str, bytes]) -> Command:
        """Put the `files` into the session's folder and run its preparation. Raises SpecError as they do."""
        return common.stage(session, self.files(session, bundle))

    def read_stage(self, session: Session, done: Completed) -> Staged | StageDelayed | StageFailed:
        """What came of staging. Raises Unreadable."""
        return common.read_stage(done)

    # Submission.

    def submit(self, session: Session, attempt: int) -> Command:
        """Submit the session's job, unless ``attempt`` did or was given up."""
        return common.shell(self._text("submit"), common.folder_of(session), str(attempt), timeout_s=150)

    def read_submit(
        self, session: Session, done: Completed
    ) -> Submitted | SubmitDelayed | SubmitUnknown | SubmitRejected:
        """What came of the submission; anything not understood is SubmitUnknown."""
        try:
            (record,) = common.reply(done)
        except (Unreadable, ValueError) as error:
            return SubmitUnknown(problem=Problem(code="submit", message=f"no answer to the submission: {error}"))
        match done.rc, record:
            case 0, ["found", job] if self.job_form.fullmatch(job):
                return Submitted(job=JobId(job))
            case 1, ["said", status, err] if re.fullmatch(r"[0-9]{1,3}", status, re.ASCII):
                return self.lexicon.refusal(int(status), err)
            case 69, ["missing", text]:
                problem = Problem(code="submit", message=common.printable(text), hint=self.lexicon.missing_hint)
                return SubmitDelayed(problem=problem)
            case 73, ["folder", text]:
                message = f"the session's folder cannot be used: {common.printable(text)}"
                return SubmitDelayed(problem=common.trouble("submit", message, text))
            case 76, ["fenced", _]:
                return SubmitDelayed(
                    problem=Problem(code="fenced", message="this attempt was given up before it began")
                )
        said = common.printable(" ".join(record)) or "nothing"
        message = f"it is not known whether the job was submitted: {said}"
        return SubmitUnknown(problem=Problem(code="submit", message=message))

    def find(self, session: Session, attempt: int) -> Command:
        """Settle whether ``attempt`` submitted a job, and if not, that it never will."""
        limits = (str(SETTLED_S), str(PAUSE_S), self.lexicon.doubt, self.lexicon.unsent)
        args = (common.folder_of(session), str(attempt), session.tag, session.id, *limits)
        return common.shell(self._text("find"), *args, timeout_s=150)

    def read_find(self, session: Session, done: Completed) -> JobFound | JobAbsent | FindDelayed:
        """What was settled. Raises Unreadable."""
        what, text = common.answer(done)
        match done.rc, what:
            case 0, "found" if self.job_form.fullmatch(text):
                return JobFound(job=JobId(text))
            case 76, "absent":
                return JobAbsent()
            case 75, "unsettled":
                message = f"it is not settled whether the job was submitted: {common.printable(text)}"
                return FindDelayed(problem=common.trouble("find", message, text))
        raise Unreadable(f"the search for the session's job ended with status {done.rc} and cannot be understood")

    # Looks.

    def look(self, sessions: Sequence[Session], *args: str) -> Command:
        """One look at the scheduler, and at what all ``sessions`` that have a job published; ``args`` are the
        scheduler's own."""
        looked = with_jobs(sessions)
        payload = "".join(f"{common.folder_of(session)}{common.FIELD}{self.job_id(job)}\n" for session, job in looked)
        text = common.script("batch.sh", f"{self.name}.sh", "files.sh", f"{self.name}_look.sh", "batch_observe.sh")
        folder = common.folder_of(sessions[0]) if sessions else ""
        return common.shell(text, folder, *args, payload=payload, timeout_s=150 + 0.1 * len(looked), urgent=True)

    def history(self, session: Session) -> Command:
        """Ask the session's exit record and the scheduler how its job ended."""
        args = (common.folder_of(session), self.job_id(self.job_of(session)), session.tag)
        text = common.script("batch.sh", f"{self.name}.sh", "files.sh", f"{self.name}_look.sh", "batch_history.sh")
        return common.shell(text, *args, timeout_s=180)

    def evidence(self, session: Session) -> Command:
        """Ask the session's files and the scheduler for all that may tell why its job ended; changes nothing."""
        job = self.job_id(session.job) if session.job is not None else ""
        args = (common.folder_of(session), job, session.tag, str(session.attempt))
        parts = ("batch.sh", f"{self.name}.sh", "files.sh", *self.evidence_parts, "batch_evidence.sh")
        return common.shell(common.script(*parts), *args, timeout_s=120)

    # What there is to choose from.

    def partitions(self, setup: str) -> Command | None:
        """Ask which partitions or queues there are."""
        names = ("batch.sh", f"{self.name}.sh", f"{self.name}_partitions.sh", "batch_partitions.sh")
        payload = common.whole_lines(setup)
        return common.shell(common.script(*names), payload=payload, timeout_s=100)

    @abstractmethod
    def read_partitions(self, done: Completed) -> tuple[Partition, ...]:
        """Those that there are. Raises Unreadable."""

    # The end.

    def cancel(self, session: Session, *, force: bool) -> Command:
        """Tell the job to go: its runner runs the kill script on the node first, but not with ``force``.

        Repeated after the kill script's time has passed by the cluster's clock, it comes to the same as ``force``.
        """
        patience = 0 if force else self.kill_script_s + TOLD_S
        args = (common.folder_of(session), self.job_id(self.job_of(session)), session.tag, str(patience))
        text = common.script("batch.sh", f"{self.name}.sh", "mark.sh", f"{self.name}_cancel.sh")
        return common.shell(text, *args, timeout_s=220, urgent=True)

    def read_cancel(self, session: Session, done: Completed) -> CancelSent | CancelDelayed:
        """Whether the job was told to go. Raises Unreadable."""
        records = common.reply(done)
        match done.rc, records:
            case 0, [["sent", how]]:
                return CancelSent(forced=how == "forced")
            case 1, [["said", status, err]]:
                slow = status in {str(one) for one in ENDED_BY_US}
                silent = f"{self.cancel_command} took too long" if slow else "no reason was given"
                message = f"the job could not be told to go: {self.lexicon.in_words(err) or silent}"
                return CancelDelayed(problem=Problem(code="cancel", message=message, hint=self.asked_again(err)))
            case 69, [["missing", text]]:
                problem = Problem(code="cancel", message=common.printable(text), hint=self.lexicon.missing_hint)
                return CancelDelayed(problem=problem)
        raise Unreadable(f"the cancellation ended with status {done.rc} and cannot be understood")

    @abstractmethod
    def asked_again(self, err: str) -> str:
        """The hint about a scheduler that does not answer, and is asked again."""

    def cleanup(self, session: Session) -> Command:
        """Remove all but what tells the story, unless the job may still run, which is told to go instead.

        Exit status 0: all is gone; otherwise the reply names what is left.
        """
        job = self.job_id(session.job) if session.job is not None else ""
        shared = ("survivors.sh", "sweep.sh", "remove.sh", "leavings.sh")
        text = common.script("batch.sh", f"{self.name}.sh", *shared, f"{self.name}_cleanup.sh", "batch_cleanup.sh")
        return common.shell(text, common.folder_of(session), job, session.tag, timeout_s=180)

    def forget(self, session: Session) -> Command:
        """Remove the session's folder."""
        return common.forget(session)

    # Parts.

    def ask(self, session: Session, *words: str, payload: str = "", setup: str = "") -> Command:
        """One question to a program of the scheduler's, which may read ``payload``. ``setup`` are the cluster's shell
        lines, where the session's folder is not there yet to have them."""
        text = common.script("batch.sh", f"{self.name}.sh", "batch_ask.sh")
        own = common.whole_lines(setup)
        count = str(own.count("\n"))
        return common.shell(text, common.folder_of(session), count, *words, payload=own + payload, timeout_s=100)

    def job_of(self, session: Session) -> JobRef:
        """The session's job, which it must have."""
        if session.job is None:
            raise Bug(f"session {SessionId(session.id)} has no job to be asked about")
        return session.job

    def job_id(self, job: JobRef) -> str:
        """The job's id, which must look like one: it becomes an argument."""
        if not self.job_form.fullmatch(job.id):
            raise Bug(f"{common.printable(job.id)!r} is not the id of a {self.name} job")
        return job.id

    def _text(self, what: str) -> str:
        return common.script("batch.sh", f"{self.name}.sh", f"{self.name}_{what}.sh", f"batch_{what}.sh")
