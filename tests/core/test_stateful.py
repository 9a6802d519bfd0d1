"""Random lives: the real machine, lane and observe against a model cluster, with crashes and lost answers anywhere.

`test_exhaustive` visits every world within small budgets; here there are none, and looks are compared as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sessiond.core.actions import CancelJob, Cleanup, FetchHistory, FindJob, Stage, Submit
from sessiond.core.events import (
    CancelDelayed,
    CancelSent,
    DeadlineExpired,
    Event,
    FindDelayed,
    HistoryDelayed,
    HistoryUnknown,
    JobAbsent,
    JobEnded,
    JobFound,
    Restored,
    RetryDue,
    ServiceFailed,
    Staged,
    StageDelayed,
    StageFailed,
    StopRequested,
    SubmitDelayed,
    SubmitRejected,
    Submitted,
    SubmitUnknown,
    TunnelDown,
    TunnelUp,
)
from sessiond.core.ids import ActionId, ClusterName, JobId, SessionId
from sessiond.core.lane import Lane, begun, expects, finished, follow
from sessiond.core.machine import create, step
from sessiond.core.observe import Absence, compare
from sessiond.core.report import JobReport, Snapshot
from sessiond.core.session import Endpoint, Outcome, Phase, Problem, State
from sessiond.core.table import TABLE, WANTS, Want
from tests.core.builders import NOW, WRONG, a_session, an_event

LIVE = (Phase.QUEUED, Phase.HELD, Phase.RUNNING, Phase.SUSPENDED, Phase.COMPLETING)
LATE: dict[type, tuple[type[Event], ...]] = {
    Stage: (Staged, StageFailed),
    Submit: (Submitted, SubmitUnknown, SubmitRejected),
    FindJob: (JobFound, JobAbsent),
    CancelJob: (CancelSent,),
    FetchHistory: (JobEnded, HistoryUnknown),
    Cleanup: (Staged,),
}


@dataclass(slots=True)
class Job:
    """A job of the model cluster; ``phase`` None: forgotten by its scheduler."""

    phase: Phase | None = Phase.QUEUED
    restarts: int = 0


class Life(RuleBasedStateMachine):
    """One session's life."""

    @initialize(head_start=st.integers(0, 9), calm=st.integers(0, 30))
    def born(self, head_start: int, calm: int) -> None:
        """A person asks for it; all goes well for a while, and for longer nobody stops it and nothing takes long."""
        self.steps, self.calm = 0, calm
        first = create(a_session())
        assert first.record is not None
        self.now = NOW
        self.session = first.after
        self.lane: Lane = follow(Lane(), first.record.actions[0], moved=True)[0]
        self.absences: dict[SessionId, Absence] = {}
        self.looks: list[tuple[Snapshot, bool]] = []
        self.withdrawn: list[tuple[ActionId, type]] = []
        self.fences: dict[int, str] = {}
        self.travelling: set[int] = set()
        self.jobs: dict[int, Job] = {}
        self.submissions: dict[int, int] = {}
        self.endpoint: Endpoint | None = None
        self.failure: Problem | None = None
        self.verified = True
        for _ in range(head_start):
            self.all_goes_well()

    @precondition(lambda self: not self.session.live)
    @rule(head_start=st.integers(0, 9), calm=st.integers(0, 30))
    def the_next_one(self, head_start: int, calm: int) -> None:
        """Nothing more happens to this one."""
        self.born(head_start, calm)

    # What the engine does.

    def tell(self, event: Event, answers: ActionId | None = None) -> None:
        """As the engine does it: lane, step, commit."""
        before, lane = self.session, self.lane
        if answers is not None:
            lane = finished(lane)
        done = step(before, event, self.now)
        if done.record is None:
            assert before == done.after
            self.lane = lane
            return
        assert before.version + 1 == done.after.version == done.record.version
        assert (before.state, done.after.state) == (done.record.before, done.record.after)
        order = done.record.actions[0] if done.record.actions else None
        kinds: dict[ActionId, type] = {o.id: type(o.action) for o in (lane.current, lane.queued) if o is not None}
        self.lane, gone = follow(lane, order, moved=before.state is not done.after.state)
        self.withdrawn += [(action, kinds[action]) for action in gone]
        self.session = done.after
        if order is not None and isinstance(order.action, Submit):
            assert order.action.attempt not in self.fences, "an attempt is used once"
        if before.state in (State.WAIT_FOR_NODE, State.START, State.TUNNEL, State.RUNNING):
            self.verified = not (done.after.state is State.ENDED and not isinstance(event, JobEnded))

    def answer(self, event: Event) -> None:
        """The current action answers."""
        assert self.lane.current is not None
        self.tell(event, self.lane.current.id)

    @rule()
    def all_goes_well(self) -> None:
        """One step of a life without trouble, so that random lives get far."""
        order = self.lane.current
        if order is not None and not self.lane.started:
            self.an_action_begins()
        elif order is not None:
            self.an_action_answers(how=3 if isinstance(order.action, Submit | FindJob) else 1, mercy=False)
        else:
            job = self.jobs.get(self.session.attempt)
            if job is not None and job.phase in (Phase.QUEUED, Phase.RUNNING):
                job.phase = Phase.RUNNING
                self.the_script_speaks(port=6001, late=False, gives_up=False)
            self.a_look_is_asked(glitch=False)
            while self.looks:
                self.a_look_is_answered()
            self.standing_work_speaks(TunnelUp())

    # Actions.

    @precondition(lambda self: self.lane.current is not None and not self.lane.started)
    @rule()
    def an_action_begins(self) -> None:
        """Its start is journalled; a Submit is on its way."""
        order = self.lane.current
        self.lane = begun(self.lane)
        if order is not None and isinstance(order.action, Submit):
            self.travelling.add(order.action.attempt)

    @precondition(lambda self: self.lane.current is not None and self.lane.started)
    @rule(how=st.sampled_from([0, 1, 1, 2, 3, 3]), mercy=st.booleans())
    def an_action_answers(self, how: int, mercy: bool) -> None:
        """In any way that the cluster allows."""
        assert self.lane.current is not None
        match self.lane.current.action:
            case Stage():
                self.answer((StageFailed(problem=WRONG), Staged(), StageDelayed(problem=WRONG), Staged())[how])
            case Submit(attempt=attempt):
                self.answer(self.submitted(attempt, how))
            case FindJob(attempt=attempt):
                self.answer(self.searched(attempt) if how else FindDelayed(problem=WRONG))
            case CancelJob():
                if mercy or how == 0:
                    self.answer(CancelDelayed(problem=WRONG) if how == 0 else CancelSent())
                else:
                    for job in self.jobs.values():
                        job.phase = Phase.ENDED if job.phase in LIVE else job.phase
                    self.answer(CancelSent() if how < 3 else CancelDelayed(problem=WRONG))
            case FetchHistory():
                over = [job for job in self.jobs.values() if job.phase not in LIVE]
                known = JobEnded(outcome=Outcome.WALLTIME) if over else HistoryDelayed(problem=WRONG)
                self.answer((HistoryDelayed(problem=WRONG), known, known, HistoryUnknown())[how])
            case Cleanup():
                self.lane = finished(self.lane)

    def submitted(self, attempt: int, how: int) -> Event:
        """What may be said of a submission under way."""
        if attempt not in self.travelling:
            return SubmitUnknown(problem=WRONG)
        if how == 0:
            return SubmitUnknown(problem=WRONG)  # and it travels on
        if how == 1 and attempt not in self.fences:
            self.travelling.discard(attempt)
            return SubmitDelayed(problem=WRONG)
        if how == 2 and attempt not in self.jobs:
            self.travelling.discard(attempt)
            return SubmitRejected(problem=WRONG)
        self.land(attempt)
        return Submitted(job=JobId(str(attempt))) if attempt in self.jobs else SubmitUnknown(problem=WRONG)

    def land(self, attempt: int) -> None:
        """A travelling submission arrives at the fence."""
        self.travelling.discard(attempt)
        if self.fences.get(attempt) in (None, "half"):
            self.fences[attempt] = "taken"
            self.jobs[attempt] = Job()
            self.submissions[attempt] = self.submissions.get(attempt, 0) + 1

    def searched(self, attempt: int) -> Event:
        """What a search finds, which also sets the fence."""
        fence = self.fences.setdefault(attempt, "fenced")
        if attempt in self.jobs:
            return JobFound(job=JobId(str(attempt)))
        if fence == "fenced" or attempt not in self.travelling:
            return JobAbsent()
        return FindDelayed(problem=WRONG)

    @precondition(lambda self: self.withdrawn)
    @rule(data=st.data())
    def a_withdrawn_action_answers_late(self, data: st.DataObject) -> None:
        """Its answer met the cancellation half-way; nobody waits for it."""
        action, kind = data.draw(st.sampled_from(self.withdrawn))
        event = an_event(data.draw(st.sampled_from(LATE[kind])))
        before = (self.session, self.lane)
        if expects(self.lane, action):
            self.tell(event, action)
        assert before == (self.session, self.lane)

    # The cluster.

    @precondition(lambda self: self.travelling)
    @rule(data=st.data(), how=st.sampled_from(["lands", "half", "dies"]))
    def a_submission_arrives_late(self, data: st.DataObject, how: str) -> None:
        """It was still on its way when its answer was lost."""
        attempt = data.draw(st.sampled_from(sorted(self.travelling)))
        if how == "lands":
            self.land(attempt)
        elif how == "half":
            self.fences.setdefault(attempt, "half")
        else:
            self.travelling.discard(attempt)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), goes=st.booleans())
    def a_job_moves(self, data: st.DataObject, goes: bool) -> None:
        """As schedulers move jobs: granted, suspended, requeued, over, forgotten."""
        job = self.jobs[data.draw(st.sampled_from(sorted(self.jobs)))]
        running = (Phase.SUSPENDED, Phase.COMPLETING, Phase.RUNNING)
        ways: dict[Phase | None, tuple[Phase | None, ...]] = {
            Phase.QUEUED: (Phase.RUNNING, Phase.RUNNING, Phase.HELD, Phase.ENDED),
            Phase.HELD: (Phase.QUEUED,),
            Phase.RUNNING: running,
            Phase.SUSPENDED: (Phase.RUNNING,),
            Phase.COMPLETING: (Phase.ENDED, Phase.QUEUED),
            Phase.ENDED: (Phase.ENDED, None),
            None: (None,),
        }
        becomes = data.draw(st.sampled_from(ways[job.phase]))
        job.restarts += job.phase is Phase.COMPLETING and becomes is Phase.QUEUED
        if job.phase is not Phase.RUNNING or goes:
            job.phase = becomes

    @rule(port=st.sampled_from([6001, 6002]), late=st.booleans(), gives_up=st.sampled_from([False] * 9 + [True]))
    def the_script_speaks(self, port: int, late: bool, gives_up: bool) -> None:
        """It publishes where it listens, or gives up; what an earlier run wrote may still lie there."""
        job = self.jobs.get(self.session.attempt)
        if job is not None and job.phase is Phase.RUNNING:
            run = f"{self.session.attempt}.{max(0, job.restarts - late)}"
            self.endpoint = Endpoint(run=run, host="n1", port=port)
            self.failure = WRONG if gives_up else None

    # Looks, time, people.

    @rule(glitch=st.sampled_from([False, False, True]))
    def a_look_is_asked(self, glitch: bool) -> None:
        """The cluster is seen as it is now, or one job short; the answer may come later."""
        if Want.POLL in WANTS[self.session.state]:
            jobs = {
                JobId(str(attempt)): JobReport(
                    id=JobId(str(attempt)),
                    phase=job.phase,
                    nodes=("n1",) if job.phase in (Phase.RUNNING, Phase.SUSPENDED) else (),
                    restarts=job.restarts,
                    outcome=Outcome.COMPLETED if job.phase is Phase.ENDED else None,
                )
                for attempt, job in self.jobs.items()
                if job.phase is not None and not glitch
            }
            known = self.session.id
            snapshot = Snapshot(
                cluster=ClusterName("local"),
                asked_at=self.now,
                answered_at=self.now,
                jobs=jobs,
                endpoints={known: self.endpoint} if self.endpoint is not None else {},
                failures={known: self.failure} if self.failure is not None else {},
            )
            self.looks.append((snapshot, glitch))

    @precondition(lambda self: self.looks)
    @rule()
    def a_look_is_answered(self) -> None:
        """Looks are answered in order; meanwhile anything may have happened."""
        snapshot, glitch = self.looks.pop(0)
        if glitch and self.session.state is State.KILL:
            return  # three wrong lists in a row after a cancellation are beyond what is promised
        events, self.absences = compare(snapshot, [self.session], self.absences)
        for _, event in events:
            self.tell(event)

    @precondition(lambda self: self.session.state is not State.KILL and Want.POLL in WANTS[self.session.state])
    @rule(looks=st.integers(3, 4))
    def the_scheduler_loses_sight_of_it(self, looks: int) -> None:
        """For long enough to be believed, though not what it seems."""
        for _ in range(looks):
            self.now += 20
            self.a_look_is_asked(glitch=True)
            while self.looks:
                self.a_look_is_answered()

    @rule(seconds=st.sampled_from([0.1, 12.0, 40.0, 400.0]))
    def time_passes(self, seconds: float) -> None:
        """And what is due is told."""
        self.now += seconds
        if self.session.retry_at is not None and self.session.retry_at <= self.now:
            self.tell(RetryDue())

    @precondition(lambda self: self.steps > self.calm and DeadlineExpired in TABLE[self.session.state])
    @rule()
    def it_took_too_long(self) -> None:
        """A deadline can pass at any moment."""
        self.tell(DeadlineExpired())

    @precondition(lambda self: self.steps > self.calm)
    @rule(force=st.booleans(), because=st.sampled_from([Outcome.CANCELLED, Outcome.IDLE]))
    def a_person_stops_it(self, force: bool, because: Outcome) -> None:
        """At any time, more than once."""
        self.tell(StopRequested(force=force, because=because))

    @rule(event=st.sampled_from([TunnelUp(), TunnelUp(), TunnelDown(problem=WRONG), ServiceFailed(problem=WRONG)]))
    def standing_work_speaks(self, event: Event) -> None:
        """Late, possibly: what the state no longer expects is dropped, as the engine does."""
        if type(event) in TABLE[self.session.state] and not isinstance(event, ServiceFailed):
            self.tell(event)

    @rule()
    def the_daemon_dies(self) -> None:
        """What is durable comes back: session and journal."""
        self.looks, self.absences, self.withdrawn = [], {}, []
        current = self.lane.current
        if self.lane.unstoppable and current is not None:
            self.tell(SubmitUnknown(problem=WRONG), current.id)
            self.withdrawn = []
        else:
            self.lane = replace(self.lane, started=False)
        self.tell(Restored())

    # What must always be.

    @invariant()
    def counted(self) -> None:
        """Not a promise: this is where steps are counted."""
        self.steps += 1

    @invariant()
    def at_most_one_submission_per_attempt(self) -> None:
        """The fence holds, and no second attempt begins while the first may still bring a job."""
        assert all(count == 1 for count in self.submissions.values())
        assert sum(self.submissions.values()) <= 1

    @invariant()
    def an_end_leaves_nothing(self) -> None:
        """No live job, nothing that can become one; unless nobody could tell, which is what LOST says."""
        session = self.session
        if session.live or session.outcome is Outcome.LOST:
            return
        assert [] == [job for job in self.jobs.values() if job.phase in LIVE]
        assert [] == [attempt for attempt in self.travelling if self.fences.get(attempt) in (None, "half")]

    @invariant()
    def the_session_is_consistent(self) -> None:
        """Outcome and end together; job where the state needs one; no problem where all is well."""
        session = self.session
        assert (session.outcome is not None) == (session.ended_at is not None) == (not session.live)
        assert not (session.outcome is Outcome.COMPLETED and session.problem is not None)
        assert session.outcome is not Outcome.FAILED or session.problem is not None or session.ending is None
        assert session.state is not State.RUNNING or session.problem is None or session.endpoint is not None
        if Want.POLL in WANTS[session.state]:
            assert session.job is not None
            assert str(session.attempt) == session.job.id
        if session.state in (State.TUNNEL, State.RUNNING):
            assert session.endpoint is not None
        if session.state in (State.KILL, State.ABANDON):
            assert session.ending is not None

    @invariant()
    def absence_alone_ends_nothing(self) -> None:
        """From a job that lives only evidence leads to the end: everything else asks first."""
        assert self.verified

    @invariant()
    def something_will_happen(self) -> None:
        """A live session has an action, a retry, a poll or a deadline ahead: it cannot hang."""
        session, lane = self.session, self.lane
        ahead = lane.current is not None or session.retry_at is not None or Want.POLL in WANTS[session.state]
        assert ahead or not session.live


TestLife: Any = Life.TestCase
TestLife.settings = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=500,
    stateful_step_count=60,
    suppress_health_check=list(HealthCheck),
)
