"""This machine as a place where commands run and services listen."""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path

import anyio
import anyio.to_thread
from anyio.abc import ByteStream, SocketAttribute, SocketStream, UNIXSocketStream

from sessiond.core.command import Command, Completed
from sessiond.core.errors import AnswerLost, NotSent, Unreadable
from sessiond.core.session import Endpoint
from sessiond.remote.child import Child, spawn
from sessiond.remote.outward import CONNECT_TIMEOUT_S, open_tcp, reason
from sessiond.remote.peer import owner_of_listener

OUTPUT_LIMIT = 4 * 1024 * 1024
"""The most bytes a command may write to either of its outputs; more is no answer to anything we ask."""
_QUEUE_PAUSE_S = 0.05

_OURS_ALONE = frozenset({"NOTIFY_SOCKET", "SESSIOND_TAG", "SESSIOND_RUN"})
_OURS_ALONE_PREFIXES = ("LISTEN_", "WATCHDOG_", "SESSIOND_FAILPOINT")
_ROOT = 0
_SOCKET_REASONS = {
    errno.ENOENT: "there is no such socket",
    errno.ENOTDIR: "there is no such socket",
    errno.ECONNREFUSED: "nothing listens on it",
    errno.EACCES: "permission denied",
    errno.EPROTOTYPE: "not a stream socket",
}
_CREDENTIALS = struct.Struct("3i")


def child_environment(env: Mapping[str, str]) -> dict[str, str]:
    """``env`` without what is said to the daemon alone: its supervisor's sockets and watchdog, its identity marks."""
    return {
        name: value
        for name, value in env.items()
        if name not in _OURS_ALONE and not name.startswith(_OURS_ALONE_PREFIXES)
    }


class Local:
    """The transport to this machine (`sessiond.remote.transport.Transport`).

    Commands run in the user's home directory, as they would over SSH, with ``env`` (the daemon's own if None). Where
    ``open_files`` is given, shells and what they start may have so many files open, whatever the daemon may.
    """

    def __init__(
        self,
        *,
        env: Mapping[str, str] | None = None,
        output_limit: int = OUTPUT_LIMIT,
        open_files: int | None = None,
    ) -> None:
        self._env = child_environment(os.environ if env is None else env)
        self._output_limit = output_limit
        self._open_files = open_files
        self._undead: list[Child] = []

    async def run(self, command: Command) -> Completed:
        """Run ``command`` in its own process group and wait for it.

        Raises NotSent where it could not be started, AnswerLost after its deadline, Unreadable where it wrote more
        than the limit; in the last two cases and on cancellation the whole group is ended first, SIGTERM before
        SIGKILL, within `sessiond.remote.child.TERM_GRACE_S` and `KILL_WAIT_S`. What the command put into other
        groups is left alone, and so is everything it left behind when it ended in time.
        """
        self._undead = [child for child in self._undead if not child.gone()]
        began = anyio.current_time()
        child = spawn(
            self._limited(command.argv),
            feed=bool(command.stdin),
            env=self._env,
            cwd=self._home(),
            limit=self._output_limit,
        )
        in_time = False
        try:
            with anyio.move_on_after(command.timeout_s):
                await child.converse(command.stdin)
            in_time = child.rc is not None
        finally:
            if child.rc is None:
                with anyio.CancelScope(shield=True):
                    if not await child.end():
                        self._undead.append(child)
            child.close()
        took_s = anyio.current_time() - began
        name = Path(command.argv[0]).name
        if child.too_much:
            raise Unreadable(f"{name} wrote more than {self._output_limit} bytes and was ended")
        if child.rc is None or not in_time:
            raise AnswerLost(f"{name} did not finish within {command.timeout_s:g} s and was ended")
        if child.lost:
            raise AnswerLost(f"the exit status of {name} was lost")
        return Completed(rc=child.rc, stdout=child.stdout, stderr=child.stderr, took_s=took_s)

    async def connect(self, endpoint: Endpoint) -> ByteStream:
        """Open a stream to ``endpoint``: to its Unix socket if it has one, else to its port.

        Raises NotSent where nothing accepts it, and where what accepts it on this machine belongs to another user
        than us or root: a port is free for all once its service has ended, and so is a name in /tmp.
        """
        if endpoint.path:
            return await _connect_unix(endpoint.path)
        stream = await open_tcp(endpoint.host, endpoint.port)
        trusted = False
        try:
            await self._check_listener(stream)
            trusted = True
        finally:
            if not trusted:
                with anyio.CancelScope(shield=True):
                    await stream.aclose()
        return stream

    async def read(self, path: str, offset: int, limit: int) -> bytes:
        """Up to ``limit`` bytes of the regular file at ``path`` (relative: to the home directory) from ``offset``.

        Raises NotSent where it exists but cannot be read.
        """
        target = self._home() / path
        try:
            return await anyio.to_thread.run_sync(_read, target, offset, limit, abandon_on_cancel=True)
        except (FileNotFoundError, NotADirectoryError):
            return b""
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            raise NotSent(f"{path} cannot be read: {reason or error}") from error

    async def size(self, path: str) -> int:
        """How many bytes the file at ``path`` has now. Raises NotSent where that cannot be asked."""
        try:
            return (await anyio.Path(self._home() / path).stat()).st_size
        except (FileNotFoundError, NotADirectoryError):
            return 0
        except OSError as error:
            raise NotSent(f"{path} cannot be read: {error.strerror or error}") from error
        except ValueError as error:
            raise NotSent(f"{path} cannot be read: {error}") from error

    def _limited(self, argv: tuple[str, ...]) -> tuple[str, ...]:
        if self._open_files is None or argv[0] != "sh":
            return argv
        return ("sh", "-c", 'ulimit -S -n "$0"; exec "$@"', str(self._open_files), *argv)

    def _home(self) -> Path:
        home = Path(self._env.get("HOME") or "/")
        return home if home.is_absolute() and os.access(home, os.X_OK) and home.is_dir() else Path("/")

    async def _check_listener(self, stream: SocketStream) -> None:
        host, port = _address(stream.extra_attributes[SocketAttribute.remote_address]())
        ours, _ = _address(stream.extra_attributes[SocketAttribute.local_address]())
        # The kernel takes the destination as the source address where the destination is this machine.
        if not ip_address(host).is_loopback and host != ours:
            return
        owner = await owner_of_listener(host, port)
        if owner is None:
            raise NotSent(f"port {port} is held by no program that could be found")
        if owner not in (os.geteuid(), _ROOT):
            raise NotSent(f"port {port} is now held by another user's process")


async def _connect_unix(path: str) -> UNIXSocketStream:
    if not path.startswith("/"):
        raise NotSent(f"{path}: not the absolute path of a socket")
    near = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    stream: UNIXSocketStream | None = None
    try:
        with anyio.fail_after(CONNECT_TIMEOUT_S):
            await _enter(near, path)
            _check_owner(near, path)
            stream = await UNIXSocketStream.from_socket(near)
    except TimeoutError:
        raise NotSent(f"{path} did not answer within {CONNECT_TIMEOUT_S:g} s") from None
    except (OSError, ValueError) as error:
        raise NotSent(f"{path}: {reason(error, _SOCKET_REASONS)}") from error
    finally:
        if stream is None:
            near.close()
    return stream


async def _enter(near: socket.socket, path: str) -> None:
    """Connect, which never takes time: a listener whose queue is full says so at once (unix(7)), and nothing tells when
    it has room again; waiting for the socket to become writable, as for TCP, would only keep the processor busy."""
    while True:
        try:
            near.connect(path)
        except BlockingIOError:
            await anyio.sleep(_QUEUE_PAUSE_S)
        else:
            return


def _check_owner(near: socket.socket, path: str) -> None:
    """Raise NotSent unless whoever began to listen there was us or root, by the kernel's word (unix(7))."""
    _pid, uid, _gid = _CREDENTIALS.unpack(near.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    if uid not in (os.geteuid(), _ROOT):
        raise NotSent(f"the socket {path} is held by another user's process")


def _address(raw: object) -> tuple[str, int]:
    match raw:
        case (str(host), int(port)):
            return host.partition("%")[0], port
        case _:
            raise NotSent("the connection was closed at once")


def _read(path: Path, offset: int, limit: int) -> bytes:
    # Without O_NONBLOCK a FIFO at this path would hold the thread for ever.
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        file.seek(max(found.st_size + offset, 0) if offset < 0 else offset)
        return file.read(max(limit, 0))
