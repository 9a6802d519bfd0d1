"""Sessions for tests of the pure core."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sessiond.core.events import (
    CancelDelayed,
    EndpointPublished,
    Event,
    FindDelayed,
    HistoryDelayed,
    JobEnded,
    JobFound,
    ServiceFailed,
    StageDelayed,
    StageFailed,
    SubmitDelayed,
    SubmitRejected,
    Submitted,
    SubmitUnknown,
    TunnelDown,
)
from sessiond.core.ids import ClusterName, JobId, session_id
from sessiond.core.machine import create, step
from sessiond.core.session import Endpoint, JobRef, Outcome, Phase, Problem, Session, State
from sessiond.core.spec import LaunchSpec, Mode, ServiceSpec

NOW = 1_790_000_000.0
JOB = JobId("4711")
WRONG = Problem(code="test", message="it went wrong", at=0.0)
WITH_A_JOB = (State.WAIT_FOR_NODE, State.START, State.TUNNEL, State.RUNNING, State.VERIFY, State.KILL)


def a_spec(**changes: Any) -> LaunchSpec:
    """A launch specification."""
    spec = LaunchSpec(
        service=ServiceSpec(name="tiny", title="Tiny", files=()),
        workflow="tiny",
        cluster=ClusterName("local"),
        mode=Mode.LOCAL,
        user="alice",
        jobdir="/home/alice/sessiond/x",
        params={},
        secrets={"service_token": "s3cret"},
    )
    return replace(spec, **changes)


def a_session(state: State = State.RENDER, **changes: Any) -> Session:
    """A session in ``state``, with a job where the state implies one."""
    session = Session(
        id=session_id(NOW, 7),
        name="tiny",
        number=1,
        spec=a_spec(),
        open_port=50000,
        created=NOW,
        state=state,
        since=NOW,
    )
    if state in WITH_A_JOB:
        session = replace(
            session, attempt=1, job=JobRef(id=JOB, cluster=ClusterName("local"), attempt=1, phase=Phase.RUNNING)
        )
    if state is State.KILL:
        session = replace(session, ending=Outcome.CANCELLED)
    if state is State.ENDED:
        session = replace(session, outcome=Outcome.COMPLETED, ended_at=NOW)
    return replace(session, **changes)


def an_endpoint(port: int = 6001, run: str = "4711.0") -> Endpoint:
    """Where a service listens."""
    return Endpoint(run=run, host="n1", port=port)


def an_event(kind: type[Event]) -> Event:
    """An event of ``kind`` with plausible facts."""
    with_problem = (
        StageDelayed,
        StageFailed,
        SubmitDelayed,
        SubmitUnknown,
        SubmitRejected,
        FindDelayed,
        ServiceFailed,
        TunnelDown,
        CancelDelayed,
        HistoryDelayed,
    )
    if kind in with_problem:
        return kind(problem=WRONG)
    if kind in (Submitted, JobFound):
        return kind(job=JOB)
    if kind is JobEnded:
        return JobEnded(outcome=Outcome.COMPLETED)
    if kind is EndpointPublished:
        return EndpointPublished(endpoint=an_endpoint())
    return kind()


class Story:
    """A playbook: a session that is told one event after another, with what each ordered written down."""

    def __init__(self, session: Session | None = None) -> None:
        self.session = create(a_session()).after if session is None else session
        self.now = NOW
        self.orders: list[str] = []

    def hears(self, *events: Event) -> Story:
        """Tell it events, a second apart."""
        for event in events:
            self.now += 1
            done = step(self.session, event, self.now)
            self.session = done.after
            self.orders = [str(o.action) for o in done.record.actions] if done.record is not None else []
        return self

    @property
    def state(self) -> State:
        """Where it is."""
        return self.session.state
