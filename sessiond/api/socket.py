"""The control socket: where it is made, and who may speak through it."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

from sessiond.core.errors import Conflict, Refused, StateError
from sessiond.paths import SOCKET_PATH_LIMIT


def check_length(path: Path) -> None:
    """Raises Refused for a path that no Unix socket can have."""
    length = len(os.fsencode(path))
    if length > SOCKET_PATH_LIMIT:
        raise Refused(
            f"the socket path is too long: {length} bytes, and a Unix socket's may have {SOCKET_PATH_LIMIT} ({path})",
            hint="set SESSIOND_SOCKET to a shorter path",
        )


@contextlib.contextmanager
def control_socket(path: Path) -> Iterator[socket.socket]:
    """A listening socket at ``path``, 0600 in a folder of mode 0700 (made if missing), removed afterwards.

    A socket file that nobody answers behind is replaced. Raises Conflict where somebody does, StateError where the
    folder cannot be used.
    """
    check_length(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            _private_folder(path.parent)
            _clear_stale(path)
            before = os.umask(0o177)
            try:
                listener.bind(str(path))
            finally:
                os.umask(before)
        except OSError as error:
            raise StateError(
                f"the control socket {path} cannot be made: {error.strerror or error}",
                hint="set SESSIOND_SOCKET to a path in a folder of your own",
            ) from error
        listener.listen(128)
        inode = path.stat().st_ino
        try:
            yield listener
        finally:
            # Not if another daemon has put its own in place meanwhile.
            with contextlib.suppress(OSError):
                if path.stat().st_ino == inode:
                    path.unlink()
    finally:
        listener.close()


def _private_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    if found.st_uid == os.geteuid() and folder.name in ("sessiond", "run"):
        folder.chmod(0o700)


def _clear_stale(path: Path) -> None:
    """Remove a socket file that a dead daemon left. Raises Conflict where a live one answers."""
    if not path.is_socket():
        if path.exists():
            raise Conflict(f"{path} exists and is not a socket", hint="remove it, or set SESSIOND_SOCKET")
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        trial.settimeout(2)
        try:
            trial.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
        except OSError as error:
            raise Conflict(
                f"{path} is in use and does not answer ({error})", hint="end the sessiond behind it"
            ) from error
        else:
            raise Conflict(
                f"another sessiond already answers at {path}", hint="use it, or set SESSIOND_SOCKET for this one"
            )


def peer_uid(connection: socket.socket) -> int:
    """The user id of the process at the other end of a Unix socket (SO_PEERCRED, unix(7))."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])
