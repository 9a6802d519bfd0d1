"""The dialect of PBS: OpenPBS and PBS Professional, and Torque's form of it; checked against OpenPBS 23.06.

A job bears the session's tag as its name and the session's id as a variable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from sessiond.core.command import Command, Completed
from sessiond.core.errors import Bug, Refused, Unreadable
from sessiond.core.events import HistoryDelayed, HistoryUnknown, JobEnded
from sessiond.core.partitions import Partition
from sessiond.core.report import Evidence, Snapshot
from sessiond.core.session import Phase, Problem, Session
from sessiond.render.pbs_directives import job_scripts, queue_of
from sessiond.schedulers import common
from sessiond.schedulers.batch import reply
from sessiond.schedulers.batch.dialect import Batch
from sessiond.schedulers.batch.look import Times, with_jobs
from sessiond.schedulers.batch.words import ENDED_BY_US
from sessiond.schedulers.pbs import partitions, queues
from sessiond.schedulers.pbs.evidence import read_evidence
from sessiond.schedulers.pbs.look import Begun, current, how, is_ours, record_of, snapshot
from sessiond.schedulers.pbs.reply import Listed, Listing, listing, seconds
from sessiond.schedulers.pbs.states import phase_of
from sessiond.schedulers.pbs.words import LEXICON, hint_for, in_words

_ASK = "PBS lets only its operators raise a running job's limit: ask the cluster's administrators."


class Pbs(Batch):
    """Sessions as batch jobs of a cluster under PBS."""

    name = "pbs"
    lexicon = LEXICON
    job_form = re.compile(r"[0-9]{1,18}(?:\.[A-Za-z0-9][A-Za-z0-9._-]{0,250})?", re.ASCII)
    cancel_command = "qdel"
    runner_parts = ("seconds.sh", "pbs_run.sh")
    evidence_parts = ("pbs_look.sh", "pbs_evidence.sh")

    def command(self, session: Session) -> str:
        """What submits the session's job, as a person would type it in its folder."""
        return "qsub job.sh"

    def scripts(self, session: Session, runner: Sequence[str]) -> Mapping[str, bytes]:
        """The job's scripts, Torque's too. Raises SpecError for resources that cannot be directives."""
        return job_scripts(session, runner)

    def asked_again(self, err: str) -> str:
        """The hint about a server that could not be told, and is told again."""
        return "A session that runs ends by itself; its server is told again." if hint_for(err) else ""

    def observe(self, sessions: Sequence[Session]) -> Command:
        """One look at the jobs of all ``sessions`` that have one, and at what they published."""
        return self.look(sessions)

    def read_observe(
        self, sessions: Sequence[Session], done: Completed, asked_at: float, answered_at: float
    ) -> Snapshot:
        """The look. ``sessions`` are those that were asked about, at least one. Raises Unreadable."""
        if not sessions:
            raise Bug("a look needs at least one session")
        found = reply.records(done, LEXICON.missing_hint)
        clock = reply.take_clock(found)
        looked = with_jobs(sessions)
        listed = _listing(found, [self.job_id(job) for _, job in looked])
        if len(found) != 2 * len(looked):
            raise Unreadable(f"the look at {len(looked)} sessions has {len(found)} records of their folders")
        marks = [Begun.read(record) for record in found[::2]]
        words = [reply.own_word(record) for record in found[1::2]]
        return snapshot(sessions, listed, marks, words, Times(clock, asked_at, answered_at))

    def read_history(self, session: Session, done: Completed) -> JobEnded | HistoryUnknown | HistoryDelayed:
        """What they know. Raises Unreadable.

        A server that has the job is believed. One that does not know it may keep no history: then the session's own
        record tells, and only where there is none, nobody knows.
        """
        job = self.job_of(session)
        found = reply.records(done, LEXICON.missing_hint)
        reply.take_clock(found)
        if len(found) < 2:
            raise Unreadable("the answer has no word of the session's folder")
        begun, said = Begun.read(found.pop(0)), reply.own_word(found.pop(0))
        own = record_of(said, job, None)
        try:
            listed = _listing(found, [job.id])
        except Unreadable as error:
            # A session that was ended by a signal may have been requeued: its record says nothing of the next run.
            if own is None or own.reason.startswith("signal:"):
                message = f"nobody can say now how the job ended: {error.message}"
                return HistoryDelayed(problem=Problem(code="history", message=message, hint=error.hint))
            return _ended(None, own, said)
        known = listed.jobs.get(job.id)
        if known is not None and is_ours(session, known):
            if phase_of(known.state) is not Phase.ENDED:
                return common.still_there(
                    f"the scheduler still has it as {common.printable(known.state) or 'a job without a state'}"
                )
            run = current(known, job, begun)
            return _ended(known, record_of(said, job, run) if run is not None else None, said)
        if known is None and job.id not in listed.absent:
            message = "nobody can say now how the job ended: qstat says nothing of it"
            return HistoryDelayed(problem=Problem(code="history", message=message))
        return _ended(None, own, said) if own is not None else HistoryUnknown()

    def read_evidence(self, session: Session, done: Completed) -> Evidence:
        """What PBS and the session's files say of its end. Raises Unreadable."""
        return read_evidence(session, done)

    def rehearse(self, session: Session) -> Command | None:
        """Ask what the queue is like: PBS has nobody who would say more, submitting nothing. Raises SpecError."""
        self.job_scripts(session)
        queue = queue_of(session)
        words = ("-Q", "-f", queue) if queue else ("-B", "-f")
        return self.ask(session, "qstat", *words, setup=session.spec.setup)

    def read_rehearse(self, session: Session, done: Completed) -> str:
        """The answer in a sentence. Raises Refused where the queue would not take it, Unreadable."""
        said = _asked(done)
        queue = queue_of(session)
        no = _no(said, "the scheduler would refuse it") if said.rc != 0 else None
        if isinstance(no, Refused) and not queue:
            # Nothing was said about the job: only its server was asked about.
            raise Unreadable(f"the scheduler does not tell of its server: {in_words(said.err)}")
        if no is not None:
            raise no
        return queues.outlook(said.out, queue, session.spec.resources)

    def extend(self, session: Session, by_s: int) -> Command:
        """Ask for ``by_s`` seconds more of walltime. Raises Refused without a job."""
        if session.job is None:
            raise Refused(f"{session.name} has no job yet", hint="give it more --time when it is started")
        args = (common.folder_of(session), self.job_id(session.job), session.tag, str(max(1, by_s)))
        text = common.script("batch.sh", "pbs.sh", "seconds.sh", "pbs_extend.sh")
        return common.shell(text, *args, timeout_s=160)

    def read_extend(self, session: Session, done: Completed) -> str:
        """What was granted, in a sentence. Raises Refused with the scheduler's own words, Unreadable."""
        said = _asked(done)
        if said.rc != 0:
            denied = re.search("nauthorized|cannot be raised|ermission", said.err) is not None
            raise _no(said, "the scheduler does not give more time", hint=_ASK if denied else "")
        if said.out.strip() == "0":
            raise Refused("the job has no limit that could be raised", hint="it runs until it ends or is stopped")
        return "the scheduler raised the job's time limit"

    def read_partitions(self, done: Completed) -> tuple[Partition, ...]:
        """The queues. Raises Unreadable."""
        return partitions.partitions(done)

    def walltime_s(self, text: str) -> int | None:
        """Seconds of a walltime as ``-l walltime=`` has it; None for what is none."""
        return seconds(text)


def _listing(found: list[list[str]], asked: Sequence[str]) -> Listing:
    """What the look says of the jobs ``asked``, from its next records, which are taken away. Raises Unreadable."""
    said = reply.take_answer(found, "jobs")
    if not found or found[0][0] != "unknown":
        raise Unreadable("the answer does not say which jobs are unknown")
    return listing(said, common.FIELD.join(found.pop(0)[1:]), asked)


def _ended(known: Listed | None, own: reply.Said | None, said: reply.Said) -> JobEnded:
    outcome, problem = how(known, own, said, 0.0)
    return JobEnded(outcome=outcome, problem=problem)


def _asked(done: Completed) -> reply.Answer:
    return reply.take_answer(reply.records(done, LEXICON.missing_hint), "answer")


def _no(said: reply.Answer, message: str, hint: str = "") -> Refused | Unreadable:
    """The error that a question's negative answer is: no for good, or none just now."""
    words = in_words(said.err or said.out) or f"exit status {said.rc}"
    if re.search(LEXICON.doubt, said.err) or re.search(LEXICON.busy, said.err) or said.rc in ENDED_BY_US:
        # Unlike a look, nobody repeats a person's question.
        down = hint_for(said.err, then=". Ask again in a while")
        return Unreadable(f"the scheduler does not answer: {words}", hint=down)
    return Refused(f"{message}: {words}", hint=hint or LEXICON.hint(said.err))
