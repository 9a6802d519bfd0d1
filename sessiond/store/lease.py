"""One daemon a state folder: a lock that the kernel takes back when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from sessiond.core.errors import StateError
from sessiond.store.place import ELSEWHERE, private_dir

_NAME = "lease"
_LONGEST = 4096


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a lease, for the message to the next who wants it. ``since`` is UTC seconds."""

    host: str
    pid: int
    since: float


class Lease:
    """The right to use a state folder, held until `release` or the end of the process.

    The lock is ``flock(2)`` on ``<state folder>/lease``. The file stays: removing it would let two processes lock two
    files of the same name.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, state_dir: Path) -> Self:
        """Take the lease of ``state_dir``, which is made where it is missing.

        Raises StateError where another process has it, and where the file system knows no such locks.
        """
        private_dir(state_dir)
        path = state_dir / _NAME
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise StateError(f"{path} cannot be opened: {error.strerror}", hint=ELSEWHERE) from error
        try:
            _lock(descriptor, state_dir)
        except StateError:
            os.close(descriptor)
            raise
        _sign(descriptor)
        return cls(descriptor)

    def release(self) -> None:
        """Give the lease back; a second time does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.release()


def _lock(descriptor: int, state_dir: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StateError(
            f"the state folder {state_dir} is in use by another sessiond{_who(descriptor)}",
            hint="talk to that one with sessionctl, or set SESSIOND_STATE_DIR to another folder",
        ) from error
    except OSError as error:
        raise StateError(
            f"the file system of {state_dir} does not lock files ({error.strerror}), "
            "so two daemons could not be kept apart",
            hint=ELSEWHERE,
        ) from error


def _who(descriptor: int) -> str:
    """The holder in brackets; nothing where it has not signed yet, or what is there is no signature."""
    try:
        holder = msgspec.json.decode(os.pread(descriptor, _LONGEST, 0), type=Holder)
        since = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(holder.since))
    except (msgspec.MsgspecError, UnicodeDecodeError, OSError, OverflowError, ValueError):
        return ""
    return f" (pid {holder.pid} on {ascii(holder.host)[1:-1]}, since {since})"


def _sign(descriptor: int) -> None:
    holder = Holder(host=socket.gethostname(), pid=os.getpid(), since=time.time())
    # On a full disk the lock holds all the same; only the next one's message will not name us.
    with suppress(OSError):
        os.fchmod(descriptor, 0o600)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, msgspec.json.encode(holder), 0)
