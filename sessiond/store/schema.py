"""The state database's tables, and the steps that bring an older file to them.

``PRAGMA user_version`` counts the steps a file has taken. A step is never changed once released; a change of the
tables is a new step at the end of `MIGRATIONS`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from sessiond import failpoint

APPLICATION_ID = 0x73657364
"""``sesd`` in ASCII, in the header of every file of ours (``PRAGMA application_id``)."""

# The types are checked by CHECK and not by STRICT, which SQLite knows from 3.37 (2021) only: RHEL 9, whose
# Python 3.11 uses the system's library, has 3.34.
_VERSION_1 = """
CREATE TABLE service (
    digest  TEXT NOT NULL PRIMARY KEY CHECK (typeof(digest) = 'text'),
    doc     TEXT NOT NULL CHECK (typeof(doc) = 'text')
);
CREATE TABLE session (
    id      TEXT NOT NULL PRIMARY KEY CHECK (typeof(id) = 'text'),
    name    TEXT NOT NULL CHECK (typeof(name) = 'text'),
    cluster TEXT NOT NULL CHECK (typeof(cluster) = 'text'),
    state   TEXT NOT NULL CHECK (typeof(state) = 'text'),
    version INTEGER NOT NULL CHECK (typeof(version) = 'integer'),
    doc     TEXT NOT NULL CHECK (typeof(doc) = 'text'),
    created REAL NOT NULL CHECK (typeof(created) = 'real'),
    ended   REAL CHECK (typeof(ended) IN ('real', 'null'))
);
CREATE UNIQUE INDEX session_live_name ON session (name) WHERE ended IS NULL;
CREATE TABLE launch (
    session TEXT NOT NULL PRIMARY KEY REFERENCES session (id) ON DELETE CASCADE,
    service TEXT NOT NULL REFERENCES service (digest),
    doc     TEXT NOT NULL CHECK (typeof(doc) = 'text')
);
CREATE INDEX launch_service ON launch (service);
CREATE TABLE record (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    session TEXT NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    version INTEGER NOT NULL CHECK (typeof(version) = 'integer'),
    at      REAL NOT NULL CHECK (typeof(at) = 'real'),
    event   TEXT NOT NULL CHECK (typeof(event) = 'text'),
    before  TEXT CHECK (typeof(before) IN ('text', 'null')),
    after   TEXT NOT NULL CHECK (typeof(after) = 'text'),
    doc     TEXT NOT NULL CHECK (typeof(doc) = 'text'),
    UNIQUE (session, version)
);
CREATE TABLE action (
    seq      INTEGER PRIMARY KEY,
    id       TEXT NOT NULL UNIQUE CHECK (typeof(id) = 'text'),
    session  TEXT NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    kind     TEXT NOT NULL CHECK (typeof(kind) = 'text'),
    doc      TEXT NOT NULL CHECK (typeof(doc) = 'text'),
    phase    TEXT NOT NULL CHECK (phase IN ('intended', 'started', 'done', 'withdrawn')),
    at       REAL NOT NULL CHECK (typeof(at) = 'real'),
    started  REAL CHECK (typeof(started) IN ('real', 'null')),
    finished REAL CHECK (typeof(finished) IN ('real', 'null'))
);
CREATE INDEX action_session ON action (session);
CREATE INDEX action_open ON action (seq) WHERE phase IN ('intended', 'started');
CREATE TABLE counter (
    name  TEXT NOT NULL PRIMARY KEY CHECK (typeof(name) = 'text'),
    value INTEGER NOT NULL CHECK (typeof(value) = 'integer')
);
INSERT INTO counter (name, value) VALUES ('session', 0);
CREATE TABLE fact (
    key   TEXT NOT NULL PRIMARY KEY CHECK (typeof(key) = 'text'),
    value TEXT NOT NULL CHECK (typeof(value) = 'text')
)
"""


def _to_version_1(db: sqlite3.Connection) -> None:
    for statement in _VERSION_1.split(";"):
        db.execute(statement)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (_to_version_1,)
"""Step n (from 0) takes a file of version n to version n + 1."""

VERSION = len(MIGRATIONS)


def migrate(db: sqlite3.Connection) -> None:
    """Bring an open file to `VERSION`, in one transaction: all of the steps it lacks, or none."""
    if user_version(db) == VERSION:
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        # Asked again under the lock: the version read before it may be another process's past.
        for step in MIGRATIONS[user_version(db) :]:
            step(db)
        db.execute(f"PRAGMA user_version = {VERSION}")
        failpoint.hit("migrate.within")
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def user_version(db: sqlite3.Connection) -> int:
    """How many migrations a file has taken; 0 for a new one and for most files that are not ours."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])
