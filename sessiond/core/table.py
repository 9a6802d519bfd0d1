"""The session machine's table: everything that decides what a session does next is in this file.

A cell (state, event) is a *rule*, *ignored* (known and harmless) or *impossible* (somebody broke the protocol; see
`sessiond.core.machine.ImpossibleEvent`). Nothing is "else". The diagram and the tables in ``docs/states.md`` are
generated from here, and the exhaustive exploration in the tests walks it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

from sessiond.core.actions import Action, CancelJob, Cleanup, FetchHistory, FindJob, Stage, Submit
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
from sessiond.core.session import NO_ROOM, STILL_THERE, Outcome, State


@dataclass(frozen=True, slots=True)
class Rule:
    """Go to ``to`` and order ``do``.

    ``because`` is how the session will have ended, where this transition decides it. ``later`` arms the back-off,
    whose RetryDue repeats the state's action.
    """

    to: State
    do: type[Action] | None = None
    because: Outcome | None = None
    later: bool = False


class Want(Enum):
    """Standing work, derived from the state alone: a restart needs no special case for it."""

    POLL = auto()
    ENDPOINT = auto()
    TUNNEL = auto()


def go(to: State, do: type[Action] | None = None, *, because: Outcome | None = None) -> Rule:
    """A rule that makes progress."""
    return Rule(to, do, because)


def later(state: State) -> Rule:
    """A rule that stays and tries again after a back-off."""
    return Rule(state, later=True)


_ASKED_TO_STOP: Final = Outcome.CANCELLED
"""What a StopRequested means unless it brings a reason of its own (idle, say)."""

_JOB_ALIVE: Final[Mapping[type[Event], Rule]] = {
    StopRequested: go(State.KILL, CancelJob, because=_ASKED_TO_STOP),
    JobPending: go(State.WAIT_FOR_NODE),  # also: requeued after its node failed
    JobEnded: go(State.ENDED, Cleanup),
    JobVanished: go(State.VERIFY, FetchHistory),
}
"""The same wherever a job is known to be alive."""

TABLE: Final[Mapping[State, Mapping[type[Event], Rule]]] = MappingProxyType(
    {
        State.RENDER: {
            Staged: go(State.SUBMIT, Submit),
            StageDelayed: later(State.RENDER),
            RetryDue: go(State.RENDER, Stage),
            StageFailed: go(State.ENDED, Cleanup, because=Outcome.FAILED),
            DeadlineExpired: go(State.ENDED, Cleanup, because=Outcome.FAILED),
            StopRequested: go(State.ENDED, Cleanup, because=_ASKED_TO_STOP),
        },
        State.SUBMIT: {
            Submitted: go(State.WAIT_FOR_NODE),
            SubmitDelayed: later(State.SUBMIT),  # proved: nothing was submitted
            RetryDue: go(State.SUBMIT, Submit),
            SubmitUnknown: go(State.RECONCILE, FindJob),  # sent, and the answer is lost
            SubmitRejected: go(State.ENDED, Cleanup, because=Outcome.REJECTED),
            StopRequested: go(State.ABANDON, FindJob, because=_ASKED_TO_STOP),
            DeadlineExpired: go(State.ABANDON, FindJob, because=Outcome.FAILED),
        },
        State.RECONCILE: {
            JobFound: go(State.WAIT_FOR_NODE),
            JobAbsent: later(State.SUBMIT),  # not at once: what lost the answer would lose the next one too
            FindDelayed: later(State.RECONCILE),
            RetryDue: go(State.RECONCILE, FindJob),
            StopRequested: go(State.ABANDON, FindJob, because=_ASKED_TO_STOP),
            DeadlineExpired: go(State.ABANDON, FindJob, because=Outcome.FAILED),
        },
        State.ABANDON: {
            Submitted: go(State.KILL, CancelJob),
            SubmitDelayed: go(State.ENDED, Cleanup),
            SubmitRejected: go(State.ENDED, Cleanup),
            SubmitUnknown: go(State.ABANDON, FindJob),
            JobFound: go(State.KILL, CancelJob),
            JobAbsent: go(State.ENDED, Cleanup),
            FindDelayed: later(State.ABANDON),
            RetryDue: go(State.ABANDON, FindJob),
        },
        State.WAIT_FOR_NODE: {
            **_JOB_ALIVE,
            JobRunning: go(State.START),
            DeadlineExpired: go(State.KILL, CancelJob, because=Outcome.FAILED),
        },
        State.START: {
            **_JOB_ALIVE,
            JobRunning: go(State.START),  # node and start time
            EndpointPublished: go(State.TUNNEL),
            ServiceFailed: go(State.KILL, CancelJob, because=Outcome.FAILED),
            DeadlineExpired: go(State.KILL, CancelJob, because=Outcome.FAILED),
        },
        State.TUNNEL: {
            **_JOB_ALIVE,
            JobRunning: go(State.TUNNEL),
            EndpointPublished: go(State.TUNNEL),
            TunnelUp: go(State.RUNNING),
            TunnelDown: go(State.TUNNEL),
            ServiceFailed: go(State.KILL, CancelJob, because=Outcome.FAILED),
        },
        State.RUNNING: {
            **_JOB_ALIVE,
            JobRunning: go(State.RUNNING),
            EndpointPublished: go(State.TUNNEL),
            TunnelDown: go(State.TUNNEL),
            Restored: go(State.TUNNEL),
            ServiceFailed: go(State.KILL, CancelJob, because=Outcome.FAILED),
            IdleWarned: go(State.RUNNING),
            IdleOver: go(State.RUNNING),
        },
        State.VERIFY: {
            **_JOB_ALIVE,
            JobVanished: go(State.VERIFY),
            JobRunning: go(State.START),
            HistoryUnknown: go(State.ENDED, Cleanup, because=Outcome.LOST),
            HistoryDelayed: later(State.VERIFY),
            RetryDue: go(State.VERIFY, FetchHistory),
            DeadlineExpired: go(State.ENDED, Cleanup, because=Outcome.LOST),
        },
        State.KILL: {
            CancelSent: go(State.KILL),
            CancelDelayed: later(State.KILL),
            RetryDue: go(State.KILL, CancelJob),
            DeadlineExpired: go(State.KILL, CancelJob),
            StopRequested: go(State.KILL, CancelJob),
            JobPending: go(State.KILL),
            JobRunning: go(State.KILL),
            JobEnded: go(State.ENDED, Cleanup),
            JobVanished: go(State.ENDED, Cleanup),
        },
        State.ENDED: {},
    }
)

IGNORED: Final[Mapping[State, frozenset[type[Event]]]] = MappingProxyType(
    {
        State.RENDER: frozenset({Restored}),
        State.SUBMIT: frozenset({Restored}),
        State.RECONCILE: frozenset({Restored}),
        State.ABANDON: frozenset({Restored, StopRequested}),
        State.WAIT_FOR_NODE: frozenset({Restored}),
        State.START: frozenset({Restored}),
        State.TUNNEL: frozenset({Restored}),
        State.RUNNING: frozenset(),
        State.VERIFY: frozenset({Restored}),
        State.KILL: frozenset({Restored}),
        # A poll answered after the end, or a stop that came too late, says nothing new.
        State.ENDED: frozenset({Restored, StopRequested, JobPending, JobRunning, JobEnded, JobVanished}),
    }
)

WANTS: Final[Mapping[State, frozenset[Want]]] = MappingProxyType(
    {
        State.RENDER: frozenset(),
        State.SUBMIT: frozenset(),
        State.RECONCILE: frozenset(),
        State.ABANDON: frozenset(),
        State.WAIT_FOR_NODE: frozenset({Want.POLL}),
        State.START: frozenset({Want.POLL, Want.ENDPOINT}),
        State.TUNNEL: frozenset({Want.POLL, Want.ENDPOINT, Want.TUNNEL}),
        State.RUNNING: frozenset({Want.POLL, Want.ENDPOINT, Want.TUNNEL}),
        State.VERIFY: frozenset({Want.POLL}),
        State.KILL: frozenset({Want.POLL}),
        State.ENDED: frozenset(),
    }
)

READY_WITHIN: Final = -1.0
"""In DEADLINES: the service's own ``ready_within``."""

MAX_WAIT: Final = -2.0
"""In DEADLINES: how long the person said that the job may wait for its first node, if they said it."""

PAUSED_BY: Final[Mapping[State, str]] = MappingProxyType(
    {
        **dict.fromkeys((State.RENDER, State.SUBMIT, State.RECONCILE), NO_ROOM),
        State.VERIFY: STILL_THERE,
    }
)
"""The code of the problem while which the state's deadline does not count: want of room is the person's to see to, and
a job that its scheduler has is not lost."""

DEADLINES: Final[Mapping[State, float]] = MappingProxyType(
    {
        State.RENDER: 15 * 60.0,
        State.SUBMIT: 30 * 60.0,
        State.RECONCILE: 60 * 60.0,
        State.WAIT_FOR_NODE: MAX_WAIT,
        State.START: READY_WITHIN,
        State.VERIFY: 24 * 3600.0,
        # Longer than a kill script may take (five minutes), so that the first order is not overtaken by the second.
        State.KILL: 6 * 60.0,
    }
)
"""Seconds of observed time a state may last. ABANDON has none by design: whatever exists must go. TUNNEL and RUNNING
have none because the job is the user's."""

ANSWERS: Final[Mapping[type[Action], frozenset[type[Event]]]] = MappingProxyType(
    {
        Stage: frozenset({Staged, StageDelayed, StageFailed}),
        Submit: frozenset({Submitted, SubmitDelayed, SubmitUnknown, SubmitRejected}),
        FindJob: frozenset({JobFound, JobAbsent, FindDelayed}),
        CancelJob: frozenset({CancelSent, CancelDelayed}),
        FetchHistory: frozenset({JobEnded, HistoryUnknown, HistoryDelayed}),
        Cleanup: frozenset(),
    }
)
"""The events that may answer each action. Cleanup is answered by nothing: it only ends."""

EVENTS: Final[tuple[type[Event], ...]] = (
    StopRequested,
    Restored,
    RetryDue,
    DeadlineExpired,
    IdleWarned,
    IdleOver,
    Staged,
    StageDelayed,
    StageFailed,
    Submitted,
    SubmitDelayed,
    SubmitUnknown,
    SubmitRejected,
    JobFound,
    JobAbsent,
    FindDelayed,
    JobPending,
    JobRunning,
    JobEnded,
    JobVanished,
    EndpointPublished,
    ServiceFailed,
    TunnelUp,
    TunnelDown,
    CancelSent,
    CancelDelayed,
    HistoryUnknown,
    HistoryDelayed,
)
"""Every event the machine knows, in the order the documentation shows them."""


def _check() -> None:
    """The table is total over the states, and says nothing twice. Runs at import: a broken table starts nothing."""
    for state in State:
        both = set(TABLE[state]) & IGNORED[state]
        strangers = (set(TABLE[state]) | IGNORED[state]) - set(EVENTS)
        if both or strangers or state not in WANTS:
            raise AssertionError(f"table of {state.name}: both rule and ignored {both}, unknown {strangers}")


_check()
