"""Opening the state database: everything that can be wrong with a file is found before anything in it is touched."""

from __future__ import annotations

import os
import sqlite3
import struct
from pathlib import Path

from sessiond.core.errors import StateError, StateFull
from sessiond.store import schema
from sessiond.store.place import ELSEWHERE, MOUNTINFO, is_shared, private_dir

NAME = "state.db"
_PATIENCE_S = 0.5
"""How long a writer waits for a person who looks into the file with another program. The daemon stands still then."""

_MAGIC = b"SQLite format 3\0"
_HEADER = 100
_USER_VERSION_AT = 60
"""Where the header holds user_version, big-endian (https://www.sqlite.org/fileformat.html, 1.3)."""

_NOT_NOW = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,  # also what a quota or a file size limit looks like: SQLite knows ENOSPC only as full
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
    }
)


_KEEP = "keep the file; move it away to start without the sessions it holds, or restore it from a backup"
_MAKE_ROOM = "see that its disk has room, that its folder can be written to, and that nothing else has the file open"


def explained(path: Path, error: sqlite3.Error) -> StateError:
    """The error of a database in use, in our words: StateFull where waiting or making room can help."""
    if _is_passing(error):
        return StateFull(
            f"{path} cannot be written just now: {error}",
            hint=f"nothing was lost; {_MAKE_ROOM}",
        )
    return StateError(f"{path} cannot be used: {error}", hint=_KEEP)


def _is_passing(error: sqlite3.Error) -> bool:
    """Whether the error says nothing against the file itself."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _NOT_NOW


def open_database(state_dir: Path, mountinfo: Path = MOUNTINFO) -> sqlite3.Connection:
    """Open ``state.db`` in ``state_dir``, at the newest schema; both are made where they are missing.

    Raises StateError for a folder or a file that cannot be used. A file with contents that are not ours, damaged, or
    newer than we know stays as it is, to the byte. What a crash left beside it is finished first only where SQLite
    cannot look into the file otherwise: a log on a shared file system, a rollback journal anywhere.
    """
    state_dir = state_dir.absolute()
    private_dir(state_dir)
    path = state_dir / NAME
    shared = is_shared(state_dir, mountinfo)
    _examine_bytes(path)
    # Only an owner can read past a write that a crash cut short, or on a shared file system.
    as_owner = shared or _beside(path, "journal")
    try:
        if not as_owner:
            _examine_read_only(path)
        # SQLite gives the files beside it the mode of this one.
        path.chmod(0o600)
        db = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=_PATIENCE_S)
    except sqlite3.Error as error:
        raise _unusable(path, error) from error
    except OSError as error:
        raise StateError(f"{path} cannot be made private: {error.strerror}", hint=ELSEWHERE) from error
    try:
        if shared:
            # Before the log is first touched: its index is then kept in our own memory.
            db.execute("PRAGMA locking_mode = EXCLUSIVE").fetchone()
        if as_owner:
            _examine(db, path)
        _prepare(db)
    except sqlite3.Error as error:
        db.close()
        raise _unusable(path, error) from error
    except StateError:
        db.close()
        raise
    return db


def _unusable(path: Path, error: sqlite3.Error) -> StateError:
    return StateError(f"{path} cannot be opened: {error}", hint=_MAKE_ROOM if _is_passing(error) else _KEEP)


def _examine_bytes(path: Path) -> None:
    """Make the file where it is missing, and look at its header without SQLite, which may write to what it opens."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            header = os.pread(descriptor, _HEADER, 0)
            logged = _beside(path, "wal")
            if not header and not logged:
                # A new one; a umask may have closed it to ourselves.
                os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StateError(f"{path} cannot be opened: {error.strerror}", hint=ELSEWHERE) from error
    if not header and logged:
        # SQLite would take the log for a leftover and delete the only copy of what is in it.
        raise StateError(f"{path} is empty but its log {NAME}-wal is not: the file was cut off", hint=_KEEP)
    if header and (len(header) < _HEADER or not header.startswith(_MAGIC)):
        raise StateError(f"{path} is not a state file of sessiond: it is no SQLite database", hint=_KEEP)
    if header:
        _refuse_newer(path, struct.unpack_from(">I", header, _USER_VERSION_AT)[0])


def _beside(path: Path, suffix: str) -> bool:
    """Whether SQLite's ``-wal`` or ``-journal`` file of ``path`` has something in it."""
    companion = path.with_name(f"{path.name}-{suffix}")
    return companion.exists() and companion.stat().st_size > 0


def _examine_read_only(path: Path) -> None:
    """Look at the contents through a connection that cannot write, so that a log left by a crash stays as well."""
    db = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=_PATIENCE_S)
    try:
        _examine(db, path)
    finally:
        db.close()


def _examine(db: sqlite3.Connection, path: Path) -> None:
    found = schema.user_version(db)
    _refuse_newer(path, found)
    ours = db.execute("PRAGMA application_id").fetchone()[0] == schema.APPLICATION_ID
    empty = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if not ours and not (found == 0 and empty):
        raise StateError(f"{path} is not a state file of sessiond: another program made it", hint=_KEEP)
    verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise StateError(f"{path} is damaged: {' '.join(str(verdict).split())}", hint=_KEEP)


def _refuse_newer(path: Path, found: int) -> None:
    if found > schema.VERSION:
        raise StateError(
            f"{path} was written by a newer sessiond (format {found}; this one knows {schema.VERSION})",
            hint="start the newer sessiond, or set SESSIOND_STATE_DIR to another folder",
        )


def _prepare(db: sqlite3.Connection) -> None:
    # A file system on which the log cannot work leaves the rollback journal in force, which is as safe, but slower.
    db.execute("PRAGMA journal_mode = WAL").fetchone()
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA foreign_keys = ON")
    schema.migrate(db)
