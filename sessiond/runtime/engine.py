"""The engine: one task, the only writer. A letter becomes a step of the pure machine, one transaction, and then acts.

Nothing happens before it is committed, and nothing that is committed depends on what happens next: the journal says
what was under way, the states say what should be running, and `restore` needs no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import anyio
import structlog

from sessiond.core import lane as lanes_rules
from sessiond.core.actions import Submit
from sessiond.core.errors import (
    AuthDenied,
    Bug,
    Conflict,
    HostDown,
    HostKeyRefused,
    HostRefused,
    LinkError,
    NeedsLogin,
    NotFound,
    SessiondError,
    StateFull,
)
from sessiond.core.events import DeadlineExpired, Event, Restored, RetryDue, SubmitUnknown
from sessiond.core.ids import ActionId, ClusterName, SessionId
from sessiond.core.lane import Lane, Ordered
from sessiond.core.machine import Step, create, step
from sessiond.core.observe import Absence, compare
from sessiond.core.pace import LONGEST_BACKOFF_S
from sessiond.core.session import Problem, Session
from sessiond.core.table import TABLE
from sessiond.runtime import guard
from sessiond.runtime.bus import Bus, Published
from sessiond.runtime.clock import Clock
from sessiond.runtime.idle import Idleness, Use
from sessiond.runtime.letters import Answer, Ask, Create, Letter, Observed, Remove, Reply, Standing, Tick
from sessiond.runtime.timers import Deadlines

log = structlog.get_logger(__name__)

_INBOX = 1024
_FULL_PAUSE_S = 1.0
_LINK_CODES = frozenset(
    kind.code for kind in (LinkError, HostDown, HostRefused, AuthDenied, NeedsLogin, HostKeyRefused)
)


class History(Protocol):
    """The part of the store that the engine writes."""

    def commit(self, step: Step, *, at: float, done: ActionId | None = None, withdrawn: Sequence[ActionId] = ()) -> int:
        """One transition in one transaction. Raises StateFull where it cannot be written just now."""

    def action_done(self, action: ActionId, at: float) -> None:
        """An action ended and changed nothing."""

    def remove(self, session: SessionId) -> None:
        """Forget an ended session."""


class LaneWork(Protocol):
    """The part of `sessiond.runtime.lanes.Lanes` that the engine moves."""

    def lane(self, session: SessionId) -> Lane:
        """The session's lane."""

    def put(self, session: SessionId, lane: Lane, withdrawn: tuple[ActionId, ...] = ()) -> None:
        """The session's lane from now on."""


class StandingWork(Protocol):
    """What follows from a session's state: polls, tunnels, probes."""

    def follow(self, session: Session) -> None:
        """The session changed (or was restored)."""

    def forget(self, session: SessionId) -> None:
        """The session was removed."""

    def use(self, session: SessionId) -> Use | None:
        """What goes through the session's door, where it is the only one."""


@dataclass(frozen=True, slots=True)
class _Telling:
    """An event for a session, perhaps as the answer to one of its actions."""

    session: SessionId
    event: Event | None
    answers: ActionId | None = None


class Engine:
    """Holds the live truth about all sessions. ``watching`` says whether a session's cluster can be observed now: only
    then do its deadlines come nearer, and its idleness. ``strict`` raises on impossible events, for tests."""

    def __init__(
        self,
        clock: Clock,
        history: History,
        bus: Bus,
        *,
        watching: Callable[[Session], bool] = lambda _session: True,
        strict: bool = False,
    ) -> None:
        self._clock = clock
        self._history = history
        self._bus = bus
        self._through: tuple[type[Exception], ...] = (Exception,) if strict else (StateFull,)
        self._blocked: StateFull | None = None
        self._hurried: set[ClusterName] = set()
        self._sessions: dict[SessionId, Session] = {}
        self._absences: dict[SessionId, Absence] = {}
        self._send, self._receive = anyio.create_memory_object_stream[Letter](_INBOX)
        self._lanes: LaneWork
        self._standing: StandingWork
        self.deadlines = Deadlines(watching)
        self.idleness = Idleness(lambda session: self._standing.use(session), watching)
        self.faults = 0
        self.handled = 0
        """Letters taken up so far, a try at one that waits for the disk included: it grows while the engine lives."""
        self.full: str | None = None
        """Why nothing can be written just now; None while all is well."""

    def attach(self, lanes: LaneWork, standing: StandingWork) -> None:
        """Who acts on what the engine decides."""
        self._lanes = lanes
        self._standing = standing

    @property
    def sessions(self) -> Mapping[SessionId, Session]:
        """All sessions, ended ones too; to be read, never changed."""
        return self._sessions

    def session(self, session: SessionId) -> Session:
        """One session. Raises NotFound."""
        found = self._sessions.get(session)
        if found is None:
            raise NotFound(f"there is no session {session}", hint="sessionctl ls --all lists all of them")
        return found

    def live(self) -> list[Session]:
        """The sessions that are not over."""
        return [s for s in self._sessions.values() if s.live]

    async def tell(self, letter: Letter) -> None:
        """Hand the engine a letter; waits while its inbox is full."""
        await self._send.send(letter)

    def hurry(self, cluster: ClusterName) -> None:
        """The way to a cluster was found again: what waits only because it was lost is tried with the next tick."""
        self._hurried.add(cluster)

    async def _request_of(self, letter: Create | Ask | Remove) -> Session:
        if self._blocked is not None:
            raise self._blocked
        await self.tell(letter)
        return await letter.reply.wait()

    async def create(self, session: Session) -> Session:
        """Begin a session. Raises Conflict for a name in use, StateFull where it cannot be written."""
        return await self._request_of(Create(session=session, reply=Reply()))

    async def ask(self, session: SessionId, event: Event) -> Session:
        """Say something to a session for a person. Raises NotFound, StateFull."""
        return await self._request_of(Ask(session=session, event=event, reply=Reply()))

    async def remove(self, session: SessionId) -> Session:
        """Forget an ended session. Raises NotFound, Conflict, StateFull."""
        return await self._request_of(Remove(session=session, reply=Reply()))

    def restore(
        self, sessions: Iterable[Session], open_actions: Mapping[SessionId, Sequence[tuple[Ordered, bool]]]
    ) -> None:
        """Take over what the store remembers: sessions, and their actions that are not over (with: was it started).

        A Submit that was under way is unknown now; everything else that was under way is idempotent and runs again.
        """
        for session in sessions:
            self._sessions[session.id] = session
        for session_id, orders in open_actions.items():
            # The journal is in order: what came after a started Submit waits behind it.
            self._lanes.put(session_id, self._lane_from(orders))
        for session in list(self._sessions.values()):
            self._restored(session)

    def _lane_from(self, orders: Sequence[tuple[Ordered, bool]]) -> Lane:
        current, started = orders[0]
        queued = orders[1][0] if len(orders) > 1 else None
        submitting = started and isinstance(current.action, Submit)
        return Lane(current=current, started=submitting, queued=queued)

    def _restored(self, session: Session) -> None:
        lane = self._lanes.lane(session.id)
        if lane.unstoppable and lane.current is not None:
            problem = Problem(code="restarted", message="sessiond was restarted while the job was being submitted")
            self._at_first(Answer(session=session.id, answers=lane.current.id, event=SubmitUnknown(problem=problem)))
        if session.live:
            self._at_first(Standing(session=session.id, event=Restored()))
            self._standing.follow(self._sessions[session.id])

    def _at_first(self, letter: Answer | Standing) -> None:
        """Take a letter up at once; where it cannot be written down just now, it is the first that waits for room."""
        try:
            for telling in self._meant(letter):
                self._change(telling.session, telling.event, telling.answers)
        except StateFull as error:
            self._blocked = error
            self._is_full(error)
            self._send.send_nowait(letter)

    async def run(self) -> None:
        """Handle letters for ever, one at a time."""
        with self._receive, self._send:
            async for letter in self._receive:
                self.handled += 1
                if isinstance(letter, Create | Ask | Remove):
                    self._requested(letter)
                    continue
                for telling in self._meant(letter):
                    await self._tell_durably(telling)

    # What people ask for: done at once, or refused with the reason.

    def _requested(self, letter: Create | Ask | Remove) -> None:
        def work() -> None:
            try:
                self._request(letter)
            except SessiondError as error:
                if isinstance(error, StateFull):
                    self._is_full(error)
                letter.reply.error = error

        if guard.contained(work, f"handling {type(letter).__name__}", *self._through) is not None:
            self.faults += 1
            letter.reply.error = Bug("sessiond met an unforeseen error", hint="its log has the details")
        letter.reply.done.set()

    def _request(self, letter: Create | Ask | Remove) -> None:
        match letter:
            case Create(reply=Reply(left=True)) | Remove(reply=Reply(left=True)):
                return  # whoever asked has left: a session would be begun twice, or its folders be left behind
            case Create(session=session):
                self._create(session)
                letter.reply.session = self._sessions[session.id]
            case Ask(session=session_id, event=event):
                self.session(session_id)
                self._change(session_id, event)
                letter.reply.session = self._sessions[session_id]
            case Remove(session=session_id):
                letter.reply.session = self._remove(session_id)

    # What happened: taken in whatever it takes, because it will not be told again.

    def _meant(self, letter: Answer | Standing | Observed | Tick) -> list[_Telling]:
        """What a letter tells sessions, looked up once: a disk that is full must not make it be counted twice."""
        match letter:
            case Answer(session=session, answers=answers, event=event):
                known = session in self._sessions
                expected = known and lanes_rules.expects(self._lanes.lane(session), answers)
                return [_Telling(session, event, answers)] if expected else []
            case Standing(session=session, event=event):
                found = self._sessions.get(session)
                return [_Telling(session, event)] if found is not None and type(event) in TABLE[found.state] else []
            case Observed():
                return self._observed(letter)
            case Tick(observed_s=observed_s):
                return self._ticked(observed_s)

    def _observed(self, letter: Observed) -> list[_Telling]:
        asked = [self._sessions[s] for s in letter.asked if s in self._sessions]
        events, absences = compare(letter.snapshot, asked, self._absences)
        for session in letter.asked:
            self._absences.pop(session, None)
        self._absences.update(absences)
        return [_Telling(session, event) for session, event in events]

    def _ticked(self, observed_s: float) -> list[_Telling]:
        now = self._clock.now()
        hurried, self._hurried = self._hurried, set()
        retries = [
            s.id
            for s in self.live()
            if s.retry_at is not None
            and (_is_due(s.retry_at, now) or (s.spec.cluster in hurried and _waits_for_a_link(s)))
        ]
        expired = self.deadlines.advance(self.live(), observed_s)
        due = [_Telling(s, RetryDue()) for s in retries] + [_Telling(s, DeadlineExpired()) for s in expired]
        return due + [_Telling(s, event) for s, event in self.idleness.advance(self.live(), observed_s, now)]

    async def _tell_durably(self, telling: _Telling) -> None:
        """Tell a session what happened; as long as it cannot be written down, people are refused and the rest waits."""
        while True:
            self.handled += 1
            try:
                self._tell_contained(telling)
            except StateFull as error:
                self._blocked = error
                self._is_full(error)
                await self._clock.sleep(_FULL_PAUSE_S)
            else:
                self._blocked = None
                return

    def _tell_contained(self, telling: _Telling) -> None:
        """One session's fault is that session's alone; an action is over even where its answer cannot be taken in."""
        work = partial(self._change, telling.session, telling.event, telling.answers)
        if guard.contained(work, f"telling {telling.session} {telling.event}", *self._through) is None:
            return
        self.faults += 1
        lane = self._lanes.lane(telling.session)
        if telling.answers is not None and lanes_rules.expects(lane, telling.answers):
            self._history.action_done(telling.answers, self._clock.now())
            self._lanes.put(telling.session, lanes_rules.finished(lane))

    def _is_full(self, error: StateFull) -> None:
        if self.full is None:
            log.error("the state database cannot be written; waiting", why=error.message)
        self.full = error.message

    def _create(self, session: Session) -> None:
        if any(s.live and s.name == session.name for s in self._sessions.values()):
            raise Conflict(
                f"there is already a session called {session.name}",
                hint=f"choose another with --name, or stop it: sessionctl stop {session.name}",
            )
        self._commit(create(session), Lane(), moved=True, done=None)

    def _remove(self, session_id: SessionId) -> Session:
        session = self.session(session_id)
        if session.live:
            raise Conflict(f"{session.name} is not over", hint=f"stop it first: sessionctl stop {session.name}")
        self._history.remove(session.id)
        lane = self._lanes.lane(session.id)
        self._lanes.put(session.id, Lane(), tuple(o.id for o in (lane.current, lane.queued) if o is not None))
        self._standing.forget(session.id)
        del self._sessions[session.id]
        return session

    def _change(self, session_id: SessionId, event: Event | None, answers: ActionId | None = None) -> None:
        """Tell a session an event, commit what it means, then act on it."""
        before = self._sessions[session_id]
        now = self._clock.now()
        lane = self._lanes.lane(session_id)
        if answers is not None:
            lane = lanes_rules.finished(lane)
        after = Step(after=before) if event is None else step(before, event, now)
        if after.record is None:
            if answers is not None:
                self._history.action_done(answers, now)
                self._lanes.put(session_id, lane)
            return
        self._commit(after, lane, moved=before.state is not after.after.state, done=answers)

    def _commit(self, after: Step, lane: Lane, *, moved: bool, done: ActionId | None) -> None:
        record = after.record
        if record is None:
            raise AssertionError("a step without a record is not committed")
        ordered = record.actions[0] if record.actions else None
        lane, withdrawn = lanes_rules.follow(lane, ordered, moved=moved)
        seq = self._history.commit(after, at=record.at, done=done, withdrawn=withdrawn)
        if self.full is not None:
            log.info("the state database can be written again")
            self.full = None
        session = after.after
        self._sessions[session.id] = session
        self._lanes.put(session.id, lane, withdrawn)
        self._standing.follow(session)
        self._bus.publish(Published(seq=seq, record=record, session=session))


def _is_due(retry_at: float, now: float) -> bool:
    return not now < retry_at <= now + LONGEST_BACKOFF_S


def _waits_for_a_link(session: Session) -> bool:
    return session.problem is not None and session.problem.code in _LINK_CODES
