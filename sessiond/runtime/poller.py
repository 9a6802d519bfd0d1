"""One poll a cluster, for all its sessions, and only while one of them wants it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import anyio
import structlog

from sessiond.core.errors import LinkError, RemoteError
from sessiond.core.ids import ClusterName
from sessiond.core.pace import PollPolicy, jittered, poll_every_s
from sessiond.core.report import Snapshot
from sessiond.core.session import Phase, Problem, Session, State
from sessiond.remote.transport import Transport
from sessiond.runtime.clock import Clock
from sessiond.runtime.letters import Letter, Observed
from sessiond.schedulers.dialect import Dialect

log = structlog.get_logger(__name__)

_WAITERS = frozenset({State.WAIT_FOR_NODE, State.START, State.TUNNEL, State.VERIFY, State.KILL})
"""States in which something is about to happen. A service that does not answer may be one whose job is over."""
_NEARLY_OVER_S = 60.0
"""How long before its walltime's end a job is on its way out: a session is told to end about then."""
_OVERTIME_S = 300.0
"""How long after it a job is still expected to end: some sites let jobs go on."""


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
        self._unsettled = False
        self.policy = policy
        """Its pace; another one holds from the next look on."""
        self.looks = 0
        self.observed_at: float | None = None
        self.trouble: Problem | None = None
        """Why the last look failed, where the way to the cluster was not to blame; None where it succeeded."""

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
        asked_at, began = self._clock.now(), anyio.current_time()
        self.looks += 1
        try:
            done = await self._transport.run(self._dialect.observe(sessions))
            answered_at = self._clock.now()
            snapshot = self._dialect.read_observe(sessions, done, asked_at, answered_at)
        except LinkError:
            return  # lost since we asked for it: its keeper says so
        except RemoteError as error:
            self._failures += 1
            self.trouble = Problem(code=error.code, message=error.message, hint=error.hint, at=asked_at)
            if self._failures == 1:
                log.warning("cannot see the jobs of a cluster", cluster=self._cluster, why=error.message)
            return
        if self._failures:
            log.info("the jobs of a cluster can be seen again", cluster=self._cluster)
        self._failures = 0
        self.trouble = None
        self._took_s = anyio.current_time() - began  # not by the clock, which a suspended machine finds hours ahead
        self.observed_at = answered_at
        self._unsettled = any(_is_unsettled(session, snapshot) for session in sessions)
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
        patient = max(self.policy.waiting_s, self.policy.floor_s, 10 * self._took_s)
        if self._unsettled:
            pause = min(pause, patient)
        for session in sessions:
            ends_by = session.job.ends_by if session.job is not None else None
            if ends_by is not None and now < ends_by + _OVERTIME_S:
                pause = min(pause, max(patient, ends_by - _NEARLY_OVER_S - now))
        return jittered(pause, f"{self._cluster}.{self.looks}")


def _is_unsettled(session: Session, snapshot: Snapshot) -> bool:
    """Whether a look leaves it open if a session's job is over: it is about to be, or was not listed."""
    if session.job is None:
        return False
    report = snapshot.jobs.get(session.job.id)
    return report is None or report.phase is Phase.COMPLETING
