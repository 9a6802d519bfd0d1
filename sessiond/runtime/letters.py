"""What the engine is told. Everything that changes a session is a letter; each is handled whole before the next."""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio

from sessiond.core.errors import SessiondError
from sessiond.core.events import Event
from sessiond.core.ids import ActionId, SessionId
from sessiond.core.report import Snapshot
from sessiond.core.session import Session


@dataclass(slots=True)
class Reply:
    """Where a person's request gets its answer: the session afterwards, or why it was not done."""

    done: anyio.Event = field(default_factory=anyio.Event)
    session: Session | None = None
    error: SessiondError | None = None
    left: bool = False
    """Nobody waits for the answer any more."""

    async def wait(self) -> Session:
        """The session after the request. Raises what the engine refused it with."""
        try:
            await self.done.wait()
        except BaseException:
            self.left = True
            raise
        if self.error is not None:
            raise self.error
        if self.session is None:
            raise AssertionError("a reply without an answer")
        return self.session


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to an action; ``event`` is None for one that only ends."""

    session: SessionId
    answers: ActionId
    event: Event | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a session's standing work saw. Dropped where the session has moved on and no longer expects it."""

    session: SessionId
    event: Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A look at a cluster, at its sessions ``asked``; compared in the engine, so nothing can change in between."""

    snapshot: Snapshot
    asked: frozenset[SessionId]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Time has passed: ``observed_s`` seconds of it while we were watching."""

    observed_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """A person asks for a session."""

    session: Session
    reply: Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A person says something to a session (a StopRequested)."""

    session: SessionId
    event: Event
    reply: Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """A person wants an ended session forgotten."""

    session: SessionId
    reply: Reply


Letter = Answer | Standing | Observed | Tick | Create | Ask | Remove
