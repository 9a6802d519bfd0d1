"""Clusters put together from the configuration, and changed when it changes while they are in use."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
import structlog
from anyio.abc import TaskGroup

from sessiond.config.model import ClusterConfig, Config, Login, Route, Scheduler, Ssh
from sessiond.core.errors import ConfigError, StateFull
from sessiond.core.ids import ClusterName
from sessiond.core.link import Link, LinkState
from sessiond.core.pace import LOCAL_PACE, PollPolicy
from sessiond.core.spec import Listen, Mode
from sessiond.remote.local import Local
from sessiond.remote.outward import open_tcp
from sessiond.remote.ssh.connector import SshConnector
from sessiond.remote.ssh.settings import SshSettings
from sessiond.remote.ssh.stale import Stale
from sessiond.remote.transport import Connector
from sessiond.runtime import cluster as clusters
from sessiond.runtime import guard
from sessiond.runtime.bus import Bus, LinkChanged
from sessiond.runtime.clock import Clock
from sessiond.runtime.cluster import Cluster, Clusters
from sessiond.runtime.engine import Engine
from sessiond.runtime.folders import Folders
from sessiond.runtime.launch import SCHEDULED, Place
from sessiond.runtime.licences import Licences
from sessiond.runtime.link import LinkKeeper
from sessiond.runtime.linked import Linked
from sessiond.runtime.standing import StandingWork
from sessiond.runtime.timers import Timers
from sessiond.runtime.tunnel import Peer
from sessiond.schedulers.dialect import Dialect
from sessiond.schedulers.pbs.dialect import Pbs
from sessiond.schedulers.process import Process
from sessiond.schedulers.slurm.dialect import Slurm
from sessiond.store.store import Store

log = structlog.get_logger(__name__)

_LOCAL_STAGING = 16
"""Here a session's preparation may install its service for minutes, and there is no connection to keep free."""

_MODES = {
    Scheduler.SLURM: (Mode.SLURM, Mode.CONTROLLER),
    Scheduler.PBS: (Mode.PBS, Mode.CONTROLLER),
    Scheduler.NONE: (Mode.CONTROLLER,),
}


class Assembly:
    """All clusters, by the configuration as it is now. Their tasks run in ``group``. ``allow`` says whether a peer on
    this machine may use what is ours here."""

    def __init__(
        self,
        group: TaskGroup,
        clock: Clock,
        engine: Engine,
        bus: Bus,
        store: Store,
        folders: Folders,
        lib: Mapping[str, bytes],
        *,
        user: str,
        here: Local,
        allow: Callable[[Peer], Awaitable[bool]],
    ) -> None:
        self._group = group
        self._clock = clock
        self._engine = engine
        self._bus = bus
        self._store = store
        self._folders = folders
        self._lib = lib
        self._user = user
        self._by_name: dict[ClusterName, Cluster] = {}
        self._links: dict[ClusterName, LinkState] = {}
        self._scopes: dict[ClusterName, anyio.CancelScope] = {}
        self._stale: dict[ClusterName, Stale] = {}
        self._config = Config()
        self._standing: StandingWork
        self._timers: Timers
        self.here = here
        self.clusters = Clusters(self._by_name)
        self.licences = Licences(
            group, clock, engine.live, self.clusters.open_port, open_tcp, allow, self.clusters.reachable
        )

    def attach(self, standing: StandingWork, timers: Timers) -> None:
        """Whose probes pause while a link is down, and whose deadlines do not count meanwhile."""
        self._standing = standing
        self._timers = timers

    # What sessions are made of.

    def places(self) -> Mapping[ClusterName, Place]:
        """Every cluster as a place to start sessions in."""
        return {name: self._place(cluster) for name, cluster in self._config.clusters.items()}

    def _place(self, config: ClusterConfig) -> Place:
        ssh = config.transport if isinstance(config.transport, Ssh) else None
        return Place(
            name=config.name,
            modes=(Mode.LOCAL,) if ssh is None else _MODES[config.scheduler],
            workdir=config.workdir if ssh is not None else str(Path(config.workdir).expanduser()),
            setup=config.setup,
            defaults=config.defaults,
            user=(ssh.user if ssh is not None else None) or self._user,
            host=ssh.host if ssh is not None else "",
            listen={
                Mode.LOCAL: Listen.SOCKET,
                Mode.CONTROLLER: Listen.SOCKET,
                **dict.fromkeys(SCHEDULED, Listen.SOCKET if self._route(config) == Route.JUMP else Listen.ANY),
            },
        )

    def _route(self, config: ClusterConfig) -> str:
        """The way to compute nodes, as far as it is known."""
        if not isinstance(config.transport, Ssh):
            return ""
        if config.transport.route is not Route.AUTO:
            return config.transport.route
        return self._store.fact(_route_fact(config.name)) or ""

    def settings(self, name: ClusterName) -> ClusterConfig | None:
        """A cluster's part of the configuration as it is now; None where there is none."""
        return self._config.clusters.get(name)

    # The configuration.

    def apply(self, config: Config) -> None:
        """Make the clusters what ``config`` says. Raises ConfigError, with nothing changed, for one that is in use."""
        problems = tuple(self._in_use(config))
        if problems:
            raise ConfigError(problems, hint="stop these sessions first, or put their cluster back")
        before, self._config = self._config, config
        for name in tuple(self._by_name):
            if name not in config.clusters:
                self._remove(name)
        for name, wanted in config.clusters.items():
            known = before.clusters.get(name) if name in self._by_name else None
            if known is None:
                self._add(wanted)
            elif known != wanted:
                self._change(known, wanted)

    def _in_use(self, config: Config) -> list[str]:
        """A sentence for each cluster that would go away under its sessions."""
        problems = []
        for name in self._by_name:
            names = [s.name for s in self._engine.live() if s.spec.cluster == name]
            if names and name not in config.clusters:
                problems.append(
                    f"clusters.{name}: it cannot be removed, it has sessions: {', '.join(sorted(names)[:6])}"
                )
        return problems

    def _add(self, config: ClusterConfig) -> None:
        cluster = (
            self._local(config) if not isinstance(config.transport, Ssh) else self._remote(config, config.transport)
        )
        self._by_name[config.name] = cluster
        scope = self._scopes[config.name] = anyio.CancelScope()
        self._group.start_soon(self._run, cluster, scope, name=f"cluster {config.name}")

    def _remove(self, name: ClusterName) -> None:
        del self._by_name[name]
        self._links.pop(name, None)
        self._scopes.pop(name).cancel()

    def _change(self, before: ClusterConfig, after: ClusterConfig) -> None:
        cluster = self._by_name[after.name]
        if cluster.keeper is None or not isinstance(after.transport, Ssh):
            return  # what can be set for this machine is read anew with each session
        if before.transport != after.transport:
            cluster.keeper.reconfigure(
                self._connector(after, after.transport), attended=after.transport.login is Login.INTERACTIVE
            )
        for poller in cluster.pollers.values():
            poller.policy = _policy(after)
        cluster.choices.configure(_MODES[after.scheduler][0], after.setup)
        self._by_name[after.name] = replace(cluster, scheduler=after.scheduler, host=after.transport.host)

    # The parts.

    def _local(self, config: ClusterConfig) -> Cluster:
        return clusters.build(
            config.name,
            scheduler=config.scheduler,
            host=socket.gethostname(),
            dialects={Mode.LOCAL: Process()},
            transport=self.here,
            policies={Mode.LOCAL: LOCAL_PACE},
            engine=self._engine,
            clock=self._clock,
            folders=self._folders,
            lib=self._lib,
            staging_at_once=_LOCAL_STAGING,
        )

    def _remote(self, config: ClusterConfig, ssh: Ssh) -> Cluster:
        name = config.name
        keeper = LinkKeeper(
            name,
            self._connector(config, ssh),
            self._clock,
            partial(self._wanted, name),
            partial(self._linked, name),
            attended=ssh.login is Login.INTERACTIVE,
        )
        transport = Linked(keeper)
        # A login node may be one of several that share their files. All dialects are always there: a session keeps its
        # own, whatever the configuration says meanwhile.
        every: dict[Mode, Dialect] = {
            Mode.SLURM: Slurm(),
            Mode.PBS: Pbs(),
            Mode.CONTROLLER: Process(one_host=False),
        }
        dialects = {mode: every[mode] for mode in sorted(every, key=(*_MODES[config.scheduler], *every).index)}
        return clusters.build(
            name,
            scheduler=config.scheduler,
            host=ssh.host,
            dialects=dialects,
            transport=transport,
            policies=dict.fromkeys(dialects, _policy(config)),
            engine=self._engine,
            clock=self._clock,
            folders=self._folders,
            lib=self._lib,
            keeper=keeper,
            setup=config.setup,
        )

    def _connector(self, config: ClusterConfig, ssh: Ssh) -> Connector:
        settings = SshSettings(
            cluster=config.name,
            host=ssh.host,
            user=ssh.user,
            port=ssh.port,
            jump=ssh.jump,
            identity_files=ssh.identity_files,
            known_hosts=ssh.known_hosts,
            attended=ssh.login is Login.INTERACTIVE,
            route=ssh.route,
            max_sessions=ssh.max_sessions,
        )
        known = self._store.fact(_route_fact(config.name)) or ""
        if config.name not in self._stale:
            fact = f"sshd.{config.name}"
            self._stale[config.name] = Stale(self._store.fact(fact) or "", partial(self._remember, fact))
        return SshConnector(
            settings, learned=partial(self._learned, config.name), earlier=known, stale=self._stale[config.name]
        )

    def _remember(self, fact: str, text: str) -> bool:
        """Write down what was learned; with a full disk it is learned again."""
        if self._store.fact(fact) == text:
            return False
        try:
            self._store.set_fact(fact, text)
        except StateFull:
            return False
        return True

    def _learned(self, name: ClusterName, route: str) -> None:
        if self._remember(_route_fact(name), route):
            log.info("the way to the compute nodes of a cluster is known", cluster=name, route=route)

    def _wanted(self, name: ClusterName) -> bool:
        return any(s.spec.cluster == name for s in self._engine.live())

    def _linked(self, name: ClusterName, link: Link) -> None:
        """The link changed: what it carries goes on, or waits."""
        before, self._links[name] = self._links.get(name, LinkState.IDLE), link.state
        if before is not link.state:
            self._bus.link_changed(LinkChanged(at=self._clock.now(), before=before, link=link))
        self._standing.revisit(name)
        self.licences.revisit(name)
        self._timers.poke()

    async def _run(self, cluster: Cluster, scope: anyio.CancelScope) -> None:
        """A cluster's own tasks; each is started again if it fails, and none takes another along."""
        with scope:
            async with anyio.create_task_group() as group:
                if cluster.keeper is not None:
                    group.start_soon(guard.supervised, cluster.keeper.run, f"link to {cluster.name}", self._clock)
                for mode, poller in cluster.pollers.items():
                    group.start_soon(guard.supervised, poller.run, f"looks at {cluster.name} ({mode})", self._clock)
                what = f"what {cluster.name} has to choose from"
                group.start_soon(guard.supervised, cluster.choices.run, what, self._clock)
                if cluster.watcher is not None:
                    group.start_soon(guard.supervised, cluster.watcher.run, f"watch of {cluster.name}", self._clock)


def _policy(config: ClusterConfig) -> PollPolicy:
    """A cluster's cadence: the configuration's floor, and multiples of it while less happens."""
    floor = config.poll_s
    return PollPolicy(
        floor_s=floor,
        busy_s=floor,
        waiting_s=max(floor, 15.0),
        long_waiting_s=max(2 * floor, 45.0),
        steady_s=max(4 * floor, 60.0),
    )


def _route_fact(name: ClusterName) -> str:
    return f"route.{name}"
