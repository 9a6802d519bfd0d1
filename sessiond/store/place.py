"""The state folder as a place: made private, known to be writable, and on what kind of file system it lies."""

from __future__ import annotations

import os
import re
from pathlib import Path

from sessiond.core.errors import StateError

MOUNTINFO = Path("/proc/self/mountinfo")
"""The mounts this process sees (Linux, proc(5))."""

ELSEWHERE = "set SESSIOND_STATE_DIR to a folder of your own on a local disk"

_SHARED = frozenset(
    {"nfs", "nfs4", "lustre", "gpfs", "cifs", "smb3", "smbfs", "9p", "afs", "beegfs", "ceph", "panfs", "pvfs2"}
)
_ESCAPE = re.compile(rb"\\([0-7]{3})")


def private_dir(path: Path) -> None:
    """Make the folder ``path`` and what is missing above it, for the user alone whatever the umask is.

    A folder that exists keeps its mode: the files in it are private by themselves. Raises StateError where it
    cannot be made or written to.
    """
    missing = [path, *path.parents]
    try:
        for folder in reversed(missing[: next(i for i, p in enumerate(missing) if p.is_dir())]):
            folder.mkdir(mode=0o700, exist_ok=True)
            folder.chmod(0o700)
    except OSError as error:
        raise StateError(f"the state folder {path} cannot be made: {error.strerror}", hint=ELSEWHERE) from error
    if not os.access(path, os.W_OK | os.X_OK, effective_ids=True):
        raise StateError(f"the state folder {path} cannot be written to", hint=ELSEWHERE)


def is_shared(path: Path, mountinfo: Path = MOUNTINFO) -> bool:
    """Whether ``path`` lies on a file system that several machines share, or that cannot be told from one (FUSE).

    SQLite's write-ahead log keeps its index in memory that every process maps, which such file systems do not give.
    Without a readable ``mountinfo`` the answer is no.
    """
    try:
        mounts = mountinfo.read_bytes()
    except OSError:
        return False
    kind = _filesystem(os.fsencode(path.resolve()), mounts)
    return kind in _SHARED or kind.startswith("fuse")


def _filesystem(path: bytes, mounts: bytes) -> str:
    """The type of the file system that holds ``path``: of the longest mount point above it, the last one mounted."""
    longest, kind = b"", ""
    for line in mounts.splitlines():
        before, dash, after = line.partition(b" - ")
        fields, types = before.split(b" "), after.split(b" ")
        if not dash or len(fields) < 5:
            continue
        point = _ESCAPE.sub(lambda found: bytes([int(found[1], 8) & 255]), fields[4])
        inside = path == point or path.startswith(point.rstrip(b"/") + b"/")
        if inside and len(point) >= len(longest):
            longest, kind = point, types[0].decode("ascii", "replace")
    return kind
