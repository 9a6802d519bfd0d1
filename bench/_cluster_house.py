"""A daemon with a cluster of stand-ins and any number of sessions that run there already."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from _cluster_site import NODE, WALLTIME_S, Site, site
from _house import ROOT, SERVER, TEMPLATE, House

from sessiond.config.catalogue import Catalogue
from sessiond.core import machine
from sessiond.core.events import EndpointPublished, Event, JobRunning, Staged, Submitted, TunnelUp
from sessiond.core.ids import ActionId, ClusterName, JobId, session_id
from sessiond.core.session import Endpoint, JobRef, Phase, Session, State
from sessiond.core.spec import LaunchSpec, Listen, Mode, Prefix, ServiceSpec
from sessiond.store.store import Store

NAME = ClusterName("standin")
FIRST_PORT = 20000
"""Below the ports that the kernel gives to outgoing connections."""

_FILES = ("logs.out", "session.sh", "inputs.sh", "secrets.sh", "setup.sh", "kill.sh", "job.sh", "slurm_run.sh", "ports")
"""What lies in a session's folder beside its endpoint, so that listing it takes what it really takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A daemon that can be started, and its cluster."""

    house: House
    site: Site
    live: int


@contextlib.contextmanager
def place(folder: Path, live: int, first_port: int = FIRST_PORT, poll: str = "15s") -> Iterator[Place]:
    """A daemon's world below ``folder`` whose state says that ``live`` sessions run; the daemon is not started.

    In the end the daemon is killed: its sessions have no processes.
    """
    services = folder / "services" / "trivial"
    services.mkdir(parents=True)
    (services / "start-template.sh").write_text(TEMPLATE)
    (services / "server.py").write_text(SERVER)
    with site(folder / "site") as cluster:
        (folder / "config.toml").write_text(
            f'[daemon]\ngateway = "127.0.0.1:0"\nservices_dirs = ["{folder}/services"]\n'
            f'ports = "{first_port}-{first_port + 1999}"\n{cluster.cluster(NAME, poll)}'
        )
        env = os.environ | {
            "PYTHONPATH": str(ROOT),
            "SESSIOND_STATE_DIR": str(folder / "state"),
            "SESSIOND_SOCKET": str(folder / "s" / "api.sock"),
            "SESSIOND_CONFIG": str(folder / "config.toml"),
            "XDG_CONFIG_HOME": str(folder / "config"),
        }
        house = House(folder=folder, env=env)
        _write_live(house, cluster, live, first_port)
        try:
            yield Place(house=house, site=cluster, live=live)
        finally:
            if house.process is not None:
                house.kill()


def until_running(place: Place, seconds: float = 180) -> float:
    """Wait until all sessions run; the seconds that took."""
    return place.house.until(lambda: place.house.counts().get("running", 0) == place.live, seconds, every_s=0.05)


def _write_live(house: House, cluster: Site, count: int, first_port: int) -> None:
    """Put ``count`` running sessions into the state database, the stand-ins' queue and the cluster's folders."""
    service = replace(Catalogue.read([ROOT / "services"]).spec("jupyterlab-host"), prefix=Prefix.KEEP)
    store = Store.open(house.state_dir)
    try:
        sessions = [_session(store, service, cluster, n, first_port) for n in range(count)]
        started = int(time.time())
        jobs = cluster.run_jobs([session.tag for session in sessions], started)
        for session, job in zip(sessions, jobs, strict=True):
            endpoint = Endpoint(run=f"{job}.0", host="127.0.0.1", port=cluster.service_port)
            _live_through(store, session, JobId(str(job)), endpoint, started)
            _fill(Path(session.spec.jobdir), endpoint)
    finally:
        store.close()


def _session(store: Store, service: ServiceSpec, cluster: Site, n: int, first_port: int) -> Session:
    born = 1_700_000_000.0 + 60 * n
    identity = session_id(born, n)
    spec = LaunchSpec(
        service=service,
        workflow=service.name,
        cluster=NAME,
        mode=Mode.SLURM,
        user="root",
        jobdir=str(cluster.workdir / "sessiond" / identity),
        params={"service_notebook_dir": "/data/projects/one"},
        secrets={"service_token": f"{n:032}"},
        listen=Listen.ANY,
        urlend=f'lab?token={n:032}"',
    )
    return Session(
        id=identity,
        name=f"live-{n}",
        number=store.next_number(),
        spec=spec,
        open_port=first_port + n,
        created=born,
        state=State.RENDER,
        since=born,
    )


def _live_through(store: Store, session: Session, job: JobId, endpoint: Endpoint, started: int) -> None:
    """Commit the life of a session up to its service's answer, as the daemon does."""
    events: list[Event] = [
        Staged(),
        Submitted(job=job),
        JobRunning(nodes=(NODE,), started=started, ends_by=started + WALLTIME_S),
        EndpointPublished(endpoint=endpoint),
        TunnelUp(),
    ]
    done: ActionId | None = None
    step = machine.create(session)
    for second, event in enumerate([None, *events]):
        if event is not None:
            step = machine.step(step.after, event, session.created + second)
        assert step.record is not None
        store.commit(step, at=session.created + second, done=done)
        orders = step.record.actions
        done = orders[0].id if orders else None
    assert isinstance(step.after.job, JobRef)
    assert (step.after.state, step.after.job.phase) == (State.RUNNING, Phase.RUNNING)


def _fill(folder: Path, endpoint: Endpoint) -> None:
    folder.mkdir(parents=True)
    (folder / "attempt.1").mkdir()
    for name in _FILES:
        (folder / name).write_text("x" * 500)
    lines = (f"run={endpoint.run}", f"host={endpoint.host}", f"port={endpoint.port}", "scheme=http")
    (folder / "endpoint").write_text("".join(f"{line}\n" for line in lines))
