"""One child process in a process group of its own, from its start to the last of its file descriptors.

It is built on `subprocess.Popen` and the readiness of file descriptors instead of an event loop's own process
support, because three things must be certain here that those do not offer together: no cancellation point between
the start of the process and the moment somebody is responsible for it; an exit that is noticed although a detached
grandchild keeps the pipes open; and a group that is only signalled while its leader is not yet reaped, so that a
reused process id is never hit.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import anyio
from anyio.lowlevel import checkpoint

from sessiond.core.errors import NotSent

TERM_GRACE_S = 2.0
"""How long a group may take to end by itself after SIGTERM."""
KILL_WAIT_S = 5.0
"""How long the end of a killed process is waited for: one in an uninterruptible call (a dead file server) stays."""
LATE_OUTPUT_S = 0.5
"""How long output is still taken after the command itself has ended, from whoever else holds its pipes."""

_CHUNK = 65536
_POLL_FIRST_S = 0.005
_POLL_LAST_S = 0.1


class Child:
    """A running command. Created by `spawn`; whoever holds it must call `end` (unless it exited) and `close`."""

    def __init__(self, process: subprocess.Popen[bytes], limit: int) -> None:
        self._process = process
        self._limit = limit
        self._out = bytearray()
        self._err = bytearray()
        self.too_much = False
        """Whether one of the outputs grew beyond the limit."""
        self.lost = False
        """Whether it ended and nobody knows how."""
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)

    @property
    def pid(self) -> int:
        """The process id, which is the id of its group and of its session too."""
        return self._process.pid

    @property
    def rc(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._process.returncode

    @property
    def stdout(self) -> bytes:
        """What it wrote to its standard output so far."""
        return bytes(self._out)

    @property
    def stderr(self) -> bytes:
        """What it wrote to its standard error so far."""
        return bytes(self._err)

    async def converse(self, stdin: bytes) -> None:
        """Feed ``stdin`` and collect both outputs until the command ends or writes too much (`too_much`)."""
        async with anyio.create_task_group() as whole:
            if self._process.stdin is not None:
                whole.start_soon(self._feed, stdin)
            async with anyio.create_task_group() as readers:
                for fd, into in self._outputs():
                    readers.start_soon(self._drain, fd, into, whole.cancel_scope)
                await self._exit()
                self._reap()
                readers.cancel_scope.deadline = anyio.current_time() + LATE_OUTPUT_S
            for fd, into in self._outputs():
                self._take(fd, into)
            whole.cancel_scope.cancel()

    async def end(self) -> bool:
        """End the whole group: SIGTERM, after `TERM_GRACE_S` SIGKILL. False where the process does not die."""
        if self.rc is not None:
            return True
        self._signal(signal.SIGTERM)
        with anyio.move_on_after(TERM_GRACE_S):
            await self._exit()
        self._signal(signal.SIGKILL)
        with anyio.move_on_after(KILL_WAIT_S):
            await self._exit()
            self._reap()
        return self.rc is not None

    def gone(self) -> bool:
        """Whether the process has ended by now; takes its exit status if it has."""
        return self._process.poll() is not None

    def close(self) -> None:
        """Close the pipes. May be called twice."""
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _outputs(self) -> list[tuple[int, bytearray]]:
        pairs = ((self._process.stdout, self._out), (self._process.stderr, self._err))
        return [(pipe.fileno(), into) for pipe, into in pairs if pipe is not None]

    def _signal(self, which: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, which)

    def _ended(self) -> bool:
        """Whether the leader has ended; it stays a zombie, so that its group's id cannot be reused yet."""
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            # Somebody ignores SIGCHLD: the kernel threw the status away, and Popen would report a success.
            self._process.returncode = -signal.SIGKILL
            self.lost = True
            return True

    async def _exit(self) -> None:
        """Return when the leader has ended."""
        if self._ended():
            return
        try:
            watched = os.pidfd_open(self.pid)
        except OSError:  # a kernel before 5.3 has none, and file descriptors run out
            await self._poll()
            return
        try:
            while not self._ended():
                await anyio.wait_readable(watched)
        finally:
            os.close(watched)

    async def _poll(self) -> None:
        pause = _POLL_FIRST_S
        while not self._ended():
            await anyio.sleep(pause)
            pause = min(pause * 2, _POLL_LAST_S)

    def _reap(self) -> None:
        self._process.wait()

    async def _feed(self, data: bytes) -> None:
        pipe = self._process.stdin
        if pipe is None:
            return
        left = memoryview(data)
        with suppress(BrokenPipeError):  # the command did not want to read it all
            while left:
                try:
                    left = left[os.write(pipe.fileno(), left[:_CHUNK]) :]
                except BlockingIOError:
                    await anyio.wait_writable(pipe.fileno())
                else:
                    await checkpoint()
        pipe.close()

    async def _drain(self, fd: int, into: bytearray, whole: anyio.CancelScope) -> None:
        while self._take(fd, into):
            if self.too_much:
                whole.cancel()
            await anyio.wait_readable(fd)

    def _take(self, fd: int, into: bytearray) -> bool:
        """Take what lies in the pipe now, up to the limit. False at its end."""
        while not self.too_much:
            try:
                chunk = os.read(fd, _CHUNK)
            except BlockingIOError:
                return True
            if not chunk:
                return False
            into += chunk
            self.too_much = len(into) > self._limit
        return True


def spawn(argv: Sequence[str], *, feed: bool, env: Mapping[str, str], cwd: Path, limit: int) -> Child:
    """Start ``argv`` in a new session and process group; with ``feed`` its stdin is a pipe, else empty.

    Raises NotSent where it could not be started: exec failed or there was no memory, process or file descriptor.
    """
    name = Path(argv[0]).name if argv else ""
    try:
        process = subprocess.Popen(
            list(argv),
            bufsize=0,
            stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=dict(env),
            start_new_session=True,
        )
    except OSError as error:
        raise NotSent(f"{name} could not be started: {error.strerror or error}") from error
    except (ValueError, IndexError) as error:  # no argv at all, a NUL or a lone surrogate in it
        raise NotSent(f"{name or 'a command'} could not be started: its arguments cannot be passed on") from error
    return Child(process, limit)
