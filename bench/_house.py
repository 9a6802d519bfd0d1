"""A private daemon to measure: its own state folder, socket and configuration, and a trivial service to start."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sessiond.client import Client, NoDaemon

ROOT = Path(__file__).parents[1]
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")

SERVER = """\
import socket, sys
answer = b"HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\nConnection: close\\r\\n\\r\\nhello"
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    peer, _ = server.accept()
    with peer:
        peer.settimeout(5)
        try:
            if peer.recv(65536):
                peer.sendall(answer)
        except OSError:
            pass
"""
"""The trivial service: one small answer to whatever is asked, from an interpreter that loads next to nothing."""

TEMPLATE = f'exec "{sys.executable}" -I -S "$resource_jobdir/service/server.py" "$servicePort"\n'


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds of a process itself and of its children that have ended."""

    own: float
    children: float

    def since(self, before: Usage) -> Usage:
        """What was used since ``before``."""
        return Usage(self.own - before.own, self.children - before.children)


@dataclass(slots=True)
class House:
    """One daemon after another on the same private state folder."""

    folder: Path
    env: dict[str, str]
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def state_dir(self) -> Path:
        """The state folder."""
        return self.folder / "state"

    @property
    def client(self) -> Client:
        """A client of the daemon; one call a time."""
        return Client(self.folder / "s" / "api.sock", timeout_s=300)

    @property
    def pid(self) -> int:
        """The running daemon's."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> float:
        """Start a daemon and wait until it answers; the seconds that took."""
        began = time.perf_counter()
        with (self.folder / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "sessiond", "--log", "json"], env=self.env, stderr=log, start_new_session=True
            )
        self.until(self._answers, 60)
        return time.perf_counter() - began

    def _answers(self) -> bool:
        with contextlib.suppress(NoDaemon):
            return self.client.answers()
        return False

    def kill(self) -> None:
        """End the daemon as a power cut would."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process = None

    def terminate(self) -> float:
        """Tell the daemon to stop; the seconds that took."""
        assert self.process is not None
        began = time.perf_counter()
        self.process.terminate()
        self.process.wait(60)
        self.process = None
        return time.perf_counter() - began

    def counts(self) -> dict[str, int]:
        """Sessions by state."""
        return dict(self.client.status()["sessions"])

    def until(self, true: Callable[[], bool], seconds: float, every_s: float = 0.01) -> float:
        """Wait until ``true()``; the seconds that took. Ends the measurement where it does not come true."""
        began = time.perf_counter()
        while not true():
            if time.perf_counter() - began > seconds:
                raise SystemExit(f"not within {seconds:g} s; the daemon's log is {self.folder / 'daemon.log'}")
            if self.process is not None and self.process.poll() is not None:
                raise SystemExit(f"the daemon ended: {(self.folder / 'daemon.log').read_text()[-2000:]}")
            time.sleep(every_s)
        return time.perf_counter() - began

    def resident_mib(self) -> float:
        """The daemon's resident memory."""
        return resident_mib(self.pid)

    def usage(self) -> Usage:
        """The daemon's CPU time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        user, system, child_user, child_system = (int(value) / TICKS_A_SECOND for value in fields[11:15])
        return Usage(user + system, child_user + child_system)


def resident_mib(pid: int | str) -> float:
    """A process's resident memory in MiB (VmRSS of proc(5))."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"process {pid} has no memory")


@contextlib.contextmanager
def house() -> Iterator[House]:
    """A place for a daemon; whatever runs in the end is stopped, and the folder removed."""
    folder = Path(tempfile.mkdtemp(prefix="sd-bench-", dir="/tmp"))
    service = folder / "services" / "trivial"
    service.mkdir(parents=True)
    (service / "start-template.sh").write_text(TEMPLATE)
    (service / "server.py").write_text(SERVER)
    config = folder / "config.toml"
    config.write_text(
        f'[daemon]\ngateway = "127.0.0.1:0"\nservices_dirs = ["{folder}/services"]\n'
        f'[clusters.local]\nworkdir = "{folder}/work"\n'
    )
    env = os.environ | {
        "PYTHONPATH": str(ROOT),
        "SESSIOND_STATE_DIR": str(folder / "state"),
        "SESSIOND_SOCKET": str(folder / "s" / "api.sock"),
        "SESSIOND_CONFIG": str(config),
        "XDG_CONFIG_HOME": str(folder / "config"),
    }
    # Without a user manager's socket sessions are plain detached processes, the same on every machine.
    for name in ("XDG_RUNTIME_DIR", "SESSIOND_TAG", "SESSIOND_RUN"):
        env.pop(name, None)
    found = House(folder=folder, env=env)
    try:
        yield found
    finally:
        _clear(found)
        shutil.rmtree(folder, ignore_errors=True)


def _clear(found: House) -> None:
    """Stop every session and the daemon, whatever state they are in."""
    if found.process is None or found.process.poll() is not None:
        found.start()
    for session in found.client.sessions():
        found.client.stop(session["id"], force=True)
    found.until(lambda: set(found.counts()) <= {"ended"}, 300, every_s=0.1)
    found.terminate()
