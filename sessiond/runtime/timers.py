"""When something is due: retries by the wall clock, deadlines by observed time.

A deadline measures how long a state lasted while we were watching. A laptop asleep for eight hours has not waited
for eight hours, so a gap between two looks at the clock counts for no more than a minute; a restarted daemon begins to
count anew; and while a session's cluster cannot be observed, nothing counts. That errs on the side of patience: no
silence ever ends a session.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import anyio

from sessiond.core.ids import SessionId
from sessiond.core.machine import deadline_s
from sessiond.core.session import Session, State
from sessiond.runtime.clock import Clock
from sessiond.runtime.idle import Idleness
from sessiond.runtime.letters import Letter, Tick

LOOK_EVERY_S = 30.0
LONGEST_STEP_S = 60.0
SHORTEST_PAUSE_S = 0.05


@dataclass(slots=True)
class _Spent:
    state: State
    since: float
    seconds: float = 0.0


class Deadlines:
    """How much observed time each session has spent in its state. ``watching`` says whether a session's cluster can be
    observed now."""

    def __init__(self, watching: Callable[[Session], bool] = lambda _session: True) -> None:
        self._watching = watching
        self._spent: dict[SessionId, _Spent] = {}

    def advance(self, sessions: Iterable[Session], observed_s: float) -> list[SessionId]:
        """Let ``observed_s`` seconds pass for all ``sessions``; returns those whose deadline has come.

        A session that stays in its state after its deadline is due again after as long.
        """
        due: list[SessionId] = []
        kept: dict[SessionId, _Spent] = {}
        for session in sessions:
            limit = deadline_s(session)
            if limit is None:
                continue
            spent = self._spent.get(session.id)
            if spent is None or not _is_same_stay(spent, session):
                spent = _Spent(session.state, session.since)
            elif self._watching(session):
                spent.seconds += observed_s
            if spent.seconds >= limit:
                due.append(session.id)
                spent.seconds = 0.0
            kept[session.id] = spent
        self._spent = kept
        return due

    def next_s(self, sessions: Iterable[Session]) -> float:
        """Seconds of observed time until the next deadline; infinite where there is none."""
        left = [float("inf")]
        for session in sessions:
            limit = deadline_s(session)
            if limit is not None and self._watching(session):
                spent = self._spent.get(session.id)
                left.append(limit - (spent.seconds if spent is not None else 0.0))
        return max(0.0, min(left))


_SUBMITTING = frozenset({State.SUBMIT, State.RECONCILE})


def _is_same_stay(spent: _Spent, session: Session) -> bool:
    """Whether the session's deadline goes on: submitting and finding out whether one did are one effort."""
    return (spent.state, spent.since) == (session.state, session.since) or {spent.state, session.state} <= _SUBMITTING


class Timers:
    """The task that tells the engine that time has passed, no more often than something is due."""

    def __init__(
        self,
        clock: Clock,
        sessions: Callable[[], Iterable[Session]],
        deadlines: Deadlines,
        tell: Callable[[Letter], Awaitable[None]],
        idleness: Idleness | None = None,
    ) -> None:
        self._clock = clock
        self._sessions = sessions
        self._deadlines = deadlines
        self._idleness = idleness
        self._tell = tell
        self._changed = anyio.Event()

    def poke(self) -> None:
        """A session changed: what is due next may have changed."""
        self._changed.set()

    async def run(self) -> None:
        """Tick for ever."""
        last = self._clock.now()
        while True:
            self._changed = anyio.Event()
            with anyio.move_on_after(self._pause_s()):
                await self._changed.wait()
            now = self._clock.now()
            await self._tell(Tick(observed_s=min(max(now - last, 0.0), LONGEST_STEP_S)))
            last = now

    def _pause_s(self) -> float:
        sessions = [s for s in self._sessions() if s.live]
        retries = [s.retry_at - self._clock.now() for s in sessions if s.retry_at is not None]
        idle_s = self._idleness.next_s(sessions) if self._idleness is not None else LOOK_EVERY_S
        return max(SHORTEST_PAUSE_S, min([LOOK_EVERY_S, self._deadlines.next_s(sessions), idle_s, *retries]))
