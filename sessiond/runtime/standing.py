"""Standing work: what a session's state wants for as long as it lasts. Never journalled, always derived.

Each live session keeps its door in the workspace: a listener on its own port that outlives links, requeues and
restarts. Where the state wants a tunnel, its service is probed; where it wants a poll, the poller of its cluster
looks for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial

import anyio
import structlog
from anyio.abc import ByteStream, TaskGroup

from sessiond.core.errors import NotFound, NotSent
from sessiond.core.events import Event, TunnelDown, TunnelUp
from sessiond.core.ids import ClusterName, SessionId
from sessiond.core.pace import jittered
from sessiond.core.session import Endpoint, Phase, Problem, Session, State
from sessiond.core.spec import Mode, Prefix, Scheme
from sessiond.core.table import WANTS, Want
from sessiond.render.ports import may_take_open_port
from sessiond.runtime import guard
from sessiond.runtime.clock import Clock
from sessiond.runtime.idle import Use
from sessiond.runtime.letters import Letter, Standing
from sessiond.runtime.listener import Listener, bind
from sessiond.runtime.probe import Answer, Down, probe
from sessiond.runtime.prober import Pace, Prober
from sessiond.runtime.tunnel import Peer, Tunnel

log = structlog.get_logger(__name__)

_REBIND_EVERY_S = 5.0
_PROBE_TIMEOUT_S = 5.0
REMOTE_PACE = Pace(steady_s=120.0)
"""Over a connection that all of a cluster's sessions share. Whoever uses a session finds out sooner, and says so."""
_SPREAD = 0.25

Dial = Callable[[Session], Awaitable[ByteStream]]
Allow = Callable[[Peer], Awaitable[bool]]


@dataclass(slots=True)
class _Work:
    """What is running for one session.

    ``late``: its service may itself listen on the session's own port in the workspace, so the door opens only once the
    service has ``answered``, and elsewhere if that port is the service's.
    """

    late: bool = False
    answered: anyio.Event = field(default_factory=anyio.Event)
    opened: anyio.Event = field(default_factory=anyio.Event)
    door: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    closed: anyio.Event = field(default_factory=anyio.Event)
    tunnel: Tunnel | None = None
    prober: Prober | None = None
    probing: anyio.CancelScope | None = None
    endpoint: Endpoint | None = None


class StandingWork:
    """Follows every session's state. ``dial`` opens a stream to a session's service; ``poke`` asks for an early look
    at a session's cluster; ``allow`` says whether a peer may use a session's own port; ``reachable`` whether there is
    a way to a session's cluster now: without one its service is not asked, because no answer would say nothing."""

    def __init__(
        self,
        group: TaskGroup,
        clock: Clock,
        dial: Dial,
        allow: Allow,
        poke: Callable[[Session], None],
        current: Callable[[SessionId], Session],
        tell: Callable[[Letter], Awaitable[None]],
        reachable: Callable[[Session], bool] = lambda _session: True,
    ) -> None:
        self._group = group
        self._clock = clock
        self._dial = dial
        self._allow = allow
        self._poke = poke
        self._current = current
        self._tell = tell
        self._reachable = reachable
        self._works: dict[SessionId, _Work] = {}
        self._listeners: dict[int, Listener] = {}

    def hand_over(self, listener: Listener) -> None:
        """The listener of a session that is about to be created; it becomes the session's door."""
        self._listeners[listener.port] = listener

    def take_back(self, listener: Listener) -> None:
        """The session was not created after all."""
        if self._listeners.pop(listener.port, None) is not None:
            listener.close()

    def follow(self, session: Session) -> None:
        """Make what runs match what the session's state wants."""
        work = self._works.get(session.id)
        if not session.live:
            if work is not None:
                self._stop_probing(work)
                work.door.cancel()
            return
        if work is None:
            work = self._works[session.id] = _Work(late=may_take_open_port(session.spec.service))
            handed = self._listeners.pop(session.open_port, None) if work.late else None
            if handed is not None:
                handed.close()
            self._group.start_soon(self._keep_door, session, work, name=f"door of {session.name}")
        if Want.TUNNEL in WANTS[session.state]:
            self._probe(session, work)
        else:
            self._stop_probing(work)
        if Want.POLL in WANTS[session.state]:
            self._poke(session)

    def forget(self, session: SessionId) -> None:
        """The session was removed."""
        work = self._works.pop(session, None)
        if work is not None:
            work.door.cancel()

    def suspect(self, session: SessionId) -> None:
        """Somebody could not reach the session's service: ask it, and its cluster, at once."""
        work = self._works.get(session)
        if work is not None and work.prober is not None:
            work.prober.poke()
            self._poke(self._current(session))

    def revisit(self, cluster: ClusterName) -> None:
        """The way to a cluster was lost or found: stop asking its sessions' services, or ask them at once."""
        for session_id in tuple(self._works):
            session = self._current_if_live(session_id)
            if session is not None and session.spec.cluster == cluster:
                # One that was paused is asked at once when it goes on; one that was not is doubted.
                prober = self._works[session_id].prober
                goes_on = prober is not None and prober.paused
                self.follow(session)
                if not goes_on and self._reachable(session):
                    self.suspect(session_id)

    def port_of(self, session: SessionId) -> int | None:
        """The port of this machine where the session's door is: its own one, unless its service has that; None while
        there is no door."""
        work = self._works.get(session)
        return work.tunnel.port if work is not None and work.tunnel is not None else None

    def trouble(self, session: SessionId) -> Problem | None:
        """What the last probe of a session's service met; None where that was an answer, or nobody has asked."""
        work = self._works.get(session)
        return work.prober.problem if work is not None and work.prober is not None else None

    def use(self, session: SessionId) -> Use | None:
        """What goes through the session's door; None where there is none, or where its service itself has the
        session's own port, so that people may reach it past the door."""
        work = self._works.get(session)
        tunnel = work.tunnel if work is not None else None
        if tunnel is None or tunnel.port != self._current(session).open_port:
            return None
        return Use(carried=tunnel.bytes_in + tunnel.bytes_out, connections=tunnel.connections)

    async def closed(self, session: SessionId) -> None:
        """Wait until the session's port is free again."""
        work = self._works.get(session)
        if work is not None:
            await work.closed.wait()

    # The door.

    async def _keep_door(self, session: Session, work: _Work) -> None:
        listener: Listener | None = None
        try:
            with work.door:
                if work.late:
                    await work.answered.wait()
                listener = self._listeners.pop(session.open_port, None) or await self._bound(session, late=work.late)
                work.tunnel = Tunnel(
                    listener,
                    lambda: self._dial(self._current(session.id)),
                    self._allow,
                    lambda _sent, _received: None,
                    http=session.spec.service.probe.kind == "http" and session.spec.service.scheme is Scheme.HTTP,
                    # The page that says so is an answer to the gateway: it cannot tell it from the service's own.
                    on_failed=partial(self.suspect, session.id),
                    guard=partial(guard.isolated, f"a connection to {session.name}"),
                )
                work.opened.set()
                await guard.supervised(work.tunnel.serve, f"the door of {session.name}", self._clock)
        finally:
            work.tunnel = None
            if listener is not None:
                listener.close()
            work.closed.set()
            if self._current_if_live(session.id) is None:
                self._works.pop(session.id, None)

    def _current_if_live(self, session: SessionId) -> Session | None:
        try:
            found = self._current(session)
        except NotFound:
            return None
        return found if found.live else None

    async def _bound(self, session: Session, *, late: bool) -> Listener:
        """The session's own port again, after a restart; as long as another program has it, wait for it.

        If it is ``late`` that program is the service: then another port."""
        told = False
        while True:
            try:
                listener = await (_either(session.open_port) if late else bind(session.open_port))
            except NotSent as error:
                if not told:
                    log.warning("a session's port is not free", session=session.id, why=error.message)
                    await self._report_down(session.id, guard.problem_from(error))
                told = True
                await self._clock.sleep(_REBIND_EVERY_S)
            else:
                self.suspect(session.id)
                return listener

    # The probe.

    def _probe(self, session: Session, work: _Work) -> None:
        prober = work.prober
        reached_again = prober is not None and prober.up and session.problem is None and session.state is State.TUNNEL
        if prober is None or work.endpoint != session.endpoint or reached_again:
            self._stop_probing(work)
            work.endpoint = session.endpoint
            work.prober = prober = Prober(
                partial(self._ask, session.id),
                self._clock,
                partial(self._report_up, session.id),
                partial(self._report_down, session.id),
                pace=_pace(session),
            )
            work.probing = anyio.CancelScope()
            self._group.start_soon(self._run_probe, session, prober, work.probing, name=f"probe of {session.name}")
        suspended = session.job is not None and session.job.phase is Phase.SUSPENDED
        if suspended or not self._reachable(session):
            prober.pause()
        else:
            prober.resume()

    def _stop_probing(self, work: _Work) -> None:
        if work.probing is not None:
            work.probing.cancel()
        work.prober = work.probing = work.endpoint = None

    async def _run_probe(self, session: Session, prober: Prober, scope: anyio.CancelScope) -> None:
        with scope:
            await guard.supervised(prober.run, f"the probe of {session.name}", self._clock)

    async def _ask(self, session_id: SessionId) -> Answer:
        session = self._current(session_id)
        work = self._works.get(session_id)
        if work is None or (work.tunnel is None and not work.late):
            return Down(Problem(code="port-taken", message=f"its port {session.open_port} is held by another program"))
        service = session.spec.service
        root = f"/{service.scheme.root}/{session.open_port}/" if service.prefix is Prefix.KEEP else "/"
        host = f"127.0.0.1:{session.open_port}"
        return await probe(
            lambda: self._dial(session),
            service.probe,
            root + service.probe.path.lstrip("/"),
            host,
            _PROBE_TIMEOUT_S,
            service.scheme,
        )

    async def _report(self, session: SessionId, event: Event) -> None:
        await self._tell(Standing(session=session, event=event))

    async def _report_up(self, session_id: SessionId) -> None:
        work = self._works.get(session_id)
        if work is not None and work.late:
            work.answered.set()
            await work.opened.wait()
        await self._report(session_id, TunnelUp())

    async def _report_down(self, session_id: SessionId, problem: Problem) -> None:
        self._poke(self._current(session_id))
        await self._report(session_id, TunnelDown(problem=problem))


async def _either(port: int) -> Listener:
    """``port``, or if that is taken any other. Raises NotSent."""
    try:
        return await bind(port)
    except NotSent:
        return await bind(0)


def _pace(session: Session) -> Pace:
    """How often a session's service is asked; over a shared connection not all at the same moment: each has its own."""
    if session.spec.mode is Mode.LOCAL:
        return Pace()
    return replace(REMOTE_PACE, steady_s=jittered(REMOTE_PACE.steady_s, session.id, _SPREAD))
