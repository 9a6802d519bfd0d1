"""A cluster as the runtime has it: how it is spoken to, reached, looked at, and what is done there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from anyio.abc import ByteStream

from sessiond.core.errors import NotSent
from sessiond.core.events import Event
from sessiond.core.ids import ClusterName
from sessiond.core.lane import Ordered
from sessiond.core.pace import PollPolicy
from sessiond.core.session import Session
from sessiond.core.table import WANTS, Want
from sessiond.remote.transport import Transport
from sessiond.runtime.clock import Clock
from sessiond.runtime.engine import Engine
from sessiond.runtime.folders import Folders
from sessiond.runtime.letters import Letter
from sessiond.runtime.perform import Performer
from sessiond.runtime.poller import Poller
from sessiond.schedulers.dialect import Dialect


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """One cluster's parts."""

    name: ClusterName
    scheduler: str
    host: str
    transport: Transport
    performer: Performer
    poller: Poller


def build(
    name: ClusterName,
    *,
    scheduler: str,
    host: str,
    dialect: Dialect,
    transport: Transport,
    policy: PollPolicy,
    engine: Engine,
    clock: Clock,
    folders: Folders,
    lib: Mapping[str, bytes],
) -> Cluster:
    """Put a cluster's parts together."""

    def wanting() -> list[Session]:
        return [
            s for s in engine.live() if s.spec.cluster == name and s.job is not None and Want.POLL in WANTS[s.state]
        ]

    tell: Callable[[Letter], Awaitable[None]] = engine.tell
    return Cluster(
        name=name,
        scheduler=scheduler,
        host=host,
        transport=transport,
        performer=Performer(dialect, transport, folders, lib),
        poller=Poller(name, dialect, transport, policy, clock, wanting, tell),
    )


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

    def poke(self, session: Session) -> None:
        """Look at a session's cluster soon."""
        found = self.by_name.get(session.spec.cluster)
        if found is not None:
            found.poller.poke()
