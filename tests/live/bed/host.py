"""One host of a bed: a process that is the first of its own world, and everything that runs there."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from .network import Network
from .waiting import gone

CLEAN: Mapping[str, str] = MappingProxyType(
    {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
)
"""What daemons and root's commands see; nothing of the environment of the tests."""

_INIT = Path(__file__).with_name("host.sh")


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process of a host. ``pid`` is its number for the machine, ``inner`` for the host."""

    pid: int
    inner: int
    parent: int
    uid: int
    name: str


class Host:
    """A host, off until `boot`."""

    def __init__(self, name: str, bed: Path, network: Network) -> None:
        self.name = name
        self._bed = bed
        self._namespace = f"--net=/run/netns/{network.namespace(name)}"
        self._keeper: subprocess.Popen[str] | None = None
        self._first = 0

    @property
    def is_on(self) -> bool:
        """Whether its first process lives."""
        return self._keeper is not None and self._keeper.poll() is None

    @property
    def first(self) -> int:
        """The machine's pid of its first process."""
        assert self.is_on, f"{self.name} is off"
        return self._first

    def launch(self) -> None:
        """Begin to boot."""
        assert not self.is_on, f"{self.name} is on"
        self.forget()
        argv = ["nsenter", self._namespace, "unshare", "--uts", "--ipc", "--mount", "--pid", "--fork"]
        with (self._bed / f"log/{self.name}.console").open("ab") as console:
            self._keeper = subprocess.Popen(
                [*argv, "--kill-child=KILL", "/bin/bash", str(_INIT), str(self._bed), self.name],
                # its other end is closed when this process dies, in whatever way: then the host ends itself
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=console,
                text=True,
                env=CLEAN,
                start_new_session=True,
            )

    def booted(self) -> None:
        """Wait until it is up. Raises RuntimeError with its last words when it does not come up."""
        assert self._keeper is not None
        assert self._keeper.stdout is not None
        if self._keeper.stdout.readline() != "up\n":
            self._keeper.wait()
            raise RuntimeError(f"{self.name} did not boot: {(self._bed / f'log/{self.name}.console').read_text()}")
        children = Path(f"/proc/{self._keeper.pid}/task/{self._keeper.pid}/children").read_text()
        self._first = int(children.split()[0])

    def power_off(self) -> None:
        """End all its processes at one moment; returns when all are gone."""
        if self.is_on and self._first:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._first, signal.SIGKILL)
        self.forget()

    def forget(self) -> None:
        """Take leave of a host that is off, or is to be."""
        if self._keeper is None:
            return
        if not self._first:
            self._keeper.kill()
        for pipe in (self._keeper.stdin, self._keeper.stdout):
            if pipe is not None:
                pipe.close()
        self._keeper.wait()
        self._keeper, self._first = None, 0

    # Commands.

    def argv(self, *command: str, user: str | None = None) -> list[str]:
        """The words that run a command there, as root or as ``user`` in their home with a fresh environment."""
        enter = ["nsenter", f"--target={self.first}", "--mount", "--uts", "--ipc", "--net", "--pid", "--"]
        if user is not None:
            ids = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--reset-env"]
            enter += [*ids, "env", f"--chdir=/home/{user}", "LANG=C.UTF-8", "PATH=/usr/local/bin:/usr/bin:/bin"]
        return [*enter, *command]

    def run(
        self, *command: str, user: str | None = None, text: str = "", limit_s: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command there, with ``text`` on its standard input. Raises subprocess.TimeoutExpired."""
        return subprocess.run(
            self.argv(*command, user=user),
            input=text,
            text=True,
            capture_output=True,
            env=CLEAN,
            timeout=limit_s,
            check=False,
        )

    def start(self, *command: str) -> None:
        """Run a daemon that goes into the background by itself. Raises RuntimeError with its words when it refuses."""
        # not to pipes: what a daemon keeps open of them would be waited for
        log = self._bed / f"log/{self.name}.console"
        with log.open("ab") as output:
            done = subprocess.run(
                self.argv(*command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=CLEAN,
                timeout=20,
                check=False,
            )
        if done.returncode:
            raise RuntimeError(f"{self.name}: {command[0]} did not start: {log.read_text()}")

    # Processes.

    def processes(self) -> list[Process]:
        """Everything alive there but the first process."""
        world = Path(f"/proc/{self.first}/ns/pid").readlink()
        found: list[Process] = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdecimal() and folder.name != str(self.first):
                # whatever ends while it is looked at is not alive
                with contextlib.suppress(OSError, KeyError):
                    if (folder / "ns/pid").readlink() == world:
                        lines = (folder / "status").read_text().splitlines()
                        words = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
                        if words["State"][0] not in "ZX":
                            found.append(_process(int(folder.name), words))
        return found

    def named(self, name: str) -> list[Process]:
        """The living processes with a name."""
        return [one for one in self.processes() if one.name == name]

    def listens(self, port: int) -> bool:
        """Whether anybody there listens on a TCP port."""
        for table in ("tcp", "tcp6"):
            with contextlib.suppress(FileNotFoundError):
                for line in Path(f"/proc/{self.first}/net/{table}").read_text().splitlines()[1:]:
                    fields = line.split()
                    if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                        return True
        return False


def end(processes: Sequence[Process], number: int = signal.SIGKILL, *, limit_s: float = 10.0) -> None:
    """Signal processes and wait until they are gone."""
    for one in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one.pid, number)
    for one in processes:
        gone(one.pid, limit_s)


def _process(pid: int, words: Mapping[str, str]) -> Process:
    return Process(
        pid=pid,
        inner=int(words["NSpid"].split()[-1]),
        parent=int(words["PPid"]),
        uid=int(words["Uid"].split()[0]),
        name=words["Name"].strip(),
    )
