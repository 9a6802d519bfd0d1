"""Program: write ``data/schema-<version>.db``, a state file as the present code leaves it, with a few oddities.

Run once for a schema, before its first release, and never again: the file stands for those that people have.
"""

import shutil
import sqlite3
import tempfile
from pathlib import Path

from sessiond.core import machine
from sessiond.core.events import EndpointPublished, JobRunning, Staged, StopRequested, Submitted, TunnelUp
from sessiond.core.ids import JobId
from sessiond.core.session import Endpoint
from sessiond.store import schema
from sessiond.store.store import Store

from .samples import ordered, session

with tempfile.TemporaryDirectory() as made:
    folder = Path(made)
    store = Store.open(folder)
    # The first session runs; the second has a Submit under way and a FindJob behind it; the third is over.
    one = machine.create(session(1))
    store.commit(one, at=1001.0)
    done = ordered(one)
    for event, now in (
        (Staged(), 1010.0),
        (Submitted(job=JobId("4711")), 1020.0),
        (JobRunning(nodes=("n042",), started=1025.0, ends_by=4625.0), 1030.0),
        (EndpointPublished(endpoint=Endpoint(run="4711.0", host="n042", port=8888)), 1040.0),
        (TunnelUp(), 1050.0),
    ):
        one = machine.step(one.after, event, now)
        store.commit(one, at=now, done=done if now <= 1020.0 else None)
        done = ordered(one) if now <= 1010.0 else done
    two = machine.create(session(2))
    store.commit(two, at=1002.0)
    submit = machine.step(two.after, Staged(), 1012.0)
    store.commit(submit, at=1012.0, done=ordered(two))
    store.action_started(ordered(submit), 1013.0)
    store.commit(machine.step(submit.after, StopRequested(), 1014.0), at=1014.0)
    three = machine.create(session(3))
    store.commit(three, at=1003.0)
    store.commit(machine.step(three.after, StopRequested(), 1004.0), at=1004.0, withdrawn=[ordered(three)])
    for _ in range(3):
        store.next_number()
    store.set_fact("gateway", "a secret of the door")
    store.close()
    db = sqlite3.connect(folder / "state.db", isolation_level=None)
    db.execute("""UPDATE session SET doc = json_set(doc, '$.mood', 'calm') WHERE id = '000000000001'""")
    db.execute("""UPDATE record SET event = 'Sang', doc = json_set(doc, '$.event.kind', 'Sang') WHERE seq = 6""")
    # Small pages, for the repository's sake; SQLite changes them outside of WAL only.
    db.execute("PRAGMA journal_mode = DELETE").fetchone()
    db.execute("PRAGMA page_size = 1024")
    db.execute("VACUUM")
    db.execute("PRAGMA journal_mode = WAL").fetchone()
    db.close()
    target = Path(__file__).parent / "data" / f"schema-{schema.VERSION}.db"
    shutil.copyfile(folder / "state.db", target)
    print(f"{target}: {target.stat().st_size} bytes")
