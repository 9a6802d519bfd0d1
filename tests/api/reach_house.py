"""The API on a Unix socket in front of sessions as they would be on clusters, and real servers where they run."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, cast

import anyio
from aiohttp import web
from anyio.abc import ByteStream

from sessiond.api.app import api_routes, make_api
from sessiond.api.doorkeeper import Doorkeeper
from sessiond.api.events import EventRoutes
from sessiond.api.service import Desk
from sessiond.api.sessions import SessionRoutes
from sessiond.api.status import StatusRoutes
from sessiond.client import Client
from sessiond.config.catalogue import Catalogue
from sessiond.config.model import ClusterConfig, Scheduler, Ssh, this_machine
from sessiond.core.command import Command, Completed
from sessiond.core.errors import Refused
from sessiond.core.ids import ClusterName, JobId, session_id
from sessiond.core.pace import LOCAL_PACE
from sessiond.core.session import Endpoint, JobRef, Phase, Session, State
from sessiond.core.spec import Mode
from sessiond.remote.local import Local
from sessiond.runtime import cluster as clusters
from sessiond.runtime.bus import Bus
from sessiond.runtime.clock import SystemClock
from sessiond.runtime.engine import Engine
from sessiond.runtime.folders import Folders
from sessiond.schedulers.process import Process
from sessiond.store.store import Store
from tests.core.builders import a_session, a_spec
from tests.runtime.scripted import ScriptedCluster

ROOT = Path(__file__).parents[2]
LOCAL, FRONTIER = ClusterName("local"), ClusterName("frontier")


class Network(ScriptedCluster):
    """A cluster whose every host is this machine. ``reached`` are the endpoints that were asked for; where a host's
    port is in ``ports`` another port of this machine answers for it. ``refusal``: what the scheduler says to more time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reached: list[Endpoint] = []
        self.ports: dict[tuple[str, int], int] = {}
        self.asked: list[int] = []
        self.refusal = ""
        self.trouble: Callable[[], None] = lambda: None
        self.here = Local()

    async def connect(self, endpoint: Endpoint) -> ByteStream:
        self.trouble()
        self.reached.append(endpoint)
        port = self.ports.get((endpoint.host, endpoint.port), endpoint.port)
        return await self.here.connect(replace(endpoint, host="127.0.0.1", port=port))

    async def run(self, command: Command) -> Completed:
        self.trouble()
        if command.argv[0] in ("true", "sh"):
            return await self.here.run(command)
        return Completed(rc=0, stdout=b"", stderr=b"")

    def extend(self, session: Session, by_s: int) -> Command:
        self.asked.append(by_s)
        return Command(argv=("extend",))

    def read_extend(self, session: Session, done: Completed) -> str:
        if self.refusal:
            raise Refused(self.refusal)
        return "it may run half an hour longer"


@dataclass
class House:
    """The API behind ``socket``, and the cluster behind that."""

    root: Path
    desk: Desk
    network: Network
    settings: dict[ClusterName, ClusterConfig]
    sessions: dict[str, Session] = field(default_factory=dict)
    path: str = ""
    sessionctl: tuple[str, ...] = (sys.executable, "-m", "sessiond.cli.main")

    @property
    def socket(self) -> Path:
        return self.root / "api.sock"

    @property
    def client(self) -> Client:
        """A client, to be used in another thread than the house's own."""
        return Client(self.socket, timeout_s=20)

    @property
    def env(self) -> dict[str, str]:
        """What sessionctl sees here."""
        kept = {name: os.environ[name] for name in ("LANG", "COVERAGE_PROCESS_START") if name in os.environ}
        return {
            **kept,
            "PATH": self.path + os.environ["PATH"],
            "HOME": str(self.root),
            "SHELL": "/bin/sh",
            "TZ": "UTC",
            "PYTHONUTF8": "1",
            "PYTHONPATH": str(ROOT),
            "SESSIOND_SOCKET": str(self.socket),
        }

    async def run(self, *argv: str, stdin: bytes = b"") -> CompletedProcess[bytes]:
        """Run a program to its end."""
        with anyio.fail_after(60):
            return await anyio.run_process(argv, input=stdin, env=self.env, cwd=self.root, check=False)

    async def ctl(self, *args: str, stdin: bytes = b"") -> CompletedProcess[bytes]:
        """Run sessionctl to its end."""
        return await self.run(*self.sessionctl, *args, stdin=stdin)

    def add(
        self,
        name: str,
        *,
        cluster: ClusterName = FRONTIER,
        mode: Mode = Mode.SLURM,
        state: State = State.RUNNING,
        nodes: Sequence[str] = ("n042",),
        job: bool = True,
        host_keys: tuple[str, ...] = (),
    ) -> Session:
        """Have a session of this name."""
        own = JobRef(
            id=JobId(f"47{len(self.sessions)}"),
            cluster=cluster,
            attempt=1,
            phase=Phase.RUNNING if nodes else Phase.QUEUED,
            nodes=tuple(nodes),
        )
        now = self.desk.clock.now()
        session = a_session(
            state,
            id=session_id(now, len(self.sessions)),
            name=name,
            spec=a_spec(cluster=cluster, mode=mode, jobdir=str(self.root)),
            open_port=50000 + len(self.sessions),
            created=now,
            since=now,
            job=own if job else None,
            endpoint=Endpoint(run="1.0", host=nodes[0], port=6001, host_keys=host_keys) if nodes else None,
        )
        self.sessions[name] = session
        cast("dict[Any, Session]", self.desk.engine.sessions)[session.id] = session
        return session


@asynccontextmanager
async def house(root: Path) -> AsyncIterator[House]:
    """A house for a moment. ``root`` must be short enough for a socket."""
    clock, bus, network = SystemClock(), Bus(), Network()
    with closing(Store.open(root / "state")) as store:
        engine = Engine(clock, store, bus)
        folders = Folders(root / "sessions")
        parts = {
            name: clusters.build(
                name,
                scheduler=scheduler,
                host=host,
                dialects=dialects,
                transport=network if name == FRONTIER else network.here,
                policies=dict.fromkeys(dialects, LOCAL_PACE),
                engine=engine,
                clock=clock,
                folders=folders,
                lib={},
            )
            for name, scheduler, host, dialects in (
                (LOCAL, "none", "here", {Mode.LOCAL: Process()}),
                (FRONTIER, "slurm", "frontier-login", {Mode.SLURM: network, Mode.CONTROLLER: network}),
            )
        }
        settings = {
            LOCAL: this_machine(),
            FRONTIER: ClusterConfig(
                name=FRONTIER, transport=Ssh(host="frontier-login"), scheduler=Scheduler.NONE, workdir=str(root)
            ),
        }
        desk = Desk(
            engine=engine,
            clusters=clusters.Clusters(parts),
            clock=clock,
            catalogue=lambda: Catalogue.read([]),
            doorkeeper=Doorkeeper(b"secret"),
            gateway=None,
            started=clock.now(),
            settings=settings.get,
        )
        made = House(root, desk, network, settings)
        handlers = api_routes(
            SessionRoutes(desk, cast("Any", None), store, folders, cast("Any", None), cast("Any", None)),
            EventRoutes(desk, store, bus),
            StatusRoutes(
                desk, state_dir=root, socket_path=made.socket, config_file=root / "config", reload=cast("Any", None)
            ),
        )
        app = make_api(*handlers)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=2)
        await runner.setup()
        try:
            await web.UnixSite(runner, str(made.socket)).start()
            yield made
        finally:
            with anyio.CancelScope(shield=True):
                await runner.cleanup()
            engine._send.close()
            engine._receive.close()
