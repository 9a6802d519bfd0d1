"""One poll a cluster, for all its sessions, and only while one of them wants it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import anyio
import structlog

from sessiond.core.errors import LinkError, RemoteError
from sessiond.core.ids import ClusterName
from sessiond.core.pace import PollPolicy, jittered, poll_every_s
from sessiond.core.session import Session, State
from sessiond.remote.transport import Transport
from sessiond.runtime.clock import Clock
from sessiond.runtime.letters import Letter, Observed
from sessiond.schedulers.dialect import Dialect

log = structlog.get_logger(__name__)

_WAITERS = frozenset({State.WAIT_FOR_NODE, State.START, State.VERIFY, State.KILL})


class Poller:
    """Looks at a cluster at the pace of `sessiond.core.pace` and tells the engine what it saw.

    A look that fails changes nothing about any job: it is logged when it first fails and when it works again. While
    there is no way to the cluster (``reachable``) nobody looks; whoever finds the way again says so with `poke`.
    """

    def __init__(
        self,
        cluster: ClusterName,
        dialect: Dialect,
        transport: Transport,
        policy: PollPolicy,
        clock: Clock,
        wanting: Callable[[], Sequence[Session]],
        tell: Callable[[Letter], Awaitable[None]],
        reachable: Callable[[], bool] = lambda: True,
    ) -> None:
        self._cluster = cluster
        self._dialect = dialect
        self._transport = transport
        self._clock = clock
        self._wanting = wanting
        self._tell = tell
        self._reachable = reachable
        self._not_before = 0.0
        self._failures = 0
        self._poked = anyio.Event()
        self._took_s = 0.0
        self.policy = policy
        """Its pace; another one holds from the next look on."""
        self.looks = 0
        self.observed_at: float | None = None

    def poke(self) -> None:
        """Something happened that makes the next look worth taking as soon as the cluster's floor allows."""
        self._poked.set()

    async def run(self) -> None:
        """Poll for ever; called again after a failure, it still keeps to the floor."""
        while True:
            await anyio.sleep(max(0.0, self._not_before - anyio.current_time()))
            self._poked = anyio.Event()
            sessions = self._wanting()
            if not sessions or not self._reachable():
                await self._poked.wait()
                continue
            try:
                await self._look(sessions)
            finally:
                self._not_before = anyio.current_time() + self.policy.floor_s
            with anyio.move_on_after(self._pause_s(self._wanting())):
                await self._poked.wait()

    async def _look(self, sessions: Sequence[Session]) -> None:
        asked_at = self._clock.now()
        self.looks += 1
        try:
            done = await self._transport.run(self._dialect.observe(sessions))
            answered_at = self._clock.now()
            snapshot = self._dialect.read_observe(sessions, done, asked_at, answered_at)
        except LinkError:
            return  # lost since we asked for it: its keeper says so
        except RemoteError as error:
            self._failures += 1
            if self._failures == 1:
                log.warning("cannot see the jobs of a cluster", cluster=self._cluster, why=error.message)
            return
        if self._failures:
            log.info("the jobs of a cluster can be seen again", cluster=self._cluster)
        self._failures = 0
        self._took_s = answered_at - asked_at
        self.observed_at = answered_at
        await self._tell(Observed(snapshot=snapshot, asked=frozenset(s.id for s in sessions)))

    def _pause_s(self, sessions: Sequence[Session]) -> float:
        if self._failures == 1:
            return self.policy.floor_s  # once: it may have been a hiccup
        now = self._clock.now()
        waiting = [now - s.since for s in sessions if s.state in _WAITERS]
        pause = poll_every_s(
            self.policy,
            changed_s_ago=now - max((s.since for s in sessions), default=0.0),
            waiting_s=min(waiting) if waiting else None,
            took_s=self._took_s,
        )
        return jittered(pause, f"{self._cluster}.{self.looks}")
