"""Words for people: a session's state, its story, and names of things."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessiond.core.events import (
    CancelSent,
    DeadlineExpired,
    EndpointPublished,
    Event,
    IdleOver,
    IdleWarned,
    JobEnded,
    JobPending,
    JobRunning,
    JobVanished,
    StopRequested,
    Submitted,
    SubmitUnknown,
    TunnelDown,
)
from sessiond.core.ids import ALPHABET, ID_LENGTH, ClusterName, SessionId, action_id, session_id, tag_of
from sessiond.core.link import Link, LinkState
from sessiond.core.machine import create, step
from sessiond.core.session import JobRef, Outcome, Phase, Problem, State
from sessiond.core.spec import Mode
from sessiond.core.status import Severity, Status, describe
from sessiond.core.story import problem_of, tell
from sessiond.core.table import EVENTS, TABLE
from tests.core.builders import JOB, NOW, WRONG, a_session, a_spec, an_endpoint, an_event
from tests.core.steady import steady

REQUEUED = "its node failed, another job went before it, or somebody ordered it"
HINTED = replace(WRONG, hint="do this")
BAD = [o for o in Outcome if o not in (Outcome.COMPLETED, Outcome.CANCELLED, Outcome.WALLTIME, Outcome.IDLE)]
CELLS = [(state, kind) for state in State for kind in EVENTS if kind in TABLE[state]]

# Status.


@pytest.mark.parametrize("state", State)
def test_every_state_has_a_phrase(state: State) -> None:
    """Short, without a full stop, and never the state's bare name in capitals."""
    status = describe(a_session(state), NOW)
    assert status.phrase
    assert not status.phrase.endswith(".")
    assert status.phrase[0].islower()


@pytest.mark.parametrize(
    ("state", "phrase", "severity"),
    [
        (State.RENDER, "preparing", Severity.BUSY),
        (State.SUBMIT, "submitting", Severity.BUSY),
        (State.RECONCILE, "finding out whether the job was submitted", Severity.ATTENTION),
        (State.ABANDON, "stopping: finding out whether a job was submitted", Severity.BUSY),
        (State.WAIT_FOR_NODE, "starting", Severity.BUSY),
        (State.START, "starting", Severity.BUSY),
        (State.TUNNEL, "waiting for the service to answer", Severity.BUSY),
        (State.RUNNING, "running", Severity.OK),
        (State.VERIFY, "the scheduler no longer lists the job; asking its history", Severity.ATTENTION),
        (State.KILL, "stopping", Severity.BUSY),
        (State.ENDED, "completed", Severity.OK),
    ],
)
def test_a_state_without_trouble(state: State, phrase: str, severity: Severity) -> None:
    """What people see most."""
    status = describe(a_session(state), NOW)
    assert (phrase, severity) == (status.phrase, status.severity)


@pytest.mark.parametrize("state", [s for s in State if s not in (State.RUNNING, State.ENDED)])
def test_a_problem_is_said_with_its_hint(state: State) -> None:
    """And asks for attention."""
    status = describe(a_session(state, problem=HINTED), NOW)
    assert status.phrase.endswith(": it went wrong")
    # What a service does instead of answering is in its log.
    more = "; sessionctl logs tiny shows its output, sessionctl stop tiny gives up" if state is State.TUNNEL else ""
    assert (f"do this{more}", Severity.ATTENTION) == (status.next, status.severity)
    assert not describe(a_session(state, problem=WRONG), NOW).next.startswith("do this")


def test_a_running_session_keeps_an_old_problem_to_itself() -> None:
    """It runs."""
    status = describe(a_session(State.RUNNING, problem=WRONG), NOW)
    assert Status(phrase="running", next="sessionctl open tiny", severity=Severity.OK) == status


def test_a_suspended_job_is_said() -> None:
    """It is no fault of the session's."""
    session = a_session(State.RUNNING)
    assert session.job is not None
    status = describe(replace(session, job=replace(session.job, phase=Phase.SUSPENDED)), NOW)
    assert ("suspended by the scheduler", Severity.ATTENTION) == (status.phrase, status.severity)


def test_waiting_says_why() -> None:
    """The scheduler's own reason; held is another matter than queued."""
    session = a_session(State.WAIT_FOR_NODE, spec=a_spec(mode=Mode.SLURM))
    assert session.job is not None
    queued = replace(session, job=replace(session.job, phase=Phase.QUEUED, reason="Priority"))
    held = replace(session, job=replace(session.job, phase=Phase.HELD))
    assert "waiting for a node: Priority" == describe(queued, NOW).phrase
    assert ("held in the queue", Severity.ATTENTION) == (describe(held, NOW).phrase, describe(held, NOW).severity)


def test_waiting_says_when_it_may_end() -> None:
    """The scheduler's estimate, while it lies ahead; and a node that is being prepared is no longer waited for."""
    waiting = a_session(State.WAIT_FOR_NODE, spec=a_spec(mode=Mode.SLURM))
    assert waiting.job is not None

    def after(**job: object) -> Status:
        return describe(replace(waiting, job=replace(waiting.job, **job)), NOW)  # type: ignore[type-var]  # it has one

    assert "the scheduler expects to start it in 12 min" == after(expected_start=NOW + 725).next
    assert "it starts when the scheduler finds room" == after(expected_start=NOW - 5).next
    assert "its node is being prepared" == after(phase=Phase.CONFIGURING).phrase
    never = after(reason="it can never start: it asks for 64 processors where there are 8")
    assert (f"sessionctl stop {waiting.name}, and ask for less", Severity.ATTENTION) == (never.next, never.severity)


def test_a_service_that_takes_long_and_one_that_answered_before() -> None:
    """Three things a tunnel without an answer can mean."""
    session = a_session(State.TUNNEL)
    late = NOW + session.spec.service.ready_within_s + 1
    assert "the service has not answered yet" == describe(session, late).phrase
    assert Severity.ATTENTION is describe(session, late).severity
    assert "reconnecting to the service" == describe(replace(session, ready_at=NOW), late).phrase


def test_submitting_again_says_so() -> None:
    """Once there was a back-off."""
    assert ["", "it is tried again by itself"] == [
        describe(a_session(State.SUBMIT, retries=n), NOW).next for n in (0, 1)
    ]


@pytest.mark.parametrize("outcome", BAD)
def test_a_bad_end_says_why_and_where_to_look(outcome: Outcome) -> None:
    """With the problem's hint where there is one."""
    ended = a_session(State.ENDED, outcome=outcome)
    bare, told = describe(ended, NOW), describe(replace(ended, problem=HINTED), NOW)
    assert (Severity.ERROR, "sessionctl why tiny tells the story") == (bare.severity, bare.next)
    assert (f"{bare.phrase}: it went wrong", "do this") == (told.phrase, told.next)


@pytest.mark.parametrize("outcome", [o for o in Outcome if o not in BAD])
def test_a_good_end_wants_nothing(outcome: Outcome) -> None:
    """Even if there had been a problem on the way; one that ended for being idle can be had again."""
    ending = outcome if outcome is Outcome.CANCELLED else None
    status = describe(a_session(State.ENDED, outcome=outcome, ending=ending, problem=HINTED), NOW)
    again = "sessionctl start tiny --again" if outcome is Outcome.IDLE else ""
    assert (again, Severity.OK) == (status.next, status.severity)
    assert "went wrong" not in status.phrase


def test_who_cancelled_a_job_is_said() -> None:
    """Where it was somebody else, on the cluster."""
    problem = Problem(code="cancelled", message="cancelled on the cluster by root")
    status = describe(a_session(State.ENDED, outcome=Outcome.CANCELLED, problem=problem), NOW)
    assert ("cancelled on the cluster by root", Severity.ATTENTION) == (status.phrase, status.severity)


def test_an_ended_session_of_unknown_outcome_is_lost() -> None:
    """Never a crash in front of people."""
    assert "lost" == describe(a_session(State.ENDED, outcome=None), NOW).phrase


# Story.


@pytest.mark.parametrize(("state", "kind"), CELLS, ids=lambda x: getattr(x, "__name__", str(x)))
def test_every_transition_is_a_sentence(state: State, kind: type[Event]) -> None:
    """In lower case, without a full stop, and never the name of a class."""
    event = an_event(kind)
    text = tell(event, state, step(a_session(state), event, NOW + 1).after.state)
    assert text
    assert text[0].islower()
    assert not text.endswith(".")
    assert kind.__name__ not in text


def test_creation_is_a_sentence() -> None:
    """The first line of every story."""
    record = create(a_session()).record
    assert record is not None
    assert "the session was created" in tell(record.event, record.before, record.after)


@pytest.mark.parametrize(
    ("event", "before", "after", "text"),
    [
        (Submitted(job=JOB), State.SUBMIT, State.WAIT_FOR_NODE, "the job was submitted as 4711"),
        (
            SubmitUnknown(problem=WRONG),
            State.SUBMIT,
            State.RECONCILE,
            "the answer to the submission was lost: it went wrong; asking whether it happened before anything else",
        ),
        (JobPending(reason="Priority"), State.WAIT_FOR_NODE, State.WAIT_FOR_NODE, "the job is waiting (Priority)"),
        (JobPending(phase=Phase.HELD), State.WAIT_FOR_NODE, State.WAIT_FOR_NODE, "the job is held"),
        (
            JobPending(restarts=1),
            State.RUNNING,
            State.WAIT_FOR_NODE,
            f"the scheduler put the job back into the queue ({REQUEUED}); it starts again by itself",
        ),
        (JobRunning(nodes=("n1", "n2")), State.WAIT_FOR_NODE, State.START, "the job runs on n1, n2"),
        (JobRunning(), State.VERIFY, State.START, "the job is listed again and runs"),
        (
            JobRunning(phase=Phase.SUSPENDED, nodes=("n1",)),
            State.RUNNING,
            State.RUNNING,
            "the scheduler suspended the job on n1",
        ),
        (JobEnded(outcome=Outcome.WALLTIME), State.RUNNING, State.ENDED, "the job reached its time limit"),
        (JobEnded(outcome=Outcome.FAILED, problem=WRONG), State.RUNNING, State.ENDED, "the job ended: it went wrong"),
        (
            EndpointPublished(endpoint=an_endpoint()),
            State.START,
            State.TUNNEL,
            "the service will answer at n1 port 6001",
        ),
        (EndpointPublished(endpoint=an_endpoint()), State.RUNNING, State.TUNNEL, "the service moved to n1 port 6001"),
        (TunnelDown(problem=WRONG), State.RUNNING, State.TUNNEL, "it went wrong"),
        (
            DeadlineExpired(),
            State.WAIT_FOR_NODE,
            State.KILL,
            "the job had no node within the longest wait that was allowed (--max-wait)",
        ),
        (DeadlineExpired(), State.TUNNEL, State.ENDED, "it took too long"),
        (
            StopRequested(),
            State.SUBMIT,
            State.ABANDON,
            "you asked to stop it; making sure first that no job was or will be submitted",
        ),
        (StopRequested(because=Outcome.IDLE), State.RENDER, State.ENDED, "it was idle for too long"),
        (
            IdleWarned(unused_s=13500.0, ends_in_s=900.0),
            State.RUNNING,
            State.RUNNING,
            "nobody has used it for 3 h; it ends in 15 min unless somebody does",
        ),
        (IdleOver(), State.RUNNING, State.RUNNING, "it was used again, and is not ended for being idle"),
        (
            IdleOver(used=False),
            State.RUNNING,
            State.RUNNING,
            "whether it was used could not be seen for a while, so it is not ended for being idle",
        ),
        (CancelSent(), State.KILL, State.KILL, "the job was told to end"),
        (
            CancelSent(forced=True),
            State.KILL,
            State.KILL,
            "the job had not gone when it was told to: its scheduler was told to drop it by force",
        ),
        (
            StopRequested(),
            State.RUNNING,
            State.KILL,
            "you asked to stop it; its kill script runs, then the job ends",
        ),
        (StopRequested(), State.WAIT_FOR_NODE, State.KILL, "you asked to stop it; the job is told to end"),
        (JobEnded(outcome=Outcome.COMPLETED), State.RUNNING, State.ENDED, "the session's script ended by itself"),
        (JobEnded(outcome=Outcome.COMPLETED), State.KILL, State.ENDED, "the session's script ended"),
        (
            JobRunning(nodes=("n1",), started=NOW, ends_by=NOW + 5399.6),
            State.RUNNING,
            State.RUNNING,
            "the scheduler says that the job may run for 1 h 30 min",
        ),
        (
            EndpointPublished(endpoint=replace(an_endpoint(), host="127.0.0.1", port=0, path="/tmp/sd/s.sock")),
            State.START,
            State.TUNNEL,
            "the service will answer at socket /tmp/sd/s.sock",
        ),
    ],
)
def test_the_words_of_a_transition(event: Event, before: State, after: State, text: str) -> None:
    """As they stand in `why`."""
    assert text == tell(event, before, after)


@pytest.mark.parametrize("outcome", Outcome)
def test_every_end_of_a_job_has_words(outcome: Outcome) -> None:
    """With its problem after a colon."""
    bare = tell(JobEnded(outcome=outcome), State.RUNNING, State.ENDED)
    assert f"{bare}: it went wrong" == tell(JobEnded(outcome=outcome, problem=WRONG), State.RUNNING, State.ENDED)


@pytest.mark.parametrize(
    ("event", "before", "after", "untrue"),
    [
        (JobVanished(), State.KILL, State.ENDED, "history is being asked"),
        (StopRequested(force=True), State.RUNNING, State.KILL, "kill script runs"),
        (StopRequested(), State.KILL, State.KILL, "kill script runs"),
    ],
)
def test_the_story_says_nothing_untrue(event: Event, before: State, after: State, untrue: str) -> None:
    """A job that went while it was being killed is gone; a forced stop does not wait for the kill script."""
    assert untrue not in tell(event, before, after)


def test_only_a_problem_is_a_problem() -> None:
    """Of the event that brings one."""
    assert WRONG == problem_of(TunnelDown(problem=WRONG))
    assert None is problem_of(JobEnded(outcome=Outcome.COMPLETED))
    assert None is problem_of(Submitted(job=JOB))
    assert Problem(code="test", message="it went wrong") == WRONG


# Names.


@steady
@given(st.floats(0, 1e9), st.floats(0.002, 1e6), st.integers(0, 2**40), st.integers(0, 2**40))
def test_ids_sort_by_time(now: float, later: float, one: int, other: int) -> None:
    """Whatever chance adds; twelve characters of the alphabet."""
    first, second = session_id(now, one), session_id(now + later, other)
    assert first < second
    assert ID_LENGTH == len(first)
    assert set(first + second) <= set(ALPHABET)


def test_chance_tells_ids_of_one_moment_apart() -> None:
    """A million of them."""
    assert 1000 == len({session_id(NOW, n * 1048) for n in range(1000)})
    assert session_id(NOW, 3) == session_id(NOW, 3 + (1 << 20))


def test_the_alphabet_has_no_letters_to_mistake() -> None:
    """Crockford's: no i, l, o, u."""
    assert (32, 32, set()) == (len(ALPHABET), len(set(ALPHABET)), set("ilou") & set(ALPHABET))


def test_the_tag_fits_the_oldest_scheduler() -> None:
    """Fifteen characters, the longest job name of old PBS servers."""
    assert 15 == len(tag_of(session_id(NOW, 1)))
    assert "sd-abc" == tag_of(SessionId("abc"))


def test_an_action_is_named_for_the_version_that_ordered_it() -> None:
    """So that its answer is known again."""
    assert "abc.7" == action_id(SessionId("abc"), 7)


def test_a_queue_reason_of_yesterday_is_no_news() -> None:
    """While its cluster is out of sight, what matters about a waiting session is that, in few words."""
    job = JobRef(
        id=JOB,
        cluster=ClusterName("far"),
        attempt=1,
        phase=Phase.QUEUED,
        reason="waiting for free nodes: it is next in line",
    )
    waiting = a_session(State.WAIT_FOR_NODE, job=job, spec=a_spec(mode=Mode.SLURM))
    link = Link(name=ClusterName("far"), state=LinkState.NEEDS_LOGIN, since=NOW)
    assert "waiting for a node, but far needs a login" == describe(waiting, NOW, link).phrase
