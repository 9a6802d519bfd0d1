"""Opening the state file: made private, refused when it is not ours or damaged, and then left as it was."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sessiond.core import machine
from sessiond.core.errors import StateError
from sessiond.store import schema
from sessiond.store.place import is_shared
from sessiond.store.store import Store

from .samples import child, life, session

DATA = Path(__file__).parent / "data"


def mode(path: Path) -> int:
    """The permission bits of a path."""
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """Files are made under this mask meanwhile."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def ordinary_user() -> Iterator[Path]:
    """Be nobody where we are root, whom no mode stops; gives a folder of that user's own."""
    folder = Path(tempfile.mkdtemp(prefix="sessiond-test-"))
    root = os.geteuid() == 0
    try:
        if root:
            os.chown(folder, 65534, 65534)
            os.seteuid(65534)
        yield folder
    finally:
        if root:
            os.seteuid(0)
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o700)
        shutil.rmtree(folder)


@pytest.mark.parametrize("mask", [0, 0o777])
def test_only_the_user_sees_it(tmp_path: Path, mask: int) -> None:
    """Folders 0700 and files 0600, whatever the umask is; also those that SQLite puts beside the file."""
    folder = tmp_path / "a" / "b"
    with umask(mask):
        store = Store.open(folder)
        store.commit(machine.create(session()), at=1.0)
        modes = {path.name: mode(path) for path in folder.iterdir()}
        store.close()
    assert modes == {"state.db": 0o600, "state.db-wal": 0o600, "state.db-shm": 0o600}
    assert (mode(folder), mode(folder.parent)) == (0o700, 0o700)


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    """A mode changed since is put right; a folder that the user made keeps the mode they gave it."""
    Store.open(tmp_path).close()
    (tmp_path / "state.db").chmod(0o644)
    tmp_path.chmod(0o755)
    Store.open(tmp_path).close()
    assert (mode(tmp_path / "state.db"), mode(tmp_path)) == (0o600, 0o755)


def test_settings(tmp_path: Path) -> None:
    """A commit is on the disk when it returns, and references are enforced."""
    store = Store.open(tmp_path)
    db = store._db
    settings = {name: db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")}
    assert settings == {"journal_mode": "wal", "synchronous": 2}
    assert db.execute("PRAGMA foreign_keys").fetchone() == (1,)
    with pytest.raises(sqlite3.IntegrityError):
        db.execute("INSERT INTO launch VALUES ('nobody', 'nothing', '{}')")
    store.close()


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO fact VALUES ('k', x'00')",
        "INSERT INTO fact VALUES (NULL, 'v')",
        "INSERT INTO counter VALUES ('n', 'many')",
        "INSERT INTO session VALUES ('i', 'n', 'c', 's', 'first', '{}', 1.0, NULL)",
        "INSERT INTO session VALUES ('i', 'n', 'c', 's', 1, '{}', 'now', NULL)",
    ],
)
def test_columns_hold_what_they_say(tmp_path: Path, statement: str) -> None:
    """A value of another type is refused by the file itself."""
    store = Store.open(tmp_path)
    with pytest.raises(sqlite3.IntegrityError):
        store._db.execute(statement)
    store.close()


def test_an_empty_file_is_a_new_one(tmp_path: Path) -> None:
    """Version 0: nothing at all, as a crash at the first start leaves it, or a database without tables."""
    for name in ("nothing", "bare"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "state.db").touch()
    with sqlite3.connect(tmp_path / "bare" / "state.db") as bare:
        bare.execute("CREATE TABLE t (x)")
        bare.execute("DROP TABLE t")
    bare.close()
    for name in ("nothing", "bare"):
        store = Store.open(tmp_path / name)
        store.commit(machine.create(session()), at=1.0)
        assert store.load().sessions == (session(),)
        assert schema.user_version(store._db) == schema.VERSION
        store.close()


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All steps or none: the file is as it was, and opens once the step can be taken."""

    def breaks(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE half (x)")
        db.execute("CREATE TABLE half (x)")

    Store.open(tmp_path).close()
    before = (tmp_path / "state.db").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, breaks))
        patch.setattr(schema, "VERSION", schema.VERSION + 1)
        with pytest.raises(StateError, match="cannot be opened: table half already exists"):
            Store.open(tmp_path)
    assert (tmp_path / "state.db").read_bytes() == before
    Store.open(tmp_path).close()


def garbage(path: Path) -> None:
    """Something else altogether."""
    path.write_bytes(b"The quick brown fox jumps over the lazy dog.\n" * 100)


def short(path: Path) -> None:
    """A file that ends within its header."""
    path.write_bytes(b"SQLite format 3\0")


def truncated(path: Path) -> None:
    """A state file cut off in the middle."""
    whole = (DATA / "schema-1.db").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def damaged(path: Path) -> None:
    """A state file whose later pages are noise."""
    whole = (DATA / "schema-1.db").read_bytes()
    path.write_bytes(whole[:8192] + b"\xa5" * (len(whole) - 8192))


def miscounted(path: Path) -> None:
    """A state file that reads well but contradicts itself: its header tells of free pages that there are not."""
    whole = bytearray((DATA / "schema-1.db").read_bytes())
    whole[36:40] = (5).to_bytes(4, "big")
    path.write_bytes(whole)


def foreign(path: Path) -> None:
    """Another program's database."""
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE bookmarks (url)")
    db.close()


def foreign_with_version(path: Path) -> None:
    """Another program's database that counts its versions as we do."""
    foreign(path)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 1")
    db.close()


def newer(path: Path) -> None:
    """A state file of the next schema."""
    shutil.copyfile(DATA / "schema-1.db", path)
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    db.close()


def newer_in_the_log(path: Path) -> None:
    """A state file of the next schema whose change is still in the log of a daemon that was killed."""
    made = path.with_name("made")
    shutil.copyfile(DATA / "schema-1.db", made)
    db = sqlite3.connect(made, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL").fetchone()
    db.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    shutil.copyfile(made, path)
    shutil.copyfile(made.with_name("made-wal"), path.with_name("state.db-wal"))
    db.close()
    made.unlink()


def cut_to_nothing(path: Path) -> None:
    """A state file that lost its contents while its log has some."""
    newer_in_the_log(path)
    path.write_bytes(b"")


MOUNTS = {"local": b"1 0 0:1 / / rw - ext4 /dev/vda rw\n", "shared": b"1 0 0:1 / / rw - nfs4 home:/export rw\n"}


@pytest.mark.parametrize("disk", ["local", "shared"])
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (garbage, "is not a state file of sessiond: it is no SQLite database"),
        (short, "is not a state file of sessiond: it is no SQLite database"),
        (truncated, "malformed|is damaged"),
        (damaged, "malformed|is damaged|encrypted"),
        (miscounted, "is damaged: "),
        (foreign, "is not a state file of sessiond: another program made it"),
        (foreign_with_version, "is not a state file of sessiond: another program made it"),
        (newer, "was written by a newer sessiond"),
        (newer_in_the_log, "was written by a newer sessiond"),
        (cut_to_nothing, "is empty but its log state.db-wal is not"),
    ],
)
def test_refused_and_left_alone(tmp_path: Path, make: object, words: str, disk: str) -> None:
    """One sentence with the file's name, a hint, and afterwards every byte where it was."""
    assert callable(make)
    mounts = tmp_path / "mountinfo"
    mounts.write_bytes(MOUNTS[disk])
    folder = tmp_path / "state"
    folder.mkdir()
    path = folder / "state.db"
    make(path)
    path.chmod(0o640)
    before = {each.name: each.read_bytes() for each in folder.iterdir()}
    with pytest.raises(StateError, match=words) as caught:
        Store.open(folder, mountinfo=mounts)
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint
    if disk == "local":
        assert mode(path) == 0o640
    elif make is newer_in_the_log:
        # There SQLite cannot look into a crash's log without merging it, which loses nothing of it.
        return
    assert {name: (folder / name).read_bytes() for name in before} == before


def test_a_folder_that_is_read_only() -> None:
    """Nothing can be kept there: refused, with or without a state file in it."""
    with ordinary_user() as folder:
        for name in ("new", "used"):
            (folder / name).mkdir()
        Store.open(folder / "used").close()
        for name in ("new", "used"):
            (folder / name).chmod(0o500)
            with pytest.raises(StateError, match=f"the state folder {folder / name} cannot be written to") as caught:
                Store.open(folder / name)
            assert "SESSIOND_STATE_DIR" in caught.value.hint
        with pytest.raises(StateError, match="cannot be made: Permission denied"):
            Store.open(folder / "new" / "deeper")


def test_a_file_that_is_read_only() -> None:
    """A state file that its owner may not write to is refused when it is opened, not at the first commit."""
    with ordinary_user() as folder:
        Store.open(folder).close()
        (folder / "state.db").chmod(0o400)
        with pytest.raises(StateError, match=r"state.db cannot be opened: Permission denied"):
            Store.open(folder)


def test_a_write_that_was_cut_short(tmp_path: Path) -> None:
    """A rollback journal left by a crash, as where the log cannot work, is rolled back and the file used."""
    made, path = tmp_path / "made", tmp_path / "state.db"
    shutil.copyfile(DATA / "schema-1.db", made)
    db = sqlite3.connect(made, isolation_level=None)
    db.execute("PRAGMA journal_mode = DELETE").fetchone()
    db.execute("PRAGMA cache_size = 1")
    db.execute("BEGIN")
    db.execute("DELETE FROM session")
    db.execute("INSERT INTO fact VALUES ('half', hex(zeroblob(100000)))")
    shutil.copyfile(made, path)
    shutil.copyfile(tmp_path / "made-journal", tmp_path / "state.db-journal")
    db.close()
    store = Store.open(tmp_path)
    assert len(store.load().sessions) == 3
    assert store.fact("half") is None
    store.close()


def test_places_that_are_no_folder(tmp_path: Path) -> None:
    """A file where the folder should be, and a folder where the file should be."""
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StateError, match="cannot be made"):
            Store.open(place)
    (tmp_path / "state.db").mkdir()
    with pytest.raises(StateError, match="cannot be opened: Is a directory"):
        Store.open(tmp_path)


def test_odd_names(tmp_path: Path) -> None:
    """A folder's name may hold what means something in a URI."""
    folder = tmp_path / "a?b#c%41 ü\udce9"
    store = Store.open(folder)
    store.commit(machine.create(session()), at=1.0)
    store.close()
    assert [path.name for path in folder.iterdir()] == ["state.db"]


def test_on_a_shared_file_system(tmp_path: Path) -> None:
    """No shared memory there: one connection has the file to itself, and a killed one leaves nothing locked."""
    mounts = tmp_path / "mountinfo"
    mounts.write_bytes(MOUNTS["shared"])
    folder = tmp_path / "state"
    process = child("run_life", str(folder), str(mounts), env={"SESSIOND_FAILPOINT": "commit.after:3"})
    process.communicate(timeout=60)
    store = Store.open(folder, mountinfo=mounts)
    assert [one.state.value for one in store.load().sessions] == ["wait-for-node"]
    store.set_fact("a", "b")
    assert not (folder / "state.db-shm").exists()
    other = sqlite3.connect(folder / "state.db", timeout=0)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("SELECT * FROM fact")
    other.close()
    store.close()
    store = Store.open(folder, mountinfo=mounts)
    assert store.fact("a") == "b"
    store.close()
    fresh = Store.open(tmp_path / "fresh", mountinfo=mounts)
    for call in life():
        call(fresh)
    fresh.close()


@pytest.mark.parametrize(
    ("path", "shared"),
    [
        ("/var/lib/x", False),
        ("/home/ada/x", True),
        ("/home", True),
        ("/homes/ada", False),
        ("/home/local disk/x", False),
        ("/scratch/x", True),
        ("/media/phone", True),
        ("/covered/x", False),
    ],
)
def test_kinds_of_file_systems(tmp_path: Path, path: str, shared: bool) -> None:
    """The mount that holds a path is the deepest one, and of two at one place the later."""
    mounts = tmp_path / "mountinfo"
    mounts.write_bytes(
        b"22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
        b"30 22 0:40 / /home rw,relatime shared:2 master:3 - nfs4 server:/export/home rw,vers=4.2\n"
        b"31 30 254:1 / /home/local\\040disk rw - xfs /dev/vdb rw\n"
        b"32 22 0:41 / /scratch rw - lustre 10.0.0.1@tcp:/scratch rw\n"
        b"33 22 0:42 / /media/phone rw - fuse.sshfs phone:/ rw\n"
        b"34 22 0:43 / /covered rw - nfs a:/b rw\n"
        b"35 34 0:44 / /covered rw - tmpfs none rw\n"
        b"a line of another kernel\n"
    )
    assert shared == is_shared(Path(path), mounts)


def test_no_list_of_mounts(tmp_path: Path) -> None:
    """Where the mounts cannot be seen, the disk is taken for a local one."""
    assert not is_shared(tmp_path, tmp_path / "missing")
