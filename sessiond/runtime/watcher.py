"""Seeing at once that a session's service has begun to listen, without asking the scheduler more often.

A session's own script publishes where its service listens, in the session's folder; that it did is proof that its job
runs. One command at a time waits on the cluster for such news, for all sessions that await it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import anyio
import structlog

from sessiond.core.command import Completed
from sessiond.core.errors import RemoteError
from sessiond.core.ids import ClusterName, SessionId
from sessiond.core.pace import backoff_s
from sessiond.core.session import Session, State
from sessiond.remote.transport import Transport
from sessiond.runtime.clock import Clock
from sessiond.runtime.letters import Letter, Observed
from sessiond.schedulers.watch import read_watch, watch

log = structlog.get_logger(__name__)

FRESH_S = 60.0
SHORT_S = 3
LONG_S = 15
"""Seconds one command waits: the shorter while a session has changed within `FRESH_S`, because one that comes to be
awaited meanwhile is not in it. For that one a longer wait is broken off."""

AWAITED = frozenset({State.WAIT_FOR_NODE, State.START})


class Watcher:
    """Waits on one cluster for its sessions' services. ``up`` says whether there is a way to the cluster."""

    def __init__(
        self,
        cluster: ClusterName,
        transport: Transport,
        clock: Clock,
        awaited: Callable[[], Sequence[Session]],
        up: Callable[[], bool],
        tell: Callable[[Letter], Awaitable[None]],
    ) -> None:
        self._cluster = cluster
        self._transport = transport
        self._clock = clock
        self._awaited = awaited
        self._up = up
        self._tell = tell
        self._poked = anyio.Event()
        self._failures = 0
        self._asked: frozenset[SessionId] = frozenset()
        self._long: anyio.CancelScope | None = None
        self.watches = 0
        """How many such commands were begun."""

    def poke(self) -> None:
        """A session may be awaited now, or the way to the cluster was found."""
        self._poked.set()
        if self._long is not None and any(s.id not in self._asked for s in self._awaited()):
            self._long.cancel()

    async def run(self) -> None:
        """Watch for ever, while somebody is awaited."""
        while True:
            sessions = self._awaited() if self._up() else []
            if not sessions:
                await self._poked.wait()
                self._poked = anyio.Event()
                continue
            try:
                await self._watch(sessions)
            except RemoteError as error:
                # What matters about it is told by whoever looks at the jobs: this is a convenience.
                self._failures += 1
                log.debug("cannot wait for services on a cluster", cluster=self._cluster, why=error.message)
                await self._clock.sleep(backoff_s(self._failures, self._cluster))
            else:
                self._failures = 0

    async def _watch(self, sessions: Sequence[Session]) -> None:
        asked_at = self._clock.now()
        fresh = asked_at - max(s.since for s in sessions) < FRESH_S
        self.watches += 1
        done = await (self._transport.run(watch(sessions, SHORT_S)) if fresh else self._at_length(sessions))
        if done is None:
            return
        now = {s.id: s for s in self._awaited()}
        snapshot = read_watch([now.get(s.id, s) for s in sessions], done, asked_at, self._clock.now())
        if snapshot.endpoints:
            await self._tell(Observed(snapshot=snapshot, asked=frozenset[SessionId](snapshot.endpoints)))

    async def _at_length(self, sessions: Sequence[Session]) -> Completed | None:
        """The longer wait; None where it was broken off for one that is not in it."""
        self._asked = frozenset(s.id for s in sessions)
        with anyio.CancelScope() as self._long:
            try:
                return await self._transport.run(watch(sessions, LONG_S))
            finally:
                self._long = None
        return None
