"""What the daemon remembers: sessions, their history, and the journal of what they ordered.

One transaction a transition. SQLite runs on the calling thread: a commit takes less than handing it to another.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

from sessiond import failpoint
from sessiond.core.actions import Action
from sessiond.core.errors import Bug, Conflict, NotFound, StateError
from sessiond.core.ids import ActionId, SessionId
from sessiond.core.machine import Record, Step
from sessiond.core.session import Session, State
from sessiond.core.spec import LaunchSpec, ServiceSpec
from sessiond.store import codec, opening
from sessiond.store.place import MOUNTINFO

_RECORDS = "SELECT seq, session, version, at, before, after, doc FROM record"


class ActionPhase(StrEnum):
    """How far an ordered action is."""

    INTENDED = "intended"
    STARTED = "started"
    DONE = "done"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAction:
    """An action that is neither done nor withdrawn. ``phase`` is INTENDED or STARTED; times are UTC seconds."""

    id: ActionId
    session: SessionId
    action: Action
    phase: ActionPhase
    at: float
    started: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Everything a daemon needs to go on: all sessions by age, their open actions in the order in which they were
    ordered, and the number of the last record (0: none yet)."""

    sessions: tuple[Session, ...]
    actions: Mapping[SessionId, tuple[OpenAction, ...]]
    last_seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecord:
    """A record and its place in the history of all sessions. Numbers grow, with gaps, and are never used again.

    Its event and actions can be `codec.UnknownEvent` and `codec.UnknownAction`.
    """

    seq: int
    record: Record


class Store:
    """The state database. Not for two processes at once (`sessiond.store.lease` sees to it), nor for two threads.

    Any method can raise StateFull (nothing was written, the store goes on) or StateError (the file is unusable).
    """

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self._db = db
        self._path = path
        self._specs: dict[SessionId, LaunchSpec] = {}

    @classmethod
    def open(cls, state_dir: Path, *, mountinfo: Path = MOUNTINFO) -> Self:
        """Open the database of ``state_dir``, made if missing, for the user alone.

        ``mountinfo`` is where the kind of file system is looked up. Raises StateError for what cannot be used.
        """
        return cls(opening.open_database(state_dir, mountinfo), state_dir / opening.NAME)

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        self._db.close()

    def load(self) -> Loaded:
        """Read everything that decides what happens next. Raises StateError where a document cannot be read."""
        with self._reading():
            specs = self._load_specs()
            sessions = self._load_sessions(specs)
            actions: dict[SessionId, list[OpenAction]] = {}
            for action in self._load_actions():
                actions.setdefault(action.session, []).append(action)
            last = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'record'").fetchone()
        self._specs = specs
        return Loaded(
            sessions=sessions,
            actions={session: tuple(found) for session, found in actions.items()},
            last_seq=0 if last is None else last[0],
        )

    def commit(self, step: Step, *, at: float, done: ActionId | None = None, withdrawn: Sequence[ActionId] = ()) -> int:
        """Write a transition down, whole or not at all, and return its record's number.

        The session, its record, what it orders (as intended), the action it answers (``done``) and those it no longer
        wants. ``at`` is UTC seconds. Raises Conflict where a new session's name belongs to one that lives, and Bug
        where the step does not follow from what is stored.
        """
        record = step.record
        if record is None:
            raise Bug("a step without a record has nothing to be written down")
        with self._transaction("commit"):
            if record.before is None:
                self._insert_session(step.after, at)
            else:
                self._update_session(step.after, at)
            self._keep_spec(step.after)
            for closed, phase in [(done, ActionPhase.DONE), *((one, ActionPhase.WITHDRAWN) for one in withdrawn)]:
                if closed is not None:
                    self._close_action(closed, phase, at)
            seq = self._insert_record(record)
            for order in record.actions:
                self._db.execute(
                    "INSERT INTO action (id, session, kind, doc, phase, at) VALUES (?, ?, ?, ?, ?, ?)",
                    (
                        order.id,
                        record.session,
                        type(order.action).__name__,
                        codec.dump_action(order.action),
                        ActionPhase.INTENDED,
                        at,
                    ),
                )
        self._specs[step.after.id] = step.after.spec
        return seq

    def action_started(self, action: ActionId, at: float) -> None:
        """Write down that the effect of ``action`` may happen from now on. Raises Bug where it is not open."""
        with self._transaction("started"):
            changed = self._db.execute(
                "UPDATE action SET phase = ?, started = ? WHERE id = ? AND phase IN (?, ?)",
                (ActionPhase.STARTED, at, action, ActionPhase.INTENDED, ActionPhase.STARTED),
            )
            if changed.rowcount != 1:
                raise Bug(f"action {action} was started but is not open in the journal")

    def action_done(self, action: ActionId, at: float) -> None:
        """Write down that ``action`` is over without a transition. Raises Bug where it is not open."""
        with self._transaction("done"):
            self._close_action(action, ActionPhase.DONE, at)

    def next_number(self) -> int:
        """A session number that was never given before and never will be again, from 1."""
        with self._transaction("number"):
            self._db.execute("UPDATE counter SET value = value + 1 WHERE name = 'session'")
            (value,) = self._db.execute("SELECT value FROM counter WHERE name = 'session'").fetchone()
        return int(value)

    def records(self, since_seq: int = 0, session: SessionId | None = None, limit: int = 1000) -> list[StoredRecord]:
        """At most ``limit`` records after number ``since_seq``, oldest first; with ``session`` only that one's."""
        with self._reading():
            if session is None:
                rows = self._db.execute(f"{_RECORDS} WHERE seq > ? ORDER BY seq LIMIT ?", (since_seq, limit))
            else:
                rows = self._db.execute(
                    f"{_RECORDS} WHERE session = ? AND seq > ? ORDER BY seq LIMIT ?", (session, since_seq, limit)
                )
            return [self._stored_record(*row) for row in rows]

    def last_seq(self) -> int:
        """The number of the newest record; 0 where there is none."""
        with self._reading():
            (newest,) = self._db.execute("SELECT coalesce(max(seq), 0) FROM record").fetchone()
        return int(newest)

    def remove(self, session: SessionId) -> None:
        """Forget a session: its document, history and journal. Raises NotFound."""
        with self._transaction("remove"):
            if self._db.execute("DELETE FROM session WHERE id = ?", (session,)).rowcount != 1:
                raise NotFound(f"there is no session {session}")
            self._db.execute("DELETE FROM service WHERE digest NOT IN (SELECT service FROM launch)")
        self._specs.pop(session, None)

    def fact(self, key: str) -> str | None:
        """A thing worth keeping beside the sessions, or None."""
        with self._reading():
            row = self._db.execute("SELECT value FROM fact WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def set_fact(self, key: str, value: str) -> None:
        """Keep ``value`` under ``key``, in place of what was there."""
        with self._transaction("fact"):
            self._db.execute("INSERT OR REPLACE INTO fact (key, value) VALUES (?, ?)", (key, value))

    # Transactions.

    @contextmanager
    def _transaction(self, name: str) -> Iterator[None]:
        """All of what is done inside, or none of it. Failpoints: ``<name>.before``, ``.within``, ``.after``."""
        failpoint.hit(f"{name}.before")
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            failpoint.hit(f"{name}.within")
            self._db.execute("COMMIT")
        except (sqlite3.IntegrityError, OverflowError, ValueError) as error:
            raise Bug(f"the state database refuses what it was given: {error}") from error
        except sqlite3.Error as error:
            raise opening.explained(self._path, error) from error
        finally:
            # A rollback that fails was done by SQLite itself already, on the error that we are about to report.
            with suppress(sqlite3.Error):
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
        failpoint.hit(f"{name}.after")

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise opening.explained(self._path, error) from error

    # Writing.

    def _insert_session(self, session: Session, at: float) -> None:
        if self._is_taken(session.name):
            raise Conflict(
                f"there is already a session named {session.name!r}", hint="choose another name, or stop that one first"
            )
        self._db.execute(
            "INSERT INTO session (id, name, cluster, state, version, doc, created, ended)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                session.id,
                session.name,
                session.spec.cluster,
                session.state,
                session.version,
                codec.dump_session(session),
                session.created,
                _ended(session, at),
            ),
        )

    def _update_session(self, session: Session, at: float) -> None:
        changed = self._db.execute(
            "UPDATE session SET name = ?, state = ?, version = ?, doc = ?, ended = ? WHERE id = ? AND version = ?",
            (
                session.name,
                session.state,
                session.version,
                codec.dump_session(session),
                _ended(session, at),
                session.id,
                session.version - 1,
            ),
        )
        if changed.rowcount != 1:
            raise Bug(f"version {session.version} of session {session.id} does not follow the one that is stored")

    def _keep_spec(self, session: Session) -> None:
        """Write the launch specification where it is not the one already stored, which it is after a session's first
        step. It is the heaviest part, and comparing objects saves turning it into text."""
        spec = session.spec
        if self._specs.get(session.id) is spec:
            return
        digest, doc = codec.dump_service(spec.service)
        self._db.execute("INSERT OR IGNORE INTO service (digest, doc) VALUES (?, ?)", (digest, doc))
        self._db.execute(
            "INSERT OR REPLACE INTO launch (session, service, doc) VALUES (?, ?, ?)",
            (session.id, digest, codec.dump_launch(spec)),
        )

    def _insert_record(self, record: Record) -> int:
        doc = codec.dump_record(record.event, record.actions)
        row = self._db.execute(
            "INSERT INTO record (session, version, at, event, before, after, doc) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                record.session,
                record.version,
                record.at,
                type(record.event).__name__,
                record.before,
                record.after,
                doc,
            ),
        )
        return row.lastrowid or 0

    def _close_action(self, action: ActionId, phase: ActionPhase, at: float) -> None:
        changed = self._db.execute(
            "UPDATE action SET phase = ?, finished = ? WHERE id = ? AND phase IN (?, ?)",
            (phase, at, action, ActionPhase.INTENDED, ActionPhase.STARTED),
        )
        if changed.rowcount != 1:
            raise Bug(f"action {action} is {phase} but is not open in the journal")

    # Reading.

    def _is_taken(self, name: str) -> bool:
        found = self._db.execute("SELECT 1 FROM session WHERE name = ? AND ended IS NULL", (name,)).fetchone()
        return found is not None

    def _load_specs(self) -> dict[SessionId, LaunchSpec]:
        """The launch specifications; sessions of one service share its folder in memory, too."""
        services: dict[str, ServiceSpec] = {}
        for digest, doc in self._db.execute("SELECT digest, doc FROM service"):
            with self._naming(f"service {digest[:12]}"):
                services[digest] = codec.load_service(doc)
        specs: dict[SessionId, LaunchSpec] = {}
        for session, digest, doc in self._db.execute("SELECT session, service, doc FROM launch"):
            with self._naming(f"session {session}"):
                specs[session] = codec.load_launch(doc, services[digest])
        return specs

    def _load_sessions(self, specs: Mapping[SessionId, LaunchSpec]) -> tuple[Session, ...]:
        found: list[Session] = []
        for session, doc in self._db.execute("SELECT id, doc FROM session ORDER BY created, id"):
            with self._naming(f"session {session}"):
                found.append(codec.load_session(doc, specs[session]))
        return tuple(found)

    def _load_actions(self) -> Iterator[OpenAction]:
        rows = self._db.execute(
            "SELECT id, session, doc, phase, at, started FROM action WHERE phase IN (?, ?) ORDER BY seq",
            (ActionPhase.INTENDED, ActionPhase.STARTED),
        )
        for action, session, doc, phase, at, started in rows:
            with self._naming(f"action {action}"):
                todo = codec.load_action(doc)
            yield OpenAction(id=action, session=session, action=todo, phase=ActionPhase(phase), at=at, started=started)

    def _stored_record(
        self, seq: int, session: str, version: int, at: float, before: str | None, after: str, doc: str
    ) -> StoredRecord:
        with self._naming(f"record {seq}"):
            event, actions = codec.load_record(doc)
            record = Record(
                session=SessionId(session),
                version=version,
                at=at,
                event=event,
                before=None if before is None else State(before),
                after=State(after),
                actions=actions,
            )
        return StoredRecord(seq=seq, record=record)

    @contextmanager
    def _naming(self, what: str) -> Iterator[None]:
        """Say which row of which file an unreadable document is in."""
        try:
            yield
        except (codec.BadDocument, KeyError, ValueError) as error:
            raise StateError(
                f"{what} in {self._path} cannot be read: {error}",
                hint="keep the file and report this; SESSIOND_STATE_DIR can name another folder meanwhile",
            ) from error


def _ended(session: Session, at: float) -> float | None:
    if session.live:
        return None
    return at if session.ended_at is None else session.ended_at
