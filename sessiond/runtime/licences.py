"""Ports that lead from where sessions run to their licence servers. Standing work: never journalled, always derived.

`sessiond.core.licence.allot` says from the sessions' states which ports are to be open where; what is open is made to
match. A port that cannot be opened, or is lost with its connection, is tried again for as long as it is wanted. No
session ends or waits for it: what is wrong is a word about the session, as a link that is down is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address

import anyio
import structlog
from anyio.abc import ByteStream, TaskGroup

from sessiond.core import licence as words
from sessiond.core.errors import LinkError, NotSent, PortTaken, RemoteError
from sessiond.core.ids import ClusterName
from sessiond.core.licence import Allotment, Forward, Spot, allot
from sessiond.core.session import Problem, Session
from sessiond.remote.transport import Accepting
from sessiond.runtime import guard
from sessiond.runtime.clock import Clock, sleep_unless
from sessiond.runtime.pump import close_both
from sessiond.runtime.tunnel import Peer, Tunnel

log = structlog.get_logger(__name__)

RETRY_FIRST_S = 1.0
RETRY_LAST_S = 30.0
HOLD_S = 1.0
"""How long a program waits where the licence server does not answer; it may have another one to ask."""

_OURS = (IPv4Address("127.0.0.1"), IPv4Address(0))
"""What is reached there: Linux takes the address of all interfaces for loopback."""

Open = Callable[[Forward], Awaitable[Accepting]]
"""Have a forward's port listened on at its spot. Raises PortTaken, NotSent."""
Dial = Callable[[str, int], Awaitable[ByteStream]]
"""Open a stream from the workspace to a host and port. Raises NotSent."""
Allow = Callable[[Peer], Awaitable[bool]]


@dataclass(slots=True, eq=False)
class _Work:
    """What is done for one spot. ``after``: the work for the same spot that this one replaces."""

    forward: Forward
    after: _Work | None = None
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    poked: anyio.Event = field(default_factory=anyio.Event)
    gone: anyio.Event = field(default_factory=anyio.Event)
    doubted: anyio.Event = field(default_factory=anyio.Event)
    is_open: bool = False
    problem: Problem | None = None


class Licences:
    """Keeps licence ports open. ``sessions`` are those that live; ``reachable`` says whether there is a way to a
    cluster now; ``allow`` whether a peer on this machine may use a port here."""

    def __init__(
        self,
        group: TaskGroup,
        clock: Clock,
        sessions: Callable[[], Iterable[Session]],
        open_port: Open,
        dial: Dial,
        allow: Allow,
        reachable: Callable[[ClusterName], bool],
    ) -> None:
        self._group = group
        self._clock = clock
        self._sessions = sessions
        self._open = open_port
        self._dial = dial
        self._allow = allow
        self._reachable = reachable
        self._works: dict[Spot, _Work] = {}
        self._closing: dict[Spot, _Work] = {}
        self._allotment = Allotment()

    def follow(self) -> None:
        """Make what is open match what the sessions' states want."""
        wanting = [session for session in self._sessions() if session.spec.licence is not None]
        if not wanting and not self._works:
            return
        self._allotment = allot(wanting, {spot: work.forward.target for spot, work in self._works.items()})
        wanted = self._allotment.forwards
        for spot in [spot for spot in self._works if spot not in wanted]:
            self._end(self._works.pop(spot))
        for spot, forward in wanted.items():
            work = self._works.get(spot)
            if work is None or work.forward.target != forward.target:
                self._begin(forward)
            else:
                work.forward = forward

    def revisit(self, cluster: ClusterName) -> None:
        """The way to a cluster was lost or found: what waits there tries at once."""
        for work in self._works.values():
            if work.forward.spot.cluster == cluster:
                work.poked.set()

    def problem(self, session: Session) -> Problem | None:
        """Why a session's programs get no licences now; None where they do, or where nobody can say yet."""
        refused = self._allotment.refused.get(session.id)
        if refused is not None:
            return refused
        return next((work.problem for work in self._of(session) if work.problem is not None), None)

    def are_open(self, session: Session) -> bool:
        """Whether the licence server's ports are where a session runs."""
        licence = session.spec.licence
        if licence is None or licence.is_there(session.spec.mode):
            return licence is not None and session.live
        return len(licence.ports) == sum(work.is_open for work in self._of(session))

    def _of(self, session: Session) -> list[_Work]:
        return [work for work in self._works.values() if session.id in work.forward.sessions]

    # The work for one spot.

    def _begin(self, forward: Forward) -> None:
        before = self._works.pop(forward.spot, None)
        if before is not None:
            self._end(before)
        # Else the port that is still being closed would be taken for somebody else's.
        work = self._works[forward.spot] = _Work(forward, self._closing.get(forward.spot))
        self._group.start_soon(self._keep, work, name=f"licence port {forward.spot.port} of {forward.where}")

    def _end(self, work: _Work) -> None:
        self._closing[work.forward.spot] = work
        work.scope.cancel()

    async def _keep(self, work: _Work) -> None:
        try:
            with work.scope:
                if work.after is not None:
                    await work.after.gone.wait()
                    work.after = None
                spot = work.forward.spot
                await guard.supervised(partial(self._serve, work), f"licence port {spot.port}", self._clock)
        finally:
            work.gone.set()
            if self._closing.get(work.forward.spot) is work:
                del self._closing[work.forward.spot]

    async def _serve(self, work: _Work) -> None:
        """Open the port, and again when it is lost, until cancelled."""
        pause_s = RETRY_FIRST_S
        while True:
            work.poked = anyio.Event()
            if not self._reachable(work.forward.spot.cluster):
                # The link says itself what is wrong.
                work.problem = None
                await work.poked.wait()
                continue
            try:
                port = await self._open(work.forward)
            except LinkError:
                work.problem = None
            except PortTaken:
                self._met(work, words.taken(work.forward))
            except RemoteError as error:
                self._met(work, words.unopened(work.forward, error.message, error.hint))
            else:
                pause_s = RETRY_FIRST_S
                await self._carry(work, port)
                continue
            poked = await sleep_unless(self._clock, pause_s, work.poked)
            pause_s = RETRY_FIRST_S if poked else min(2 * pause_s, RETRY_LAST_S)

    async def _carry(self, work: _Work, port: Accepting) -> None:
        """Carry what connects to the open port, until it is lost."""
        tunnel = Tunnel(
            port,
            partial(self._reach, work),
            self._allow if work.forward.here else None,
            lambda _sent, _received: None,
            http=False,
            hold_s=HOLD_S,
            guard=partial(guard.isolated, f"a connection to licence port {port.port}"),
        )
        try:
            self._well(work)
            work.is_open = True
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(tunnel.serve)
                tasks.start_soon(self._look, work)
                log.info("a licence port was lost", port=port.port, where=work.forward.where, why=await port.lost())
                tasks.cancel_scope.cancel()
        finally:
            work.is_open = False
            with anyio.CancelScope(shield=True):
                await port.aclose()

    async def _look(self, work: _Work) -> None:
        """See whether the licence server answers, at first and when it did not answer somebody, until it does: people
        learn of it before their program fails, and that it is well again."""
        pause_s = RETRY_FIRST_S
        while True:
            work.doubted = anyio.Event()
            try:
                await close_both(await self._reach(work))
            except RemoteError:
                await self._clock.sleep(pause_s)
                pause_s = min(2 * pause_s, RETRY_LAST_S)
            else:
                pause_s = RETRY_FIRST_S
                await work.doubted.wait()

    async def _reach(self, work: _Work) -> ByteStream:
        """A stream to the licence server. Raises NotSent; whether it answers is remembered."""
        forward = work.forward
        try:
            if forward.here and await _leads_back(forward.target, forward.spot.port):
                raise NotSent("its name leads back to this machine's loopback address")
            stream = await self._dial(forward.target or "127.0.0.1", forward.spot.port)
        except RemoteError as error:
            self._met(work, words.unanswered(forward, error.message))
            work.doubted.set()
            raise
        self._well(work)
        return stream

    # What people read.

    def _met(self, work: _Work, problem: Problem) -> None:
        if not any(one.problem is not None and one.problem.message == problem.message for one in self._works.values()):
            log.warning("a session's programs may get no licences", why=problem.message)
        work.problem = replace(problem, at=self._clock.now())

    def _well(self, work: _Work) -> None:
        if work.problem is not None:
            log.info("licences again", where=work.forward.where, port=work.forward.spot.port)
        work.problem = None


async def _leads_back(host: str, port: int) -> bool:
    """Whether a name means the address at which this machine's licence ports are opened: each connection to it would
    make another one."""
    try:
        found = await anyio.getaddrinfo(host, port)
    except OSError:
        return False  # whoever connects says why there is no such name
    addresses = [ip_address(str(address[0]).partition("%")[0]) for *_, address in found]
    return any((one.ipv4_mapped or one if isinstance(one, IPv6Address) else one) in _OURS for one in addresses)
