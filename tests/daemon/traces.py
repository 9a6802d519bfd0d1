"""What sessions and daemons leave on a machine: processes with a mark, listeners, reservations of ports."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path


def until(condition: Callable[[], bool], what: str, limit_s: float = 20.0) -> None:
    """Wait for what the kernel and the shell have no event for. Fails with ``what`` when the time is over."""
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.02)


def marked(mark: str) -> list[str]:
    """The living processes with the variable ``mark`` (NAME=VALUE) in their environment, as ``PID COMMAND LINE``."""
    found: list[str] = []
    wanted = mark.encode()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal() or folder.name == str(os.getpid()):
            continue
        with contextlib.suppress(OSError):
            # a zombie's environment is empty
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                found.append(f"{folder.name} {command}")
    return found


def end_marked(mark: str) -> None:
    """SIGKILL to every process with ``mark``, until there is none."""

    def none_left() -> bool:
        found = marked(mark)
        for line in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(int(line.split()[0]), signal.SIGKILL)
        return not found

    until(none_left, f"processes with {mark} live on")


def listening() -> set[int]:
    """Every TCP port of this machine that somebody listens on."""
    found: set[int] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                found.add(int(fields[1].rpartition(":")[2], 16))
    return found


def reserved(folder: Path) -> list[Path]:
    """The reservations of ports that the session with the folder ``folder`` made and that are still there."""
    found: list[Path] = []
    with contextlib.suppress(OSError):
        for line in (folder / "ports").read_text().split():
            file = Path(f"/tmp/{line}.port.used")
            with contextlib.suppress(OSError):
                if f"sd-{folder.name}" in file.read_text():
                    found.append(file)
    return found


def is_orphan(reservation: Path) -> bool:
    """Whether the file reserves a port for a process that is gone: it begins with its pid and start time."""
    with contextlib.suppress(OSError, ValueError):
        pid, start, *_ = reservation.read_text().split()
        with contextlib.suppress(OSError):
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19] != start
        return True
    return False
