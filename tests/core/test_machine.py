"""Playbooks: the awkward cases, each as a story told to the machine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sessiond.core.events import (
    CancelDelayed,
    CancelSent,
    DeadlineExpired,
    EndpointPublished,
    HistoryDelayed,
    HistoryUnknown,
    IdleOver,
    IdleWarned,
    JobAbsent,
    JobEnded,
    JobFound,
    JobPending,
    JobRunning,
    JobVanished,
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
from sessiond.core.machine import create, deadline_s, step
from sessiond.core.session import NO_ROOM, STILL_THERE, Outcome, Phase, Problem, State
from tests.core.builders import JOB, NOW, WRONG, Story, a_session, an_endpoint

UP = (Staged(), Submitted(job=JOB), JobRunning(nodes=("n1",)), EndpointPublished(endpoint=an_endpoint()), TunnelUp())


def running() -> Story:
    """A session that came up without trouble."""
    return Story().hears(*UP)


def test_a_session_comes_up_without_trouble() -> None:
    """render, submit, wait-for-node, start, tunnel, running."""
    story = Story()
    seen = [story.state, *(story.hears(event).state for event in UP)]
    expected = [State.RENDER, State.SUBMIT, State.WAIT_FOR_NODE, State.START, State.TUNNEL, State.RUNNING]
    assert expected == seen
    assert NOW + 5 == story.session.ready_at


def test_creation_orders_the_staging() -> None:
    """The first record has no state before it, and orders Stage."""
    done = create(a_session())
    assert done.record is not None
    assert (None, State.RENDER, ["Stage()"]) == (
        done.record.before,
        done.record.after,
        [str(o.action) for o in done.record.actions],
    )


def test_link_lost_while_a_job_runs_is_no_event_of_the_session() -> None:
    """Only the probe through the tunnel fails; the same endpoint comes back by itself."""
    story = running().hears(TunnelDown(problem=WRONG))
    assert (State.TUNNEL, "it went wrong") == (story.state, story.session.problem.message)  # type: ignore[union-attr]
    story.hears(TunnelUp())
    assert (State.RUNNING, None, an_endpoint()) == (story.state, story.session.problem, story.session.endpoint)


def test_link_lost_during_submission_and_the_job_is_found() -> None:
    """Unknown, then found: one submission."""
    story = Story().hears(Staged(), SubmitUnknown(problem=WRONG))
    assert (State.RECONCILE, ["FindJob(attempt=1)"]) == (story.state, story.orders)
    story.hears(JobFound(job=JOB))
    assert (State.WAIT_FOR_NODE, JOB, 1) == (story.state, story.session.job.id, story.session.attempt)  # type: ignore[union-attr]


def test_link_lost_during_submission_and_nothing_was_submitted() -> None:
    """Unknown, then fenced: a new attempt with a new number."""
    story = Story().hears(Staged(), SubmitUnknown(problem=WRONG), JobAbsent())
    assert (State.SUBMIT, []) == (story.state, story.orders)
    assert story.session.retry_at is not None
    assert ["Submit(attempt=2)"] == story.hears(RetryDue()).orders


def test_a_refused_channel_is_tried_again_after_a_while() -> None:
    """Proved unsent: same state, back-off, then a new attempt."""
    story = Story().hears(Staged(), SubmitDelayed(problem=WRONG))
    assert (State.SUBMIT, [], 1) == (story.state, story.orders, story.session.retries)
    assert story.session.retry_at is not None
    story.hears(RetryDue())
    assert ["Submit(attempt=2)"] == story.orders
    assert story.session.retry_at is None


def test_restored_while_running_asks_the_service_again() -> None:
    """kill -9 of the daemon: RUNNING goes to TUNNEL with everything known, and back."""
    story = running().hears(Restored())
    assert (State.TUNNEL, [], an_endpoint()) == (story.state, story.orders, story.session.endpoint)
    assert State.RUNNING is story.hears(TunnelUp()).state


@pytest.mark.parametrize("state", [s for s in State if s is not State.RUNNING])
def test_restored_elsewhere_changes_nothing(state: State) -> None:
    """Idempotent actions run again from the journal; the state needs no special case."""
    assert step(a_session(state), Restored(), NOW + 1).record is None


def test_stop_while_rendering_ends_at_once() -> None:
    """Nothing was submitted, nothing can be."""
    story = Story().hears(StopRequested())
    assert (State.ENDED, Outcome.CANCELLED, ["Cleanup()"]) == (story.state, story.session.outcome, story.orders)


@pytest.mark.parametrize(
    ("answer", "state", "orders"),
    [
        (Submitted(job=JOB), State.KILL, ["CancelJob(force=False)"]),
        (SubmitUnknown(problem=WRONG), State.ABANDON, ["FindJob(attempt=1)"]),
        (SubmitDelayed(problem=WRONG), State.ENDED, ["Cleanup()"]),
        (SubmitRejected(problem=WRONG), State.ENDED, ["Cleanup()"]),
        (JobFound(job=JOB), State.KILL, ["CancelJob(force=False)"]),
        (JobAbsent(), State.ENDED, ["Cleanup()"]),
    ],
    ids=lambda x: type(x).__name__,
)
def test_stop_while_submitting(answer: Submitted, state: State, orders: list[str]) -> None:
    """Whatever the submission or the search says, the job goes, and the outcome is the person's wish."""
    story = Story().hears(Staged(), StopRequested())
    assert (State.ABANDON, ["FindJob(attempt=1)"]) == (story.state, story.orders)
    story.hears(answer)
    assert (state, orders, Outcome.CANCELLED) == (story.state, story.orders, story.session.ending)


def test_stop_twice_is_no_harm_and_now_means_now() -> None:
    """A second stop is the same order again; --now does not wait for the kill script, and nothing takes it back."""
    story = running().hears(StopRequested(), StopRequested())
    assert (State.KILL, ["CancelJob(force=False)"]) == (story.state, story.orders)
    for event in (StopRequested(force=True), StopRequested()):
        story.hears(event)
        assert (State.KILL, ["CancelJob(force=True)"]) == (story.state, story.orders)
    assert (State.ENDED, Outcome.CANCELLED) == (story.hears(CancelSent(), JobVanished()).state, story.session.outcome)


def test_stop_now_forces_at_once() -> None:
    """--now."""
    assert ["CancelJob(force=True)"] == running().hears(StopRequested(force=True)).orders


def test_only_what_runs_is_idle() -> None:
    """When it is to end is known from the warning on; whatever leads out of RUNNING takes that back."""
    story = running().hears(IdleWarned(unused_s=100.0, ends_in_s=60.0))
    assert story.now + 60 == story.session.idle_ends_by
    assert None is Story(story.session).hears(IdleOver()).session.idle_ends_by
    for event in (TunnelDown(problem=WRONG), Restored(), StopRequested(because=Outcome.IDLE), JobPending()):
        assert None is Story(story.session).hears(event).session.idle_ends_by


def test_stop_for_idleness_ends_as_idle() -> None:
    """A stop brings its own reason."""
    story = running().hears(StopRequested(because=Outcome.IDLE), JobEnded(outcome=Outcome.FAILED))
    assert Outcome.IDLE is story.session.outcome


def test_what_went_wrong_on_the_way_to_a_wanted_end_is_over_with_it() -> None:
    """A link that was down while an idle session was stopped is no problem of the ended session."""
    for because in (Outcome.IDLE, Outcome.CANCELLED):
        story = running().hears(StopRequested(because=because), CancelDelayed(problem=WRONG))
        assert story.session.problem is not None
        assert None is story.hears(JobEnded(outcome=Outcome.CANCELLED)).session.problem


def test_the_cause_of_a_failure_outlives_what_delays_its_end() -> None:
    """A service that gave up with words of its own has not failed because its cluster was out of reach then."""
    cause = replace(WRONG, code="service", message="the licence has expired")
    story = running().hears(ServiceFailed(problem=cause), CancelDelayed(problem=WRONG), RetryDue(), DeadlineExpired())
    assert State.KILL is story.state
    ended = story.hears(JobEnded(outcome=Outcome.CANCELLED)).session
    assert (Outcome.FAILED, "the licence has expired") == (ended.outcome, ended.problem.message)  # type: ignore[union-attr]


def test_walltime_end() -> None:
    """The scheduler's word decides."""
    story = running().hears(JobEnded(outcome=Outcome.WALLTIME))
    assert (State.ENDED, Outcome.WALLTIME) == (story.state, story.session.outcome)


def test_forgotten_job_is_asked_about_and_lost_only_when_nobody_knows() -> None:
    """Absence is a question; the endpoint is kept meanwhile, because the service may well be alive."""
    story = running().hears(JobVanished())
    assert (State.VERIFY, ["FetchHistory()"], an_endpoint()) == (story.state, story.orders, story.session.endpoint)
    story.hears(HistoryUnknown())
    assert (State.ENDED, Outcome.LOST) == (story.state, story.session.outcome)


def test_a_glitch_of_the_scheduler_costs_nothing() -> None:
    """Listed again: back to START, and the endpoint file brings the rest."""
    story = running().hears(JobVanished(), JobRunning(nodes=("n1",)))
    assert (State.START, None) == (story.state, story.session.endpoint)
    assert State.TUNNEL is story.hears(EndpointPublished(endpoint=an_endpoint())).state


def test_requeue_waits_again_and_takes_the_new_endpoint() -> None:
    """Same job, new run, other node, other port; same session."""
    story = running().hears(JobPending(reason="BeginTime", restarts=1))
    assert (State.WAIT_FOR_NODE, None, 1) == (story.state, story.session.endpoint, story.session.job.restarts)  # type: ignore[union-attr]
    again = an_endpoint(port=7002, run="4711.1")
    story.hears(JobRunning(nodes=("n2",), restarts=1), EndpointPublished(endpoint=again), TunnelUp())
    assert (State.RUNNING, again, 50000) == (story.state, story.session.endpoint, story.session.open_port)


def test_node_fails_and_the_job_is_not_requeued() -> None:
    """Ended, with the cause."""
    story = running().hears(JobEnded(outcome=Outcome.NODE_FAILED, problem=WRONG))
    assert (Outcome.NODE_FAILED, "it went wrong") == (story.session.outcome, story.session.problem.message)  # type: ignore[union-attr]


def test_a_service_that_failed_does_not_burn_hours() -> None:
    """Its job is cancelled, and its words stay as the reason whatever the job's end says."""
    said = Problem(code="service", message="no licence")
    story = running().hears(ServiceFailed(problem=said))
    assert (State.KILL, ["CancelJob(force=False)"]) == (story.state, story.orders)
    story.hears(JobEnded(outcome=Outcome.FAILED, problem=WRONG))
    assert (Outcome.FAILED, "no licence") == (story.session.outcome, story.session.problem.message)  # type: ignore[union-attr]


def test_a_service_that_moves_is_followed() -> None:
    """Another port: TUNNEL until it answers there."""
    story = running().hears(EndpointPublished(endpoint=an_endpoint(port=7003)))
    assert (State.TUNNEL, 7003) == (story.state, story.session.endpoint.port)  # type: ignore[union-attr]


def test_no_deadline_ends_a_job_that_works() -> None:
    """A dropped tunnel is retried for as long as the job lives."""
    story = running().hears(TunnelDown(problem=WRONG))
    assert None is deadline_s(story.session)


def test_a_cancel_without_effect_is_repeated_harder_and_said() -> None:
    """KILL's deadline orders it again, with force."""
    story = running().hears(StopRequested(), CancelSent(), DeadlineExpired())
    assert (State.KILL, ["CancelJob(force=True)"]) == (story.state, story.orders)
    assert "kill-timeout" == story.session.problem.code  # type: ignore[union-attr]


def test_a_cancel_that_could_not_be_sent_is_tried_again() -> None:
    """Back-off, then the same order."""
    story = running().hears(StopRequested(), CancelDelayed(problem=WRONG))
    assert story.session.retry_at is not None
    assert ["CancelJob(force=False)"] == story.hears(RetryDue()).orders


def test_staging_that_cannot_work_ends_with_its_reason() -> None:
    """Failed, not retried for ever."""
    story = Story().hears(StageDelayed(problem=WRONG), RetryDue(), StageFailed(problem=WRONG))
    assert (State.ENDED, Outcome.FAILED, "it went wrong") == (
        story.state,
        story.session.outcome,
        story.session.problem.message,  # type: ignore[union-attr]
    )


def test_seeing_the_same_thing_twice_is_not_history() -> None:
    """No record, no new version."""
    story = running()
    assert step(story.session, JobRunning(nodes=("n1",)), NOW + 99).record is None


def test_versions_grow_by_one_with_every_record() -> None:
    """The store checks it."""
    story = Story()
    life = (*UP, TunnelDown(problem=WRONG), TunnelUp(), StopRequested(), JobEnded(outcome=Outcome.COMPLETED))
    versions = [story.session.version, *(story.hears(event).session.version for event in life)]
    assert list(range(10)) == versions


def test_an_ended_session_hears_nothing_more() -> None:
    """A poll that was under way, a stop that came too late."""
    story = running().hears(JobEnded(outcome=Outcome.COMPLETED))
    before = story.session
    story.hears(StopRequested(), JobRunning(), JobPending(), JobVanished(), JobEnded(outcome=Outcome.FAILED))
    assert before == story.session


def test_a_suspended_job_stays_where_it_is() -> None:
    """Its phase is known, its state is not changed: a suspended service is not a dead one."""
    story = running().hears(JobRunning(phase=Phase.SUSPENDED, nodes=("n1",)))
    assert (State.RUNNING, Phase.SUSPENDED) == (story.state, story.session.job.phase)  # type: ignore[union-attr]


def test_a_job_waits_for_its_first_node_as_long_as_was_said() -> None:
    """For ever if nothing was; and one that had a node before may wait for another for ever."""
    session = a_session(State.WAIT_FOR_NODE)
    assert deadline_s(session) is None
    limited = replace(session, spec=replace(session.spec, max_wait_s=7200.0))
    assert 7200.0 == deadline_s(limited)
    assert limited.job is not None
    assert deadline_s(replace(limited, job=replace(limited.job, restarts=1))) is None
    assert deadline_s(replace(limited, ready_at=NOW)) is None
    assert deadline_s(replace(limited, job=replace(limited.job, phase=Phase.CONFIGURING))) is None
    ended = step(limited, DeadlineExpired(), NOW).after
    assert (State.KILL, Outcome.FAILED, "queue-timeout") == (
        ended.state,
        ended.ending,
        ended.problem.code,  # type: ignore[union-attr]
    )


@pytest.mark.parametrize("state", [State.RENDER, State.SUBMIT, State.RECONCILE])
def test_want_of_room_is_waited_for(state: State) -> None:
    """A full disk is the person's to see to, however long that takes; it ends no session."""
    session = a_session(state)
    assert deadline_s(session) is not None
    assert deadline_s(replace(session, problem=Problem(code=NO_ROOM, message="the disk is full"))) is None
    assert deadline_s(replace(session, problem=WRONG)) is not None


def test_a_job_that_its_scheduler_has_is_not_lost() -> None:
    """It is not listed, and asked for it alone the scheduler says that it is there: that is no absence to count."""
    session = a_session(State.VERIFY)
    assert deadline_s(session) is not None
    there = step(session, HistoryDelayed(problem=Problem(code=STILL_THERE, message="it still has it")), NOW).after
    assert State.VERIFY is there.state
    assert deadline_s(there) is None
    silent = step(there, RetryDue(), NOW).after
    silent = step(silent, HistoryDelayed(problem=WRONG), NOW).after
    assert deadline_s(silent) is not None


def test_a_suspended_job_starts_nothing_and_is_not_late() -> None:
    """While its scheduler has stopped it, its service cannot become ready."""
    session = a_session(State.START)
    assert session.job is not None
    assert deadline_s(session) is not None
    assert deadline_s(replace(session, job=replace(session.job, phase=Phase.SUSPENDED))) is None


def test_start_has_the_services_own_deadline() -> None:
    """`ready_within` of service.toml."""
    session = a_session(State.START)
    slow = replace(session, spec=replace(session.spec, service=replace(session.spec.service, ready_within_s=42.0)))
    assert 42.0 == deadline_s(slow)


def test_the_longest_walltime_of_a_run_is_kept() -> None:
    """Of one that is cut, or moves by a second with each look; another run of the job has its own."""
    story = running()
    allowed = []
    for event in (
        JobRunning(started=NOW, ends_by=NOW + 3600),
        JobRunning(started=NOW, ends_by=NOW + 600),
        JobRunning(),
        JobRunning(started=NOW, ends_by=NOW + 7200),
        JobPending(restarts=1),
        JobRunning(started=NOW, ends_by=NOW + 60, restarts=1),
        JobRunning(started=NOW, ends_by=NOW + 30, restarts=2),  # nobody looked while it waited
    ):
        job = story.hears(event).session.job
        assert job is not None
        allowed.append(job.allowed_s)
    assert [3600.0, 3600.0, 3600.0, 7200.0, 0.0, 60.0, 30.0] == allowed
