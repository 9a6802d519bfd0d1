"""Who ends for being idle. Pure bookkeeping, told of the passing of time by the engine.

Use is a byte carried through a session's door, or a connection that is open there: an open page of a notebook or a
desktop keeps a WebSocket, and a silent one looks the same whether somebody watches a long calculation or has forgotten
the tab. Ending what is in use is worse than keeping what is not, so it counts, whatever it carries. So does a stream to
the session's node past the door, which a shell there, or a copy of files, goes through.

Only what was seen is evidence. Where nobody could have used the session, or its use could not be seen (it does not
run, its link is down, it is suspended, the machine slept), the time does not count; whoever had been warned by then
gets the whole time again. The count is in memory: a restarted daemon begins anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sessiond.core.events import Event, IdleOver, IdleWarned, StopRequested
from sessiond.core.ids import SessionId
from sessiond.core.session import Outcome, Phase, Session, State

LONGEST_GAP_S = 60.0
"""Somebody looks at least every half minute; a longer gap means that the machine slept, or that its clock was set."""
SOON_S = 5.0

_PAUSES = frozenset({State.TUNNEL, State.VERIFY})
"""States that a session which runs goes through when something is in doubt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdlePolicy:
    """End a session that nobody used for ``after_s`` seconds (0: never), and say so ``warn_s`` before."""

    after_s: float = 0.0
    warn_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What went through a session's door so far, and how many connections are open there now."""

    carried: int
    connections: int


@dataclass(slots=True)
class _Visits:
    """What went past a session's door to its node, and how many streams are open there now."""

    carried: int = 0
    streams: int = 0


@dataclass(slots=True)
class _Stint:
    """How long a session has been unused, in all and since that was said, when it was given ``notice_s``; ``carried``
    is what `Use` said before."""

    carried: int
    spent_s: float = 0.0
    warned_s: float = 0.0
    notice_s: float = 0.0


class Idleness:
    """Counts for each session how long nobody used it. ``use`` looks at its door, None where what goes through it is
    not all there is; ``watching`` says whether there is a way to its cluster now."""

    def __init__(
        self,
        use: Callable[[SessionId], Use | None],
        watching: Callable[[Session], bool] = lambda _session: True,
    ) -> None:
        self.policy = IdlePolicy()
        self._use = use
        self._watching = watching
        self._stints: dict[SessionId, _Stint] = {}
        self._visits: dict[SessionId, _Visits] = {}
        self._looked_at: float | None = None

    @contextmanager
    def visit(self, session: SessionId) -> Iterator[Callable[[int, int], None]]:
        """A stream to the session's node, for as long as it is open; yields what is told of bytes each way."""
        visits = self._visits.setdefault(session, _Visits())

        def carried(inward: int, outward: int) -> None:
            visits.carried += inward + outward

        visits.streams += 1
        try:
            yield carried
        finally:
            visits.streams -= 1

    def advance(self, sessions: Iterable[Session], observed_s: float, now: float) -> list[tuple[SessionId, Event]]:
        """Let ``observed_s`` seconds pass, until ``now`` (UTC seconds); returns what that means for ``sessions``."""
        gap = 0.0 if self._looked_at is None else now - self._looked_at
        self._looked_at = now
        told: list[tuple[SessionId, Event]] = []
        kept: dict[SessionId, _Stint] = {}
        for session in sessions:
            stint = self._stints.get(session.id)
            if session.state is not State.RUNNING:
                if session.state in _PAUSES and stint is not None and not stint.warned_s:
                    kept[session.id] = stint
                continue
            use = self._used(session.id) if self.policy.after_s and abs(gap) <= LONGEST_GAP_S else None
            if use is None or not self._is_usable(session):
                stint, event = _unseen(session, stint)
            elif stint is None or use.connections or use.carried != stint.carried:
                stint, event = _Stint(use.carried), (IdleOver(used=True) if session.idle_ends_by is not None else None)
            else:
                event = self._unused(session, stint, observed_s)
            if stint is not None:
                kept[session.id] = stint
            if event is not None:
                told.append((session.id, event))
        self._stints = kept
        self._visits = {one: seen for one, seen in self._visits.items() if seen.streams or one in kept}
        return told

    def next_s(self, sessions: Iterable[Session]) -> float:
        """Seconds until it is time to look again; infinite where nobody can be idle. Whoever comes after a warning
        wants to see it taken back."""
        left = [float("inf")]
        for session in sessions:
            if not self.policy.after_s or session.state is not State.RUNNING:
                continue
            stint = self._stints.get(session.id) or _Stint(0)
            warned = session.idle_ends_by is not None
            left.append(min(SOON_S, stint.notice_s - stint.warned_s) if warned else self._quiet_s - stint.spent_s)
        return max(1.0, min(left))

    def _used(self, session: SessionId) -> Use | None:
        use, past = self._use(session), self._visits.get(session)
        if use is None or past is None:
            return use
        return Use(carried=use.carried + past.carried, connections=use.connections + past.streams)

    @property
    def _quiet_s(self) -> float:
        """How long nothing is said."""
        return self.policy.after_s - self.policy.warn_s

    def _is_usable(self, session: Session) -> bool:
        suspended = session.job is not None and session.job.phase is Phase.SUSPENDED
        return not suspended and self._watching(session)

    def _unused(self, session: Session, stint: _Stint, observed_s: float) -> Event | None:
        stint.spent_s += observed_s
        if session.idle_ends_by is not None:
            stint.warned_s += observed_s
            return StopRequested(because=Outcome.IDLE) if stint.warned_s >= stint.notice_s else None
        if stint.spent_s < self._quiet_s:
            return None
        if not self.policy.warn_s:
            return StopRequested(because=Outcome.IDLE)
        stint.notice_s = self.policy.warn_s
        return IdleWarned(unused_s=stint.spent_s, ends_in_s=self.policy.warn_s)


def _unseen(session: Session, stint: _Stint | None) -> tuple[_Stint | None, Event | None]:
    """A time that does not count: the count goes on behind it, but begins anew for one that was warned."""
    if session.idle_ends_by is None:
        return stint, None
    return None, IdleOver(used=False)
