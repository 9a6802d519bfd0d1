"""Sessions to store, a scripted life of one, and ways to look at a state file from outside."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import sessiond
from sessiond.core import machine
from sessiond.core.events import JobEnded, Staged, StopRequested, Submitted
from sessiond.core.ids import ActionId, ClusterName, JobId, SessionId
from sessiond.core.session import Outcome, Session, State
from sessiond.core.spec import LaunchSpec, Mode, Probe, Resources, ServiceFile, ServiceSpec
from sessiond.store.store import Store

SECRET = "correct-horse-battery"  # a value that must be seen nowhere but in the launch table

SERVICE = ServiceSpec(
    name="webshell",
    title="A shell in the browser",
    files=(
        ServiceFile(path="start-template.sh", content=b'#!/bin/bash\nexec serve "$servicePort"\n', executable=True),
        ServiceFile(path="logo.bin", content=bytes(range(256))),
    ),
    probe=Probe(path="api"),
)


def session(number: int = 1, *, name: str = "", service: ServiceSpec = SERVICE) -> Session:
    """A session as it is when it has just been made."""
    identity = SessionId(f"000000000{number:03d}")
    spec = LaunchSpec(
        service=service,
        workflow=service.name,
        cluster=ClusterName("local"),
        mode=Mode.LOCAL,
        user="ada",
        jobdir=f"/home/ada/sessiond/{identity}",
        params={"service_greeting": "it's 5 o'clock", "service_empty": ""},
        secrets={"service_token": SECRET},
        resources=Resources(walltime_s=3600),
    )
    return Session(
        id=identity,
        name=name or f"shell-{number}",
        number=number,
        spec=spec,
        open_port=50000 + number,
        created=1000.0 + number,
        state=State.RENDER,
        since=1000.0 + number,
    )


def ordered(step: machine.Step) -> ActionId:
    """The id of the one action that ``step`` orders."""
    assert step.record is not None
    (order,) = step.record.actions
    return order.id


def life() -> list[Callable[[Store], object]]:
    """Calls of a store, one transaction each, that take a session from its creation to its removal."""
    born = machine.create(session())
    submit = machine.step(born.after, Staged(), 1010.0)
    waits = machine.step(submit.after, Submitted(job=JobId("4711")), 1020.0)
    kill = machine.step(waits.after, StopRequested(), 1030.0)
    again = machine.step(kill.after, StopRequested(), 1040.0)
    ended = machine.step(again.after, JobEnded(outcome=Outcome.CANCELLED), 1050.0)
    return [
        lambda store: store.next_number(),
        lambda store: store.commit(born, at=1001.0),
        lambda store: store.action_started(ordered(born), 1002.0),
        lambda store: store.commit(submit, at=1010.0, done=ordered(born)),
        lambda store: store.action_started(ordered(submit), 1011.0),
        lambda store: store.commit(waits, at=1020.0, done=ordered(submit)),
        lambda store: store.set_fact("gateway", "9f"),
        lambda store: store.commit(kill, at=1030.0),
        lambda store: store.commit(again, at=1040.0, withdrawn=[ordered(kill)]),
        lambda store: store.action_done(ordered(again), 1041.0),
        lambda store: store.commit(ended, at=1050.0),
        lambda store: store.action_started(ordered(ended), 1051.0),
        lambda store: store.action_done(ordered(ended), 1052.0),
        lambda store: store.remove(born.after.id),
    ]


Rows = dict[str, list[tuple[object, ...]]]


def dump(state_dir: Path) -> Rows:
    """Every row of every table of a state file, read without the store."""
    db = sqlite3.connect(f"{(state_dir / 'state.db').as_uri()}?mode=ro", uri=True)
    try:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        return {table: db.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in tables}
    finally:
        db.close()


def child(
    module: str, *arguments: str, env: Mapping[str, str] | None = None, through: Sequence[str] = ()
) -> subprocess.Popen[str]:
    """Another Python process that runs a module of this folder, started by the command ``through`` if one is given."""
    package = __package__ or ""
    above = Path(__file__).parents[len(package.split("."))]
    given = os.environ.get("PYTHONPATH", "")
    search = os.pathsep.join([str(Path(sessiond.__file__).parents[1]), str(above), *given.split(os.pathsep)])
    return subprocess.Popen(
        [*through, sys.executable, "-m", f"{package}.{module}", *arguments],
        env={**os.environ, "PYTHONPATH": search, "PYTHONDONTWRITEBYTECODE": "1", **(env or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
