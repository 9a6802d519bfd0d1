"""A state file of every released schema loads, and means what it meant."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

from sessiond.core.actions import Cleanup, FindJob, Submit
from sessiond.core.events import Created, EndpointPublished, JobRunning, Staged, StopRequested, Submitted
from sessiond.core.ids import ClusterName, JobId
from sessiond.core.session import Endpoint, JobRef, Outcome, Phase, State
from sessiond.store import schema
from sessiond.store.codec import UnknownEvent
from sessiond.store.store import ActionPhase, Store

from .samples import SERVICE, session

DATA = Path(__file__).parent / "data"


def test_every_schema_has_a_file() -> None:
    """Whoever adds a migration adds the file that it starts from."""
    assert [f"schema-{version}.db" for version in range(1, schema.VERSION + 1)] == sorted(
        path.name for path in DATA.glob("*.db")
    )


def test_schema_1(tmp_path: Path) -> None:
    """The first schema: a running session, one with a Submit under way, an ended one; history of another time."""
    shutil.copyfile(DATA / "schema-1.db", tmp_path / "state.db")
    store = Store.open(tmp_path)
    loaded = store.load()
    one, two, three = loaded.sessions
    assert (one.name, one.state, one.version, one.open_port) == ("shell-1", State.RUNNING, 5, 50001)
    assert one.spec == session(1).spec
    assert one.spec.service == SERVICE
    assert one.endpoint == Endpoint(run="4711.0", host="n042", port=8888)
    assert one.job == JobRef(
        id=JobId("4711"),
        cluster=ClusterName("local"),
        attempt=1,
        phase=Phase.RUNNING,
        nodes=("n042",),
        submitted=1020.0,
        started=1025.0,
        ends_by=4625.0,
    )
    assert (two.state, two.ending, two.attempt) == (State.ABANDON, Outcome.CANCELLED, 1)
    assert (three.state, three.outcome, three.ended_at) == (State.ENDED, Outcome.CANCELLED, 1004.0)
    assert {
        name: [(one.action, one.phase, one.started) for one in journal] for name, journal in loaded.actions.items()
    } == {
        two.id: [(Submit(attempt=1), ActionPhase.STARTED, 1013.0), (FindJob(attempt=1), ActionPhase.INTENDED, None)],
        three.id: [(Cleanup(), ActionPhase.INTENDED, None)],
    }
    assert loaded.last_seq == 11
    assert [type(stored.record.event) for stored in store.records(session=one.id)] == [
        Created,
        Staged,
        Submitted,
        JobRunning,
        EndpointPublished,
        UnknownEvent,
    ]
    assert [type(stored.record.event) for stored in store.records(session=two.id)] == [Created, Staged, StopRequested]
    assert store.next_number() == 4
    assert store.fact("gateway") == "a secret of the door"
    store.close()


def test_a_migrated_file_has_the_tables_of_a_new_one(tmp_path: Path) -> None:
    """Every old file, once opened, is made of the same statements as one made today."""
    (tmp_path / "new").mkdir()
    Store.open(tmp_path / "new").close()
    wanted = tables(tmp_path / "new")
    for version in range(1, schema.VERSION + 1):
        folder = tmp_path / str(version)
        folder.mkdir()
        shutil.copyfile(DATA / f"schema-{version}.db", folder / "state.db")
        Store.open(folder).close()
        assert tables(folder) == wanted


def tables(folder: Path) -> list[tuple[str, str]]:
    """The names and statements of a file's tables and indexes."""
    db = sqlite3.connect(folder / "state.db")
    try:
        found = db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name").fetchall()
        return [*found, ("user_version", str(schema.user_version(db)))]
    finally:
        db.close()
