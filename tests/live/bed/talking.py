"""How far a command has come that talks to a server which does not answer."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path


def awaits_answer(pid: int) -> bool:
    """Whether a process sleeps with a connection open: where it has one alone, what it had to say it has said."""
    with contextlib.suppress(OSError):
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state == "S" and bool(_sockets(pid))
    return False


def has_unread(pid: int, port: int) -> bool:
    """Whether a server on a TCP port of its own host has not read yet what a process sent it."""
    with contextlib.suppress(OSError):
        rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
        mine = {_port(row[1]) for row in rows if row[9] in _sockets(pid) and _port(row[2]) == port}
        theirs = [row for row in rows if _port(row[1]) == port and _port(row[2]) in mine]
        return any(int(row[4].partition(":")[2], 16) > 0 for row in theirs)
    return False


def _sockets(pid: int) -> set[str]:
    """The inodes of a process's sockets, but for what it was started with: sshd gives commands sockets for pipes."""
    entries = [entry for entry in Path(f"/proc/{pid}/fd").iterdir() if int(entry.name) > 2]
    names = [str(entry.readlink()) for entry in entries]
    return {found[1] for name in names if (found := re.fullmatch(r"socket:\[(\d+)\]", name))}


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)
