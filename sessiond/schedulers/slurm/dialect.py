"""The dialect of Slurm, 20.02 and later; checked against 22.05.

A job bears the session's tag as its name and the session's id as its comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from sessiond.core.command import Command, Completed
from sessiond.core.errors import Bug, Refused, Unreadable
from sessiond.core.events import HistoryDelayed, HistoryUnknown, JobEnded
from sessiond.core.partitions import Partition
from sessiond.core.report import Evidence, Snapshot
from sessiond.core.session import Problem, Session, State
from sessiond.render.slurm_directives import job_script
from sessiond.schedulers import common
from sessiond.schedulers.batch import end, reply
from sessiond.schedulers.batch.dialect import Batch
from sessiond.schedulers.batch.look import Times, with_jobs
from sessiond.schedulers.batch.words import Proof
from sessiond.schedulers.slurm import look, partitions
from sessiond.schedulers.slurm import reply as said_by
from sessiond.schedulers.slurm.end import of_pair
from sessiond.schedulers.slurm.evidence import read_evidence
from sessiond.schedulers.slurm.states import PHASES, state_word
from sessiond.schedulers.slurm.words import LEXICON, hint_for, in_words

_ASK = "On most clusters only the administrators can raise a running job's limit: ask them."
_LESS = (
    "Ask for less: a waiting job gets no more time than its partition allows, but from the cluster's administrators."
)
_TO_START = re.compile(r"Job \d+ to start at (\S+) using (\d+) processors on nodes (\S+) in partition (\S+)")


class Slurm(Batch):
    """Sessions as batch jobs of a cluster under Slurm."""

    name = "slurm"
    lexicon = LEXICON
    job_form = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)
    cancel_command = "scancel"
    runner_parts = ("slurm_run.sh",)
    evidence_parts = ("slurm_evidence.sh",)

    def command(self, session: Session) -> str:
        """What submits the session's job, as a person would type it in its folder."""
        return "sbatch --parsable job.sh"

    def scripts(self, session: Session, runner: Sequence[str]) -> Mapping[str, bytes]:
        """The job's script. Raises SpecError for resources that cannot be directives."""
        return {"job.sh": job_script(session, runner)}

    def asked_again(self, err: str) -> str:
        """The hint about a scheduler that does not answer, and is asked again."""
        return hint_for(err)

    def observe(self, sessions: Sequence[Session]) -> Command:
        """One look at all the person's jobs and at what all ``sessions`` that have a job published."""
        return self.look(sessions, said_by.FORMAT)

    def read_observe(
        self, sessions: Sequence[Session], done: Completed, asked_at: float, answered_at: float
    ) -> Snapshot:
        """The look. ``sessions`` are those that were asked about, at least one. Raises Unreadable."""
        if not sessions:
            raise Bug("a look needs at least one session")
        found = reply.records(done, LEXICON.missing_hint)
        clock = reply.take_clock(found)
        listing = said_by.listing(said_by.take_answer(found, "jobs"))
        looked = with_jobs(sessions)
        if len(found) != len(looked):
            raise Unreadable(f"the look at {len(looked)} sessions has {len(found)} records of their folders")
        words = [reply.own_word(record) for record in found]
        return look.snapshot(sessions, listing, words, Times(clock, asked_at, answered_at))

    def read_history(self, session: Session, done: Completed) -> JobEnded | HistoryUnknown | HistoryDelayed:
        """What they know. Raises Unreadable.

        Whoever says that the job is alive is believed; then whoever knows how it ended. Only where the controller
        does not know the job, accounting is silent and the session left no record, nobody knows.
        """
        job = self.job_of(session)
        found = reply.records(done, LEXICON.missing_hint)
        reply.take_clock(found)
        if not found:
            raise Unreadable("the answer has no word of the session's folder")
        said = reply.own_word(found.pop(0))
        account = said_by.take_answer(found, "account")
        control = said_by.take_answer(found, "control")
        controlled = said_by.controlled(control, job.id, session.tag)
        accounted = said_by.accounted(account, job.id)
        for state in _states(controlled, accounted):
            if state not in look.OVER:
                known = "has it" if state in PHASES else "speaks of it"
                message = f"the scheduler still {known} as {common.printable(state)}"
                if controlled is not None:
                    return common.still_there(message)
                # Accounting that was not told of an end says RUNNING for ever (sacctmgr show runawayjobs, Slurm 22.05).
                return HistoryDelayed(problem=Problem(code="history", message=message))
        own = end.own_end(said, job.id, job.restarts)
        verdict = _verdict(controlled, accounted)
        unknown = "nvalid job id" in control.err or (control.rc == 0 and not control.err)
        # A session that was ended by a signal may have been requeued: its record says nothing of the next run.
        if verdict is None and (own is None or (own.reason.startswith("signal:") and not unknown)):
            # Without a database some sacct says so and exits with 0.
            silent = account.rc == 0 and not said_by.TROUBLE.search(account.err)
            if own is None and unknown and (silent or "disabled" in account.err or account.rc == 127):
                return HistoryUnknown()
            words = in_words(control.err if not unknown else account.err) or "no reason was given"
            message = f"nobody can say now how the job ended: {words}"
            return HistoryDelayed(problem=Problem(code="history", message=message))
        outcome, problem = end.ended(verdict, own, said.failure if own is not None else "", 0.0)
        return JobEnded(outcome=outcome, problem=problem)

    def read_evidence(self, session: Session, done: Completed) -> Evidence:
        """What Slurm and the session's files say of its end. Raises Unreadable."""
        return read_evidence(session, done)

    def rehearse(self, session: Session) -> Command | None:
        """Ask Slurm what it would say to the session's job, submitting nothing. Raises SpecError."""
        job = self.job_scripts(session)["job.sh"].decode()
        return self.ask(session, "sbatch", "--test-only", payload=job, setup=session.spec.setup)

    def read_rehearse(self, session: Session, done: Completed) -> str:
        """Its answer in a sentence. Raises Refused with the scheduler's own words, Unreadable."""
        said = _asked(done)
        if said.rc != 0:
            raise _no(said, "the scheduler would refuse it")
        found = _TO_START.search(said.err) or _TO_START.search(said.out)
        if found is None:
            return f"the scheduler would take it: {in_words(said.err or said.out) or 'no more was said'}"
        when, processors, nodes, partition = found.groups()
        count = "1 processor" if processors == "1" else f"{processors} processors"
        where = common.printable(f"{nodes} in partition {partition}")
        return f"it would start at {common.printable(when)} by the cluster's clock, on {where}, with {count}"

    def extend(self, session: Session, by_s: int) -> Command:
        """Ask for ``by_s`` seconds more of walltime, in whole minutes. Raises Refused without a job."""
        if session.job is None:
            raise Refused(f"{session.name} has no job yet", hint="give it more --time when it is started")
        minutes = max(1, -(-by_s // 60))
        job = f"JobId={self.job_id(session.job)}"
        return self.ask(session, "scontrol", "update", job, f"TimeLimit=+{minutes}")

    def read_extend(self, session: Session, done: Completed) -> str:
        """What was granted, in a sentence. Raises Refused with the scheduler's own words, Unreadable."""
        said = _asked(done)
        if said.rc != 0:
            denied = _LESS if session.state is State.WAIT_FOR_NODE else _ASK
            hint = denied if "denied" in said.err else ""
            raise _no(said, "the scheduler does not give more time", hint=hint)
        return "the scheduler raised the job's time limit"

    def read_partitions(self, done: Completed) -> tuple[Partition, ...]:
        """The partitions. Raises Unreadable."""
        return partitions.partitions(done)

    def walltime_s(self, text: str) -> int | None:
        """Seconds of a walltime as ``--time`` has it; None for what is none."""
        return partitions.walltime_s(text)


def _asked(done: Completed) -> reply.Answer:
    return said_by.take_answer(reply.records(done, LEXICON.missing_hint), "answer")


def _no(said: reply.Answer, message: str, hint: str = "") -> Refused | Unreadable:
    """The error that a question's negative answer is: no for good, or none just now."""
    words = in_words(said.err or said.out) or f"exit status {said.rc}"
    problem = LEXICON.problem(said.rc, said.err or said.out)
    refused = re.search(r"denied|finished|already", said.err) is not None
    if refused or LEXICON.proof(said.rc, said.err or said.out) is Proof.REFUSED:
        return Refused(f"{message}: {words}", hint=hint or problem.hint)
    # Unlike a look, nobody repeats a person's question.
    hint = hint_for(said.err, then=". Ask again in a while")
    return Unreadable(f"the scheduler does not answer: {words}", hint=hint)


def _states(controlled: Mapping[str, str] | None, accounted: Mapping[str, str] | None) -> Iterable[str]:
    """The words for the job's state; the controller's counts alone where it has one, for accounting may lag behind."""
    if controlled is not None:
        return [state_word(controlled.get("JobState", ""))]
    return [state_word(accounted["State"])] if accounted is not None else []


def _verdict(controlled: Mapping[str, str] | None, accounted: Mapping[str, str] | None) -> end.Verdict | None:
    """The scheduler's word for the end: accounting's, which knows by whom, unless only the controller has one."""
    if accounted is not None and state_word(accounted["State"]) in look.OVER:
        return of_pair(accounted["State"], accounted["Reason"], accounted["ExitCode"])
    if controlled is not None:
        state, reason = controlled.get("JobState", ""), controlled.get("Reason", "")
        return of_pair(state, reason, controlled.get("ExitCode", ""))
    return None
