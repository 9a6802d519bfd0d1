"""What a look at a cluster means: every branch, and above all what it does not mean."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sessiond.core.events import (
    EndpointPublished,
    Event,
    JobEnded,
    JobPending,
    JobRunning,
    JobVanished,
    ServiceFailed,
    StopRequested,
)
from sessiond.core.ids import ClusterName, SessionId
from sessiond.core.machine import step
from sessiond.core.observe import Absence, compare
from sessiond.core.report import JobReport, Snapshot
from sessiond.core.session import Endpoint, Outcome, Phase, Problem, Session, State
from tests.core.builders import JOB, NOW, WITH_A_JOB, WRONG, a_session, an_endpoint

POLLED = WITH_A_JOB
LISTENING = (State.START, State.TUNNEL, State.RUNNING)


def a_job_in(state: State, **changes: Any) -> Session:
    """A session in ``state`` whose job was submitted at NOW and has the attributes ``changes``."""
    session = a_session(state)
    assert session.job is not None
    return replace(session, job=replace(session.job, submitted=NOW, **changes))


def a_report(phase: Phase = Phase.RUNNING, **changes: Any) -> JobReport:
    """What the scheduler says of the job."""
    return replace(JobReport(id=JOB, phase=phase), **changes)


def look(
    session: Session,
    report: JobReport | None,
    *,
    endpoint: Endpoint | None = None,
    failure: Problem | None = None,
    at: float = NOW + 10,
    absences: dict[SessionId, Absence] | None = None,
) -> tuple[list[Event], dict[SessionId, Absence]]:
    """The events of one look at one session, and its absences afterwards."""
    snapshot = Snapshot(
        cluster=ClusterName("local"),
        asked_at=at,
        answered_at=at + 1,
        jobs={} if report is None else {JOB: report},
        endpoints={} if endpoint is None else {session.id: endpoint},
        failures={} if failure is None else {session.id: failure},
    )
    events, kept = compare(snapshot, [session], absences or {})
    assert {session.id} >= {told for told, _ in events}
    return [event for _, event in events], kept


def news(session: Session, report: JobReport | None, **more: Any) -> list[Event]:
    """The events alone."""
    return look(session, report, **more)[0]


def looks(session: Session, *times: float) -> list[int]:
    """How many events each of several looks brings that do not list the job."""
    absences: dict[SessionId, Absence] = {}
    found = []
    for at in times:
        events, absences = look(session, None, at=NOW + at, absences=absences)
        assert all(event == JobVanished() for event in events)
        found.append(len(events))
    return found


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ((1, 16, 31), [0, 0, 1]),
        ((1, 11, 21, 30.9, 31), [0, 0, 0, 0, 1]),
        ((1, 2, 3, 4, 5), [0, 0, 0, 0, 0]),
        ((1, 1000), [0, 0]),
        ((1, 1000, 1001, 1002), [0, 0, 1, 1]),
    ],
)
def test_absence_needs_three_looks_and_thirty_seconds(times: tuple[float, ...], expected: list[int]) -> None:
    """Both; and it is said again for as long as it lasts, because the answer may have met a full disk."""
    assert expected == looks(a_job_in(State.RUNNING), *times)


def test_being_listed_once_begins_the_count_anew() -> None:
    """Absences must be in a row."""
    session = a_job_in(State.RUNNING)
    _, absences = look(session, None, at=NOW + 1)
    _, absences = look(session, None, at=NOW + 20, absences=absences)
    assert {session.id: Absence(2, NOW + 1)} == absences
    _, absences = look(session, a_report(), at=NOW + 40, absences=absences)
    assert {} == absences
    events, absences = look(session, None, at=NOW + 60, absences=absences)
    assert ([], {session.id: Absence(1, NOW + 60)}) == (events, absences)


def test_a_look_asked_before_the_submission_says_nothing() -> None:
    """Not that the job is absent, not that it runs: it may be of an earlier one."""
    session = a_job_in(State.WAIT_FOR_NODE)
    assert ([], {}) == look(session, None, at=NOW - 0.001)
    assert ([], {}) == look(session, a_report(), at=NOW - 0.001)
    assert [JobRunning()] == news(session, a_report(), at=NOW)


def test_a_clock_that_was_set_back_hides_nothing() -> None:
    """No look takes so long that it could have been asked an hour before the submission."""
    session = a_job_in(State.WAIT_FOR_NODE)
    assert [JobRunning()] == news(session, a_report(), at=NOW - 3600)
    assert [0, 0, 1] == looks(session, -3600, -3585, -3570)


@pytest.mark.parametrize("state", [State.RUNNING, State.KILL])
def test_a_clock_set_back_begins_the_count_of_absences_anew(state: State) -> None:
    """What was counted before is of a time that is still to come."""
    session = replace(a_job_in(state), since=NOW)
    assert [0, 0, 0, 0, 1] == looks(session, 1, 16, -3600, -3585, -3570)


def test_a_job_of_unknown_age_is_looked_at() -> None:
    """A job that was found, say, with no time of submission."""
    session = a_job_in(State.WAIT_FOR_NODE)
    assert session.job is not None
    assert [JobRunning()] == news(replace(session, job=replace(session.job, submitted=None)), a_report(), at=1.0)


@pytest.mark.parametrize("state", [s for s in State if s not in POLLED])
def test_who_wants_no_poll_hears_nothing(state: State) -> None:
    """Whatever the look shows, the job's end included."""
    session = replace(a_job_in(State.RUNNING), state=state)
    assert ([], {}) == look(session, a_report(Phase.ENDED, outcome=Outcome.FAILED), endpoint=an_endpoint())
    assert ([], {}) == look(replace(session, job=None), None)


@pytest.mark.parametrize("state", POLLED)
def test_an_end_is_told_with_its_cause_and_nothing_after_it(state: State) -> None:
    """What its script published meanwhile is not worth telling."""
    report = a_report(Phase.ENDED, outcome=Outcome.WALLTIME, problem=WRONG)
    told = news(a_job_in(state), report, endpoint=an_endpoint(7000), failure=WRONG)
    assert [JobEnded(outcome=Outcome.WALLTIME, problem=WRONG)] == told


def test_an_end_without_a_word_about_how_is_lost() -> None:
    """Nothing is made up."""
    assert [JobEnded(outcome=Outcome.LOST)] == news(a_job_in(State.RUNNING), a_report(Phase.ENDED))


@pytest.mark.parametrize("state", POLLED)
def test_completing_is_no_end(state: State) -> None:
    """A requeue passes through it; it is no absence either."""
    earlier = {a_session().id: Absence(2, NOW)}
    assert ([], {}) == look(a_job_in(state), a_report(Phase.COMPLETING), endpoint=an_endpoint(7), absences=earlier)


@pytest.mark.parametrize("state", [State.WAIT_FOR_NODE, State.VERIFY])
def test_running_is_told_where_it_was_not_known(state: State) -> None:
    """Even if nothing about the job differs."""
    assert [JobRunning()] == news(a_job_in(state), a_report())


@pytest.mark.parametrize("state", [State.START, State.TUNNEL, State.RUNNING, State.KILL])
@pytest.mark.parametrize(
    "change",
    [
        {"nodes": ("n2",)},
        {"reason": "NodeDown"},
        {"started": NOW},
        {"ends_by": NOW + 9},
        {"restarts": 1},
        {"phase": Phase.SUSPENDED},
    ],
    ids=lambda change: next(iter(change)),
)
def test_only_a_difference_is_news_of_a_running_job(state: State, change: dict[str, Any]) -> None:
    """Each fact counts; told once it is known."""
    session = a_job_in(state)
    assert [] == news(session, a_report())
    report = a_report(**change)
    (event,) = news(session, report)
    assert JobRunning(**{"phase": Phase.RUNNING, **change}) == event
    assert [] == news(step(session, event, NOW + 11).after, report)


@pytest.mark.parametrize("phase", [Phase.QUEUED, Phase.HELD, Phase.CONFIGURING])
@pytest.mark.parametrize("state", [State.START, State.TUNNEL, State.RUNNING, State.VERIFY])
def test_a_job_that_waits_again_is_always_told(state: State, phase: Phase) -> None:
    """A requeue: what its last run published is not asked for."""
    report = a_report(phase, reason="BeginTime", restarts=1)
    told = news(a_job_in(state, phase=phase, reason="BeginTime"), report, endpoint=an_endpoint(), failure=WRONG)
    assert [JobPending(phase=phase, reason="BeginTime", restarts=1)] == told


@pytest.mark.parametrize("state", [State.WAIT_FOR_NODE, State.KILL])
def test_a_job_that_goes_on_waiting_is_told_when_its_reason_changes(state: State) -> None:
    """Or its phase."""
    session = a_job_in(state, phase=Phase.QUEUED, reason="Priority")
    assert [] == news(session, a_report(Phase.QUEUED, reason="Priority"))
    changed = [a_report(Phase.QUEUED, reason="Resources"), a_report(Phase.HELD, reason="Priority")]
    assert [[JobPending(phase=r.phase, reason=r.reason)] for r in changed] == [news(session, r) for r in changed]


def test_a_requeue_seen_late_is_seen_all_the_same() -> None:
    """The job was back in the queue between two looks, and runs again elsewhere."""
    session = replace(a_job_in(State.RUNNING, nodes=("n1",)), endpoint=an_endpoint())
    again = a_report(nodes=("n2",), restarts=1)
    assert [JobRunning(nodes=("n2",), restarts=1)] == news(session, again, endpoint=an_endpoint())
    moved = an_endpoint(7001, "4711.1")
    expected = [JobRunning(nodes=("n2",), restarts=1), EndpointPublished(endpoint=moved)]
    assert expected == news(session, again, endpoint=moved)


@pytest.mark.parametrize("run", ["4711.1", "4712.0", "4711", "", "4711.00"])
@pytest.mark.parametrize("state", [State.WAIT_FOR_NODE, *LISTENING])
def test_the_endpoint_of_another_run_is_not_ours(state: State, run: str) -> None:
    """An earlier run's file lies there until the next run writes its own."""
    told = news(a_job_in(state), a_report(), endpoint=an_endpoint(run=run))
    assert [] == [event for event in told if isinstance(event, EndpointPublished)]


@pytest.mark.parametrize("state", LISTENING)
def test_an_endpoint_is_told_where_it_is_news(state: State) -> None:
    """Another port, another scheme; in START also the one we know, because START means to hear it."""
    known = replace(a_job_in(state), endpoint=an_endpoint())
    again = [EndpointPublished(endpoint=an_endpoint())] if state is State.START else []
    assert again == news(known, a_report(), endpoint=an_endpoint())
    for other in (an_endpoint(7002), replace(an_endpoint(), scheme="https"), replace(an_endpoint(), host="n9")):
        assert [EndpointPublished(endpoint=other)] == news(known, a_report(), endpoint=other)


def test_running_and_its_endpoint_can_come_in_one_look() -> None:
    """In the order in which the machine can take them."""
    told = news(a_job_in(State.WAIT_FOR_NODE), a_report(), endpoint=an_endpoint())
    assert [JobRunning(), EndpointPublished(endpoint=an_endpoint())] == told


@pytest.mark.parametrize("state", LISTENING)
def test_a_script_that_gave_up_is_believed_before_its_endpoint(state: State) -> None:
    """It says why, and that counts."""
    assert [ServiceFailed(problem=WRONG)] == news(a_job_in(state), a_report(), endpoint=an_endpoint(9), failure=WRONG)


@pytest.mark.parametrize("state", [State.KILL, State.VERIFY])
def test_who_does_not_listen_to_the_script_is_not_told(state: State) -> None:
    """A session being killed has its reason already; one in doubt asks the scheduler."""
    told = news(a_job_in(state), a_report(), endpoint=an_endpoint(9), failure=WRONG)
    assert [] == [event for event in told if isinstance(event, EndpointPublished | ServiceFailed)]


def test_a_suspended_job_still_speaks_through_its_files() -> None:
    """It may have written them just before."""
    told = news(a_job_in(State.START, phase=Phase.SUSPENDED), a_report(Phase.SUSPENDED), endpoint=an_endpoint())
    assert [EndpointPublished(endpoint=an_endpoint())] == told


def test_sessions_do_not_mix() -> None:
    """Each hears of its own job; one that is not asked about loses its absence."""
    one = a_job_in(State.WAIT_FOR_NODE)
    other = replace(a_job_in(State.RUNNING), id=SessionId("other"))
    assert other.job is not None
    other = replace(other, job=replace(other.job, id="4712"))  # type: ignore[arg-type]
    snapshot = Snapshot(
        cluster=ClusterName("local"), asked_at=NOW + 1, answered_at=NOW + 1, jobs={JOB: a_report()}, endpoints={}
    )
    events, absences = compare(snapshot, [one, other], {SessionId("third"): Absence(2, NOW)})
    assert [(one.id, JobRunning())] == events
    assert {other.id: Absence(1, NOW + 1)} == absences


def test_absence_before_the_cancellation_does_not_prove_that_it_worked() -> None:
    """A scheduler that lists nothing for a while, and a stop just then: the first look after it ends nothing."""
    session = a_job_in(State.VERIFY)
    absences: dict[SessionId, Absence] = {}
    for at in (1, 21, 41):
        _, absences = look(session, None, at=NOW + at, absences=absences)
    killed = step(session, StopRequested(), NOW + 50).after
    assert State.KILL is killed.state
    assert ([], {killed.id: Absence(1, NOW + 60)}) == look(killed, None, at=NOW + 60, absences=absences)
