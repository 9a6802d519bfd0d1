"""The daemon: puts every part together, and takes it apart again. The only place that knows all of them."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import socket
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
import structlog
from anyio.abc import TaskGroup

from sessiond import __version__, logs, paths
from sessiond.api import wire_daemon
from sessiond.api.app import Routes, api_routes, make_api, served
from sessiond.api.dashboard import serve_dashboard
from sessiond.api.doorkeeper import Doorkeeper
from sessiond.api.doors import SessionDoors
from sessiond.api.events import EventRoutes
from sessiond.api.gateway import make_gateway, serve_gateway
from sessiond.api.gatewayport import gateway_socket
from sessiond.api.service import Desk
from sessiond.api.sessions import SessionRoutes
from sessiond.api.socket import check_length, control_socket
from sessiond.api.starter import Starter
from sessiond.api.status import StatusRoutes
from sessiond.api.telling import tunnel_trouble
from sessiond.assembly import Assembly
from sessiond.config.catalogue import Catalogue, folders
from sessiond.config.diff import diff
from sessiond.config.load import HINT_AT_START, load
from sessiond.config.model import Config
from sessiond.core.errors import ConfigError
from sessiond.core.ids import SessionId
from sessiond.core.lane import Ordered
from sessiond.core.link import LinkState
from sessiond.core.session import State
from sessiond.limits import raise_open_files
from sessiond.remote.local import Local
from sessiond.remote.peer import owner_of_peer
from sessiond.runtime import guard
from sessiond.runtime.bus import Bus
from sessiond.runtime.clock import SystemClock
from sessiond.runtime.engine import Engine
from sessiond.runtime.folders import Folders
from sessiond.runtime.herald import Herald
from sessiond.runtime.idle import IdlePolicy
from sessiond.runtime.lanes import Lanes
from sessiond.runtime.letters import Tick
from sessiond.runtime.postmortem import PostMortems
from sessiond.runtime.standing import StandingWork
from sessiond.runtime.timers import Timers
from sessiond.runtime.tunnel import Peer
from sessiond.store.lease import Lease
from sessiond.store.store import ActionPhase, Loaded, Store
from sessiond.systemd import Notifier, listen_sockets, watchdog_interval_s

log = structlog.get_logger(__name__)

_DRAIN_S = 20.0
_GATEWAY_FACT = "gateway-secret"
_STATUS_EVERY_S = 30.0
_ROOT = 0
_FOR_A_PERSON = frozenset({LinkState.NEEDS_LOGIN, LinkState.BLOCKED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where this daemon keeps and finds its things."""

    config_file: Path
    state_dir: Path
    socket_path: Path


async def serve(places: Places) -> None:
    """Run a daemon until it is told to stop. Raises SessiondError, in a group or alone, where it cannot run."""
    notifier = Notifier()
    watchdog_s = watchdog_interval_s()
    given = listen_sockets()
    config = load(places.config_file, hint=HINT_AT_START)
    check_length(places.socket_path)
    with contextlib.ExitStack() as stack:
        stack.enter_context(Lease.take(places.state_dir))
        store = stack.enter_context(contextlib.closing(Store.open(places.state_dir)))
        control = given[0] if given else stack.enter_context(control_socket(places.socket_path))
        async with anyio.create_task_group() as group:
            daemon = Daemon(places, config, store, notifier, group)
            await daemon.run(control, watchdog_s)
            group.cancel_scope.cancel()


class Daemon:
    """One running daemon."""

    def __init__(self, places: Places, config: Config, store: Store, notifier: Notifier, group: TaskGroup) -> None:
        self._places = places
        self._config = self._begun = config
        self._store = store
        self._notifier = notifier
        self._group = group
        self._clock = SystemClock()
        self._lib = _read_lib()
        self._folders = Folders(places.state_dir / "sessions")
        self._bus = Bus()
        self._engine = Engine(self._clock, store, self._bus, watching=lambda session: self._clusters.watching(session))
        self._assembly = Assembly(
            group,
            self._clock,
            self._engine,
            self._bus,
            store,
            self._folders,
            self._lib,
            user=_user_name(),
            here=Local(open_files=raise_open_files()),
            allow=_is_own,
        )
        self._clusters = self._assembly.clusters
        self._standing = StandingWork(
            group,
            self._clock,
            self._clusters.dial,
            _is_own,
            self._clusters.poke,
            self._engine.session,
            self._engine.tell,
            self._clusters.watching,
        )
        self._lanes = Lanes(group, self._clock, store, self._clusters.perform, self._engine.session, self._engine.tell)
        self._engine.attach(self._lanes, self._standing)
        self._timers = Timers(
            self._clock, self._engine.live, self._engine.deadlines, self._engine.tell, self._engine.idleness
        )
        self._assembly.attach(self._standing, self._timers)
        self._herald = Herald(self._clock, store, self._assembly.here, lambda: self._engine.sessions)
        self._bus.listen(logs.transition)
        self._bus.listen(self._folders.publish)
        self._bus.listen(lambda _published: self._timers.poke())
        self._bus.listen(self._herald.hear)
        self._bus.listen_to_links(self._herald.hear_link)
        self._bus.listen(lambda _published: self._assembly.licences.follow())
        self._postmortems = PostMortems(
            group, self._clock, self._clusters, self._folders, partial(tunnel_trouble, self._standing, store)
        )
        self._bus.listen(self._postmortems.follow)
        self._bus.listen_to_links(self._postmortems.link_changed)

    async def run(self, control: socket.socket, watchdog_s: float | None) -> None:
        """Restore, serve, and stop in order when told to. Stopping never stops a session."""
        loaded = self._store.load()
        async with self._gateway() as desk:
            self._start_tasks(watchdog_s)
            self._assembly.apply(self._config)
            self._follow_config()
            self._engine.restore(loaded.sessions, _open_actions(loaded))
            self._postmortems.restore(loaded.sessions)
            self._assembly.licences.follow()
            # From before the first answer: whoever is told that we are ready may send a signal at once.
            with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
                async with self._served(desk, control):
                    self._notifier.ready(self._status())
                    log.info(
                        "sessiond is ready", version=__version__, pid=os.getpid(), socket=str(self._places.socket_path)
                    )
                    await self._until_told_to_stop(desk, signals)
                    self._notifier.stopping()
                    log.info("sessiond is stopping; sessions go on")
        # The handlers are the system's own again: a second SIGTERM ends the process at once, which is safe.
        await self._lanes.drain(_DRAIN_S)

    def _start_tasks(self, watchdog_s: float | None) -> None:
        start = self._group.start_soon
        start(self._engine.run, name="engine")
        start(guard.supervised, self._timers.run, "timers", self._clock, name="timers")
        start(guard.supervised, self._herald.run, "notifications", self._clock, name="notifications")
        start(self._tell_status, name="status")
        if watchdog_s is not None:
            start(self._feed_watchdog, watchdog_s, name="watchdog")

    @contextlib.asynccontextmanager
    async def _gateway(self) -> AsyncIterator[Desk]:
        """The desk, with the gateway open if the configuration wants one."""
        doorkeeper = Doorkeeper(self._secret())
        wanted = self._config.daemon.gateway
        desk = Desk(
            engine=self._engine,
            clusters=self._clusters,
            clock=self._clock,
            catalogue=self._read_catalogue,
            doorkeeper=doorkeeper,
            gateway=None,
            started=self._clock.now(),
            warnings=self._config.warnings,
            own_origins=lambda: self._config.daemon.own_origins,
            settings=self._assembly.settings,
            licences=self._assembly.licences,
            herald=self._herald,
        )
        if wanted is None:
            yield desk
            return
        with gateway_socket(wanted.host, wanted.port, self._store) as door:
            desk.gateway = door.address
            desk.warnings = (*desk.warnings, *door.warnings)
            app = make_gateway(SessionDoors(desk, self._standing), doorkeeper, _is_own)
            async with serve_gateway(app, door.socket):
                yield desk

    @contextlib.asynccontextmanager
    async def _served(self, desk: Desk, control: socket.socket) -> AsyncIterator[None]:
        """The API and the dashboard, served."""
        routes, wanted = self._routes(desk), self._config.daemon.gateway
        async with serve_dashboard(wanted, self._store, routes, _is_own, time.monotonic) as (links, warnings):
            desk.warnings = (*desk.warnings, *warnings)
            async with served(make_api(*routes, links), control):
                yield

    def _routes(self, desk: Desk) -> tuple[Routes, ...]:
        ports = self._config.daemon.ports
        starter = Starter(
            desk,
            self._store,
            self._standing,
            self._assembly.here,
            self._lib,
            (ports.first, ports.last),
            self._assembly.places,
            self._folders,
        )

        async def reload() -> wire_daemon.Reloaded:
            return self._reload(desk)

        return api_routes(
            SessionRoutes(desk, starter, self._store, self._folders, self._lanes.settled, self._postmortems),
            EventRoutes(desk, self._store, self._bus),
            StatusRoutes(
                desk,
                state_dir=self._places.state_dir,
                socket_path=self._places.socket_path,
                config_file=self._places.config_file,
                reload=reload,
            ),
        )

    def _reload(self, desk: Desk) -> wire_daemon.Reloaded:
        """Read the configuration again, all of it or nothing. Raises ConfigError."""
        self._notifier.reloading()
        try:
            config = load(self._places.config_file)
            changes = diff(self._config, config, self._begun)
            self._assembly.apply(config)
            # What needs a restart stays as it is until then.
            self._config = config
            self._follow_config()
            desk.warnings = (
                *config.warnings,
                *(f"{what} takes effect when sessiond is restarted" for what in changes.restart),
            )
        finally:
            self._notifier.ready(self._status())
        log.info("the configuration was read again", changed=list(changes.changed), restart=list(changes.restart))
        return {"changed": list(changes.changed), "restart": list(changes.restart)}

    def _follow_config(self) -> None:
        """What else of the configuration holds at once."""
        idle = self._config.idle
        self._engine.idleness.policy = IdlePolicy(after_s=idle.after_s, warn_s=idle.warn_s)
        self._timers.poke()
        self._herald.follow(self._config.notify.command)

    def _read_catalogue(self) -> Catalogue:
        return Catalogue.read(folders(self._config.daemon.services_dirs))

    def _secret(self) -> bytes:
        """The gateway's secret, made once: tokens and cookies outlive the daemon."""
        known = self._store.fact(_GATEWAY_FACT)
        if known is None:
            known = os.urandom(32).hex()
            self._store.set_fact(_GATEWAY_FACT, known)
        return bytes.fromhex(known)

    async def _until_told_to_stop(self, desk: Desk, signals: AsyncIterator[signal.Signals]) -> None:
        async for number in signals:
            if number != signal.SIGHUP:
                return
            try:
                self._reload(desk)
            except ConfigError as error:
                log.error("the configuration was not applied", problems=error.problems)

    async def _tell_status(self) -> None:
        while True:
            await self._clock.sleep(_STATUS_EVERY_S)
            self._notifier.status(self._status())

    async def _feed_watchdog(self, interval_s: float) -> None:
        """Say that we live, but only if the engine has taken up a letter since the last time."""
        while True:
            before = self._engine.handled
            await self._engine.tell(Tick(observed_s=0.0))
            await self._clock.sleep(interval_s / 3)
            if self._engine.handled != before:
                self._notifier.watchdog()

    def _status(self) -> str:
        live = self._engine.live()
        running = sum(1 for s in live if s.state is State.RUNNING)
        counts = f"{running} running, {len(live) - running} on the way"
        links = (cluster.link for cluster in self._clusters.by_name.values())
        waiting = [link.name for link in links if link is not None and link.state in _FOR_A_PERSON]
        return "; ".join([counts, *(f"{name} needs you: sessionctl login {name}" for name in waiting)])


def _open_actions(loaded: Loaded) -> Mapping[SessionId, list[tuple[Ordered, bool]]]:
    return {
        session: [(Ordered(found.id, found.action), found.phase is ActionPhase.STARTED) for found in actions]
        for session, actions in loaded.actions.items()
    }


def _read_lib() -> dict[str, bytes]:
    """The files around every service's template, by name; pip leaves a folder of compiled Python beside them."""
    found = sorted((paths.data_dir("services") / "_lib").iterdir())
    return {path.name: path.read_bytes() for path in found if path.is_file()}


async def _is_own(peer: Peer) -> bool:
    """Whether a connection to one of our ports comes from this user, or from root, who may anyway."""
    return await owner_of_peer(peer.local, peer.remote) in (os.geteuid(), _ROOT)


def _user_name() -> str:
    """The name of the account the daemon runs as; its number where the account has none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
