"""A cluster as the runtime has it: how it is spoken to, reached, looked at, and what is done there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial

from anyio.abc import ByteStream

from sessiond.core.errors import LinkError, NotSent
from sessiond.core.events import Event
from sessiond.core.ids import ClusterName
from sessiond.core.lane import Ordered
from sessiond.core.licence import Forward
from sessiond.core.link import Link, LinkState
from sessiond.core.pace import PollPolicy
from sessiond.core.session import Problem, Session
from sessiond.core.spec import Mode
from sessiond.core.table import WANTS, Want
from sessiond.remote.transport import Accepting, Transport
from sessiond.runtime.choices import Choices
from sessiond.runtime.clock import Clock
from sessiond.runtime.engine import Engine
from sessiond.runtime.folders import Folders
from sessiond.runtime.letters import Letter
from sessiond.runtime.link import LinkKeeper
from sessiond.runtime.linked import Linked
from sessiond.runtime.listener import bind
from sessiond.runtime.perform import STAGING_AT_ONCE, Performer
from sessiond.runtime.poller import Poller
from sessiond.runtime.watcher import AWAITED, Watcher
from sessiond.schedulers.dialect import Dialect


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """One cluster's parts."""

    name: ClusterName
    scheduler: str
    host: str
    transport: Transport
    performer: Performer
    pollers: Mapping[Mode, Poller]
    """One for each mode a session can have here, the usual mode first: a cluster's scheduler and its login node are
    looked at apart, so that the one is seen while the other does not answer."""
    choices: Choices
    """Who knows its partitions or queues."""
    keeper: LinkKeeper | None = None
    """Who keeps the connection to it; None for this machine, which needs none."""
    watcher: Watcher | None = None
    """Who waits there for services to begin; None for this machine, which is looked at often enough."""

    @property
    def link(self) -> Link | None:
        """The connection to it as it is now; None for this machine."""
        return self.keeper.link if self.keeper is not None else None

    @property
    def reachable(self) -> bool:
        """Whether there is a way to it now."""
        return self.keeper is None or self.keeper.up

    @property
    def poller(self) -> Poller:
        """The poller of the usual mode."""
        return next(iter(self.pollers.values()))

    @property
    def looks(self) -> int:
        """How often the cluster was looked at."""
        return sum(poller.looks for poller in self.pollers.values())

    @property
    def commands(self) -> int:
        """How many commands were run there, looks included."""
        watches = self.watcher.watches if self.watcher is not None else 0
        return self.performer.commands + self.looks + watches + self.choices.asked

    def poke(self, session: Session) -> None:
        """A session changed: the cluster may be wanted, or worth a look."""
        found = self.pollers.get(session.spec.mode)
        if found is not None:
            found.poke()
        if self.keeper is not None:
            self.keeper.poke()
        if self.watcher is not None and session.state in AWAITED:
            self.watcher.poke()

    def trouble(self, session: Session | None = None) -> Problem | None:
        """Why the cluster, or this session on it, cannot be seen although there is a way to it."""
        modes = self.pollers.keys() if session is None else {session.spec.mode}
        troubles = [self.pollers[mode].trouble for mode in modes if mode in self.pollers]
        # A look that an earlier connection took with it says nothing of this one.
        since = (self.link.up_since if self.link is not None else None) or 0.0
        return next((one for one in troubles if one is not None and one.at >= since), None)

    def observed_at(self, session: Session | None = None) -> float | None:
        """When (UTC seconds) the cluster, or this session on it, was last seen; None: not yet."""
        if session is not None:
            found = self.pollers.get(session.spec.mode)
            return found.observed_at if found is not None else None
        return max((at for p in self.pollers.values() if (at := p.observed_at) is not None), default=None)


def build(
    name: ClusterName,
    *,
    scheduler: str,
    host: str,
    dialects: Mapping[Mode, Dialect],
    transport: Transport,
    policies: Mapping[Mode, PollPolicy],
    engine: Engine,
    clock: Clock,
    folders: Folders,
    lib: Mapping[str, bytes],
    staging_at_once: int = STAGING_AT_ONCE,
    keeper: LinkKeeper | None = None,
    setup: str = "",
) -> Cluster:
    """Put a cluster's parts together. ``dialects`` and ``policies`` are by mode, the usual mode first. Where there is a
    ``keeper``, ``transport`` leads over its connections. ``setup`` are the cluster's shell lines."""

    def wanting(mode: Mode) -> list[Session]:
        return [
            s
            for s in engine.live()
            if s.spec.cluster == name and s.spec.mode is mode and s.job is not None and Want.POLL in WANTS[s.state]
        ]

    def awaited() -> list[Session]:
        return [s for s in engine.live() if s.spec.cluster == name and s.job is not None and s.state in AWAITED]

    tell: Callable[[Letter], Awaitable[None]] = engine.tell
    made = Cluster(
        name=name,
        scheduler=scheduler,
        host=host,
        transport=transport,
        performer=Performer(dialects, transport, folders, lib, staging_at_once=staging_at_once),
        pollers={
            mode: Poller(
                name, dialect, transport, policies[mode], clock, partial(wanting, mode), tell, lambda: made.reachable
            )
            for mode, dialect in dialects.items()
        },
        choices=Choices(
            name, dialects, transport, clock, partial(_unreachable, keeper), mode=next(iter(dialects)), setup=setup
        ),
        keeper=keeper,
        watcher=Watcher(name, transport, clock, awaited, lambda: keeper.up, tell) if keeper is not None else None,
    )

    def link_changed(link: Link) -> None:
        """When the way there is found, everything that waited for it goes on at once."""
        if link.state is LinkState.UP:
            engine.hurry(name)
            for poller in made.pollers.values():
                poller.poke()
            if made.watcher is not None:
                made.watcher.poke()

    if keeper is not None:
        keeper.listen(link_changed)
    return made


def _unreachable(keeper: LinkKeeper | None) -> LinkError | None:
    """Why nothing is asked by itself just now; None where it may be."""
    if keeper is None or keeper.up:
        return None
    if keeper.link.state is LinkState.IDLE:
        name = keeper.link.name
        hint = f"it is once a session is started there; to ask it now: sessionctl partitions {name}"
        return LinkError(f"{name} is not connected", hint=hint)
    return keeper.error()


class Clusters:
    """All clusters by name; work for a session goes to its own."""

    def __init__(self, clusters: Mapping[ClusterName, Cluster]) -> None:
        self.by_name = clusters

    def of(self, session: Session) -> Cluster:
        """The session's cluster. Raises NotSent where the configuration no longer has it."""
        found = self.by_name.get(session.spec.cluster)
        if found is None:
            raise NotSent(
                f"the cluster {session.spec.cluster} is not in the configuration any more",
                hint="put it back into config.toml and run sessionctl reload",
            )
        return found

    async def perform(self, session: Session, order: Ordered) -> Event | None:
        """Do an action where its session lives."""
        return await self.of(session).performer.perform(session, order)

    async def dial(self, session: Session) -> ByteStream:
        """Open a stream to a session's service. Raises NotSent where nothing is known or accepts it."""
        if session.endpoint is None:
            raise NotSent("the service has not said yet where it listens")
        return await self.of(session).transport.connect(session.endpoint)

    async def open_port(self, forward: Forward) -> Accepting:
        """Have the port of a forward's spot listened on. Raises PortTaken, NotSent."""
        if forward.here:
            return await bind(forward.spot.port)
        found = self.by_name.get(forward.spot.cluster)
        if found is None or found.keeper is None:
            raise NotSent(f"the cluster {forward.spot.cluster} is not in the configuration any more")
        return await Linked(found.keeper).listen(forward.at, forward.spot.port)

    def reachable(self, cluster: ClusterName) -> bool:
        """Whether there is a way to a cluster now."""
        found = self.by_name.get(cluster)
        return found is not None and found.reachable

    def link(self, session: Session) -> Link | None:
        """The connection to a session's cluster; None where none is needed, or none configured any more."""
        found = self.by_name.get(session.spec.cluster)
        return found.link if found is not None else None

    def watching(self, session: Session) -> bool:
        """Whether a session's cluster can be observed now."""
        found = self.by_name.get(session.spec.cluster)
        return found is not None and found.reachable

    def poke(self, session: Session) -> None:
        """Look at a session's cluster soon."""
        found = self.by_name.get(session.spec.cluster)
        if found is not None:
            found.poke(session)
