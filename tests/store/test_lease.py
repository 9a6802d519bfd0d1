"""Two daemons never share a state folder, and a dead one never keeps it."""

from __future__ import annotations

import errno
import fcntl
from pathlib import Path

import pytest

from sessiond.core.errors import StateError
from sessiond.store.lease import Lease

from .samples import child


def test_a_second_process_is_told_who_has_it(tmp_path: Path) -> None:
    """While one process holds the lease, this one gets a sentence with its pid, and a hint."""
    with child("run_lease", str(tmp_path)) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "taken\n"
        with pytest.raises(StateError, match=rf"in use by another sessiond \(pid {holder.pid} on .+, since ") as caught:
            Lease.take(tmp_path)
        assert "SESSIOND_STATE_DIR" in caught.value.hint
        holder.communicate(timeout=60)
    Lease.take(tmp_path).release()


def test_kill_9_gives_it_back(tmp_path: Path) -> None:
    """The kernel releases the lease of a process that could not."""
    with child("run_lease", str(tmp_path)) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "taken\n"
        holder.kill()
        holder.wait(timeout=60)
    with Lease.take(tmp_path), child("run_lease", str(tmp_path)) as late:
        said, _ = late.communicate(timeout=60)
    assert f"state folder {tmp_path} is in use" in said


def test_release_twice_and_take_again(tmp_path: Path) -> None:
    """A lease can be given back more than once, and had again by the same process."""
    lease = Lease.take(tmp_path / "new" / "folder")
    lease.release()
    lease.release()
    with Lease.take(tmp_path / "new" / "folder"):
        assert (tmp_path / "new" / "folder").stat().st_mode & 0o777 == 0o700
        assert (tmp_path / "new" / "folder" / "lease").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("scrawl", [b"", b"\xff\xfe{", b'{"pid": "x"}', b'{"host": "h", "pid": 1, "since": 1e300}'])
def test_a_holder_that_left_no_name(tmp_path: Path, scrawl: bytes) -> None:
    """Whatever is written in the lease, the refusal is one sentence."""
    path = tmp_path / "lease"
    path.write_bytes(scrawl)
    with path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(StateError, match=r"is in use by another sessiond$"):
            Lease.take(tmp_path)
    assert path.read_bytes() == scrawl


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where flock(2) itself fails, the words say that and not that somebody else is there."""

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(StateError, match="does not lock files") as caught:
        Lease.take(tmp_path)
    assert "local disk" in caught.value.hint


def test_a_lease_that_is_no_file(tmp_path: Path) -> None:
    """A folder where the lease should be is refused."""
    (tmp_path / "lease").mkdir()
    with pytest.raises(StateError, match="cannot be opened"):
        Lease.take(tmp_path)
