"""Every world a session can get into: the machine x its journal x a lossy cluster, with crashes anywhere.

The machine and the lane's rules are the real ones (`step`, `follow`); the cluster is modelled as a relation. A world
holds what is durable (session, lane) and what is true over there (fences, travelling submissions, jobs). Budgets
bound it: two attempts, two crashes, one requeue, one glitch of the scheduler's list, one stop.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar

from sessiond.core.actions import CancelJob, Cleanup, FetchHistory, FindJob, Stage, Submit
from sessiond.core.events import (
    CancelDelayed,
    CancelSent,
    DeadlineExpired,
    EndpointPublished,
    Event,
    FindDelayed,
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
from sessiond.core.ids import ActionId, ClusterName, JobId
from sessiond.core.lane import Lane, Ordered, finished, follow
from sessiond.core.machine import ImpossibleEvent, create, step
from sessiond.core.session import JobRef, Outcome, Phase, Session, State
from sessiond.core.table import TABLE, WANTS, Want
from tests.core.builders import NOW, WRONG, a_session, a_spec, an_endpoint

MAX_ATTEMPTS = 2
MAX_CRASHES = 2
FREE, TAKEN, FENCED = "free", "taken", "fenced"
PENDING, RUNNING, ENDED, GONE = "PD", "R", "END", "GONE"
T = TypeVar("T")
_JOB = JobRef(id=JobId("1"), cluster=ClusterName("local"), attempt=1, phase=Phase.RUNNING)
_CURRENT, _QUEUED = ActionId("current"), ActionId("queued")


@dataclass(frozen=True, slots=True)
class Rules:
    """What is switched off to show what it is for."""

    fence: bool = True
    journal: bool = True


@dataclass(frozen=True, slots=True)
class World:
    """One state of everything."""

    session: Session
    lane: Lane
    fences: tuple[str, ...] = (FREE,) * (MAX_ATTEMPTS + 2)
    travelling: frozenset[int] = frozenset()
    half: frozenset[int] = frozenset()
    jobs: tuple[tuple[int, str], ...] = ()
    tunnel: bool = False
    submissions: int = 0
    stopped: bool = False
    crashes: int = 0
    requeues: int = 0
    glitches: int = 0

    @property
    def live_jobs(self) -> list[tuple[int, str]]:
        """The jobs that wait or run."""
        return [job for job in self.jobs if job[1] in (PENDING, RUNNING)]


@dataclass(slots=True)
class Report:
    """What the exploration found; a violation comes with the shortest way to it."""

    worlds: int = 0
    steps: int = 0
    stuck: int = 0
    violations: dict[str, list[str]] = field(default_factory=dict)
    used: Counter[tuple[State, type[Event]]] = field(default_factory=Counter)


class BrokenWorldError(Exception):
    """A world in which the daemon would do something senseless."""


class Nothing(dict[str, str]):
    """An empty mapping that can be part of a set's element."""

    def __hash__(self) -> int:  # type: ignore[override]
        return 0


class Explorer:
    """Breadth-first, so that the first way to a violation is a shortest one."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._report = Report()

    def explore(self) -> Report:
        """Visit every world."""
        first = self._first()
        came_from: dict[World, tuple[World, str] | None] = {first: None}
        into: dict[World, list[World]] = defaultdict(list)
        queue = deque([first])
        while queue:
            world = queue.popleft()
            try:
                following = [(name, after) for name, after in self._successors(world) if after != world]
            except (ImpossibleEvent, BrokenWorldError) as error:
                self._report.violations.setdefault(str(error), self._way(came_from, world))
                continue
            for name, after in following:
                self._report.steps += 1
                into[after].append(world)
                if after in came_from:
                    continue
                came_from[after] = (world, name)
                wrong = violation(after, self._rules)
                if wrong is not None:
                    self._report.violations.setdefault(wrong, self._way(came_from, after))
                queue.append(after)
        self._report.worlds = len(came_from)
        self._report.stuck = len(_without_an_end(came_from, into))
        return self._report

    def _way(self, came_from: dict[World, tuple[World, str] | None], world: World) -> list[str]:
        way: list[str] = []
        at = came_from[world]
        here = world
        while at is not None:
            way.append(f"{at[1]} -> {here.session.state}")
            here, at = at[0], came_from[at[0]]
        return way[::-1]

    def _first(self) -> World:
        begun = create(a_session(spec=a_spec(params=Nothing(), secrets=Nothing())))
        assert begun.record is not None
        return World(session=begun.after, lane=Lane(current=Ordered(_CURRENT, begun.record.actions[0].action)))

    # Telling the machine.

    def _tell(self, world: World, event: Event) -> World:
        before = world.session
        if type(event) in TABLE[before.state]:
            self._report.used[before.state, type(event)] += 1
        done = step(before, event, NOW)
        ordered = done.record.actions[0] if done.record is not None and done.record.actions else None
        lane, _ = follow(world.lane, ordered, moved=done.after.state is not before.state)
        tunnel = world.tunnel and Want.TUNNEL in WANTS[done.after.state]
        return replace(world, session=_plain(done.after), lane=_plain_lane(lane), tunnel=tunnel)

    def _answer(self, world: World, event: Event) -> World:
        return self._tell(replace(world, lane=_plain_lane(finished(world.lane))), event)

    # What can happen next.

    def _successors(self, world: World) -> Iterator[tuple[str, World]]:
        if world.session.attempt > MAX_ATTEMPTS:
            return
        yield from self._crash(world)
        yield from self._lane_moves(world)
        yield from self._late_submissions(world)
        yield from self._time_and_people(world)
        yield from self._cluster_moves(world)
        yield from self._seen(world)

    def _crash(self, world: World) -> Iterator[tuple[str, World]]:
        if world.crashes >= MAX_CRASHES or world.session.state is State.ENDED:
            return
        after = replace(world, crashes=world.crashes + 1, tunnel=False)
        if after.lane.unstoppable and self._rules.journal:
            after = self._answer(after, SubmitUnknown(problem=WRONG))
        elif after.lane.started:
            after = replace(after, lane=replace(after.lane, started=False))
        yield "kill -9 and restart", self._tell(after, Restored())

    def _lane_moves(self, world: World) -> Iterator[tuple[str, World]]:
        lane = world.lane
        if lane.current is None:
            return
        action = lane.current.action
        if not lane.started:
            begun = replace(world, lane=replace(lane, started=True))
            if isinstance(action, Submit):
                begun = replace(begun, travelling=begun.travelling | {action.attempt})
                yield "submission refused before it was sent", self._answer(world, SubmitDelayed(problem=WRONG))
            yield f"begin {action}", begun
            return
        match action:
            case Stage():
                for event in (Staged(), StageDelayed(problem=WRONG), StageFailed(problem=WRONG)):
                    yield type(event).__name__, self._answer(world, event)
            case Submit(attempt=attempt):
                yield from self._submitting(world, attempt)
            case FindJob(attempt=attempt):
                yield "find: no answer", self._answer(world, FindDelayed(problem=WRONG))
                yield from self._finding(world, attempt)
            case CancelJob():
                yield "cancel: no answer", self._answer(world, CancelDelayed(problem=WRONG))
                yield "cancel sent, the job lingers", self._answer(world, CancelSent())
                gone = tuple((a, ENDED if s in (PENDING, RUNNING) else s) for a, s in world.jobs)
                yield "cancelled", self._answer(replace(world, jobs=gone), CancelSent())
            case FetchHistory():
                yield "history: no answer", self._answer(world, HistoryDelayed(problem=WRONG))
                if any(status in (ENDED, GONE) for _, status in world.jobs):
                    yield "history: it ended", self._answer(world, JobEnded(outcome=Outcome.COMPLETED))
                    yield "history: nobody knows", self._answer(world, HistoryUnknown())
            case Cleanup():
                yield "cleaned up", replace(world, lane=_plain_lane(finished(lane)))

    def _submitting(self, world: World, attempt: int) -> Iterator[tuple[str, World]]:
        if attempt not in world.travelling:
            return
        job = JobId(str(attempt))
        yield "connection lost, the submission travels on", self._answer(world, SubmitUnknown(problem=WRONG))
        landed, submitted = self._lands(world, attempt)
        if submitted:
            yield "submitted", self._answer(landed, Submitted(job=job))
            yield "submitted, the answer is lost", self._answer(landed, SubmitUnknown(problem=WRONG))
        died = replace(world, travelling=world.travelling - {attempt})
        if not any(a == attempt for a, _ in world.jobs):
            yield "rejected", self._answer(died, SubmitRejected(problem=WRONG))
        yield "the submission died on its way", self._answer(died, SubmitUnknown(problem=WRONG))
        yield "channel refused: proved unsent", self._answer(died, SubmitDelayed(problem=WRONG))

    def _lands(self, world: World, attempt: int) -> tuple[World, bool]:
        """A travelling submission arrives; whether the attempt has a job afterwards."""
        was_half = attempt in world.half
        arrived = replace(world, travelling=world.travelling - {attempt}, half=world.half - {attempt})
        if self._rules.fence:
            if world.fences[attempt] == FENCED:
                return arrived, False
            if world.fences[attempt] == TAKEN and not was_half:
                return arrived, True
        return (
            replace(
                arrived,
                fences=_with(world.fences, attempt, TAKEN),
                jobs=(*world.jobs, (attempt, PENDING)),
                submissions=world.submissions + 1,
            ),
            True,
        )

    def _finding(self, world: World, attempt: int) -> Iterator[tuple[str, World]]:
        mine = [status for a, status in world.jobs if a == attempt]
        found = JobFound(job=JobId(str(attempt)))
        if not self._rules.fence:
            seen = bool(mine) and mine[0] != GONE
            yield "find by name", self._answer(world, found if seen else JobAbsent())
        elif world.fences[attempt] == FREE:
            fenced = replace(world, fences=_with(world.fences, attempt, FENCED))
            yield "fenced: absent", self._answer(fenced, JobAbsent())
            yield "fenced, the answer is lost", self._answer(fenced, FindDelayed(problem=WRONG))
        elif world.fences[attempt] == FENCED:
            yield "absent", self._answer(world, JobAbsent())
        elif mine:
            yield "found", self._answer(world, found)
        elif attempt not in world.travelling:
            yield "taken, settled, not listed: absent", self._answer(world, JobAbsent())

    def _late_submissions(self, world: World) -> Iterator[tuple[str, World]]:
        for attempt in sorted(world.travelling):
            current = world.lane.current
            if world.lane.unstoppable and current is not None and current.action == Submit(attempt=attempt):
                continue
            yield f"submission {attempt} lands late", self._lands(world, attempt)[0]
            if self._rules.fence and world.fences[attempt] == FREE and attempt not in world.half:
                fences = _with(world.fences, attempt, TAKEN)
                yield (
                    f"submission {attempt} is half-way late",
                    replace(world, fences=fences, half=world.half | {attempt}),
                )
            yield (
                f"submission {attempt} dies late",
                replace(world, travelling=world.travelling - {attempt}, half=world.half - {attempt}),
            )

    def _time_and_people(self, world: World) -> Iterator[tuple[str, World]]:
        session = world.session
        if session.retry_at is not None:
            due = replace(world, session=replace(session, retry_at=None))
            yield "retry due", self._tell(due, RetryDue())
        if DeadlineExpired in TABLE[session.state]:
            yield "deadline", self._tell(world, DeadlineExpired())
        if IdleWarned in TABLE[session.state] and session.idle_ends_by is None:
            yield "nobody uses it", self._tell(world, IdleWarned(unused_s=60.0, ends_in_s=60.0))
        if session.idle_ends_by is not None:
            yield "it is used after all", self._tell(world, IdleOver())
            yield "it was idle for too long", self._tell(world, StopRequested(because=Outcome.IDLE))
        if not world.stopped and session.state is not State.ENDED:
            yield "a person stops it", self._tell(replace(world, stopped=True), StopRequested())

    def _cluster_moves(self, world: World) -> Iterator[tuple[str, World]]:
        for index, (attempt, status) in enumerate(world.jobs):
            moves = {
                PENDING: (("a node is granted", RUNNING), ("the job dies waiting", ENDED)),
                RUNNING: (("the job ends", ENDED),),
                ENDED: (("the scheduler forgets it", GONE),),
                GONE: (),
            }[status]
            for name, becomes in moves:
                yield name, replace(world, jobs=_with(world.jobs, index, (attempt, becomes)))
            if status == RUNNING and world.requeues < 1:
                jobs = _with(world.jobs, index, (attempt, PENDING))
                yield "the node fails, requeued", replace(world, jobs=jobs, requeues=world.requeues + 1)

    def _seen(self, world: World) -> Iterator[tuple[str, World]]:
        wants = WANTS[world.session.state]
        if Want.POLL not in wants:
            return
        status = next((s for a, s in world.jobs if a == world.session.attempt), None)
        if status is None:
            raise BrokenWorldError(f"polling for a job that does not exist, in {world.session.state}")
        if world.lane.unstoppable:
            return
        news: dict[str, Event] = {
            PENDING: JobPending(),
            RUNNING: JobRunning(),
            ENDED: JobEnded(outcome=Outcome.COMPLETED),
            GONE: JobVanished(),
        }
        yield f"poll: {status}", self._tell(world, news[status])
        if status in (PENDING, RUNNING) and world.glitches < 1 and world.session.state is not State.KILL:
            yield "a glitch: not listed", self._tell(replace(world, glitches=1), JobVanished())
        if status != RUNNING:
            return
        if Want.ENDPOINT in wants:
            moved = replace(world, tunnel=False)
            yield "endpoint", self._tell(moved, EndpointPublished(endpoint=an_endpoint()))
            yield "the service fails", self._tell(world, ServiceFailed(problem=WRONG))
        if Want.TUNNEL in wants:
            if world.session.state is State.TUNNEL:
                yield "tunnel up", self._tell(replace(world, tunnel=True), TunnelUp())
            yield "the probe fails", self._tell(replace(world, tunnel=False), TunnelDown(problem=WRONG))


def violation(world: World, rules: Rules) -> str | None:
    """What must never be, or None."""
    if world.submissions > 1:
        return "double submission"
    if len(world.live_jobs) > 1:
        return "two live jobs"
    if world.session.state is not State.ENDED:
        return None
    if world.session.outcome is None:
        return "ended without an outcome"
    if world.session.outcome is Outcome.LOST:
        return None
    if world.live_jobs:
        return "ended with a live job"
    harmless = rules.fence and all(world.fences[a] != FREE and a not in world.half for a in world.travelling)
    return None if harmless or not world.travelling else "ended while a submission can still land"


def _without_an_end(seen: dict[World, tuple[World, str] | None], into: dict[World, list[World]]) -> set[World]:
    """The worlds, within the bounds, from which no end can be reached."""
    can_end = {w for w in seen if w.session.state is State.ENDED}
    queue = list(can_end)
    while queue:
        for before in into[queue.pop()]:
            if before not in can_end:
                can_end.add(before)
                queue.append(before)
    return {w for w in seen if w not in can_end and w.session.attempt <= MAX_ATTEMPTS}


def _plain(session: Session) -> Session:
    """A session without what decides nothing, so that the same situation is the same world."""
    return replace(
        session,
        job=None if session.job is None else _JOB,
        endpoint=None,
        version=0,
        retries=0,
        retry_at=None if session.retry_at is None else NOW,
        problem=None,
        ready_at=None,
        force=False,
    )


def _plain_lane(lane: Lane) -> Lane:
    def plain(order: Ordered | None, name: ActionId) -> Ordered | None:
        if order is None:
            return None
        action = CancelJob() if isinstance(order.action, CancelJob) else order.action
        return Ordered(name, action)

    return Lane(current=plain(lane.current, _CURRENT), started=lane.started, queued=plain(lane.queued, _QUEUED))


def _with(items: tuple[T, ...], index: int, item: T) -> tuple[T, ...]:
    return (*items[:index], item, *items[index + 1 :])
