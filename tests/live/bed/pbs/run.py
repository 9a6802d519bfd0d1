"""One run of a job on a node: its processes are a session; its output lies in the spool until its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from .deliver import Output, deliver
from .wire import Message

HOME = Path("/run/pbs")
_SIGNALED = 256
_WALLTIME = -29
_NO_START = -1


def members(session: int) -> list[int]:
    """The living processes of a session."""
    found: list[int] = []
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                fields = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == session and fields[0] not in "ZX":
                    found.append(int(entry.name))
    return found


async def _gone(pid: int) -> None:
    """Wait for the end of a process that is no child."""
    try:
        end = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    over, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(end, over.set)
    try:
        await over.wait()
    finally:
        loop.remove_reader(end)
        os.close(end)


class Run:
    """A job that was given to this node by ``order``; ``tell`` is called with it whenever it has something to say."""

    def __init__(self, order: Message, tell: Callable[[Run], None]) -> None:
        self.order = order
        self._tell = tell
        self._user = pwd.getpwnam(order["user"])
        self._loop = asyncio.get_running_loop()
        self._process: subprocess.Popen[bytes] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._phase = "starting"
        self._session = self._status = 0
        self._began = self._stopped_at = 0.0
        self._rested_s = self._used_s = 0.0
        self._limit_s: float = order["limit_s"]
        self._is_ending = self._has_exceeded = self._is_delivered = self._is_forgotten = False
        name = order["job"]
        self._script = HOME / "jobs" / f"{name}.SC"
        self._nodes = HOME / "aux" / name
        self._tmp = Path("/var/tmp") / f"pbs.{name}"
        joined = order["join"]
        self._out = Output("OU", order, self._user) if joined != "eo" else None
        self._err = Output("ER", order, self._user) if joined != "oe" else None

    def state(self) -> Message:
        """All that the server should know."""
        return {
            "job": self.order["job"],
            "run": self.order["run"],
            "phase": self._phase,
            "session": self._session,
            "home": self._user.pw_dir,
            "status": self._status,
            "used_s": self._used_s,
            "delivered": self._is_delivered,
        }

    def start(self) -> None:
        """Start it: the user's login shell, or the one of -S, is given the script's path on its standard input."""
        order = self.order
        try:
            if order["script"]:
                self._own(self._script, order["script"].encode(errors="surrogateescape"), 0o700)
            self._own(self._nodes, "".join(f"{node}\n" for node in order["nodes"]).encode(), 0o644)
            self._tmp.mkdir(mode=0o700, exist_ok=True)
            os.chown(self._tmp, self._user.pw_uid, self._user.pw_gid)
            self._spawn()
        except OSError:
            self._status, self._phase = _NO_START, "done"
            self._tell(self)
            return
        assert self._process is not None
        self._session = self._process.pid
        self._phase = "running"
        self._began = time.monotonic()
        end = os.pidfd_open(self._session)
        self._loop.add_reader(end, self._first_has_ended, end)
        self._watch()
        self._tell(self)

    def end(self) -> None:
        """TERM to all its processes, and KILL to those that outlive it for too long."""
        if self._phase != "running" or self._is_ending:
            return
        self._is_ending = True
        # what is stopped hears nothing else
        self._send(signal.SIGTERM)
        self._send(signal.SIGCONT)
        self._loop.call_later(self.order["kill_delay_s"], self._kill)

    def signal(self, name: str) -> None:
        """A signal to all its processes; ``suspend`` and ``resume`` stop and start its clock, too."""
        if name == "suspend":
            self._send(signal.SIGSTOP)
            self._stopped_at = time.monotonic()
        elif name == "resume":
            self._rested_s += time.monotonic() - self._stopped_at
            self._stopped_at = 0.0
            self._send(signal.SIGCONT)
            self._watch()
        else:
            self._send(signal.Signals[f"SIG{name.removeprefix('SIG')}"])

    def limit(self, limit_s: float) -> None:
        """Another walltime."""
        self._limit_s = limit_s
        self._watch()

    def forget(self) -> None:
        """The server knows all, or wants to know nothing more: nothing is left of it."""
        self._is_forgotten = True
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        self._kill()
        self._clean()

    # Inner parts.

    def _spawn(self) -> None:
        shell = self.order["shell"] or self._user.pw_shell
        first = self._out or self._err
        assert first is not None
        out = first.open(self._user)
        err = self._err.open(self._user) if self._out is not None and self._err is not None else out
        try:
            self._process = subprocess.Popen(
                [f"-{Path(shell).name}"],
                executable=shell,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                cwd=self._user.pw_dir,
                env=self._environment(),
                user=self._user.pw_uid,
                group=self._user.pw_gid,
                extra_groups=os.getgrouplist(self._user.pw_name, self._user.pw_gid),
                umask=self.order["umask"],
                start_new_session=True,
            )
        finally:
            for file in {out, err}:
                os.close(file)
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{self._script}\n".encode())
            self._process.stdin.close()

    def _environment(self) -> dict[str, str]:
        user = self._user
        own = {"HOME": user.pw_dir, "LOGNAME": user.pw_name, "USER": user.pw_name, "SHELL": user.pw_shell}
        return {
            "PATH": "/bin:/usr/bin",
            **self.order["environment"],
            **own,
            "PBS_JOBDIR": user.pw_dir,
            "PBS_NODEFILE": str(self._nodes),
            "TMPDIR": str(self._tmp),
        }

    def _own(self, file: Path, content: bytes, mode: int) -> None:
        file.write_bytes(content)
        file.chmod(mode)
        os.chown(file, self._user.pw_uid, self._user.pw_gid)

    def _watch(self) -> None:
        """Set the clock for its walltime, which counts no time of rest."""
        if self._timer is not None:
            self._timer.cancel()
        left = self._began + self._rested_s + self._limit_s + self.order["late_s"] - time.monotonic()
        self._timer = self._loop.call_later(max(0.0, left), self._exceed)

    def _exceed(self) -> None:
        if self._phase == "running" and not self._stopped_at and not self._is_ending:
            self._has_exceeded = True
            said = f"=>> PBS: job killed: walltime {int(self._passed())} exceeded limit {int(self._limit_s)}\n"
            last = self._err or self._out
            assert last is not None
            last.add(said)
            self.end()

    def _passed(self) -> float:
        return time.monotonic() - self._began - self._rested_s

    def _send(self, number: int) -> None:
        for pid in members(self._session):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _kill(self) -> None:
        # again, for what was born meanwhile
        while self._session and (living := members(self._session)):
            for pid in living:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _first_has_ended(self, end: int) -> None:
        self._loop.remove_reader(end)
        os.close(end)
        assert self._process is not None
        code = self._process.wait()
        self._status = _SIGNALED - code if code < 0 else code
        if not self._is_forgotten:
            task = self._loop.create_task(self._conclude())
            self._tasks.add(task)

    async def _conclude(self) -> None:
        # whoever is being ended may take the time for it; whoever ends takes the others along
        while self._is_ending and (living := members(self._session)):
            await _gone(living[0])
        self._kill()
        if self._timer is not None:
            self._timer.cancel()
        self._used_s = self._passed()
        if self._has_exceeded:
            self._status = _WALLTIME
        self._phase = "exited"
        self._tell(self)
        outputs = [output for output in (self._out, self._err) if output is not None]
        self._is_delivered = await deliver(outputs, self.order, self._user)
        self._phase = "done"
        self._tell(self)

    def _clean(self) -> None:
        self._script.unlink(missing_ok=True)
        self._nodes.unlink(missing_ok=True)
        shutil.rmtree(self._tmp, ignore_errors=True)
        for output in (self._out, self._err):
            if output is not None and self._is_delivered:
                output.drop()
