"""The number of a bed: whatever a bed has on the machine is named after it, and one bed at a time has it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FIRST, LAST = 1, 99


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number that belongs to this process until `give_back`; the kernel gives it back when the process dies."""

    value: int
    lock: int
    path: Path

    @property
    def folder(self) -> Path | None:
        """The folder of the bed that has, or had, this number: what a killed process left can so be found."""
        text = os.pread(self.lock, 4096, 0).decode()
        return Path(text) if text else None

    def remember(self, folder: Path) -> None:
        """Write down where the bed with this number is."""
        os.ftruncate(self.lock, 0)
        os.pwrite(self.lock, str(folder).encode(), 0)

    def give_back(self) -> None:
        """Let others have it."""
        # removed while it is still locked: whoever opened it meanwhile sees that the name is gone and tries again
        self.path.unlink(missing_ok=True)
        os.close(self.lock)


def take() -> Number:
    """The lowest number that no living process has. Raises RuntimeError when all are taken."""
    for value in range(FIRST, LAST + 1):
        found = _try(value)
        if found is not None:
            return found
    raise RuntimeError(f"{LAST} clusters in network namespaces are up on this machine")


def abandoned() -> Iterator[Number]:
    """The numbers of beds whose process was killed, each taken, to be given back when nothing is left of the bed."""
    for value in range(FIRST, LAST + 1):
        if _path(value).exists() and (found := _try(value)) is not None:
            yield found


def _path(value: int) -> Path:
    # not in a folder for temporary files: those may differ between the processes that must see this one
    return Path(f"/run/sessiond-bed-{value}.lock")


def _try(value: int) -> Number | None:
    path = _path(value)
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        try:
            if os.fstat(lock).st_ino == path.stat().st_ino:
                return Number(value=value, lock=lock, path=path)
        except FileNotFoundError:
            pass
        os.close(lock)
