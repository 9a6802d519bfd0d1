"""The sessions' one-shot actions at work: started in order, answered by letter, withdrawn when no longer wanted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from sessiond import failpoint
from sessiond.core.errors import StateFull
from sessiond.core.events import Event
from sessiond.core.ids import ActionId, SessionId
from sessiond.core.lane import Lane, Ordered, begun
from sessiond.core.pace import backoff_s
from sessiond.core.session import Session
from sessiond.runtime import guard
from sessiond.runtime.clock import Clock
from sessiond.runtime.letters import Answer, Letter

_FULL_PAUSE_S = 2.0
_CLEANUP_GIVES_UP_AFTER_S = 7 * 24 * 3600.0

Perform = Callable[[Session, Ordered], Awaitable[Event | None]]


class Journal(Protocol):
    """The part of the store that lanes write: an action's effect is about to happen."""

    def action_started(self, action: ActionId, at: float) -> None:
        """Journal it. Raises StateFull where it cannot be written just now."""


class Lanes:
    """Every session's lane. Changed only by the engine; the tasks in it report by letter."""

    def __init__(
        self,
        group: TaskGroup,
        clock: Clock,
        journal: Journal,
        perform: Perform,
        session: Callable[[SessionId], Session],
        tell: Callable[[Letter], Awaitable[None]],
    ) -> None:
        self._group = group
        self._clock = clock
        self._journal = journal
        self._perform = perform
        self._session = session
        self._tell = tell
        self._lanes: dict[SessionId, Lane] = {}
        self._scopes: dict[ActionId, anyio.CancelScope] = {}
        self._closing = False
        self._changed = anyio.Event()

    def lane(self, session: SessionId) -> Lane:
        """The session's lane; an empty one where it has nothing to do."""
        return self._lanes.get(session, Lane())

    def put(self, session: SessionId, lane: Lane, withdrawn: tuple[ActionId, ...] = ()) -> None:
        """The session's lane is now ``lane``: withdraw what is no longer in it, start what is next."""
        for action in withdrawn:
            scope = self._scopes.pop(action, None)
            if scope is not None:
                scope.cancel()
        self._has_changed()
        if lane.current is None:
            self._lanes.pop(session, None)
            return
        self._lanes[session] = lane
        if not lane.started and lane.current.id not in self._scopes and not self._closing:
            scope = self._scopes[lane.current.id] = anyio.CancelScope()
            name = f"{lane.current.id} {lane.current.action}"
            self._group.start_soon(self._work, session, lane.current, scope, name=name)

    async def drain(self, seconds: float) -> None:
        """Start nothing more, let Submits under way end for at most ``seconds``, and withdraw the rest.

        What is withdrawn here stays in the journal, and the next daemon does it.
        """
        self._closing = True
        for session, lane in tuple(self._lanes.items()):
            if lane.current is not None and not self.lane(session).unstoppable:
                scope = self._scopes.get(lane.current.id)
                if scope is not None:
                    scope.cancel()
        with anyio.move_on_after(seconds):
            while any(lane.unstoppable for lane in self._working()):
                await self._changed.wait()

    async def settled(self, session: SessionId) -> None:
        """Wait until the session's lane has nothing to do."""
        while self.lane(session).current is not None:
            await self._changed.wait()

    def _has_changed(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    def _working(self) -> list[Lane]:
        """The lanes whose current action has a task."""
        return [lane for lane in self._lanes.values() if lane.current is not None and lane.current.id in self._scopes]

    async def _work(self, session: SessionId, order: Ordered, scope: anyio.CancelScope) -> None:
        with scope:
            await anyio.lowlevel.checkpoint()  # it may have been withdrawn before it began
            event = await self._answer(session, order)
        self._scopes.pop(order.id, None)
        self._has_changed()
        if not scope.cancelled_caught:
            await self._tell(Answer(session=session, answers=order.id, event=event))

    async def _answer(self, session: SessionId, order: Ordered) -> Event | None:
        """The event that answers the action; for one that nothing answers, it is tried until it succeeds."""
        first = anyio.current_time()  # stands still while the machine sleeps, as on a holiday
        tries = 0
        while True:
            event, succeeded = await guard.answered(lambda: self._do(session, order), order.action)
            tries += 1
            if event is not None or succeeded or anyio.current_time() - first > _CLEANUP_GIVES_UP_AFTER_S:
                return event
            await self._clock.sleep(backoff_s(tries, order.id))

    async def _do(self, session: SessionId, order: Ordered) -> Event | None:
        await self._begin(session, order)
        failpoint.hit("effect.before")
        event = await self._perform(self._session(session), order)
        failpoint.hit("effect.after")
        return event

    async def _begin(self, session: SessionId, order: Ordered) -> None:
        """Journal the start, however long the disk stays full: without it the effect must not happen."""
        while True:
            try:
                self._journal.action_started(order.id, self._clock.now())
            except StateFull:
                await self._clock.sleep(_FULL_PAUSE_S)
            else:
                break
        # From here on a Submit is never withdrawn: the lane's rules see to it.
        self._lanes[session] = begun(self.lane(session))
