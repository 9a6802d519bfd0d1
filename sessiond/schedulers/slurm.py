"""The dialect of Slurm, 20.02 and later; checked against 22.05.

A job bears the session's tag as its name and the session's id as its comment. What runs on the node is
`sh/slurm_run.sh`; attempts are fenced by the folder ``attempt.N`` (`sh/slurm_submit.sh`, `sh/slurm_find.sh`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from sessiond.core.command import Command, Completed
from sessiond.core.errors import Bug, Refused, Unreadable
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
from sessiond.core.ids import JobId, SessionId
from sessiond.core.report import Snapshot
from sessiond.core.session import JobRef, Problem, Session
from sessiond.render.directives import job_script, lead_s
from sessiond.schedulers import common, slurm_end, slurm_look, slurm_reply, slurm_submission
from sessiond.schedulers.slurm_states import PHASES, state_word
from sessiond.schedulers.slurm_submission import Proof

SETTLED_S = 125
"""An attempt older than this, by the cluster's clock, has no sbatch under way: its 65 s are over, and a minute more."""
PAUSE_S = 10
"""Between the two searches for a job before it counts as absent."""

_JOB = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)
_RUNNER = ("killscript.sh", "survivors.sh", "sweep.sh", "remove.sh", "leavings.sh", "exit.sh", "slurm_run.sh")
_TOLD_S = 30
"""How long, beyond its kill script, the runner may take to end what it began."""
_ASK = "On most clusters only the administrators can raise a running job's limit: ask them."
_TO_START = re.compile(r"Job \d+ to start at (\S+) using (\d+) processors on nodes (\S+) in partition (\S+)")


class Slurm:
    """Sessions as batch jobs of a cluster under Slurm."""

    name: str = "slurm"

    def __init__(self, *, kill_script_s: int = 300) -> None:
        """Make the dialect. ``kill_script_s`` bounds a service's kill script, which runs on the job's node."""
        self.kill_script_s = kill_script_s

    def files(self, session: Session, bundle: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """``bundle``, the job's script and the runner. Raises SpecError for resources that cannot be directives."""
        runner = common.script(*_RUNNER).encode()
        return {**bundle, "job.sh": self._job_script(session), "slurm_run.sh": runner}

    def command(self, session: Session) -> str:
        """What submits the session's job, as a person would type it in its folder."""
        return "sbatch --parsable job.sh"

    def stage(self, session: Session, bundle: Mapping[str, bytes]) -> Command:
        """Put the `files` into the session's folder and run its preparation. Raises SpecError as they do."""
        return common.stage(session, self.files(session, bundle))

    def _job_script(self, session: Session) -> bytes:
        resources = session.spec.resources
        limits = (self.kill_script_s, lead_s(resources), resources.walltime_s or 0)
        return job_script(session, ("bash", "slurm_run.sh", session.tag, *map(str, limits)))

    def read_stage(self, session: Session, done: Completed) -> Staged | StageDelayed | StageFailed:
        """What came of staging. Raises Unreadable."""
        return common.read_stage(done)

    def submit(self, session: Session, attempt: int) -> Command:
        """Submit the session's job, unless ``attempt`` did or was given up."""
        text = common.script("slurm.sh", "slurm_submit.sh")
        return common.shell(text, common.folder_of(session), str(attempt), timeout_s=150)

    def read_submit(
        self, session: Session, done: Completed
    ) -> Submitted | SubmitDelayed | SubmitUnknown | SubmitRejected:
        """What came of the submission; anything not understood is SubmitUnknown."""
        try:
            (record,) = common.reply(done)
        except (Unreadable, ValueError) as error:
            return SubmitUnknown(problem=Problem(code="submit", message=f"no answer to the submission: {error}"))
        match done.rc, record:
            case 0, ["found", job] if _JOB.fullmatch(job):
                return Submitted(job=JobId(job))
            case 1, ["said", status, err] if re.fullmatch(r"[0-9]{1,3}", status, re.ASCII):
                return _refusal(int(status), err)
            case 69, ["missing", text]:
                problem = Problem(code="submit", message=common.printable(text), hint=slurm_reply.MISSING_HINT)
                return SubmitDelayed(problem=problem)
            case 73, ["folder", text]:
                message = f"the session's folder cannot be used: {common.printable(text)}"
                return SubmitDelayed(problem=Problem(code="submit", message=message, hint=common.room_hint(text)))
            case 76, ["fenced", _]:
                return SubmitDelayed(
                    problem=Problem(code="fenced", message="this attempt was given up before it began")
                )
        said = common.printable(" ".join(record)) or "nothing"
        message = f"it is not known whether the job was submitted: {said}"
        return SubmitUnknown(problem=Problem(code="submit", message=message))

    def find(self, session: Session, attempt: int) -> Command:
        """Settle whether ``attempt`` submitted a job, and if not, that it never will."""
        limits = (str(SETTLED_S), str(PAUSE_S), slurm_submission.DOUBT, slurm_submission.UNSENT)
        args = (common.folder_of(session), str(attempt), session.tag, session.id, *limits)
        return common.shell(common.script("slurm.sh", "slurm_find.sh"), *args, timeout_s=150)

    def read_find(self, session: Session, done: Completed) -> JobFound | JobAbsent | FindDelayed:
        """What was settled. Raises Unreadable."""
        what, text = common.answer(done)
        match done.rc, what:
            case 0, "found" if _JOB.fullmatch(text):
                return JobFound(job=JobId(text))
            case 76, "absent":
                return JobAbsent()
            case 75, "unsettled":
                message = f"it is not settled whether the job was submitted: {common.printable(text)}"
                return FindDelayed(problem=Problem(code="find", message=message, hint=common.room_hint(text)))
        raise Unreadable(f"the search for the session's job ended with status {done.rc} and cannot be understood")

    def observe(self, sessions: Sequence[Session]) -> Command:
        """One look at all the person's jobs and at what all ``sessions`` that have a job published."""
        looked = slurm_look.with_jobs(sessions)
        payload = "".join(f"{common.folder_of(session)}{common.FIELD}{_number(job)}\n" for session, job in looked)
        text = common.script("slurm.sh", "files.sh", "slurm_observe.sh")
        folder = common.folder_of(sessions[0]) if sessions else ""
        timeout_s = 150 + 0.1 * len(looked)
        return common.shell(text, folder, slurm_reply.FORMAT, payload=payload, timeout_s=timeout_s, urgent=True)

    def read_observe(
        self, sessions: Sequence[Session], done: Completed, asked_at: float, answered_at: float
    ) -> Snapshot:
        """The look. ``sessions`` are those that were asked about, at least one. Raises Unreadable."""
        if not sessions:
            raise Bug("a look needs at least one session")
        found = slurm_reply.records(done)
        clock = slurm_reply.take_clock(found)
        jobs = slurm_reply.listing(slurm_reply.take_answer(found, "jobs"))
        looked = slurm_look.with_jobs(sessions)
        if len(found) != len(looked):
            raise Unreadable(f"the look at {len(looked)} sessions has {len(found)} records of their folders")
        words = [slurm_reply.own_word(record) for record in found]
        return slurm_look.snapshot(sessions, jobs, words, slurm_look.Times(clock, asked_at, answered_at))

    def cancel(self, session: Session, *, force: bool) -> Command:
        """Tell the job to go: its runner runs the kill script on the node first, but not with ``force``.

        Repeated after the kill script's time has passed by the cluster's clock, it comes to the same as ``force``.
        """
        patience = 0 if force else self.kill_script_s + _TOLD_S
        args = (common.folder_of(session), _number(_job_of(session)), session.tag, str(patience))
        return common.shell(common.script("slurm.sh", "slurm_cancel.sh"), *args, timeout_s=220, urgent=True)

    def read_cancel(self, session: Session, done: Completed) -> CancelSent | CancelDelayed:
        """Whether the job was told to go. Raises Unreadable."""
        records = common.reply(done)
        match done.rc, records:
            case 0, [["sent", _]]:
                return CancelSent()
            case 1, [["said", status, err]]:
                silent = "scancel took too long" if status in {"124", "137"} else "no reason was given"
                message = f"the job could not be told to go: {slurm_submission.in_words(err) or silent}"
                hint = slurm_reply.hint_for(err)
                return CancelDelayed(problem=Problem(code="cancel", message=message, hint=hint))
            case 69, [["missing", text]]:
                problem = Problem(code="cancel", message=common.printable(text), hint=slurm_reply.MISSING_HINT)
                return CancelDelayed(problem=problem)
        raise Unreadable(f"the cancellation ended with status {done.rc} and cannot be understood")

    def history(self, session: Session) -> Command:
        """Ask the session's exit record, accounting and the controller how its job ended."""
        args = (common.folder_of(session), _number(_job_of(session)), session.tag)
        return common.shell(common.script("slurm.sh", "files.sh", "slurm_history.sh"), *args, timeout_s=180)

    def read_history(self, session: Session, done: Completed) -> JobEnded | HistoryUnknown | HistoryDelayed:
        """What they know. Raises Unreadable.

        Whoever says that the job is alive is believed; then whoever knows how it ended. Only where the controller
        does not know the job, accounting is silent and the session left no record, nobody knows.
        """
        job = _job_of(session)
        found = slurm_reply.records(done)
        slurm_reply.take_clock(found)
        if not found:
            raise Unreadable("the answer has no word of the session's folder")
        said = slurm_reply.own_word(found.pop(0))
        account = slurm_reply.take_answer(found, "account")
        control = slurm_reply.take_answer(found, "control")
        controlled = slurm_reply.controlled(control, job.id, session.tag)
        accounted = slurm_reply.accounted(account, job.id)
        for state in _states(controlled, accounted):
            if state not in slurm_look.OVER:
                known = "has it" if state in PHASES else "speaks of it"
                message = f"the scheduler still {known} as {common.printable(state)}"
                return HistoryDelayed(problem=Problem(code="history", message=message))
        own = slurm_end.own_end(said, job.id, job.restarts)
        verdict = _verdict(controlled, accounted)
        unknown = "nvalid job id" in control.err or (control.rc == 0 and not control.err)
        # A session that was ended by a signal may have been requeued: its record says nothing of the next run.
        if verdict is None and (own is None or (own.reason.startswith("signal:") and not unknown)):
            if own is None and unknown and (account.rc == 0 or "disabled" in account.err or account.rc == 127):
                return HistoryUnknown()
            words = slurm_submission.in_words(control.err if not unknown else account.err) or "no reason was given"
            message = f"nobody can say now how the job ended: {words}"
            return HistoryDelayed(problem=Problem(code="history", message=message))
        outcome, problem = slurm_end.ended(verdict, own, said.failure if own is not None else "", 0.0)
        return JobEnded(outcome=outcome, problem=problem)

    def cleanup(self, session: Session) -> Command:
        """Remove all but what tells the story, unless the job may still run, which is told to go instead.

        Exit status 0: all is gone; otherwise the reply names what is left.
        """
        job = _number(session.job) if session.job is not None else ""
        text = common.script("slurm.sh", "survivors.sh", "sweep.sh", "remove.sh", "leavings.sh", "slurm_cleanup.sh")
        return common.shell(text, common.folder_of(session), job, session.tag, timeout_s=180)

    def rehearse(self, session: Session) -> Command | None:
        """Ask Slurm what it would say to the session's job, submitting nothing. Raises SpecError."""
        args = (common.folder_of(session), "sbatch", "--test-only")
        script = self._job_script(session).decode()
        return common.shell(common.script("slurm.sh", "slurm_ask.sh"), *args, payload=script, timeout_s=100)

    def read_rehearse(self, session: Session, done: Completed) -> str:
        """Its answer in a sentence. Raises Refused with the scheduler's own words, Unreadable."""
        said = _asked(done)
        if said.rc != 0:
            raise _no(said, "the scheduler would refuse it")
        found = _TO_START.search(said.err) or _TO_START.search(said.out)
        if found is None:
            return (
                f"the scheduler would take it: {slurm_submission.in_words(said.err or said.out) or 'no more was said'}"
            )
        when, processors, nodes, partition = found.groups()
        count = "1 processor" if processors == "1" else f"{processors} processors"
        where = common.printable(f"{nodes} in partition {partition}")
        return f"it would start at {common.printable(when)} by the cluster's clock, on {where}, with {count}"

    def extend(self, session: Session, by_s: int) -> Command:
        """Ask for ``by_s`` seconds more of walltime, in whole minutes. Raises Refused without a job."""
        if session.job is None:
            raise Refused(f"{session.name} has no job yet", hint="give it more --time when it is started")
        minutes = max(1, -(-by_s // 60))
        update = ("scontrol", "update", f"JobId={_number(session.job)}", f"TimeLimit=+{minutes}")
        text = common.script("slurm.sh", "slurm_ask.sh")
        return common.shell(text, common.folder_of(session), *update, timeout_s=100)

    def read_extend(self, session: Session, done: Completed) -> str:
        """What was granted, in a sentence. Raises Refused with the scheduler's own words, Unreadable."""
        said = _asked(done)
        if said.rc != 0:
            denied = "denied" in said.err
            raise _no(said, "the scheduler does not give more time", hint=_ASK if denied else "")
        return "the scheduler raised the job's time limit"

    def forget(self, session: Session) -> Command:
        """Remove the session's folder."""
        return common.forget(session)


def _refusal(status: int, err: str) -> SubmitDelayed | SubmitUnknown | SubmitRejected:
    problem = slurm_submission.problem(status, err)
    match slurm_submission.proof(status, err):
        case Proof.LATER:
            return SubmitDelayed(problem=problem)
        case Proof.REFUSED:
            return SubmitRejected(problem=problem)
        case Proof.NONE:
            return SubmitUnknown(problem=problem)


def _asked(done: Completed) -> slurm_reply.Answer:
    return slurm_reply.take_answer(slurm_reply.records(done), "answer")


def _no(said: slurm_reply.Answer, message: str, hint: str = "") -> Refused | Unreadable:
    """The error that a question's negative answer is: no for good, or none just now."""
    words = slurm_submission.in_words(said.err or said.out) or f"exit status {said.rc}"
    problem = slurm_submission.problem(said.rc, said.err or said.out)
    refused = re.search(r"denied|finished|already", said.err) is not None
    if refused or slurm_submission.proof(said.rc, said.err or said.out) is Proof.REFUSED:
        return Refused(f"{message}: {words}", hint=hint or problem.hint)
    # Unlike a look, nobody repeats a person's question.
    hint = slurm_reply.hint_for(said.err, then=". Ask again in a while")
    return Unreadable(f"the scheduler does not answer: {words}", hint=hint)


def _states(controlled: Mapping[str, str] | None, accounted: Mapping[str, str] | None) -> Iterable[str]:
    """The words for the job's state; the controller's counts alone where it has one, for accounting may lag behind."""
    if controlled is not None:
        return [state_word(controlled.get("JobState", ""))]
    return [state_word(accounted["State"])] if accounted is not None else []


def _verdict(controlled: Mapping[str, str] | None, accounted: Mapping[str, str] | None) -> slurm_end.Verdict | None:
    """The scheduler's word for the end: accounting's, which knows by whom, unless only the controller has one."""
    if accounted is not None and state_word(accounted["State"]) in slurm_look.OVER:
        return slurm_end.Verdict.of_pair(accounted["State"], accounted["Reason"], accounted["ExitCode"])
    if controlled is not None:
        state, reason = controlled.get("JobState", ""), controlled.get("Reason", "")
        return slurm_end.Verdict.of_pair(state, reason, controlled.get("ExitCode", ""))
    return None


def _job_of(session: Session) -> JobRef:
    if session.job is None:
        raise Bug(f"session {SessionId(session.id)} has no job to be asked about")
    return session.job


def _number(job: JobRef) -> str:
    if not _JOB.fullmatch(job.id):
        raise Bug(f"{common.printable(job.id)!r} is not the number of a Slurm job")
    return job.id
